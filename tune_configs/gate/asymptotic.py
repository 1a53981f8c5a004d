"""Leg 2: step-down tests of several means at once, by the multiplier bootstrap of their maximum.

    T_k = √n (D̄_k - δ) / σ̂_k,   T*_k = n^{-1/2} Σ_i e_i (D_ik - D̄_k) / σ̂_k,   e_i ~ N(0, 1)

Given the data, T* is exactly normal with the empirical correlation of D, so it is drawn from that
normal instead of by multiplying every unit (the same distribution at a thousandth of the cost), and
divided by the χ of σ̂ as in Student's t, which at small n keeps the level.

References:
    Romano & Wolf (2005), Exact and approximate stepdown methods, algorithm 2.
    Chernozhukov, Chetverikov & Kato (2013), Gaussian approximations and multiplier bootstrap, section 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

from envs.errors import DataError

DRAWS = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class StepDown:
    """Outcome of the step-down test of K means.

    Attributes:
        means: D̄, float64 (K,).
        deviations: σ̂, float64 (K,).
        statistics: T, float64 (K,); -inf where σ̂ is 0.
        critical: critical value of the first step, against the maximum of all K.
        rejected: bool (K,), means found above the null.
        lower: float64 (K,), simultaneous lower bounds D̄ - critical σ̂ / √n, each side at the level.
        upper: float64 (K,), simultaneous upper bounds.
    """

    means: np.ndarray
    deviations: np.ndarray
    statistics: np.ndarray
    critical: float
    rejected: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


def step_down(differences: np.ndarray, null: float, level: float, *, draws: int = DRAWS, seed: int = 0) -> StepDown:
    """Test E D_k ≤ ``null`` for all k with family-wise error at most ``level``, asymptotically.

    Args:
        differences: float64 (K, n), paired differences of n independent units.
        null: largest mean that the null allows.
        level: one-sided family-wise level.
        draws: of the bootstrap.
        seed: of the bootstrap; the same request always has the same outcome.
    """
    differences = np.asarray(differences, dtype=np.float64)
    count, units = differences.shape
    if units < 2 or not np.isfinite(differences).all():
        raise DataError(f"{units} units, or differences that are not finite", where="gate", remedy="log more units")
    means = differences.mean(axis=1)
    deviations = differences.std(axis=1, ddof=1)
    # A spread of rounding errors is no spread: the finalist decides as the champion does.
    spread = deviations > 1e-12 * np.maximum(np.abs(differences).max(axis=1), 1e-300)
    deviations = np.where(spread, deviations, 0.0)
    scale = np.where(spread, deviations, 1.0)
    statistics = np.where(spread, np.sqrt(units) * (means - null) / scale, -np.inf)
    standardised = np.where(spread[:, None], (differences - means[:, None]) / scale[:, None], 0.0)
    correlation = standardised @ standardised.T / (units - 1)
    rejected = np.zeros(count, dtype=bool)
    first = remaining_critical = _critical(correlation, level, units, draws, seed)
    while True:
        fresh = ~rejected & (statistics > remaining_critical)
        if not fresh.any():
            break
        rejected |= fresh
        if rejected.all():
            break
        left = np.flatnonzero(~rejected)
        remaining_critical = _critical(correlation[np.ix_(left, left)], level, units, draws, seed)
    reach = first * deviations / np.sqrt(units)
    return StepDown(means, deviations, statistics, first, rejected, means - reach, means + reach)


def _critical(correlation: np.ndarray, level: float, units: int, draws: int, seed: int) -> float:
    """The 1 - level quantile of the maximum, between the one of a single mean and Bonferroni's."""
    count = len(correlation)
    single = float(stats.t.isf(level, units - 1))
    if count == 1:
        return single
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.clip(values, 0.0, None))
    maxima = (_normals(count, draws, seed) @ root.T).max(axis=1) / _chi(units - 1, draws, seed)
    rank = min(int(np.ceil((draws + 1) * (1.0 - level))), draws) - 1
    drawn = float(np.partition(maxima, rank)[rank])
    return float(np.clip(drawn, single, stats.t.isf(level / count, units - 1)))


@lru_cache(maxsize=8)
def _normals(count: int, draws: int, seed: int) -> np.ndarray:
    return np.random.default_rng([seed, count]).standard_normal((draws, count))


@lru_cache(maxsize=8)
def _chi(degrees: int, draws: int, seed: int) -> np.ndarray:
    return np.sqrt(np.random.default_rng([seed, 0, degrees]).chisquare(degrees, draws) / degrees)
