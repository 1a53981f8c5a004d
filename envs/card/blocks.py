"""Did a column change in the course of a log? A test that lets sticky and seasonal logs be what they are.

Decisions are not independent of one another: what was so a minute ago is so now, and mornings are like mornings.
A test that counts them one by one finds a change in every such log. Here the log is cut into blocks of
consecutive episodes; the hour of the day and the weekend are taken out of the blocks' means; and the largest
difference between what was before and after a cut is compared with that of the same blocks in another order.
Blocks that still resemble their neighbours are made longer, and what resemblance is left widens the comparison.

References:
    Freedman & Lane (1983), A nonstochastic interpretation of reported significance levels (permuted residuals);
    Westfall & Young (1993), Resampling-based multiple testing (the largest over columns and cuts).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.dataset import Dataset

LEVEL = 5e-4
BLOCKS = (64, 32, 16)
"""Numbers of blocks, the finest first; in fewer than the last no change could be told from chance."""
EPISODES_OF_A_BLOCK = 4
PERMUTATIONS = 4000
"""For each search, so that twice the smallest p-value is still below the level."""
AT_ONCE = 1000
LITTLE_RESEMBLANCE, MOST_RESEMBLANCE = 0.3, 0.6
"""Correlations of neighbours up to which the comparison is widened; with more, blocks are made longer if possible."""
LEAST_LEFT = 0.5
"""Of a cut so much must be left beside what the clock explains: one night or one weekend can prove nothing."""
DAY, WEEK = 86_400.0, 7 * 86_400.0
FIRST_WEEKEND = 2 * DAY  # 1 January 1970 was a Thursday
HARMONICS = ((DAY, 1, 0.0), (DAY, 3, 2 * DAY), (WEEK, 2, 2 * WEEK))
"""Period, how many of its harmonics, and the length of a log from which on they can be told from a change."""


@dataclass(frozen=True, slots=True)
class Change:
    """The largest change of a set of columns.

    Attributes:
        p_value: of the largest of all columns and cuts; 1 where nothing could be tested.
        column: which column changed.
        difference: its mean after the cut less that before it, of like hours.
        share: share of the log before the cut.
    """

    p_value: float
    column: int
    difference: float
    share: float


def time_order(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Episodes in the order of time, int64 (E,), and their starts in seconds, NaN where no clock was read.

    Where an episode has no timestamp the order is that of the journal.
    """
    starts = dataset.timestamps[dataset.offsets[:-1]]
    if np.isfinite(starts).all():
        return np.argsort(starts, kind="stable"), starts
    return np.argsort(dataset.sequences, kind="stable"), np.full(len(starts), np.nan)


def find_change(
    dataset: Dataset,
    columns: np.ndarray,
    *,
    least: np.ndarray | float = 0.0,
    within: np.ndarray | None = None,
    family: int = 1,
) -> Change:
    """The likeliest change of mean in the course of a log.

    Args:
        dataset: the log.
        columns: float64 (N, F), a value for each decision.
        least: difference below which a change of a column does not matter, (F,) or one for all.
        within: the decisions to look at, bool (N,); all by default.
        family: number of such searches of which the best is taken; the p-value allows for it.
    """
    order, starts = time_order(dataset)
    none = Change(1.0, 0, 0.0, 0.0)
    if within is not None:
        columns = np.where(within[:, None], columns, 0.0)
        weights = np.add.reduceat(within.astype(np.int64), dataset.offsets[:-1])
        order = order[weights[order] > 0]
    lengths = (dataset.lengths if within is None else weights)[order]
    sums = np.add.reduceat(columns, dataset.offsets[:-1], axis=0)[order]
    seasons = _seasons(starts)[order]
    levels = [count for count in BLOCKS if count * EPISODES_OF_A_BLOCK <= len(order)]
    waiting = np.flatnonzero(np.ptp(columns, axis=0) > 0.0) if len(columns) else np.zeros(0, dtype=np.int64)
    threshold = np.broadcast_to(np.asarray(least, dtype=np.float64), columns.shape[1:])
    best = none
    for count in levels:
        if not len(waiting):
            break
        block = np.minimum(np.cumsum(lengths) * count // (lengths.sum() + 1), count - 1)
        cuts = _Cuts.of(block, lengths, seasons, count)
        if cuts is None:
            continue
        residuals = cuts.free(_means(block, lengths, sums[:, waiting], count))
        resemblance = cuts.resemblance(residuals)
        ready = resemblance < (MOST_RESEMBLANCE if count == levels[-1] else LITTLE_RESEMBLANCE)
        if ready.any():
            chosen = waiting[ready]
            found = cuts.largest(residuals[:, ready], resemblance[ready], threshold[chosen], family * len(BLOCKS))
            found = Change(found.p_value, int(chosen[found.column]), found.difference, found.share)
            best = min(best, found, key=lambda change: change.p_value)
        waiting = waiting[~ready]
    return Change(min(best.p_value * family * len(BLOCKS), 1.0), best.column, best.difference, best.share)


@dataclass(frozen=True, slots=True, eq=False)
class _Cuts:
    """Cuts between B blocks, freed of the seasons.

    Attributes:
        basis: float64 (B, Z), orthonormal: the constant and the seasons.
        steps: float64 (K, B), "after the cut" of each cut, freed of them.
        sizes: float64 (K,), the norm of each.
        places: int64 (K,), blocks before each cut.
    """

    basis: np.ndarray
    steps: np.ndarray
    sizes: np.ndarray
    places: np.ndarray

    @classmethod
    def of(cls, block: np.ndarray, lengths: np.ndarray, seasons: np.ndarray, count: int) -> _Cuts | None:
        if len(np.unique(block)) < count:
            return None
        known = np.concatenate([np.ones((count, 1)), _means(block, lengths, seasons * lengths[:, None], count)], axis=1)
        left, values, _ = np.linalg.svd(known, full_matrices=False)
        basis = left[:, values > 1e-8 * values[0]]
        places = np.arange(count // 8, count - count // 8 + 1)
        raw = (np.arange(count) >= places[:, None]).astype(np.float64)
        steps = raw - (raw @ basis) @ basis.T
        sizes = np.linalg.norm(steps, axis=1)
        kept = sizes > LEAST_LEFT * np.linalg.norm(raw - raw.mean(axis=1, keepdims=True), axis=1)
        if not kept.any():
            return None
        return cls(basis, steps[kept] / sizes[kept, None], sizes[kept], places[kept])

    def free(self, means: np.ndarray) -> np.ndarray:
        """Blocks' means (B, F) less what the seasons explain."""
        return means - self.basis @ (self.basis.T @ means)

    def resemblance(self, residuals: np.ndarray) -> np.ndarray:
        """Correlation of neighbouring blocks when each column's likeliest step is taken out, (F,), on the safe side."""
        at = np.abs(self.steps @ residuals).argmax(axis=0)
        step = self.steps[at].T
        left = residuals - step * (step * residuals).sum(axis=0)
        squares = np.maximum((left**2).sum(axis=0), 1e-300)
        lag = (left[1:] * left[:-1]).sum(axis=0) / squares
        # What was taken out makes the rest look less alike than it is (Kendall 1954).
        return np.asarray(lag + (self.basis.shape[1] + 1.0) / len(residuals) * 0.5)

    def largest(self, residuals: np.ndarray, resemblance: np.ndarray, least: np.ndarray, tests: int) -> Change:
        """The likeliest change among those that matter, (B, F) residuals.

        Twice compared with chance: by the spread of all blocks, and by that of the blocks beside this cut, since
        some hours are noisier than others (Janssen 1997, Studentized permutation tests). The rarer one does not count.
        """
        norms = np.maximum(np.linalg.norm(residuals, axis=0), 1e-300)
        scaled, squared = residuals / norms, self.steps.T**2
        scores = self.steps @ scaled
        differences = scores * norms / self.sizes[:, None]
        alike = np.clip(resemblance, 0.0, 0.9)
        observed = np.where(np.abs(differences) >= least, self._widened(np.abs(scores), alike), 0.0)
        place, column = np.unravel_index(int(observed.argmax()), observed.shape)
        change, share = float(differences[place, column]), float(self.places[place] / len(residuals))
        if not observed.any():
            return Change(1.0, int(column), change, share)
        own = abs(scores[place, column]) / math.sqrt(len(residuals) * float(scaled[:, column] ** 2 @ squared[:, place]))
        wanted = np.array([observed[place, column], self._widened(own, alike[column])])
        random, done = np.random.default_rng(0), 0
        exceeding = np.zeros(2, dtype=np.int64)
        while done < PERMUTATIONS * tests and exceeding.max() < 20:
            orders = random.permuted(np.tile(np.arange(len(residuals)), (AT_ONCE, 1)), axis=1)
            highest = np.zeros((2, AT_ONCE))
            for values in scaled.T:
                shuffled = values[orders]
                found = np.abs(shuffled @ self.steps.T)
                beside = found / np.sqrt(np.maximum(len(residuals) * (shuffled**2 @ squared), 1e-300))
                np.maximum(highest, [found.max(axis=1), beside.max(axis=1)], out=highest)
            exceeding += (highest >= wanted[:, None]).sum(axis=1)
            done += AT_ONCE
        return Change(float(exceeding.max() + 1) / (done + 1), int(column), change, share)

    def _widened(self, correlation: Any, alike: Any) -> Any:
        """Correlations with a step as they would be if blocks did not resemble each other: by their t statistic."""
        squares = correlation**2 * (1.0 - alike) / (1.0 + alike)
        return np.sqrt(squares / np.maximum(1.0 - correlation**2 + squares, 1e-300))


def _means(block: np.ndarray, lengths: np.ndarray, sums: np.ndarray, count: int) -> np.ndarray:
    """Mean per decision of each block, float64 (B, F)."""
    totals = np.zeros((count, sums.shape[1]))
    np.add.at(totals, block, sums)
    return np.asarray(totals / np.maximum(np.bincount(block, weights=lengths, minlength=count), 1.0)[:, None])


def _seasons(starts: np.ndarray) -> np.ndarray:
    """What the clock tells of each episode's start, float64 (E, Z): hour of the day, day of the week, weekend."""
    if not np.isfinite(starts).all():
        return np.zeros((len(starts), 0))
    columns = [((starts - FIRST_WEEKEND) % WEEK < 2 * DAY).astype(np.float64)]
    span = float(np.ptp(starts)) if len(starts) else 0.0
    for period, harmonics, least in HARMONICS:
        if span < least:
            continue
        for harmonic in range(1, harmonics + 1):
            angle = 2.0 * math.pi * harmonic * (starts % period) / period
            columns += [np.sin(angle), np.cos(angle)]
    return np.stack(columns, axis=1)
