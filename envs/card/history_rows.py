"""The decisions of a log that have a past: what they saw, what was before, and what came of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.dataset import Dataset


@dataclass(frozen=True, slots=True, eq=False)
class HistoryRows:
    """n decisions after an episode's first whose next observation is known, or which terminated.

    Attributes:
        units: str (n,), the independent unit of each.
        now: int64 (n,), row of the observation in the dataset; the one before and the one after are its neighbours.
        actions: int64 (n,).
        rewards: float64 (n,).
        terminated: bool (n,).
        steps: int64 (n,), at least 1.
        previous_actions: int64 (n,).
        previous_rewards: float64 (n,).
    """

    units: np.ndarray
    now: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    steps: np.ndarray
    previous_actions: np.ndarray
    previous_rewards: np.ndarray

    def __len__(self) -> int:
        return len(self.now)

    @property
    def unit_index(self) -> np.ndarray:
        """Number of each decision's unit, int64 (n,), from 0 without gaps."""
        return np.unique(self.units, return_inverse=True)[1]


def history_rows(dataset: Dataset, *, most: int | None = None) -> HistoryRows:
    """The decisions with a past whose observations are complete.

    Args:
        dataset: the log.
        most: about how many decisions to keep, of units drawn at random; all by default.
    """
    observation = dataset.specification.observation
    required = np.array([not declared.optional for declared in observation.fields], dtype=bool)
    complete = np.isfinite(dataset.observations[:, required]).all(axis=1)
    rows = dataset.rows
    # The observation before is a row of the same episode: a first decision has none.
    usable = (dataset.steps > 0) & complete[rows] & complete[rows - 1]
    usable &= dataset.terminated | (dataset.next_known & complete[rows + 1])
    chosen = np.flatnonzero(usable)
    units = dataset.units[dataset.episode_index[chosen]]
    if most is not None and len(chosen) > most:
        names, unit = np.unique(units, return_inverse=True)
        place = np.random.default_rng(0).permutation(len(names))
        ahead = np.cumsum(np.bincount(place[unit], minlength=len(names)))
        kept = ahead[place[unit]] <= most
        chosen, units = chosen[kept], units[kept]
    return HistoryRows(
        units=units,
        now=rows[chosen],
        actions=dataset.actions[chosen],
        rewards=dataset.rewards[chosen],
        terminated=dataset.terminated[chosen],
        steps=dataset.steps[chosen],
        previous_actions=dataset.actions[chosen - 1],
        previous_rewards=dataset.rewards[chosen - 1],
    )
