"""Doubly robust estimation for sequences: the model's value, corrected by the weighted log.

    ψ_i = V̂(s_0) + Σ_t γᵗ ω_t (r_t + γ V̂(s_{t+1}) - Q̂(s_t, a_t)),   ω_t = Π_{k≤t} π/b

Unbiased for any Q̂ that was not fitted on the same episodes; as narrow as Q̂ is good.

References:
    Jiang & Li (2016), eq. 10; Thomas & Brunskill (2016), eq. 5; Dudík, Langford & Li (2011) for H = 1.
"""

from __future__ import annotations

import numpy as np

from algorithms.ope._assembly import INDEPENDENT_UNITS, KNOWN_PROPENSITIES, assemble
from algorithms.ope.estimate import Estimate
from algorithms.ope.overlap import DOUBLY_ROBUST_RULE, OverlapRule
from algorithms.ope.trajectories import Trajectories
from envs.errors import DataError


def doubly_robust_contributions(trajectories: Trajectories) -> np.ndarray:
    """ψ of each episode, float64 (E,): unbiased one by one where V̂ is the policy's mean of Q̂.

    Raises:
        DataError: the trajectories carry no model values.
    """
    residuals, start = model_residuals(trajectories, "doubly_robust")
    return start + (trajectories.cumulative_weights * residuals) @ trajectories.discounts


def model_residuals(trajectories: Trajectories, where: str) -> tuple[np.ndarray, np.ndarray]:
    """r + γ V̂(s') - Q̂(s, a) of each decision, float64 (E, H), 0 where there is none; and V̂ of each start (E,).

    Raises:
        DataError: the trajectories carry no model values; names ``where``.
    """
    q, v = trajectories.q_values, trajectories.v_values
    if q is None or v is None:
        raise DataError("no model values", where=where, remedy="fit a model first (cross_fit)")
    residuals = np.where(trajectories.active, trajectories.rewards + trajectories.discount * v[:, 1:] - q, 0.0)
    return residuals, v[:, 0]


def doubly_robust(
    trajectories: Trajectories,
    confidence: float = 0.95,
    *,
    force: bool = False,
    overlap: OverlapRule = DOUBLY_ROBUST_RULE,
    units: np.ndarray | None = None,
) -> Estimate:
    """The doubly robust value of a policy.

    Refuses below 10 % effective units, because there the model's optimism is corrected only by
    weights that never arrive (44.7 % false promotions at an overlap of .7 %).

    Args:
        trajectories: with ``q_values`` and ``v_values`` fitted on other episodes.
        confidence: coverage of the two-sided interval.
        force: give the numbers although the overlap is refused; the reason stays.
        overlap: smallest overlap that is answered.
        units: independent unit of each episode (E,), ``None`` where it is the episode.

    Raises:
        DataError: the trajectories carry no model values.
    """
    return assemble(
        "doubly_robust",
        doubly_robust_contributions(trajectories),
        trajectories,
        confidence=confidence,
        force=force,
        overlap=overlap,
        units=units,
        assumptions=(INDEPENDENT_UNITS, KNOWN_PROPENSITIES, "the model was fitted on other episodes"),
    )
