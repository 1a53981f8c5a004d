"""The native vector form of the learned decision process: one batched prediction a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envs.dataset import Dataset
from envs.offline.learned_model import COST, LearnedModel, fit_model
from envs.offline.spaces import action_space, observation_space, to_space
from envs.offline.starting import from_any
from envs.opening import open_dataset


class LearnedModelVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """``num_envs`` independent episodes of :class:`~envs.offline.learned_model_env.LearnedModelEnv`.

    With ``num_envs=1`` it is the scalar form, draw for draw, from the same seed. After an end the next step
    starts a new episode, whatever the action, with reward 0, where the last reset's option ``starts`` says.
    ``info`` is as in the scalar form, with a first axis n.

    Args:
        num_envs: number of episodes that run at once.
        dataset, splits, members, hidden, updates, cost, seed, model, horizon: as in the scalar form.
        render_mode: none is supported.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int,
        dataset: Dataset | str | Path,
        *,
        splits: tuple[str, ...] | None = None,
        members: int = 5,
        hidden: int = 64,
        updates: int = 1000,
        cost: float = COST,
        seed: int = 0,
        model: LearnedModel | None = None,
        horizon: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.dataset = open_dataset(dataset, splits)
        self.model = model or fit_model(
            self.dataset, members=members, hidden=hidden, updates=updates, cost=cost, horizon=horizon, seed=seed
        )
        self.horizon = self.model.horizon if horizon is None else horizon
        self._space = observation_space(self.dataset)
        self.single_observation_space = self._space
        self.single_action_space = action_space(self.dataset)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._anywhere = False
        self._rows = np.repeat(self.model.starts[:1], num_envs, axis=0)
        self._masks = np.repeat(self.model.start_masks[:1], num_envs, axis=0)
        self._left = np.zeros(num_envs, dtype=np.int64)
        self._ended = np.zeros(num_envs, dtype=bool)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start all episodes; ``options`` as in the scalar form."""
        super().reset(seed=seed)
        self._anywhere = from_any(options)
        draws = self.model.draw(self.np_random, self.num_envs)
        self._rows, self._masks = self.model.start(draws, anywhere=self._anywhere)
        self._left[:] = self.horizon
        self._ended[:] = False
        return to_space(self._space, self._rows), self._info()

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One step of every episode; those that ended in the last one start anew."""
        draws = self.model.draw(self.np_random, self.num_envs)
        rewards, rows, masks, terminated = self.model.step(
            self._rows, self._masks, np.asarray(actions, dtype=np.int64), draws
        )
        restarted = self._ended
        first_rows, first_masks = self.model.start(draws, anywhere=self._anywhere)
        self._rows = np.where(restarted[:, None], first_rows, rows)
        self._masks = np.where(restarted[:, None], first_masks, masks)
        self._left = np.where(restarted, self.horizon, self._left - 1)
        rewards = np.where(restarted, 0.0, rewards)
        terminated = ~restarted & (terminated | (self.horizon == 1))
        truncated = ~restarted & ~terminated & (self._left <= 0)
        self._ended = terminated | truncated
        return to_space(self._space, self._rows), rewards, terminated, truncated, self._info()

    def _info(self) -> dict[str, Any]:
        return {"rows": self._rows.copy(), "action_mask": self._masks.astype(np.int8)}
