"""Limits on large weights, chosen by squared error, with the bias they may bring counted into the interval.

A limit w → ŵ ≤ w trades variance for a bias -E[(w - ŵ) δ], where δ is what the weight multiplies (a reward,
or the model's residual). The log knows that bias no better than it knows the unlimited estimate. Its size it
does know a bound of (Cauchy-Schwarz), estimated from the same log:

    B = √( E[w - ŵ] E[(w - ŵ) δ²] )  ≥  |E[(w - ŵ) δ]|

The limit is the one of least  se² + B²  on a grid of powers of 2, and B is added to both sides of the studentised
interval.

References:
    Wang, Agarwal & Dudík (2017), Optimal and adaptive off-policy evaluation in contextual bandits,
    where a bound of the reward stands for the root mean square of δ under the weight that was cut;
    Ionides (2008), Truncated importance sampling; Armstrong & Kolesár (2018) on intervals that count bias in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from algorithms.ope._assembly import INDEPENDENT_UNITS, KNOWN_PROPENSITIES, assemble
from algorithms.ope.estimate import Estimate
from algorithms.ope.intervals import student_t, unit_values
from algorithms.ope.overlap import OverlapRule
from algorithms.ope.trajectories import Trajectories
from envs.errors import DataError

BOUNDED_BIAS = "the bias of limited weights is at most its bound, estimated from the same log"


@dataclass(frozen=True, slots=True, eq=False)
class Limited:
    """An estimator under one limit.

    Attributes:
        limit: the setting; infinity for none.
        contributions: of each episode, float64 (E,).
        removed: share of the weight that was cut.
        bias_bound: B, in units of the value.
    """

    limit: float
    contributions: np.ndarray
    removed: float
    bias_bound: float


def bias_bounds(cut: np.ndarray, deltas: np.ndarray) -> np.ndarray:
    """B of weights that were cut (E, ...) from what they multiply (E, ...), along the first axis."""
    bounds: np.ndarray = np.sqrt(np.mean(cut, axis=0) * np.mean(cut * np.square(deltas), axis=0))
    return bounds


def powers_below(largest: float, smallest: float = 1.0) -> list[float]:
    """The grid of limits: infinity, then powers of 2 that bind, from large to small, not below ``smallest``."""
    top = int(np.ceil(np.log2(min(max(largest, smallest), 2.0**500))))
    return [np.inf, *(2.0**k for k in range(top - 1, int(np.floor(np.log2(smallest))) - 1, -1))]


def grid_or(given: float | None, grid: list[float], setting: str, where: str, *, smallest: float = 0.0) -> list[float]:
    """The limit that the caller gave, or the grid.

    Raises:
        DataError: the limit is below the smallest, or no number.
    """
    if given is None:
        return grid
    if not given >= smallest:
        raise DataError(f"{setting} {given}", where=where, remedy=f"give one of at least {smallest:g}, or none")
    return [given]


def least_error(candidates: list[Limited], units: np.ndarray | None) -> Limited:
    """The candidate of the smallest standard error² + bias bound²; the first of equals."""
    errors = [student_t(unit_values(each.contributions, units)).standard_error for each in candidates]
    bounds = np.array([each.bias_bound for each in candidates])
    with np.errstate(over="ignore", invalid="ignore"):
        squared = np.nan_to_num(np.square(errors) + np.square(bounds), nan=np.inf, posinf=np.inf)
    return candidates[int(np.argmin(squared))]


def widened(estimate: Estimate, chosen: Limited, setting: str) -> Estimate:
    """The estimate with the bias bound added to both sides, and what was chosen among its diagnostics."""
    return replace(
        estimate,
        lower=estimate.lower - chosen.bias_bound,
        upper=estimate.upper + chosen.bias_bound,
        diagnostics={
            **estimate.diagnostics,
            setting: chosen.limit,
            "removed_weight": chosen.removed,
            "bias_bound": chosen.bias_bound,
        },
    )


def limited_doubly_robust(
    name: str,
    trajectories: Trajectories,
    limits: Callable[[np.ndarray], list[float]],
    limit: Callable[[np.ndarray, float], np.ndarray],
    setting: str,
    *,
    chosen: float | None,
    confidence: float,
    force: bool,
    overlap: OverlapRule,
    units: np.ndarray | None,
) -> Estimate:
    """The doubly robust estimate of single decisions under limited weights, v̂ = (1/E) Σ_i V̂_i + ŵ_i (r_i - Q̂_i).

    Args:
        name: registry name.
        trajectories: one decision per episode, with a model.
        limits: from the weights (E,) to the grid, infinity first.
        limit: from the weights and one of the grid to ŵ.
        setting: what the limit is called.
        chosen: the limit itself, instead of the grid.
        confidence: of the interval, before the bias bound is added.
        force: as for every estimator.
        overlap: as for every estimator, of the weights without a limit.
        units: as for every estimator.

    Raises:
        DataError: the horizon is not 1, the trajectories carry no model values, or the limit is below 0.
    """
    if trajectories.horizon != 1:
        raise DataError(
            f"horizon {trajectories.horizon}, {name} is for single decisions",
            where=name,
            remedy="use doubly_robust, weighted_doubly_robust or magic",
        )
    q, v = trajectories.q_values, trajectories.v_values
    if q is None or v is None:
        raise DataError("no model values", where=name, remedy="fit a model first (cross_fit)")
    residuals = np.where(trajectories.active, trajectories.rewards + trajectories.discount * v[:, 1:] - q, 0.0)[:, 0]
    weights = trajectories.weights

    def candidate(level: float) -> Limited:
        kept = limit(weights, level)
        cut, whole = weights - kept, weights.sum()
        removed = float(cut.sum() / whole) if whole > 0 else 0.0
        return Limited(level, v[:, 0] + kept * residuals, removed, float(bias_bounds(cut, residuals)))

    grid = grid_or(chosen, limits(weights), setting, name)
    best = least_error([candidate(level) for level in grid], units) if len(weights) else Limited(np.inf, weights, 0, 0)
    estimate = assemble(
        name,
        best.contributions,
        trajectories,
        confidence=confidence,
        force=force,
        overlap=overlap,
        units=units,
        assumptions=(
            INDEPENDENT_UNITS,
            KNOWN_PROPENSITIES,
            "the model was fitted on other episodes",
            BOUNDED_BIAS,
        ),
    )
    return widened(estimate, best, setting)
