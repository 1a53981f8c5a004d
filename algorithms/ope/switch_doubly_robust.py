"""Switch-DR for single decisions: the doubly robust correction where weights are moderate, the model elsewhere.

    v̂ = (1/E) Σ_i [ V̂(s_i) + w_i 1{w_i ≤ τ} (r_i - Q̂(s_i, a_i)) ]

τ → ∞ is the doubly robust estimator, τ = 0 the direct method.

Reference: Wang, Agarwal & Dudík (2017), Optimal and adaptive off-policy evaluation in contextual bandits, with
the doubly robust estimator below the threshold; the choice of τ is in :mod:`algorithms.ope.weight_limits`.
"""

from __future__ import annotations

import numpy as np

from algorithms.ope.estimate import Estimate
from algorithms.ope.overlap import DOUBLY_ROBUST_RULE, OverlapRule
from algorithms.ope.trajectories import Trajectories
from algorithms.ope.weight_limits import limited_doubly_robust, powers_below


def switched_weights(weights: np.ndarray, threshold: float) -> np.ndarray:
    """The weights (E,), 0 where they are above the threshold."""
    return np.where(weights <= threshold, weights, 0.0)


def switch_doubly_robust(
    trajectories: Trajectories,
    confidence: float = 0.95,
    *,
    force: bool = False,
    overlap: OverlapRule = DOUBLY_ROBUST_RULE,
    units: np.ndarray | None = None,
    threshold: float | None = None,
) -> Estimate:
    """The Switch-DR value of a policy of single decisions.

    The interval is the studentised one over the episodes' contributions, with the bias bound added to both sides.

    Args:
        trajectories: one decision per episode, with ``q_values`` and ``v_values`` fitted on other episodes.
        confidence: coverage of the interval before the bias bound.
        force: give the numbers although the overlap is refused; the reason stays.
        overlap: smallest overlap, of the weights as they are, that is answered.
        units: independent unit of each episode (E,), ``None`` where it is the episode.
        threshold: τ; chosen from the data by default.

    Raises:
        DataError: the horizon is not 1, the trajectories carry no model values, or the limit is below 0.
    """
    return limited_doubly_robust(
        "switch_doubly_robust",
        trajectories,
        lambda weights: powers_below(float(np.max(weights, initial=1.0))),
        switched_weights,
        "threshold",
        chosen=threshold,
        confidence=confidence,
        force=force,
        overlap=overlap,
        units=units,
    )
