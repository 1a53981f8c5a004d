"""The native vector form of the replayed log: several actors share one pass over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envs.dataset import Dataset
from envs.offline.logged_replay import exhausted_error, open_source
from envs.offline.replay import Cursor, TargetPolicy
from envs.offline.spaces import action_space, observation_space, to_space
from envs.opening import open_dataset


class LoggedReplayVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """``num_envs`` episodes of :class:`~envs.offline.logged_replay.LoggedReplayEnv` at once, without repetition.

    Every logged piece goes to one of them only. With ``num_envs=1`` it is the scalar form, draw for draw,
    from the same seed. After an end the next step begins a new episode, whatever the action, with reward
    0. An environment for which no episode is left keeps its observation, truncates at every step with
    reward 0, ``info["exhausted"]`` true and ``info["accepted"]`` false; when that holds for all of them,
    a further step raises :class:`~envs.errors.DataError`.

    Args:
        num_envs: number of episodes that run at once.
        dataset, splits, mode, policy, bound, encoder, resolution: as in the scalar form.
        render_mode: none is supported.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int,
        dataset: Dataset | str | Path,
        *,
        splits: tuple[str, ...] | None = None,
        mode: str = "episodes",
        policy: TargetPolicy | None = None,
        bound: float | None = None,
        encoder: Any = None,
        resolution: int = 4,
        render_mode: str | None = None,
    ) -> None:
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.dataset = open_dataset(dataset, splits)
        self.source = open_source(self.dataset, mode, policy, bound, encoder, resolution)
        self.single_observation_space = observation_space(self.dataset)
        self.single_action_space = action_space(self.dataset)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._rows = to_space(self.single_observation_space, self.dataset.observations)
        self._cursors: list[Cursor | None] = [None] * num_envs
        self._positions = np.zeros(num_envs, dtype=np.int64)
        self._ended = np.zeros(num_envs, dtype=bool)
        self._fresh = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode in every environment; with a seed, the log anew in a new order."""
        super().reset(seed=seed)
        if seed is not None or self._fresh:
            self.source.restart(self.np_random)
            self._fresh = False
        for index in range(self.num_envs):
            self._begin(index)
        self._ended[:] = False
        if all(cursor is None for cursor in self._cursors):
            raise exhausted_error(self.dataset.specification.name)
        logged = np.full(self.num_envs, -1)
        return self._rows[self._positions], self._info(logged, np.array([cursor is None for cursor in self._cursors]))

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One decision of every episode; those that ended in the last step begin anew."""
        if all(cursor is None for cursor in self._cursors):
            raise exhausted_error(self.dataset.specification.name)
        rewards = np.zeros(self.num_envs)
        terminated, truncated, exhausted = (np.zeros(self.num_envs, dtype=bool) for _ in range(3))
        logged = np.full(self.num_envs, -1)
        for index in range(self.num_envs):
            if self._ended[index]:
                self._begin(index)
                if self._cursors[index] is not None:
                    continue
            cursor = self._cursors[index]
            if cursor is None:
                truncated[index] = exhausted[index] = True
                continue
            outcome = self.source.advance(cursor, int(actions[index]))
            self._positions[index] = cursor.row
            rewards[index], logged[index] = outcome.reward, outcome.logged_action
            terminated[index], truncated[index] = outcome.terminated, outcome.truncated
            exhausted[index] = outcome.exhausted
        self._ended = terminated | truncated
        return self._rows[self._positions], rewards, terminated, truncated, self._info(logged, exhausted)

    def _begin(self, index: int) -> None:
        cursor = self.source.begin(self.np_random)
        self._cursors[index] = cursor
        if cursor is not None:
            self._positions[index] = cursor.row

    def _info(self, logged: np.ndarray, exhausted: np.ndarray) -> dict[str, Any]:
        return {
            "accepted": np.array([cursor is not None and cursor.accepted for cursor in self._cursors]),
            "exhausted": exhausted,
            "logged_action": logged,
            "action_mask": self.dataset.allowed[self._positions].astype(np.int8),
        }
