"""Exact nearest neighbours by blocks of matrix products, with ties broken at random.

A tree loses to a matrix product beyond ten or so features. The product is taken in single precision and
only proposes; distances are then computed exactly, in double precision, for what it proposed.
"""

from __future__ import annotations

import numpy as np

BLOCK = 2**22
"""Numbers of one block of squared distances, 16 MB."""
SPARE = 4
"""Neighbours proposed beyond those asked for, so that single precision drops none of them."""
ROUNDING = 4e-6
"""Relative size of the random numbers that break ties; above the rounding of single precision."""


def nearest(
    points: np.ndarray, queries: np.ndarray, own: np.ndarray, count: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The ``count`` points nearest to each query in Euclidean distance, the nearest first.

    A query's own point always comes first. Other points at equal distance are taken at random: where many
    are alike, as in a log of few distinct states, the lowest index would make the same few stand for all.

    Args:
        points: float64 (P, F), P ≥ 1.
        queries: float64 (Q, F).
        own: int64 (Q,), the query's own point, −1 where it is none of them.
        count: K, at most P.
        random: breaks ties.

    Returns:
        Indices of points, int64 (Q, K), and their distances, float64 (Q, K).
    """
    pool = min(count + SPARE, len(points))
    shuffled = random.permutation(len(points))
    centre = points.mean(axis=0)
    table = (points[shuffled] - centre).astype(np.float32)
    # Strided groups of points: the pool lies in the groups of the smallest minima, which are few.
    size = max(1, len(points) // (16 * pool))
    groups = -(-len(points) // size)
    table = np.vstack([table, np.zeros((groups * size - len(points), table.shape[1]), dtype=np.float32)])
    squares = (table**2).sum(axis=1)
    scale = float(squares.max())
    squares[len(points) :] = np.inf
    rows = max(1, BLOCK // len(table))
    jitter = random.random(len(table) + rows, dtype=np.float32) * np.float32(ROUNDING * scale)
    # Row i of a block gets the random numbers from position i on: as good as new ones, and free.
    windows = np.lib.stride_tricks.sliding_window_view(jitter, len(table))
    place = np.empty(len(points), dtype=np.int64)
    place[shuffled] = np.arange(len(points))
    doubled = -2.0 * table.T
    found = np.empty((len(queries), pool), dtype=np.int64)
    for start in range(0, len(queries), rows):
        block = (queries[start : start + rows] - centre).astype(np.float32)
        distance = block @ doubled
        distance += squares
        distance += windows[: len(block)]
        known = np.flatnonzero(own[start : start + rows] >= 0)
        distance[known, place[own[start + known]]] = -np.inf
        found[start : start + rows] = shuffled[_smallest(distance, size, pool)]
    return _ranked(points, queries, own, found, count, random)


def _smallest(distance: np.ndarray, size: int, pool: int) -> np.ndarray:
    """Columns of the ``pool`` smallest of each row, int64 (B, pool), in no order."""
    minima = distance.reshape(len(distance), size, -1).min(axis=1)
    threshold = np.partition(minima, pool - 1, axis=1)[:, pool - 1]
    row, column = np.nonzero(distance <= threshold[:, None])
    order = np.lexsort((distance[row, column], row))
    firsts = np.searchsorted(row, np.arange(len(distance)))
    return np.asarray(column[order[firsts[:, None] + np.arange(pool)]])


def _ranked(
    points: np.ndarray,
    queries: np.ndarray,
    own: np.ndarray,
    found: np.ndarray,
    count: int,
    random: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    squared = np.zeros(found.shape)
    for feature in range(points.shape[1]):
        difference = queries[:, feature, None] - points[found, feature]
        squared += difference * difference
    first = np.where(found == own[:, None], -1.0, squared)
    order = np.lexsort((random.random(found.shape), first), axis=1)[:, :count]
    return np.take_along_axis(found, order, axis=1), np.sqrt(np.take_along_axis(squared, order, axis=1))
