"""What the gate answered, its guardrails and its self-test, as the page shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ai_engine.reports.estimate_view import estimate_view, proviso
from ai_engine.reports.formats import DASH, MINUS, common_decimals, finite, known, number

Data = Mapping[str, Any]
VERDICTS = {"held": "note", "broken": "bad", "open": "warn"}


def gate_view(gate: Data | None) -> dict[str, Any] | None:
    """The answer, its figures and what would settle it."""
    if gate is None:
        return None
    estimate = gate.get("estimate") or {}
    decimals = common_decimals([estimate], [estimate.get("value")])
    return {
        "version": gate.get("version"),
        "reason": gate.get("reason") or "",
        "look": gate.get("look"),
        "looks": gate.get("looks"),
        "until_look": finite(gate.get("until_look")),
        "alpha": gate.get("alpha"),
        "needs": {key: finite((gate.get("needs") or {}).get(key)) for key in ("decisions", "seconds", "explore")},
        "scarce": (gate.get("scarce") or {}).get("action") or "",
        "estimate": estimate_view(estimate, decimals, signed=True) if estimate else None,
        "proviso": proviso([estimate]),
    }


def guardrails_view(gate: Data | None) -> list[dict[str, str]]:
    """One row a guardrail."""
    rows = []
    for outcome in (gate or {}).get("guardrails") or []:
        verdict, lower = str(outcome.get("verdict") or DASH), outcome.get("direction") == "lower"
        margin = number(outcome.get("margin"))
        rows.append(
            {
                "name": str(outcome.get("name") or DASH),
                "direction": str(outcome.get("direction") or DASH),
                "change": number(outcome.get("change"), signed=True),
                "bound": number(outcome.get("bound"), signed=True),
                "margin": margin if margin == DASH else f"{'+' if lower else MINUS}{margin}",
                "verdict": verdict,
                "kind": VERDICTS.get(verdict, "note"),
            }
        )
    return rows


def placebo_view(placebo: Data) -> dict[str, str]:
    """The self-test's sentence; where there is none, the command that runs it."""
    outcome = placebo.get("outcome") or {}
    command = str(placebo.get("command") or "")
    if not outcome:
        text = "Not run: how often would the gate promote on this log where nothing can be better?"
        return {"text": text, "verdict": "", "kind": "note", "command": command}
    decisions = placebo.get("decisions")
    of = f" (log of {decisions:,} decisions)" if known(decisions) else ""
    passed = bool(outcome.get("passed"))
    return {
        "text": f"{placebo.get('text') or DASH}{of}",
        "verdict": "passed" if passed else "failed",
        "kind": "note" if passed else "bad",
        "command": "" if passed else command,
    }
