"""From judged variants to finalists (what the gate may prove) and a recommendation (what is best by all evidence)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tune_configs.gate.request import MAXIMUM_FINALISTS
from tune_configs.trial_result import TrialResult


@dataclass(frozen=True, slots=True)
class Selection:
    """Who goes on.

    Attributes:
        recommended: index of the variant of the best expected value.
        last: whether its last checkpoint is meant, where that is not its best one.
        evidence: ``log`` or ``model``.
        finalists: indices of at most five variants with overlap, best lower bound first.
    """

    recommended: int
    last: bool
    evidence: str
    finalists: tuple[int, ...]


def select(trials: tuple[TrialResult, ...]) -> Selection:
    """Choose by ``select`` alone.

    Finalists are the largest lower bounds of the paired difference among variants that the log
    reaches; those whose estimate is a loss are left out, so that they take no share of α. The
    recommendation is the largest score: a variant with overlap brings its lower bound, one without
    the smallest gain over the cross-fitted models; so a model's word counts only at its most cautious.
    Bounds and scores are means over a variant's seeds, so that no lucky seed makes a finalist.
    Members of a population that took over the same checkpoint count once.
    """
    reached = sorted((t for t in trials if t.gain.usable), key=lambda t: (-t.best.metric, t.index))
    taken: dict[object, TrialResult] = {}
    for t in reached:
        taken.setdefault((t.variant.key, t.best.iteration, t.best.metric), t)
    gaining = [t for t in taken.values() if t.gain.value > 0]
    chosen = max(trials, key=lambda t: (-math.inf if math.isnan(t.score) else t.score, -t.index))
    return Selection(
        recommended=chosen.index,
        last=chosen.proposed is not chosen.best,
        evidence="log" if chosen.proposed.gain.usable else "model",
        finalists=tuple(t.index for t in gaining[:MAXIMUM_FINALISTS]),
    )
