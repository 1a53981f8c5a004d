"""Leg 2: step-down tests of several means at once, by the multiplier bootstrap of their maximum.

    T_k = √n (D̄_k - δ) / σ̂_k,   T*_k = n^{-1/2} Σ_i e_i (D_ik - D̄_k) / σ̂_k,   e_i ~ N(0, 1)

Given the data, T* is exactly normal with the empirical correlation of D, so it is drawn from that
normal instead of by multiplying every unit (the same distribution at a thousandth of the cost), and
divided by the χ of σ̂ as in Student's t, which at small n keeps the level.

A log that by chance missed the expensive episodes shows a high mean and a small spread at once, so
a negatively skewed D is promoted too often (skewness -2.6, 300 units, the third look's level: 3.4
times the nominal rate), and the tested units do not know it: their own skewness is missing as well.
Therefore spread and skewness γ are those of the tested and of other units (``reference``) together, σ̂ at
least that of the tested, and the statistic is Hall's, √n g((D̄ - δ)/σ̂) with
g(u) = u + γ u²/3 + γ² u³/27 + γ/(6n) and γ at most 0. It never exceeds Student's t. (The larger of two
deviations and the smaller of two skewnesses, each by itself, cost 3 to 7 points of power and no level
that was needed: their noise always pulled one way.)

Where few units carry the weight, all of them together may have missed what is bad: 262 units of single decisions,
a tenth of them with a weight of 4.5, exponential costs: 1.4 and 2.4 times the nominal rate at the first and third
look; failures in 3 of 100 decisions and 350 units: 10 and 34 times. So γ is at most that of decoupled differences
(:mod:`algorithms.ope.decoupled`), which is known from outcomes under any weight: .6 and .2 times for the costs, 0
for the failures. Power lost at 350 units, first look: none for symmetric outcomes, 6 to 11 points for costs and for
failures in one of ten, 28 for failures in 3 of 100 under log-normal weights, where the level was 1.9 times too high.

References:
    Romano & Wolf (2005), Exact and approximate stepdown methods, algorithm 2.
    Hall (1992), On the removal of skewness by transformation.
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
        deviations: σ̂, float64 (K,), of tested and reference units together, at least the tested units'.
        skewness: γ ≤ 0, float64 (K,), of tested and reference units together, at most that of the decoupled ones.
        statistics: T, float64 (K,), corrected for skewness; -inf where D does not vary.
        critical: critical value of the first step, against the maximum of all K.
        rejected: bool (K,), means found above the null.
        lower: float64 (K,), simultaneous lower bounds, D̄ - critical σ̂ / √n without skewness; each side at the level.
        upper: float64 (K,), simultaneous upper bounds.
    """

    means: np.ndarray
    deviations: np.ndarray
    skewness: np.ndarray
    statistics: np.ndarray
    critical: float
    rejected: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


def step_down(
    differences: np.ndarray,
    null: float,
    level: float,
    *,
    reference: np.ndarray | None = None,
    decoupled: np.ndarray | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> StepDown:
    """Test E D_k ≤ ``null`` for all k with family-wise error at most ``level``, asymptotically.

    Args:
        differences: float64 (K, n), paired differences of n independent units.
        null: largest mean that the null allows.
        level: one-sided family-wise level.
        reference: float64 (K, m), the same finalists' differences on other units, for spread and skewness.
        decoupled: float64 (K, l), the differences with weights and residuals of different units, for skewness.
        draws: of the bootstrap.
        seed: of the bootstrap; the same request always has the same outcome.
    """
    differences = np.asarray(differences, dtype=np.float64)
    count, units = differences.shape
    if units < 2 or not np.isfinite(differences).all():
        raise DataError(f"{units} units, or differences that are not finite", where="gate", remedy="log more units")
    means = differences.mean(axis=1)
    own, deviations, skewed = joint_spread(differences, reference)
    varies = own > 0
    beside = skewed if decoupled is None else np.where(varies, skewness_of(decoupled), 0.0)
    skewness = np.minimum(np.minimum(skewed, beside), 0.0)
    mirrored = np.minimum(-np.maximum(skewed, beside), 0.0)
    scale = np.where(varies, deviations, 1.0)
    statistics = np.where(varies, np.sqrt(units) * straighten((means - null) / scale, skewness, units), -np.inf)
    standardised = np.where(varies[:, None], (differences - means[:, None]) / np.where(varies, own, 1.0)[:, None], 0.0)
    # Rounded, so that the draws do not depend on the unit in which outcomes are measured.
    correlation = np.round(standardised @ standardised.T / (units - 1), 9)
    rejected = np.zeros(count, dtype=bool)
    first = critical = _critical(correlation, level, units, draws, seed)
    while True:
        fresh = ~rejected & (statistics > critical)
        rejected |= fresh
        if not fresh.any() or rejected.all():
            break
        left = np.flatnonzero(~rejected)
        critical = _critical(correlation[np.ix_(left, left)], level, units, draws, seed)
    reach = first / np.sqrt(units)
    return StepDown(
        means,
        deviations,
        skewness,
        statistics,
        first,
        rejected,
        means - deviations * _bend(reach, skewness, units),
        means + deviations * _bend(reach, mirrored, units),
    )


def joint_spread(differences: np.ndarray, reference: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Deviation of the tested units, σ̂ and skewness of tested and reference units together; each float64 (K,).

    All are 0 where the tested units do not vary. Arguments as :func:`step_down`.
    """
    own, third = _spread(differences)
    varies, units = own > 0, differences.shape[1]
    together = own
    if reference is not None and reference.shape[1] > 1:
        other, other_third = _spread(reference)
        share = units / (units + reference.shape[1])
        together = np.sqrt(share * np.square(own) + (1.0 - share) * np.square(other))
        third = share * third + (1.0 - share) * other_third
    deviations = np.where(varies, np.maximum(own, together), 0.0)
    return own, deviations, np.where(varies, third / np.where(varies, together, 1.0) ** 3, 0.0)


def skewness_of(values: np.ndarray) -> np.ndarray:
    """Skewness of each row, float64 (K,); 0 where it does not vary."""
    deviation, third = _spread(values)
    return np.where(deviation > 0, third / np.where(deviation > 0, deviation, 1.0) ** 3, 0.0)


def _spread(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviation and third central moment of each row, both 0 where it varies by rounding errors alone."""
    values = np.asarray(values, dtype=np.float64)
    centred = values - values.mean(axis=1, keepdims=True)
    deviation = values.std(axis=1, ddof=1)
    varies = deviation > 1e-12 * np.abs(values).max(axis=1)
    return np.where(varies, deviation, 0.0), np.where(varies, np.mean(centred * np.square(centred), axis=1), 0.0)


def straighten(u: np.ndarray, skewness: np.ndarray, units: float) -> np.ndarray:
    """Hall's monotone g(u), whose √n multiple is normal to second order."""
    straight: np.ndarray = u + skewness * u**2 / 3 + skewness**2 * u**3 / 27 + skewness / (6 * units)
    return straight


def _bend(x: float, skewness: np.ndarray, units: int) -> np.ndarray:
    """The inverse of :func:`straighten`."""
    safe = np.where(skewness < -1e-9, skewness, -1.0)
    bent = 3.0 / safe * (np.cbrt(1.0 + safe * (x - safe / (6 * units))) - 1.0)
    return np.where(skewness < -1e-9, bent, x)


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
