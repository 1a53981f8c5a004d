"""A world whose truth is known as an offline vector environment, with the interface that rollouts read."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from tests.worlds import World


class WorldVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """``num_envs`` episodes of a world; an action outside ``allowed`` (S, A) is an error."""

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(self, num_envs: int, world: World, allowed: np.ndarray | None = None) -> None:
        self.num_envs, self.world = num_envs, world
        self.allowed = np.ones(world.reward.shape, dtype=bool) if allowed is None else allowed
        self.single_observation_space = spaces.Discrete(world.state_count)
        self.single_action_space = spaces.Discrete(world.action_count)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.ended = np.zeros(num_envs, dtype=bool)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        anywhere = (options or {}).get("starts") == "any"
        self.start = np.where(self.world.terminal, 0.0, 1.0) if anywhere else self.world.start
        self.start = self.start / self.start.sum()
        self.states, self.left = self._begin(), np.full(self.num_envs, self.world.horizon)
        self.ended[:] = False
        return self.states.copy(), self._info()

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        world, again, fresh = self.world, self.ended, self._begin()
        assert self.allowed[self.states, actions][~again].all()
        rewards = np.where(again, 0.0, world.reward[self.states, actions])
        chances = np.cumsum(world.transition[self.states, actions], axis=1)
        following = (self.np_random.random(self.num_envs)[:, None] >= chances[:, :-1]).sum(axis=1)
        self.states = np.where(again, fresh, following)
        self.left = np.where(again, world.horizon, self.left - 1)
        terminated = ~again & (world.terminal[self.states] | (world.horizon == 1))
        truncated = ~again & ~terminated & (self.left == 0)
        self.ended = terminated | truncated
        return self.states.copy(), rewards, terminated, truncated, self._info()

    def _begin(self) -> np.ndarray:
        return self.np_random.choice(self.world.state_count, size=self.num_envs, p=self.start)

    def _info(self) -> dict[str, Any]:
        return {"rows": self.world.rows[self.states], "action_mask": self.allowed[self.states].astype(np.int8)}
