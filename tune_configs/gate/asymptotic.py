"""Leg 2: step-down tests of several means at once, by the multiplier bootstrap of their maximum.

    T_k = √n (D̄_k - δ) / σ̂_k,   T*_k = n^{-1/2} Σ_i e_i (D_ik - D̄_k) / σ̂_k,   e_i ~ N(0, 1)

Given the data, T* is exactly normal with the empirical correlation of D, so it is drawn from that
normal instead of by multiplying every unit (the same distribution at a thousandth of the cost), and
divided by the χ of σ̂ as in Student's t, which at small n keeps the level.

A log that by chance missed the expensive episodes shows a high mean and a small spread at once, so
a negatively skewed D is promoted too often (skewness -2.6, 300 units, the third look's level: 3.4
times the nominal rate), and the tested units do not know it: the expensive ones are missing. Therefore σ̂ is that of
the tested and of other units (``reference``) together, at least that of the tested, and T must exceed the quantile of
logs drawn from all of them as well as Student's (:mod:`algorithms.ope.studentised`).

Where few units carry the weight, all of them together may have missed what is bad. What is bad is also known from
decisions of small weight, so logs are drawn from decoupled differences as well (:mod:`algorithms.ope.decoupled`), and
half of their variance is taken where that is the larger one.

Measured (260 tested units; weights of 4.5 in a tenth of the decisions, and log-normal ones; exponential and
log-normal costs, failures in 10 and in 3 of 100, normal outcomes): how often something is found where nothing is, in
nominal rates, on the average and in the worst of the ten, and the power where T has a mean of 3.5

    look                            1                   3
    Student's t                     2.6, 11.0, .84      6.8, 40.5, .68
    this test                       .46, .97, .72       .28, .47, .54

and at the first look of 120 and 700 units .41, .70, .72 and .44, .92, .74.
Hall's transformation by the smallest skewness of all these kept the level as well, at a power of .47 and .30: where the
skewness is -10 it asks for T > 9, and the right value is 2.7.

References:
    Romano & Wolf (2005), Exact and approximate stepdown methods, algorithm 2.
    Hall (1988), Theoretical comparison of bootstrap confidence intervals.
    Chernozhukov, Chetverikov & Kato (2013), Gaussian approximations and multiplier bootstrap, section 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy import stats

from algorithms.ope.studentised import CriticalValues
from envs.errors import DataError

DRAWS = 100_000


@dataclass(frozen=True, eq=False)
class StepDown:
    """Outcome of the step-down test of K means; the bounds are found when they are asked for.

    Attributes:
        means: D̄, float64 (K,).
        deviations: σ̂, float64 (K,), as :func:`spread` has it.
        statistics: T, float64 (K,); -inf where D does not vary.
        rejected: bool (K,), means found above the null.
        students: Student's critical value of the first step, against the maximum of all K.
        values: critical values of each finalist by itself.
        units: n.
    """

    means: np.ndarray
    deviations: np.ndarray
    statistics: np.ndarray
    rejected: np.ndarray
    students: float
    values: Sequence[CriticalValues]
    units: int

    @cached_property
    def critical(self) -> np.ndarray:
        """What T must exceed at the first step, float64 (K,)."""
        return np.array([each.above(self.students) for each in self.values])

    @cached_property
    def lower(self) -> np.ndarray:
        """Simultaneous lower bounds, D̄ - critical σ̂ / √n, float64 (K,); each side at the level."""
        return self.means - self.critical * self.deviations / np.sqrt(self.units)

    @cached_property
    def upper(self) -> np.ndarray:
        """Simultaneous upper bounds, float64 (K,)."""
        critical = np.array([each.below(self.students) for each in self.values])
        return self.means + critical * self.deviations / np.sqrt(self.units)


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
        reference: float64 (K, m), the same finalists' differences on other units.
        decoupled: float64 (K, l), the differences with weights and residuals of different units.
        draws: of the multiplier bootstrap, and most logs of a law.
        seed: of all draws; the same request always has the same outcome.
    """
    differences = np.asarray(differences, dtype=np.float64)
    count, units = differences.shape
    given = [differences, *(each for each in (reference, decoupled) if each is not None)]
    if units < 2 or not all(np.isfinite(each).all() for each in given):
        raise DataError(f"{units} units, or differences that are not finite", where="gate", remedy="log more units")
    means = differences.mean(axis=1)
    own, deviations = spread(differences, reference, decoupled)
    varies = own > 0
    statistics = np.where(varies, np.sqrt(units) * (means - null) / np.where(varies, deviations, 1.0), -np.inf)
    standardised = np.where(varies[:, None], (differences - means[:, None]) / np.where(varies, own, 1.0)[:, None], 0.0)
    # Rounded, so that the draws do not depend on the unit in which outcomes are measured.
    correlation = np.round(standardised @ standardised.T / (units - 1), 9)
    own_units = differences if reference is None else np.concatenate([differences, reference], axis=1)
    values = [
        CriticalValues(
            [own_units[k]] if decoupled is None else [own_units[k], decoupled[k]],
            units,
            own_units.shape[1] - units,
            level / count,
            draws=draws,
            seed=seed,
        )
        for k in range(count)
    ]
    rejected = np.zeros(count, dtype=bool)
    first = students = _critical(correlation, level, units, draws, seed)
    while True:
        convinced = np.flatnonzero(~rejected & (statistics > students))
        fresh = [k for k in convinced if statistics[k] > values[k].above(students)]
        rejected[fresh] = True
        if not fresh or rejected.all():
            return StepDown(means, deviations, statistics, rejected, first, values, units)
        left = np.flatnonzero(~rejected)
        students = _critical(correlation[np.ix_(left, left)], level, units, draws, seed)


def spread(
    differences: np.ndarray, reference: np.ndarray | None, decoupled: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Deviation of the tested units, and σ̂; each float64 (K,), 0 where the tested units do not vary.

    Arguments as :func:`step_down`.
    """
    own, units = _deviations(differences), differences.shape[1]
    variance = np.square(own)
    if reference is not None and reference.shape[1] > 1:
        share = units / (units + reference.shape[1])
        variance = share * variance + (1.0 - share) * np.square(_deviations(reference))
    together = np.maximum(variance, np.square(own))
    if decoupled is not None:
        together = np.maximum(together, 0.5 * (variance + np.square(_deviations(decoupled))))
    return own, np.where(own > 0, np.sqrt(together), 0.0)


def _deviations(values: np.ndarray) -> np.ndarray:
    """Standard deviation of each row, 0 where it varies by rounding errors alone."""
    values = np.asarray(values, dtype=np.float64)
    deviation = values.std(axis=1, ddof=1)
    return np.where(deviation > 1e-12 * np.abs(values).max(axis=1), deviation, 0.0)


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
