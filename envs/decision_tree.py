"""A classification tree, grown until no leaf holds two classes: which class, in which box of the features.

All nodes of a level are split at once: rows sorted by node and value give every split's class counts by cumulative
sums, so that the time is that of a few dozen sorts, however many nodes there are.

References:
    Breiman, Friedman, Olshen & Stone (1984), Classification and Regression Trees, chapter 4 (the Gini criterion).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DEPTH = 40
"""Levels after which a leaf may stay mixed."""


@dataclass(frozen=True, slots=True, eq=False)
class DecisionTree:
    """M nodes, the root first; the children of a node stand side by side.

    Attributes:
        feature: int64 (M,), which feature splits the node; -1 at a leaf.
        threshold: float64 (M,); a larger value goes to the right child.
        left: int64 (M,), the left child; the right one is the next.
        counts: int64 (M, C), rows of each class that it was fitted on.
    """

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    counts: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, classes: np.ndarray, choices: int) -> DecisionTree:
        """The tree of the rows.

        Args:
            features: float64 (N, F), finite.
            classes: int64 (N,), below ``choices``.
            choices: number of classes, C.
        """
        order = np.argsort(features, axis=0, kind="stable").T
        node = np.zeros(len(classes), dtype=np.int64)
        feature, threshold, left = np.array([-1]), np.zeros(1), np.array([-1])
        counts = np.bincount(classes, minlength=choices)[None]
        first = 0  # of the nodes that may still be split
        for _ in range(DEPTH):
            live = first + np.flatnonzero((counts[first:] > 0).sum(axis=1) > 1)
            if not len(live):
                break
            place = np.full(len(feature), -1)
            place[live] = np.arange(len(live))
            chosen, edge = _best_splits(features, classes, order, place[node], counts[live])
            split, first = live[chosen >= 0], len(feature)
            feature[split], threshold[split] = chosen[chosen >= 0], edge[chosen >= 0]
            left[split] = first + 2 * np.arange(len(split))
            moved = np.flatnonzero(np.isin(node, split))
            node[moved] = _child(features, moved, node[moved], feature, threshold, left)
            new = 2 * len(split)
            feature, left = (np.concatenate([each, np.full(new, -1)]) for each in (feature, left))
            threshold = np.concatenate([threshold, np.zeros(new)])
            added = np.zeros((new, choices), dtype=np.int64)
            np.add.at(added, (node[moved] - first, classes[moved]), 1)
            counts = np.concatenate([counts, added])
        return cls(feature, threshold, left, counts)

    def leaf_counts(self, features: np.ndarray) -> np.ndarray:
        """Rows of each class in the leaf of each of ``features`` (n, F), int64 (n, C)."""
        node = np.zeros(len(features), dtype=np.int64)
        while len(inner := np.flatnonzero(self.feature[node] >= 0)):
            node[inner] = _child(features, inner, node[inner], self.feature, self.threshold, self.left)
        return np.asarray(self.counts[node])


def _child(
    features: np.ndarray,
    rows: np.ndarray,
    node: np.ndarray,
    feature: np.ndarray,
    threshold: np.ndarray,
    left: np.ndarray,
) -> np.ndarray:
    """Where rows that are at split nodes go, int64 (n,)."""
    return np.asarray(left[node] + (features[rows, feature[node]] > threshold[node]))


def _best_splits(
    features: np.ndarray, classes: np.ndarray, order: np.ndarray, place: np.ndarray, totals: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Feature (-1 where there is none) and threshold of the best split of each live node, (L,) each.

    Args:
        features: float64 (N, F).
        classes: int64 (N,).
        order: int64 (F, N), rows by the value of each feature.
        place: int64 (N,), each row's node among the live ones, -1 elsewhere.
        totals: int64 (L, C), class counts of the live nodes.
    """
    sizes = totals.sum(axis=1)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    best, chosen, edge = np.full(len(totals), -1.0), np.full(len(totals), -1), np.zeros(len(totals))
    identity = np.eye(totals.shape[1])
    for number, by_value in enumerate(order):
        alive = by_value[place[by_value] >= 0]
        alive = alive[np.argsort(place[alive], kind="stable")]
        at, values = place[alive], features[alive, number]
        sums = np.concatenate([np.zeros((1, totals.shape[1])), np.cumsum(identity[classes[alive]], axis=0)])
        below = sums[1:] - sums[starts][at]
        above = totals[at] - below
        apart = np.zeros(len(alive), dtype=bool)
        apart[:-1] = (at[1:] == at[:-1]) & (values[1:] > values[:-1])
        # The weighted Gini impurity is least where this sum is largest.
        pure = (below**2).sum(axis=1) / below.sum(axis=1) + (above**2).sum(axis=1) / np.maximum(above.sum(axis=1), 1.0)
        pure = np.where(apart, pure, -1.0)
        top = np.maximum.reduceat(pure, starts)
        hits = np.flatnonzero(pure == top[at])
        position = hits[np.searchsorted(at[hits], np.arange(len(totals)))]
        better = top > best
        low, high = values[position], values[np.minimum(position + 1, len(values) - 1)]
        middle = low + 0.5 * (high - low)
        edge[better] = np.where(middle < high, middle, low)[better]
        best[better], chosen[better] = top[better], number
    return chosen, edge
