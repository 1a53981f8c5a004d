"""Per-decision importance sampling: each reward is weighted by the ratios up to its own step.

    PDIS           v̂ = (1/E) Σ_i Σ_t γᵗ ω_it r_it            ω_it = Π_{k≤t} π/b
    weighted PDIS  v̂ = Σ_t γᵗ Σ_i ω_it r_it / Σ_i ω_it

References:
    Precup, Sutton & Singh (2000), section 4; Thomas (2015), Safe reinforcement learning, section 3.5 to 3.6.
"""

from __future__ import annotations

import numpy as np

from algorithms.ope._assembly import INDEPENDENT_UNITS, KNOWN_PROPENSITIES, assemble
from algorithms.ope.estimate import Estimate
from algorithms.ope.importance_sampling import NO_OVERLAP
from algorithms.ope.overlap import WEIGHTED_RULE, OverlapRule, scaled_weights
from algorithms.ope.trajectories import Trajectories


def pdis_contributions(trajectories: Trajectories) -> np.ndarray:
    """Σ_t γᵗ ω_it r_it of each episode, float64 (E,): unbiased one by one."""
    return (trajectories.cumulative_weights * trajectories.rewards) @ trajectories.discounts


def pdis(
    trajectories: Trajectories,
    confidence: float = 0.95,
    *,
    force: bool = False,
    overlap: OverlapRule = WEIGHTED_RULE,
    units: np.ndarray | None = None,
) -> Estimate:
    """Per-decision importance sampling: unbiased, narrower than :func:`ips` on long episodes.

    Args:
        trajectories: the log under the target's ratios; models are not read.
        confidence: coverage of the two-sided interval.
        force: give the numbers although the overlap is refused; the reason stays.
        overlap: smallest overlap that is answered.
        units: independent unit of each episode (E,), ``None`` where it is the episode.
    """
    return assemble(
        "pdis",
        pdis_contributions(trajectories),
        trajectories,
        confidence=confidence,
        force=force,
        overlap=overlap,
        units=units,
    )


def weighted_pdis(
    trajectories: Trajectories,
    confidence: float = 0.95,
    *,
    force: bool = False,
    overlap: OverlapRule = WEIGHTED_RULE,
    units: np.ndarray | None = None,
) -> Estimate:
    """Self-normalised per-decision importance sampling. Arguments as :func:`pdis`.

    The sum of weights of a step keeps the last weight of every episode that has ended before it:
    an ended episode earns 0 from then on and must count with that 0, otherwise short episodes
    would be forgotten. The interval is the delta method's, step by step.
    """
    log_weights = np.cumsum(trajectories.log_ratios, axis=1)
    weights = scaled_weights(log_weights)
    totals = weights.sum(axis=0)
    covered = bool(len(weights)) and bool(np.all(totals > 0))
    if covered:
        normalised = weights / totals
        step_values = np.einsum("et,et->t", normalised, trajectories.rewards)
        influence = len(weights) * normalised * (trajectories.rewards - step_values)
        contributions = step_values @ trajectories.discounts + influence @ trajectories.discounts
    else:
        contributions = np.full(len(weights), np.nan)
    return assemble(
        "weighted_pdis",
        contributions,
        trajectories,
        confidence=confidence,
        force=force,
        overlap=overlap,
        units=units,
        assumptions=(INDEPENDENT_UNITS, KNOWN_PROPENSITIES, "enough units that the ratios' bias is small"),
        refused="" if covered or not len(weights) else NO_OVERLAP,
    )
