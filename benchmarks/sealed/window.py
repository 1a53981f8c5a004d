"""The log that grows cycle by cycle, as a dataset: what is known, whole units per split, one position per episode."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.sealed.families import SealedWorld
from benchmarks.sealed.log import DAY, SealedLog, joined
from benchmarks.trust.worlds import dataset_of, turns
from envs.dataset import TRAIN, Dataset

KEPT = 3
"""Cycles whose episodes are read: older ones would only cost time here."""


class Window:
    """The last cycles' logs of one life.

    Args:
        sealed: the world.
    """

    def __init__(self, sealed: SealedWorld) -> None:
        self.sealed = sealed
        self._immature: SealedLog | None = None
        self._logs: list[SealedLog] = []
        self._units: list[np.ndarray] = []
        self._splits: list[np.ndarray] = []
        self._sequences: list[np.ndarray] = []
        self._next_unit = self._next_sequence = 0

    def extended(self, policy: np.ndarray, rng: np.random.Generator) -> Dataset:
        """Let a policy (O, A) write a cycle's log; the dataset of all that is kept and mature.

        An episode whose maturation window is open waits for the next cycle, whatever is known of it.
        """
        drawn = self.sealed.draw(policy, rng)
        arrived = drawn.select(np.flatnonzero(drawn.matured))
        if self._immature is not None:
            arrived = joined([self._immature, arrived])
        waiting = np.flatnonzero(~drawn.matured)
        self._immature = drawn.select(waiting) if len(waiting) else None
        self._add(arrived)
        return self.dataset()

    def _add(self, arrived: SealedLog) -> None:
        by_day = self.sealed.declared.get("unit") == "day"
        own = np.arange(len(arrived)) if not by_day else (arrived.moments // DAY).astype(np.int64)
        _, unit = np.unique(own, return_inverse=True)
        count = int(unit.max()) + 1
        for column, values in (
            (self._logs, arrived),
            (self._units, self._next_unit + unit),
            (self._splits, turns(count)[unit]),
            (self._sequences, self._next_sequence + 1 + np.arange(len(arrived))),
        ):
            column.append(values)  # type: ignore[attr-defined]
            del column[:-KEPT]  # type: ignore[attr-defined]
        self._next_unit += count
        self._next_sequence += len(arrived)

    def dataset(self) -> Dataset:
        """All that is kept."""
        sealed, log = self.sealed, joined(self._logs)
        dataset = dataset_of(
            log.log,
            replace(sealed.world, horizon=sealed.horizon),
            explore=sealed.explore,
            splits=np.concatenate(self._splits),
            units=np.concatenate(self._units),
            worst=log.worst,
            **{"unit": "episode", **sealed.declared},  # type: ignore[arg-type]
        )
        return replace(dataset, sequences=np.concatenate(self._sequences))

    def held_out(self, dataset: Dataset) -> np.ndarray:
        """The newest cycle's episodes that nothing was trained on, bool (E,)."""
        newest = dataset.sequences >= self._sequences[-1][0]
        return np.asarray(newest & (dataset.splits != TRAIN))
