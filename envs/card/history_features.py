"""What the past adds where observations are numbers: ridge regression on many functions of each field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from envs.card.history_rows import HistoryRows
from envs.dataset import Dataset

MOST_ROWS = 8_000
MOST_COLUMNS = 400
KNOTS = 9
BUMPS = 80
LIMIT = 6.0
"""Scaled values are cut here; their ranks still tell them apart."""
RIDGE, TEST_RIDGE = 1.0, 0.01


class FeatureHistory:
    """Regressions on the present (observation and action) and on present and past together.

    The present enters as scaled values and ranks, their hinges, products with each other and with the
    actions, and Gaussian bumps at random rows: what is misfitted there must not look like a past.

    Args:
        rows: the decisions.
        dataset: the log that they are of.

    Attributes:
        names: of the target that each column of ``values`` belongs to.
        values: float64 (n, K): reward, end, and the change of each number and category.
    """

    least_effect = 0.02
    of_unexplained = False

    def __init__(self, rows: HistoryRows, dataset: Dataset) -> None:
        names, scaled, ranks, categories = _columns(dataset)
        plain = np.concatenate([scaled, categories, ranks], axis=1)
        now, before, after = rows.now, rows.now - 1, rows.now + 1
        actions = np.eye(len(dataset.specification.actions))
        taken = actions[rows.actions]
        self.present = _present(scaled[now], ranks[now], categories[now], taken)
        past = np.concatenate(
            [
                plain[before],
                actions[rows.previous_actions],
                _scale(rows.previous_rewards, rows.previous_rewards)[:, None],
                _hinges(_rank(rows.steps, rows.steps)[:, None]),
            ],
            axis=1,
        )
        self.both = np.concatenate([self.present, _within([past, _products(past, taken)])], axis=1)
        change = np.where(rows.terminated[:, None], 0.0, plain[after] - plain[now])[:, : len(names)]
        self.names = ("reward", "end", *names)
        self.values = np.concatenate([rows.rewards[:, None], rows.terminated[:, None], change], axis=1)

    def residuals(self, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """On the rows ``test``: targets and what the past adds to them, both less their regression on the present.

        The addition is learned on the rows ``train``; masks are bool (n,), results float64 (m, K).
        """
        values = self.values - self.values[train].mean(axis=0)
        predicted = self.both[test] @ _ridge(self.both[train], values[train], RIDGE)
        pair = np.concatenate([values[test], predicted], axis=1)
        pair -= self.present[test] @ _ridge(self.present[test], pair, TEST_RIDGE)
        return pair[:, : len(self.names)], pair[:, len(self.names) :]


def _columns(dataset: Dataset) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Field names, then scaled numbers, their ranks, and indicators of categories and of missing values.

    The names are those of the numbers and then of the indicators; arrays are float64 (N + E, …), finite
    where a row is complete.
    """
    scaled: dict[str, np.ndarray] = {}
    ranks: dict[str, np.ndarray] = {}
    indicators: dict[tuple[str, int], np.ndarray] = {}
    for position, declared in enumerate(dataset.specification.observation.fields):
        column = dataset.observations[:, position]
        known = column[dataset.rows][np.isfinite(column[dataset.rows])]
        if declared.optional:
            indicators[declared.name, -1] = np.isnan(column)
        if declared.type == "category":
            indicators |= {(declared.name, index): column == index for index in range(len(declared.categories))}
        elif len(known):
            scaled[declared.name] = np.nan_to_num(_scale(column, known))
            ranks[declared.name] = np.where(np.isnan(column), 0.0, _rank(column, known))
    names, count = [*scaled, *(name for name, _ in indicators)], len(dataset.observations)
    return names, _stacked(scaled, count), _stacked(ranks, count), _stacked(indicators, count)


def _stacked(columns: Mapping[Any, np.ndarray], count: int) -> np.ndarray:
    """Columns side by side, float64 (count, …)."""
    return np.stack(list(columns.values()), axis=1).astype(np.float64) if columns else np.zeros((count, 0))


def _present(scaled: np.ndarray, ranks: np.ndarray, categories: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Functions of observation and action, float64 (n, F), an intercept first; the finest only for few fields."""
    own = np.concatenate([scaled, ranks, categories], axis=1)
    hinges = _hinges(ranks)
    first, second = np.tril_indices(scaled.shape[1])
    return _within(
        [
            np.concatenate([np.ones((len(own), 1)), own, taken[:, 1:]], axis=1),
            _products(own, taken),
            hinges,
            scaled[:, first] * scaled[:, second],
            _bumps(np.concatenate([ranks, categories], axis=1)),
            _products(hinges[:, ::2], taken),
        ]
    )


def _within(blocks: list[np.ndarray]) -> np.ndarray:
    """The first block and those after it that still fit, float64 (n, at most MOST_COLUMNS or the first's)."""
    kept = blocks[0]
    for block in blocks[1:]:
        if kept.shape[1] + block.shape[1] <= MOST_COLUMNS:
            kept = np.concatenate([kept, block], axis=1)
    return kept


def _products(columns: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Each column times the indicator of each action but the first, float64 (n, F (A - 1))."""
    return (columns[:, :, None] * taken[:, None, 1:]).reshape(len(columns), -1)


def _hinges(columns: np.ndarray) -> np.ndarray:
    """max(x - knot, 0) of each column of ranks, float64 (n, F · KNOTS)."""
    knots = np.linspace(-1.0, 1.0, KNOTS + 2)[1:-1]
    return np.maximum(columns[:, :, None] - knots, 0.0).reshape(len(columns), -1)


def _bumps(columns: np.ndarray) -> np.ndarray:
    """Gaussian functions of the distance to rows drawn at random, float64 (n, BUMPS)."""
    centers = columns[np.random.default_rng(0).integers(len(columns), size=BUMPS)]
    squares = (columns**2).sum(axis=1)[:, None] + (centers**2).sum(axis=1) - 2.0 * columns @ centers.T
    width = float(np.median(squares)) or 1.0
    return np.exp(-squares / width)


def _scale(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Values less their median over half their central 90 %, cut at ±LIMIT."""
    low, middle, high = np.quantile(known, [0.05, 0.5, 0.95])
    scale = float(high - low) / 2.0 or float(np.std(known)) or 1.0
    return np.clip((values - middle) / scale, -LIMIT, LIMIT)


def _rank(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Mean rank among the known values, in [-1, 1]."""
    ordered = np.sort(known)
    ranks = np.searchsorted(ordered, values, side="left") + np.searchsorted(ordered, values, side="right")
    return ranks / len(ordered) - 1.0


def _ridge(features: np.ndarray, targets: np.ndarray, penalty: float) -> np.ndarray:
    """Ridge coefficients, float64 (F, K)."""
    gram = features.T @ features
    gram[np.diag_indices_from(gram)] += penalty
    return np.linalg.solve(gram, features.T @ targets)
