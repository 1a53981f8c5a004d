"""Per-decision importance sampling with a cap on the cumulative weight, plain and self-normalised.

    clipped PDIS           v̂ = (1/E) Σ_i Σ_t γᵗ min(ω_it, c) r_it
    clipped weighted PDIS  v̂ = Σ_t γᵗ Σ_i ω̂_it r_it / Σ_i ω̂_it,   ω̂_it = min(ω_it / ω̄_t, c)

References:
    Ionides (2008), Truncated importance sampling; Precup, Sutton & Singh (2000), section 4; the choice of c
    is in :mod:`algorithms.ope.weight_limits`.
"""

from __future__ import annotations

import numpy as np

from algorithms.ope._assembly import INDEPENDENT_UNITS, KNOWN_PROPENSITIES, assemble
from algorithms.ope.estimate import Estimate
from algorithms.ope.importance_sampling import NO_OVERLAP
from algorithms.ope.overlap import WEIGHTED_RULE, OverlapRule, scaled_weights
from algorithms.ope.trajectories import Trajectories
from algorithms.ope.weight_limits import (
    BOUNDED_BIAS,
    Limited,
    bias_bounds,
    grid_or,
    least_error,
    powers_below,
    widened,
)


def clipped_pdis(
    trajectories: Trajectories,
    confidence: float = 0.95,
    *,
    force: bool = False,
    overlap: OverlapRule = WEIGHTED_RULE,
    units: np.ndarray | None = None,
    clip: float | None = None,
) -> Estimate:
    """Per-decision importance sampling whose cumulative weights are at most c.

    The bias is -Σ_t γᵗ E[(ω_t - ω̂_t) r_t]; its bound is added to both sides of the interval. Both
    grow with the level of the rewards.

    Args:
        trajectories: the log under the target's ratios; models are not read.
        confidence: coverage of the interval before the bias bound.
        force: give the numbers although the overlap is refused; the reason stays.
        overlap: smallest overlap, of the weights as they are, that is answered.
        units: independent unit of each episode (E,), ``None`` where it is the episode.
        clip: c, a weight of at least 1; chosen from the data by default.

    Raises:
        DataError: the clip is below 1.
    """

    def candidate(level: float) -> Limited:
        kept = np.minimum(weights, level)
        contributions = (kept * trajectories.rewards) @ trajectories.discounts
        bounds = bias_bounds(weights - kept, trajectories.rewards)
        return Limited(level, contributions, _removed(kept, weights), float(bounds @ trajectories.discounts))

    # Weights beyond the floats are infinite: they have no error that a limit could be chosen by.
    with np.errstate(over="ignore", invalid="ignore"):
        weights = trajectories.cumulative_weights
        candidates = [candidate(level) for level in _grid(weights, clip)] if len(weights) else []
    return _clipped(
        "clipped_pdis",
        trajectories,
        candidates,
        confidence=confidence,
        force=force,
        overlap=overlap,
        units=units,
    )


def clipped_weighted_pdis(
    trajectories: Trajectories,
    confidence: float = 0.95,
    *,
    force: bool = False,
    overlap: OverlapRule = WEIGHTED_RULE,
    units: np.ndarray | None = None,
    clip: float | None = None,
) -> Estimate:
    """Self-normalised per-decision importance sampling whose weights are at most c times their step's mean.

    The bias of a step is minus its cut weight times the difference of the rewards to the step's kept mean, and
    does not know the level of the rewards; its bound is added to both sides of the interval. Arguments as
    :func:`clipped_pdis`, ``clip`` in units of the step's mean weight.
    """
    weights = scaled_weights(np.cumsum(trajectories.log_ratios, axis=1))
    totals = weights.sum(axis=0)
    covered = bool(len(weights)) and bool(np.all(totals > 0))
    candidates = []
    if covered:
        weights = weights * (len(weights) / totals)
        for level in _grid(weights, clip):
            kept = np.minimum(weights, level)
            normalised = kept / kept.sum(axis=0)
            step_values = np.einsum("et,et->t", normalised, trajectories.rewards)
            centred = trajectories.rewards - step_values
            contributions = (step_values + len(kept) * normalised * centred) @ trajectories.discounts
            bound = float(bias_bounds(weights - kept, centred) @ trajectories.discounts)
            candidates.append(Limited(level, contributions, _removed(kept, weights), bound))
    return _clipped(
        "clipped_weighted_pdis",
        trajectories,
        candidates,
        confidence=confidence,
        force=force,
        overlap=overlap,
        units=units,
        refused="" if covered or not len(weights) else NO_OVERLAP,
    )


def _clipped(
    name: str,
    trajectories: Trajectories,
    candidates: list[Limited],
    *,
    confidence: float,
    force: bool,
    overlap: OverlapRule,
    units: np.ndarray | None,
    refused: str = "",
) -> Estimate:
    missing = Limited(np.inf, np.full(len(trajectories), np.nan), 0.0, 0.0)
    best = least_error(candidates, units) if candidates else missing
    estimate = assemble(
        name,
        best.contributions,
        trajectories,
        confidence=confidence,
        force=force,
        overlap=overlap,
        units=units,
        assumptions=(INDEPENDENT_UNITS, KNOWN_PROPENSITIES, BOUNDED_BIAS),
        refused=refused,
    )
    return widened(estimate, best, "clip")


def _grid(weights: np.ndarray, clip: float | None) -> list[float]:
    powers = powers_below(float(np.max(weights, initial=1.0)))
    return grid_or(clip, powers, "clip", "clipped weights", smallest=1.0)


def _removed(kept: np.ndarray, weights: np.ndarray) -> float:
    """The largest share of a step's weight that is cut."""
    whole = weights.sum(axis=0)
    shares = np.divide(kept.sum(axis=0), whole, out=np.ones_like(whole), where=whole > 0)
    return 1.0 - float(np.min(shares, initial=1.0))
