"""From judged variants to finalists (what the gate may prove) and a recommendation (what is best by all evidence)."""

from __future__ import annotations

from dataclasses import dataclass

from tune_configs.gate.request import MAXIMUM_FINALISTS
from tune_configs.recommendation import best_first
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
    reaches; those whose estimate is a loss are left out, so that they take no share of α; bounds are means over a
    variant's seeds, so that no lucky seed makes a finalist. The recommendation is the best by
    :func:`~tune_configs.recommendation.best_first`, of the policy of the seed in the middle; every best checkpoint that
    the log reaches checks the models.
    Members of a population that took over the same checkpoint count once.
    """
    reached = sorted((t for t in trials if t.gain.usable), key=lambda t: (-t.best.metric, t.index))
    taken: dict[object, TrialResult] = {}
    for t in reached:
        taken.setdefault((t.variant.key, t.best.iteration, t.best.metric), t)
    gaining = [t for t in taken.values() if t.gain.value > 0]
    ordered = sorted(trials, key=lambda t: t.index)
    chosen = ordered[best_first([t.proposed for t in ordered], [t.best for t in ordered])[0]]
    return Selection(
        recommended=chosen.index,
        last=chosen.proposed is not chosen.best,
        evidence="log" if chosen.proposed.gain.usable else "model",
        finalists=tuple(t.index for t in gaining[:MAXIMUM_FINALISTS]),
    )
