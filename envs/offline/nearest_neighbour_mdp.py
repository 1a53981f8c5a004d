"""A Gymnasium environment of a log's nearest-neighbour decision process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from envs.dataset import Dataset
from envs.offline.nearest_neighbour_model import COST, build_neighbours
from envs.offline.spaces import action_space, observation_space, to_space
from envs.offline.starting import from_any
from envs.opening import open_dataset


class NearestNeighbourMDPEnv(gymnasium.Env[Any, np.int64]):
    """DAC-MDP (Shrestha et al. 2021): an action does what it did at one of its K nearest logged decisions.

    For small logs with continuous or mixed observations. A state is a logged row; nearness is Euclidean among
    :class:`~envs.encoding.StandardFeatures`. A step draws one of the K neighbours, pays its reward less ``cost``
    times the distance, and goes on at the row that followed it. An episode starts in a logged first row,
    terminates where the drawn decision did and is truncated at the horizon; with a horizon of one decision
    it terminates. A masked action pays the worst reward (of the declared and
    the logged ones, costs taken off) and stays.

    ``info``: ``rows`` float64 (D,), the raw row; ``action_mask`` int8 (A,), allowed in the row and logged
    somewhere; ``row_index``, the row in the (N + E) arrays of :attr:`dataset`.

    Args:
        dataset: a dataset, or the directory of one.
        splits: names of splits to use, such as ``("train",)``; all episodes by default.
        neighbours: K.
        cost: what a neighbour at the usual distance between decisions costs, in units of the usual reward (its
            median size); in proportion elsewhere.
        horizon: decisions until truncation; the declared one by default.
        render_mode: none is supported.

    Raises:
        DataError: the dataset is empty or has no learnable transition, or a setting is out of its range.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012

    def __init__(
        self,
        dataset: Dataset | str | Path,
        *,
        splits: tuple[str, ...] | None = None,
        neighbours: int = 5,
        cost: float = COST,
        horizon: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.render_mode = render_mode
        self.dataset = open_dataset(dataset, splits)
        self.model = build_neighbours(self.dataset, neighbours=neighbours, cost=cost, horizon=horizon)
        self.observation_space = observation_space(self.dataset)
        self.action_space = action_space(self.dataset)
        self._observations = to_space(self.observation_space, self.dataset.observations)
        self._row = int(self.model.starts[0])
        self._left = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode in a logged first row, or with ``options={"starts": "any"}`` in any logged decision.

        Raises:
            DataError: ``starts`` is neither ``first`` nor ``any``.
        """
        super().reset(seed=seed)
        rows = self.model.decisions if from_any(options) else self.model.starts
        self._row = int(self.model.start(np.array([self.np_random.random()]), rows)[0])
        self._left = self.model.horizon
        return self._observation(), self._info()

    def step(self, action: np.int64) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Draw one of the K nearest logged decisions of the action."""
        uniform = np.array([self.np_random.random()])
        rewards, rows, terminated = self.model.step(np.array([self._row]), np.array([int(action)]), uniform)
        self._row = int(rows[0])
        self._left -= 1
        ended = bool(terminated[0]) or self.model.horizon == 1
        return self._observation(), float(rewards[0]), ended, not ended and self._left <= 0, self._info()

    def _observation(self) -> Any:
        return self._observations[self._row].copy()

    def _info(self) -> dict[str, Any]:
        return {
            "rows": self.dataset.observations[self._row].copy(),
            "action_mask": self.model.mask[self._row].astype(np.int8),
            "row_index": self._row,
        }
