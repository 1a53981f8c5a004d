"""From judged variants to finalists (what the gate may prove) and a recommendation (what is best by all evidence)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tune_configs.gate.request import MAXIMUM_FINALISTS
from tune_configs.trial import TrialResult


@dataclass(frozen=True, slots=True)
class Selection:
    """Who goes on.

    Attributes:
        recommended: index of the variant of the best expected value, by log or model.
        evidence: ``log`` or ``model``.
        finalists: indices of at most five variants with overlap, best lower bound first.
    """

    recommended: int
    evidence: str
    finalists: tuple[int, ...]


def select(trials: tuple[TrialResult, ...]) -> Selection:
    """Choose by ``select`` alone.

    Finalists are the largest lower bounds of the paired difference among variants that the log
    reaches; those whose estimate is a loss are left out, so that they take no share of α. The
    recommendation is the largest score: a variant with overlap brings its lower bound, one without
    the smallest gain over the cross-fitted models; so a model's word counts only at its most cautious.
    """
    reached = sorted((t for t in trials if t.gain.usable), key=lambda t: (-t.gain.lower, t.index))
    gaining = [t for t in reached if t.gain.value > 0]
    best = max(trials, key=lambda t: (-math.inf if math.isnan(t.score) else t.score, -t.index))
    return Selection(
        recommended=best.index,
        evidence="log" if best.gain.usable else "model",
        finalists=tuple(t.index for t in gaining[:MAXIMUM_FINALISTS]),
    )
