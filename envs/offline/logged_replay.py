"""A Gymnasium environment that replays a log: nothing in it is modelled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from envs.dataset import Dataset
from envs.errors import DataError
from envs.offline.replay import Cursor, EpisodeReplay, QueueReplay, Source, TargetPolicy
from envs.offline.spaces import action_space, default_encoder, observation_space, to_space
from envs.opening import open_dataset

MODES = ("episodes", "queues")


def exhausted_error(agent: str) -> DataError:
    """The error of asking an exhausted log for another episode."""
    return DataError("the log is exhausted", where=f"agent {agent}", remedy="reset(seed=...) begins it anew")


def open_source(
    dataset: Dataset, mode: str, policy: TargetPolicy | None, bound: float | None, encoder: Any, resolution: int
) -> Source:
    """The source of episodes of a mode.

    Raises:
        DataError: an unknown mode, missing propensities, or options of the other mode.
    """
    if mode == "episodes":
        return EpisodeReplay(dataset, policy, bound)
    if mode != "queues":
        raise DataError(f"{mode!r} is no mode of replay", where="mode", remedy=f"use one of {', '.join(MODES)}")
    if policy is not None or bound is not None:
        raise DataError("policy and bound belong to mode 'episodes'", where="mode 'queues'", remedy="leave them out")
    return QueueReplay(dataset, default_encoder(dataset, resolution) if encoder is None else encoder)


class LoggedReplayEnv(gymnasium.Env[Any, np.int64]):
    """A log as an environment (Mandel et al. 2016): per-episode rejection sampling, or per-state queues.

    ``mode="episodes"`` (any observation) replays whole logged episodes: the observations and rewards are the
    logged ones, and ``info["accepted"]`` at an episode's end says whether it counts. The mean return of the
    accepted episodes is an unbiased estimate of the acting policy's value. Without ``policy`` the actor's own
    actions decide (an action that is not the logged one rejects the episode, which is still replayed to its
    end); with ``policy`` only episodes that it accepts are shown, and the logged action is what was done.

    ``mode="queues"`` (discrete states) answers each (state, action) with its next unused logged transition,
    until one is missing. Biased while episodes are few: the mean return of a toy log was off by −27, −8 and
    0 per cent at 4, 8 and 30 episodes.

    The log is read once. Its last episode, or one that met an empty queue (which truncates it, reward 0, not
    accepted), ends with ``info["exhausted"]``; after that ``reset()`` raises :class:`~envs.errors.DataError`
    and ``reset(seed=...)`` shuffles and begins the log anew.

    ``info``: ``accepted``, ``exhausted``, ``logged_action`` (−1 before a step or where none was found),
    ``action_mask`` int8 (A,).

    Args:
        dataset: a dataset, or the directory of one.
        splits: names of splits to use; all episodes by default.
        mode: ``episodes`` or ``queues``.
        policy: (rows (T, D), allowed (T, A)) to probabilities (T, A); mode ``episodes`` only.
        bound: M, at least the largest weight of any possible episode, chosen without looking at this log's
            episodes; by default (1 / smallest propensity) to the power of the longest episode.
        encoder: discrete states; mode ``queues`` only. By default integer states, or a quantile grid.
        resolution: bins a field of that default grid.
        render_mode: none is supported.

    Raises:
        DataError: the dataset is empty, lacks propensities (``episodes``), or the bound is too small.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012

    def __init__(
        self,
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
        self.render_mode = render_mode
        self.dataset = open_dataset(dataset, splits)
        self.source = open_source(self.dataset, mode, policy, bound, encoder, resolution)
        self.observation_space = observation_space(self.dataset)
        self.action_space = action_space(self.dataset)
        self._rows = to_space(self.observation_space, self.dataset.observations)
        self._cursor: Cursor | None = None
        self._fresh = True

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """The next episode; with a seed, the first of the log in a new order.

        Raises:
            DataError: the log is exhausted.
        """
        super().reset(seed=seed)
        if seed is not None or self._fresh:
            self.source.restart(self.np_random)
            self._fresh = False
        self._cursor = self.source.begin(self.np_random)
        if self._cursor is None:
            raise exhausted_error(self.dataset.specification.name)
        return self._observation(self._cursor), self._info(self._cursor, -1, False)

    def step(self, action: np.int64) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Replay one decision."""
        cursor = self._cursor
        if cursor is None:
            raise exhausted_error(self.dataset.specification.name)
        outcome = self.source.advance(cursor, int(action))
        info = self._info(cursor, outcome.logged_action, outcome.exhausted)
        return self._observation(cursor), outcome.reward, outcome.terminated, outcome.truncated, info

    def _observation(self, cursor: Cursor) -> Any:
        return self._rows[cursor.row].copy()

    def _info(self, cursor: Cursor, logged: int, exhausted: bool) -> dict[str, Any]:
        return {
            "accepted": cursor.accepted,
            "exhausted": exhausted,
            "logged_action": logged,
            "action_mask": self.dataset.allowed[cursor.row].astype(np.int8),
        }
