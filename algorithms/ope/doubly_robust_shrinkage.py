"""Doubly robust with optimistic shrinkage (DRos) for single decisions: every weight is shrunk, large ones most.

    v̂ = (1/E) Σ_i [ V̂(s_i) + ŵ_i (r_i - Q̂(s_i, a_i)) ],   ŵ = λ w / (w² + λ)

λ → ∞ is the doubly robust estimator, λ = 0 the direct method.

Reference: Su, Dimakopoulou, Krishnamurthy & Dudík (2020), Doubly robust off-policy evaluation with shrinkage;
the choice of λ is in :mod:`algorithms.ope.weight_limits`.
"""

from __future__ import annotations

import numpy as np

from algorithms.ope.estimate import Estimate
from algorithms.ope.overlap import DOUBLY_ROBUST_RULE, OverlapRule
from algorithms.ope.trajectories import Trajectories
from algorithms.ope.weight_limits import limited_doubly_robust, powers_below

WEAKEST = 1024.0
"""Of the grid, in squares of the largest weight: that weight loses a thousandth. A first little shrinkage saves
variance by as much as it adds bias, and of the bias the square counts: on few logs is none the least error."""


LARGEST = 2.0**200
"""Beyond it a weight's square is no longer a float."""


def shrunk_weights(weights: np.ndarray, shrinkage: float) -> np.ndarray:
    """λ w / (w² + λ) of weights (E,), at most √λ / 2; the weights themselves at λ = ∞."""
    if shrinkage == 0.0:
        return np.zeros_like(weights)
    return weights / (np.square(weights) / shrinkage + 1.0)


def doubly_robust_shrinkage(
    trajectories: Trajectories,
    confidence: float = 0.95,
    *,
    force: bool = False,
    overlap: OverlapRule = DOUBLY_ROBUST_RULE,
    units: np.ndarray | None = None,
    shrinkage: float | None = None,
) -> Estimate:
    """The DRos value of a policy of single decisions.

    The interval is the studentised one over the episodes' contributions, with the bias bound added to both sides.

    Args:
        trajectories: one decision per episode, with ``q_values`` and ``v_values`` fitted on other episodes.
        confidence: coverage of the interval before the bias bound.
        force: give the numbers although the overlap is refused; the reason stays.
        overlap: smallest overlap, of the weights as they are, that is answered.
        units: independent unit of each episode (E,), ``None`` where it is the episode.
        shrinkage: λ, 0 or more, in squared weights; chosen from the data by default.

    Raises:
        DataError: the horizon is not 1, the trajectories carry no model values, or the limit is below 0.
    """
    return limited_doubly_robust(
        "doubly_robust_shrinkage",
        trajectories,
        lambda weights: powers_below(WEAKEST * min(float(np.max(weights, initial=1.0)), LARGEST) ** 2),
        shrunk_weights,
        "shrinkage",
        chosen=shrinkage,
        confidence=confidence,
        force=force,
        overlap=overlap,
        units=units,
    )
