"""Copies of a log in which no policy can be better: rewards permuted between whole units.

A copy keeps every observation, action, propensity, length and split. Its outcomes are those of other
units: the units of train and select exchange theirs, and a final unit takes those of a train or select
unit drawn anew, so that no outcome of ``final`` is ever read. What hangs together within a unit (the
episodes of a day, the decisions of an episode) moves together.

Episodes differ in length, and length may depend on what was done. So an episode receives the other's
rewards decision by decision, and where it ends first its last decision receives the discounted rest:
its return is that of its donor whatever it does. An early cut counts as an end, because nothing is left.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from algorithms.ope.padding import pad
from envs.dataset import EMBARGO, FINAL, Dataset


@dataclass(frozen=True, slots=True, eq=False)
class Permuter:
    """Draws copies of one log.

    Attributes:
        dataset: the log.
        donors: int64 (D,), codes of the units of train and select.
        finals: int64 (F,), codes of the units of final.
        episodes: int64 (E,), episodes ordered by unit, in the log's order within one.
        starts: int64 (U + 1,), where each unit's episodes stand in ``episodes``.
        rewards: float64 (E, H), rewards to the horizon.
        rest: float64 (E, H + 1), discounted rewards from each step on.
        worst_rest: bool (E, H + 1), whether the worst class is met from each step on.
    """

    dataset: Dataset
    donors: np.ndarray
    finals: np.ndarray
    episodes: np.ndarray
    starts: np.ndarray
    rewards: np.ndarray
    rest: np.ndarray
    worst: np.ndarray
    worst_rest: np.ndarray

    @classmethod
    def of(cls, dataset: Dataset) -> Permuter:
        """The permuter of a log; outcomes of ``final`` are overwritten before anything looks at them."""
        horizon, discount = dataset.specification.horizon, dataset.specification.discount
        final = (dataset.splits == FINAL) | (dataset.splits == EMBARGO)
        hidden = final[dataset.episode_index]
        rewards = pad(dataset, np.where(hidden, 0.0, dataset.rewards), horizon)
        worst = pad(dataset, np.where(hidden, False, dataset.worst), horizon)
        rest = np.zeros((dataset.episode_count, horizon + 1))
        worst_rest = np.zeros(rest.shape, dtype=bool)
        for step in reversed(range(horizon)):
            rest[:, step] = rewards[:, step] + discount * rest[:, step + 1]
            worst_rest[:, step] = worst[:, step] | worst_rest[:, step + 1]
        names, unit = np.unique(dataset.units, return_inverse=True)
        episodes = np.argsort(unit, kind="stable")
        starts = np.searchsorted(unit[episodes], np.arange(len(names) + 1))
        side = dataset.splits[episodes[starts[:-1]]]
        return cls(
            dataset=dataset,
            donors=np.flatnonzero((side != FINAL) & (side != EMBARGO)),
            finals=np.flatnonzero(side == FINAL),
            episodes=episodes,
            starts=starts,
            rewards=rewards,
            rest=rest,
            worst=np.asarray(worst),
            worst_rest=worst_rest,
        )

    def donor_episodes(self, rng: np.random.Generator) -> np.ndarray:
        """For each episode the one whose outcomes it receives, int64 (E,); itself under embargo.

        A unit with more episodes than its donor begins again with the donor's first.
        """
        units = len(self.starts) - 1
        donor = np.arange(units)
        donor[self.donors] = rng.permutation(self.donors)
        rounds = -(-len(self.finals) // max(len(self.donors), 1))
        drawn = [rng.permutation(self.donors) for _ in range(rounds)]
        if drawn:
            donor[self.finals] = np.concatenate(drawn)[: len(self.finals)]
        sizes = np.diff(self.starts)
        position = np.arange(len(self.episodes)) - np.repeat(self.starts[:-1], sizes)
        from_unit = np.repeat(donor, sizes)
        found = np.empty(len(self.episodes), dtype=np.int64)
        found[self.episodes] = self.episodes[self.starts[from_unit] + position % sizes[from_unit]]
        return found

    def copy(self, rng: np.random.Generator) -> Dataset:
        """One permuted copy."""
        dataset = self.dataset
        donor = self.donor_episodes(rng)
        horizon = self.rewards.shape[1]
        last = np.minimum(dataset.lengths, horizon) - 1
        episode, step = dataset.episode_index, dataset.steps
        inside, ends = step < horizon, step == last[episode]
        row, at = donor[episode], np.minimum(step, horizon - 1)
        early = (dataset.lengths < horizon)[episode] & dataset.truncated
        return replace(
            dataset,
            rewards=np.where(inside, np.where(ends, self.rest[row, at], self.rewards[row, at]), 0.0),
            worst=np.where(inside, np.where(ends, self.worst_rest[row, at], self.worst[row, at]), False),
            terminated=dataset.terminated | early,
            truncated=dataset.truncated & ~early,
        )
