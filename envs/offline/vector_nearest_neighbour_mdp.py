"""The native vector form of the nearest-neighbour decision process: a step is a look-up in tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envs.dataset import Dataset
from envs.offline.nearest_neighbour_model import COST, build_neighbours
from envs.offline.spaces import action_space, observation_space, to_space
from envs.offline.starting import from_any
from envs.opening import open_dataset


class NearestNeighbourMDPVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """``num_envs`` independent episodes of :class:`~envs.offline.nearest_neighbour_mdp.NearestNeighbourMDPEnv`.

    One uniform number an environment and step: with ``num_envs=1`` it is the scalar form, draw for draw,
    from the same seed. After an end the next step starts a new episode, whatever the action, with reward 0,
    where the last reset's option ``starts`` says. ``info`` is as in the scalar form, with a first axis n.

    Args:
        num_envs: number of episodes that run at once.
        dataset, splits, neighbours, cost, horizon: as in the scalar form.
        render_mode: none is supported.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int,
        dataset: Dataset | str | Path,
        *,
        splits: tuple[str, ...] | None = None,
        neighbours: int = 5,
        cost: float = COST,
        horizon: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.dataset = open_dataset(dataset, splits)
        self.model = build_neighbours(self.dataset, neighbours=neighbours, cost=cost, horizon=horizon)
        self.single_observation_space = observation_space(self.dataset)
        self.single_action_space = action_space(self.dataset)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._observations = to_space(self.single_observation_space, self.dataset.observations)
        self._masks = self.model.mask.astype(np.int8)
        self._first = self.model.starts
        self._rows = np.full(num_envs, self.model.starts[0])
        self._left = np.zeros(num_envs, dtype=np.int64)
        self._ended = np.zeros(num_envs, dtype=bool)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start all episodes; ``options`` as in the scalar form."""
        super().reset(seed=seed)
        self._first = self.model.decisions if from_any(options) else self.model.starts
        self._rows = self.model.start(self.np_random.random(self.num_envs), self._first)
        self._left[:] = self.model.horizon
        self._ended[:] = False
        return self._observations[self._rows], self._info()

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One step of every episode; those that ended in the last one start anew."""
        uniforms = self.np_random.random(self.num_envs)
        rewards, rows, terminated = self.model.step(self._rows, np.asarray(actions, dtype=np.int64), uniforms)
        restarted = self._ended
        self._rows = np.where(restarted, self.model.start(uniforms, self._first), rows)
        self._left = np.where(restarted, self.model.horizon, self._left - 1)
        rewards = np.where(restarted, 0.0, rewards)
        terminated = ~restarted & (terminated | (self.model.horizon == 1))
        truncated = ~restarted & ~terminated & (self._left <= 0)
        self._ended = terminated | truncated
        return self._observations[self._rows], rewards, terminated, truncated, self._info()

    def _info(self) -> dict[str, Any]:
        return {
            "rows": self.dataset.observations[self._rows],
            "action_mask": self._masks[self._rows],
            "row_index": self._rows.copy(),
        }
