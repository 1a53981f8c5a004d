"""A Gymnasium environment of a learned decision process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from envs.dataset import Dataset
from envs.offline.learned_model import COST, LearnedModel, fit_model
from envs.offline.spaces import action_space, observation_space, to_space
from envs.offline.starting import from_any
from envs.opening import open_dataset


class LearnedModelEnv(gymnasium.Env[Any, np.int64]):
    """Bootstrap ensemble of dynamics, reward and termination, less an uncertainty penalty (Yu et al. 2020).

    A step lets one member, drawn at random, predict the next raw row, the reward and the probability of
    termination; the row gets the log's residual noise and stays within the logged range; the reward is less
    ``cost`` times the members' disagreement. An episode starts in a logged first row, is truncated at the
    horizon, and with a horizon of one decision it terminates. A masked action pays the worst reward and stays.

    ``info``: ``rows`` float64 (D,), the raw row; ``action_mask`` int8 (A,), predicted for the row, and of
    actions that were logged somewhere.

    Args:
        dataset: a dataset, or the directory of one.
        splits: names of splits to use, such as ``("train",)``; all episodes by default.
        members, hidden, updates, cost, seed: see :func:`~envs.offline.learned_model.fit_model`.
        model: one that was fitted before, instead of fitting one by those settings.
        horizon: decisions until truncation; the declared one by default, or that of ``model``.
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
        members: int = 5,
        hidden: int = 64,
        updates: int = 1000,
        cost: float = COST,
        seed: int = 0,
        model: LearnedModel | None = None,
        horizon: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.render_mode = render_mode
        self.dataset = open_dataset(dataset, splits)
        self.model = model or fit_model(
            self.dataset, members=members, hidden=hidden, updates=updates, cost=cost, horizon=horizon, seed=seed
        )
        self.horizon = self.model.horizon if horizon is None else horizon
        self._space = observation_space(self.dataset)
        self.observation_space = self._space
        self.action_space = action_space(self.dataset)
        self._row, self._mask = self.model.starts[:1], self.model.start_masks[:1]
        self._left = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode in a logged first row, or with ``options={"starts": "any"}`` in any logged decision.

        Raises:
            DataError: ``starts`` is neither ``first`` nor ``any``.
        """
        super().reset(seed=seed)
        draws = self.model.draw(self.np_random, 1)
        self._row, self._mask = self.model.start(draws, anywhere=from_any(options))
        self._left = self.horizon
        return self._observation(), self._info()

    def step(self, action: np.int64) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Draw what the action does from one member's prediction."""
        draws = self.model.draw(self.np_random, 1)
        rewards, self._row, self._mask, terminated = self.model.step(
            self._row, self._mask, np.array([int(action)]), draws
        )
        self._left -= 1
        ended = bool(terminated[0]) or self.horizon == 1
        return self._observation(), float(rewards[0]), ended, not ended and self._left <= 0, self._info()

    def _observation(self) -> Any:
        return to_space(self._space, self._row)[0]

    def _info(self) -> dict[str, Any]:
        return {"rows": self._row[0].copy(), "action_mask": self._mask[0].astype(np.int8)}
