"""An estimate as the page shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ai_engine.reports.formats import DASH, estimate_decimals, fixed, interval, label, number, percent
from ai_engine.text import ESTIMATED_PROPENSITIES
from algorithms.ope.estimate import ESTIMATED_PROPENSITIES as ASSUMED


def estimate_view(estimate: Mapping[str, Any], column: int, *, signed: bool = False) -> dict[str, Any]:
    """Value, interval and where they come from, with the decimals of its column."""
    decimals = estimate_decimals(estimate, column)
    shown = {
        "value": fixed(estimate.get("value"), decimals, signed=signed),
        "interval": interval(estimate.get("lower"), estimate.get("upper"), decimals, signed=signed),
        "confidence": percent(estimate.get("confidence")),
        "estimator": str(estimate.get("estimator") or DASH),
        "effective_sample_size": number(estimate.get("effective_sample_size")),
        "evidence": str(estimate.get("evidence") or DASH),
        "refused": str(estimate.get("refused") or ""),
    }
    return {**shown, "method": method(shown)}


def method(shown: Mapping[str, Any]) -> str:
    """Estimator and confidence; a range over models claims none."""
    claimed = "" if shown["confidence"] == percent(0.0) else f", {shown['confidence']}"
    return f"{label(shown['estimator'])}{claimed}"


def proviso(estimates: Sequence[Mapping[str, Any]]) -> str:
    """What is said beside numbers that stand on estimated propensities, or empty."""
    return ESTIMATED_PROPENSITIES if any(ASSUMED in (each.get("assumptions") or ()) for each in estimates) else ""
