"""What was before as part of the raw row: the same in the dataset and in a running episode."""

from __future__ import annotations

from collections import deque

import numpy as np

from envs.observation import ObservationSpecification


def stack_history(
    observation: ObservationSpecification,
    rows: np.ndarray,
    actions: np.ndarray,
    offsets: np.ndarray,
    end_known: np.ndarray,
) -> None:
    """Fills the part of what was before in the raw rows of whole episodes, in place.

    An observation whose end is not known stays unknown.

    Args:
        observation: the declaration.
        rows: float64 (N + E, D), T + 1 of each episode.
        actions: int64 (N,), the requested actions.
        offsets: int64 (E + 1,), of the decisions.
        end_known: bool (E,).
    """
    if not observation.history:
        return
    own = len(observation.own)
    lengths = np.diff(offsets)
    episode = np.repeat(np.arange(len(lengths)), lengths + 1)
    step = np.arange(len(rows)) - offsets[episode] - episode
    known = (step < lengths[episode]) | end_known[episode]
    for lag in range(1, observation.history + 1):
        at = np.flatnonzero(known & (step >= lag))
        start = own + (lag - 1) * (own + 1)
        rows[at, start : start + own] = rows[at - lag, :own]
        rows[at, start + own] = actions[at - episode[at] - lag]


class RunningHistory:
    """The last observations and actions of one episode, as it runs.

    Args:
        observation: the declaration.
    """

    def __init__(self, observation: ObservationSpecification) -> None:
        self._own = len(observation.own)
        self._past: deque[tuple[np.ndarray, int]] = deque(maxlen=observation.history)

    def fill(self, row: np.ndarray) -> None:
        """Fills the part of what was before in a raw row (D,)."""
        for lag, (seen, action) in enumerate(reversed(self._past)):
            start = self._own + lag * (self._own + 1)
            row[start : start + self._own] = seen
            row[start + self._own] = action

    def add(self, row: np.ndarray, action: int) -> None:
        """Notes a decision: its raw row and the index of the requested action."""
        self._past.append((row[: self._own].copy(), action))
