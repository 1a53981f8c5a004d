"""What the past adds where observations are few and distinct: means of cells, and no approximation."""

from __future__ import annotations

import numpy as np

from envs.card.history_rows import HistoryRows
from envs.dataset import Dataset

MOST_DISTINCT = 256
ROWS_OF_A_STATE = 20
SAMPLE = 10_000
SHRINKAGE = 20.0
"""Imagined rows without an addition in each cell of the past."""
LARGEST_NEXT = 32
"""Beyond so many states the next one is seen through as many random projections."""


class TableHistory:
    """Means by (state, action), and what the past adds to them, level by level.

    The levels are previous state; previous action with the quartile of the previous reward; previous state
    and action together; and the eighth of the episodes' steps. Each learns from what those before leave.

    Args:
        rows: the decisions.
        states: int64 (N + E,), state of each of the dataset's observations.
        action_count: A.

    Attributes:
        names: of the target that each column of ``values`` belongs to.
        values: float64 (n, K): reward, and an indicator (or projections) of the next state or the end.
    """

    least_effect = 0.002
    of_unexplained = True

    def __init__(self, rows: HistoryRows, states: np.ndarray, action_count: int) -> None:
        size = int(states.max(initial=0)) + 1
        now, before, after = states[rows.now], states[rows.now - 1], states[rows.now + 1]
        self.cells = now * action_count + rows.actions
        reward = _quantile(rows.previous_rewards, 4)
        pasts = (
            now * size + before,
            (now * action_count + rows.previous_actions) * 4 + reward,
            (self.cells * size + before) * action_count + rows.previous_actions,
            self.cells * 8 + _quantile(rows.steps.astype(np.float64), 8),
        )
        self.pasts = [np.unique(past, return_inverse=True)[1] for past in pasts]
        following = np.where(rows.terminated, size, after)
        width = min(size + 1, LARGEST_NEXT)
        codes = np.eye(size + 1) if width > size else np.random.default_rng(0).normal(size=(size + 1, width))
        self.values = np.concatenate([rows.rewards[:, None], codes[following]], axis=1)
        self.names = ("reward", *("state",) * width)

    def residuals(self, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """On the rows ``test``: the targets, and what the past adds to them, both less their cell's mean there.

        The addition is learned on the rows ``train``; masks are bool (n,).
        """
        left = self.values[train] - _means(self.cells[train], self.values[train], 0.0)[self.cells[train]]
        addition = np.zeros((int(test.sum()), left.shape[1]))
        for past in self.pasts:
            learned = _means(past[train], left, SHRINKAGE, int(past.max()) + 1)
            left = left - learned[past[train]]
            addition += learned[past[test]]
        cells, values = self.cells[test], self.values[test]
        return values - _means(cells, values, 0.0)[cells], addition - _means(cells, addition, 0.0)[cells]


def distinct_states(dataset: Dataset) -> np.ndarray | None:
    """State of each observation, int64 (N + E,), where they are integers or few and distinct; else ``None``."""
    rows = np.nan_to_num(dataset.observations, nan=np.inf)
    if dataset.specification.observation.kind == "int":
        return np.unique(rows[:, 0], return_inverse=True)[1]
    if len(np.unique(rows[:SAMPLE], axis=0)) > MOST_DISTINCT:
        return None
    distinct, states = np.unique(rows, axis=0, return_inverse=True)
    return states.ravel() if len(distinct) <= MOST_DISTINCT and well_filled(states, len(dataset)) else None


def well_filled(states: np.ndarray, decisions: int) -> bool:
    """Whether there are at least so many decisions for each state that it can be counted."""
    return (int(states.max(initial=0)) + 1) * ROWS_OF_A_STATE <= decisions


def _means(codes: np.ndarray, values: np.ndarray, shrinkage: float, size: int | None = None) -> np.ndarray:
    """Mean of each code's rows with so many imagined rows of 0, float64 (codes, K)."""
    size = int(codes.max(initial=-1)) + 1 if size is None else size
    counts = np.bincount(codes, minlength=size) + shrinkage
    sums = np.stack([np.bincount(codes, weights=column, minlength=size) for column in values.T], axis=1)
    return sums / np.maximum(counts, 1.0)[:, None]


def _quantile(values: np.ndarray, parts: int) -> np.ndarray:
    """Which of ``parts`` quantile ranges each value is in, int64 (n,)."""
    edges = np.unique(np.quantile(values, np.linspace(0.0, 1.0, parts + 1)[1:-1]))
    return np.searchsorted(edges, values, side="right")
