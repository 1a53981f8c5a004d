"""A Gymnasium environment of a log's empirical decision process over discrete states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.dataset import Dataset
from envs.offline.empirical_model import EmpiricalModel, build_model
from envs.offline.spaces import default_encoder
from envs.opening import open_dataset


def open_model(
    dataset: Dataset | str | Path,
    splits: tuple[str, ...] | None,
    encoder: Any,
    resolution: int,
    minimum_count: int,
    worst_reward: float | None,
    horizon: int | None,
) -> tuple[Any, EmpiricalModel]:
    """The encoder and the model that the scalar and the vector form share."""
    data = open_dataset(dataset, splits)
    chosen = default_encoder(data, resolution) if encoder is None else encoder
    return chosen, build_model(data, chosen, minimum_count=minimum_count, worst_reward=worst_reward, horizon=horizon)


class EmpiricalMDPEnv(gymnasium.Env[np.int64, np.int64]):
    """Maximum-likelihood MDP of discretised states, pessimistic where (s, a) was rarely seen (Kidambi et al. 2020).

    The observation is the discrete state, with one more, HALT, as the last. The action is an index of the
    declared actions. An episode starts in a logged first state, terminates where the drawn transition did
    and is truncated at the horizon; with a horizon of one decision it terminates.

    ``info``: ``action_mask`` int8 (A,), the pairs seen often enough (all in HALT); ``halted``.

    Args:
        dataset: a dataset, or the directory of one.
        splits: names of splits to use, such as ``("train",)``; all episodes by default.
        encoder: discrete states of raw rows; by default integer states, or a quantile grid.
        resolution: bins a field of that default grid.
        minimum_count: logged transitions below which a pair leads to HALT.
        worst_reward: what HALT pays at every step; by default the declared smallest reward.
        horizon: decisions until truncation; the declared one by default.
        render_mode: none is supported.

    Raises:
        DataError: the dataset is empty or has no learnable transition.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012

    def __init__(
        self,
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
        self.render_mode = render_mode
        self.encoder, self.model = open_model(
            dataset, splits, encoder, resolution, minimum_count, worst_reward, horizon
        )
        self._known = self.model.known
        self.observation_space = spaces.Discrete(self.model.state_count + 1)
        self.action_space = spaces.Discrete(self.model.action_count)
        self._state = self.model.halt
        self._left = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.int64, dict[str, Any]]:
        """Start an episode in a logged first state."""
        super().reset(seed=seed)
        self._state = int(self.model.start(np.array([self.np_random.random()]))[0])
        self._left = self.model.horizon
        return np.int64(self._state), self._info()

    def step(self, action: np.int64) -> tuple[np.int64, float, bool, bool, dict[str, Any]]:
        """Draw one of the logged transitions of (state, action)."""
        model = self.model
        uniform = self.np_random.random()
        reward, terminated, cell = model.worst_reward, False, self._state * model.action_count + int(action)
        if self._state < model.state_count and model.counts[cell] >= model.minimum_count:
            chosen = model.firsts[cell] + int(uniform * model.counts[cell])
            reward, terminated = float(model.rewards[chosen]), bool(model.terminated[chosen])
            self._state = int(model.next_states[chosen])
        else:
            self._state = model.halt
        self._left -= 1
        ended = terminated or (model.horizon == 1)
        return np.int64(self._state), reward, ended, not ended and self._left <= 0, self._info()

    def _info(self) -> dict[str, Any]:
        halted = self._state == self.model.halt
        mask = self._known[self._state]
        return {"action_mask": (mask if mask.any() else ~mask).astype(np.int8), "halted": halted}
