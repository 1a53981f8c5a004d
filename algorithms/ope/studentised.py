"""The law of Student's t where units are skewed: T* = √n (D̄* - E D) / σ̂* of logs drawn from units at hand.

A log that by chance missed the expensive units shows a high mean and a small spread at once, so that T of negatively
skewed units exceeds Student's quantile too often. Its own quantile is found by drawing logs. The farthest units of a
drawn log are drawn one by one; the sum of all others and of their squares, none of which counts for much, is
drawn from the normal law that the central limit theorem gives it.

References:
    Hall (1988), Theoretical comparison of bootstrap confidence intervals (the bootstrap-t).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from scipy import stats

FAR = 60
"""Units of a drawn log that are drawn one by one, on the average."""
FEWEST_DRAWS, MOST_DRAWS, BEYOND = 8_000, 40_000, 100
"""Drawn logs by default: so many that as many as the last number exceed the quantile, within limits."""
EXTREMES = 20
"""A quantile with fewer draws beyond it is extrapolated."""
LEAST_DRAWS = 1_000
AT_ONCE = 50_000
"""Far units that are summed at once."""


class StudentisedLaw:
    """Quantiles of T*, of logs drawn from one population.

    Args:
        population: float64 (N,), units that logs are drawn from.
        units: n, tested units of a log, at least 2.
        reference: m, further units of it, for σ̂*.
        level: smallest level at which quantiles are asked for, as far as draws go.
        draws: most of them.
        seed: of the draws.
    """

    def __init__(
        self,
        population: np.ndarray,
        units: int,
        reference: int,
        level: float,
        *,
        draws: int = MOST_DRAWS,
        seed: int = 0,
    ) -> None:
        self.units = units
        draws = max(min(int(np.clip(BEYOND / level, FEWEST_DRAWS, MOST_DRAWS)), draws), LEAST_DRAWS)
        found, varies = _statistics(population, units, reference, draws, seed)
        # A log of one repeated unit convinces nobody, neither of a gain nor of a loss.
        self._sides = [np.sort(np.where(varies, each, -np.inf)) for each in (found, -found)]

    def upper(self, level: float) -> float:
        """What T* exceeds with probability ``level``."""
        return self._quantile(self._sides[0], level)

    def lower(self, level: float) -> float:
        """What -T* exceeds with probability ``level``."""
        return self._quantile(self._sides[1], level)

    def _quantile(self, ordered: np.ndarray, level: float) -> float:
        draws = len(ordered)

        def at(beyond: float) -> float:
            return float(ordered[min(int(np.ceil((draws + 1) * (1.0 - beyond))), draws) - 1])

        if level * draws >= EXTREMES:
            return at(level)
        # In a plot against Student's quantiles the last part goes on as a line, which never falls behind them.
        levels = EXTREMES / draws, 10 * EXTREMES / draws
        far, near = map(at, levels)
        beyond, last, before = stats.t.isf([level, *levels], self.units - 1)
        slope = (far - near) / float(last - before) if np.isfinite(near) else 1.0
        return far + max(slope, 1.0) * float(beyond - last)


@dataclass(frozen=True, eq=False)
class CriticalValues:
    """What T must exceed: the largest of Student's quantile and of those of several laws.

    Attributes:
        populations: logs are drawn from each.
        units: of :class:`StudentisedLaw`, as all that follow.
        reference: m.
        level: smallest one.
        draws: most of each.
        seed: of the draws.
    """

    populations: Sequence[np.ndarray]
    units: int
    reference: int
    level: float
    draws: int = MOST_DRAWS
    seed: int = 0

    @cached_property
    def _laws(self) -> list[StudentisedLaw]:
        return [
            StudentisedLaw(each, self.units, self.reference, self.level, draws=self.draws, seed=self.seed)
            for each in self.populations
        ]

    def above(self, students: float) -> float:
        """For a gain, where Student's critical value is ``students``."""
        return max(students, *(law.upper(self._level(students)) for law in self._laws))

    def below(self, students: float) -> float:
        """For a loss: what -T must exceed."""
        return max(students, *(law.lower(self._level(students)) for law in self._laws))

    def _level(self, students: float) -> float:
        return float(stats.t.sf(students, self.units - 1))


class _Draws(NamedTuple):
    """What groups of units are drawn by, whatever they are drawn from.

    Attributes:
        counts: int64 (draws,), far units of each group.
        starts: int64 (draws,), where each group's begin.
        places: float64 (Σ counts,), which of the far units, from 0 to 1.
        normals: float64 (draws, 2), for the sums of the other units and of their squares.
    """

    counts: np.ndarray
    starts: np.ndarray
    places: np.ndarray
    normals: np.ndarray


@lru_cache(maxsize=8)
def _draws(size: int, share: float, draws: int, seed: int) -> _Draws:
    rng = np.random.default_rng([seed, size, draws])
    counts = rng.binomial(size, share, draws) if share < 1.0 else np.full(draws, size)
    ends = np.cumsum(counts)
    return _Draws(counts, ends - counts, rng.random(int(ends[-1])), rng.standard_normal((draws, 2)))


def _sums(values: np.ndarray, size: int, draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sum of ``size`` units drawn from values of rising distance, and of their squares, each float64 (draws,)."""
    wanted = FAR / size if 0.5 * size > FAR else 1.0
    count = int(wanted * len(values))
    far, near = values[len(values) - count :], values[: len(values) - count]
    given = _draws(size, count / len(values), draws, seed)
    total, squares = _far_sums(far, given)
    if not len(near):
        return total, squares
    both = np.stack([near, near**2])
    means = both.mean(axis=1)
    variances, vectors = np.linalg.eigh((both - means[:, None]) @ (both - means[:, None]).T / len(near))
    others = (size - given.counts).astype(np.float64)
    root = vectors * np.sqrt(np.clip(variances, 0.0, None))
    rest = np.outer(others, means) + np.sqrt(others)[:, None] * (given.normals @ root.T)
    return total + rest[:, 0], squares + rest[:, 1]


def _far_sums(far: np.ndarray, given: _Draws) -> tuple[np.ndarray, np.ndarray]:
    """Sum of each group's far units, and of their squares; some groups at a time, which stay in the cache."""
    total, squares = np.zeros(len(given.counts)), np.zeros(len(given.counts))
    some = np.flatnonzero(given.counts)
    ends = given.starts + given.counts
    for part in np.array_split(some, len(given.places) // AT_ONCE + 1):
        if not len(part):
            continue
        begin = given.starts[part[0]]
        drawn = far[(given.places[begin : ends[part[-1]]] * len(far)).astype(np.int64)]
        total[part] = np.add.reduceat(drawn, given.starts[part] - begin)
        squares[part] = np.add.reduceat(drawn**2, given.starts[part] - begin)
    return total, squares


def _statistics(
    population: np.ndarray, units: int, reference: int, draws: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """T* of so many logs and whether their tested units vary, each (draws,).

    σ̂* is that of all units of a log, and at least that of the tested ones.
    """
    centred = population - population.mean()
    deviation = float(population.std())
    varies = deviation > 1e-12 * float(np.abs(population).max())
    # Rounded, so that the draws do not depend on the unit in which outcomes are measured.
    values = np.round(centred / deviation, 9) if varies else np.zeros(len(population))
    values = values[np.lexsort((values, np.abs(values)))]  # the order of the units tells nothing
    total, squares = _sums(values, units, draws, seed)
    means = total / units
    own = np.maximum(squares - units * means**2, 0.0) / (units - 1)
    variance = own
    if reference > 1:
        beside, beside_squares = _sums(values, reference, draws, seed + 1)
        other = np.maximum(beside_squares - beside**2 / reference, 0.0) / (reference - 1)
        variance = np.maximum(own, (units * own + reference * other) / (units + reference))
    moves = own > 1e-9 * squares / units  # below it is rounding
    return np.sqrt(units) * means / np.sqrt(np.where(moves, variance, 1.0)), moves
