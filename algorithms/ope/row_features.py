"""Features of a dataset's rows, stored or made when they are asked for: a log may be larger than the memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

BLOCK = 65_536
"""Rows that are made or gathered at once."""
KEPT = 2**28
"""Bytes up to which what was made of rows is kept; beyond, it is made again each time."""


class RowFeatures(Protocol):
    """Features of M rows."""

    @property
    def size(self) -> int:
        """Number of features, F."""
        ...

    def at(self, rows: np.ndarray) -> np.ndarray:
        """Features of the named rows, float64 (m, F)."""
        ...


class StoredFeatures:
    """Features as an array.

    Args:
        features: float64 (M, F).
    """

    def __init__(self, features: np.ndarray) -> None:
        self.features = np.asarray(features, dtype=np.float64)

    @property
    def size(self) -> int:
        """Number of features, F."""
        return int(self.features.shape[1])

    def at(self, rows: np.ndarray) -> np.ndarray:
        """See :class:`RowFeatures`."""
        return self.features[rows]


class MadeFeatures:
    """Features made of raw rows each time that they are asked for.

    Args:
        raw: float64 (M, D), may be mapped from a file.
        make: from raw rows (m, D) to features (m, F).
        size: F.
    """

    def __init__(self, raw: np.ndarray, make: Callable[[np.ndarray], np.ndarray], size: int) -> None:
        self.raw, self.make, self.size = raw, make, size

    def at(self, rows: np.ndarray) -> np.ndarray:
        """See :class:`RowFeatures`."""
        return self.make(self.raw[rows])


def row_features(features: np.ndarray | RowFeatures) -> RowFeatures:
    """An array (M, F) as :class:`RowFeatures`; what is one already, as it is."""
    return StoredFeatures(features) if isinstance(features, np.ndarray) else features


def features_of(raw: np.ndarray, make: Callable[[np.ndarray], np.ndarray], size: int) -> RowFeatures:
    """Features (M, ``size``) that ``make`` makes of raw rows (M, D), row by row; stored up to :data:`KEPT` bytes."""
    if 8 * len(raw) * size > KEPT:
        return MadeFeatures(raw, make, size)
    return StoredFeatures(by_blocks(make, raw))


def by_blocks(make: Callable[[np.ndarray], np.ndarray], raw: np.ndarray) -> np.ndarray:
    """``make`` of all raw rows, :data:`BLOCK` of them at a time."""
    first = make(raw[:BLOCK])
    made = np.empty((len(raw), *first.shape[1:]), dtype=first.dtype)
    made[:BLOCK] = first
    for start in range(BLOCK, len(raw), BLOCK):
        made[start : start + BLOCK] = make(raw[start : start + BLOCK])
    return made
