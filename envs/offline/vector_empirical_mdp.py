"""The native vector form of the empirical decision process: one batched draw a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envs.dataset import Dataset
from envs.offline.empirical_mdp import open_model


class EmpiricalMDPVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """``num_envs`` independent episodes of :class:`~envs.offline.empirical_mdp.EmpiricalMDPEnv`.

    One uniform number an environment and step: with ``num_envs=1`` it is the scalar form, draw for draw,
    from the same seed. After an end the next step starts a new episode, whatever the action, with reward 0.

    Args:
        num_envs: number of episodes that run at once.
        dataset, splits, encoder, resolution, minimum_count, worst_reward, horizon: as in the scalar form.
        render_mode: none is supported.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int,
        dataset: Dataset | str | Path,
        *,
        splits: tuple[str, ...] | None = None,
        encoder: Any = None,
        resolution: int = 4,
        minimum_count: int = 1,
        worst_reward: float | None = None,
        horizon: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.encoder, self.model = open_model(
            dataset, splits, encoder, resolution, minimum_count, worst_reward, horizon
        )
        self.single_observation_space = spaces.Discrete(self.model.state_count + 1)
        self.single_action_space = spaces.Discrete(self.model.action_count)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        known = self.model.known
        self._masks = np.where(known.any(axis=1, keepdims=True), known, True).astype(np.int8)
        self._states = np.full(num_envs, self.model.halt)
        self._left = np.zeros(num_envs, dtype=np.int64)
        self._ended = np.zeros(num_envs, dtype=bool)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start all episodes."""
        super().reset(seed=seed)
        self._states = self.model.start(self.np_random.random(self.num_envs))
        self._left[:] = self.model.horizon
        self._ended[:] = False
        return self._states.copy(), self._info()

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One step of every episode; those that ended in the last one start anew."""
        uniforms = self.np_random.random(self.num_envs)
        rewards, states, terminated = self.model.step(self._states, np.asarray(actions, dtype=np.int64), uniforms)
        restarted = self._ended
        self._states = np.where(restarted, self.model.start(uniforms), states)
        self._left = np.where(restarted, self.model.horizon, self._left - 1)
        rewards = np.where(restarted, 0.0, rewards)
        terminated = ~restarted & (terminated | (self.model.horizon == 1))
        truncated = ~restarted & ~terminated & (self._left <= 0)
        self._ended = terminated | truncated
        return self._states.copy(), rewards, terminated, truncated, self._info()

    def _info(self) -> dict[str, Any]:
        return {"action_mask": self._masks[self._states], "halted": self._states == self.model.halt}
