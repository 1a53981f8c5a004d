"""Weighted doubly robust estimation (WDR): the model's value, corrected by self-normalised weights.

    v̂ = (1/E) Σ_i V̂(s_i0) + Σ_t γᵗ Σ_i u_it δ_it
    u_it = ω_it / Σ_k ω_kt,   δ_it = r_it + γ V̂(s_i,t+1) - Q̂(s_it, a_it),   ω_it = Π_{k≤t} π/b

Reference: Thomas & Brunskill (2016), Data-efficient off-policy policy evaluation for reinforcement learning,
with their terms gathered by step.
"""

from __future__ import annotations

import numpy as np

from algorithms.ope._assembly import INDEPENDENT_UNITS, KNOWN_PROPENSITIES, assemble
from algorithms.ope.estimate import Estimate
from algorithms.ope.importance_sampling import NO_OVERLAP
from algorithms.ope.overlap import WEIGHTED_RULE, OverlapRule, scaled_weights
from algorithms.ope.trajectories import Trajectories
from envs.errors import DataError


def step_corrections(trajectories: Trajectories, where: str) -> tuple[np.ndarray, np.ndarray] | None:
    """What the log adds to the model at each step, and each episode's influence on it.

    Returns:
        γᵗ Σ_i u_it δ_it, float64 (H,), and γᵗ E u_it (δ_it - its weighted mean), float64 (E, H), of column
        mean 0; ``None`` where all weights of a step are 0. An ended episode keeps its weight, with δ = 0.

    Raises:
        DataError: the trajectories carry no model values.
    """
    q, v = trajectories.q_values, trajectories.v_values
    if q is None or v is None:
        raise DataError("no model values", where=where, remedy="fit a model first (cross_fit)")
    weights = scaled_weights(np.cumsum(trajectories.log_ratios, axis=1))
    totals = weights.sum(axis=0)
    if not len(weights) or not np.all(totals > 0):
        return None
    residuals = np.where(trajectories.active, trajectories.rewards + trajectories.discount * v[:, 1:] - q, 0.0)
    normalised = weights / totals
    means = np.einsum("et,et->t", normalised, residuals)
    influence = len(weights) * normalised * (residuals - means)
    return means * trajectories.discounts, influence * trajectories.discounts


def weighted_doubly_robust(
    trajectories: Trajectories,
    confidence: float = 0.95,
    *,
    force: bool = False,
    overlap: OverlapRule = WEIGHTED_RULE,
    units: np.ndarray | None = None,
) -> Estimate:
    """The weighted doubly robust value of a policy: consistent, exact under reward shift, of bounded weights.

    The interval is the delta method's, step by step.

    Args:
        trajectories: with ``q_values`` and ``v_values`` fitted on other episodes.
        confidence: coverage of the two-sided interval.
        force: give the numbers although the overlap is refused; the reason stays.
        overlap: smallest overlap that is answered.
        units: independent unit of each episode (E,), ``None`` where it is the episode.

    Raises:
        DataError: the trajectories carry no model values.
    """
    found = step_corrections(trajectories, "weighted_doubly_robust")
    if found is None or trajectories.v_values is None:
        contributions = np.full(len(trajectories), np.nan)
    else:
        steps, influence = found
        contributions = trajectories.v_values[:, 0] + steps.sum() + influence.sum(axis=1)
    return assemble(
        "weighted_doubly_robust",
        contributions,
        trajectories,
        confidence=confidence,
        force=force,
        overlap=overlap,
        units=units,
        assumptions=(
            INDEPENDENT_UNITS,
            KNOWN_PROPENSITIES,
            "the model was fitted on other episodes",
            "enough units that the ratios' bias is small",
        ),
        refused="" if found is not None or not len(trajectories) else NO_OVERLAP,
    )
