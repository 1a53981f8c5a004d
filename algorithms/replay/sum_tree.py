"""A binary tree of sums: draw by weight and change weights in O(log n), whole batches at once."""

from __future__ import annotations

import numpy as np


class SumTree:
    """Weights of ``capacity`` slots, all 0 at first.

    Node 1 is the root, node i has the children 2i and 2i + 1, the leaves are the weights. Every sum is
    computed from its two children and never by adding a difference, so that rounding does not pile up.

    Args:
        capacity: number of slots, at least 1.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._leaves = 1 << max(capacity - 1, 0).bit_length()
        self._nodes = np.zeros(2 * self._leaves)

    @property
    def total(self) -> float:
        """Sum of all weights."""
        return float(self._nodes[1])

    @property
    def weights(self) -> np.ndarray:
        """The weights, float64 (capacity,), a view that is not to be written to."""
        return self._nodes[self._leaves : self._leaves + self.capacity]

    def set(self, indices: np.ndarray, weights: np.ndarray) -> None:
        """Give slots ``indices`` int (n,) the ``weights`` float (n,) ≥ 0; of a repeated slot the last counts."""
        nodes = np.asarray(indices, dtype=np.int64) + self._leaves
        self._nodes[nodes] = weights
        while len(nodes) and nodes[0] > 1:  # all leaves are at one depth
            nodes = np.unique(nodes >> 1)
            self._nodes[nodes] = self._nodes[2 * nodes] + self._nodes[2 * nodes + 1]

    def find(self, marks: np.ndarray) -> np.ndarray:
        """Slots int64 (n,) in whose share of [0, total) the ``marks`` float (n,) lie; never one of weight 0."""
        nodes, left = np.ones(len(marks), dtype=np.int64), np.asarray(marks, dtype=np.float64).copy()
        for _ in range(self._leaves.bit_length() - 1):
            nodes *= 2
            below = self._nodes[nodes]
            # Rounding may push a mark past the last share: an empty right half is never entered.
            right = (left >= below) & (self._nodes[nodes + 1] > 0.0)
            left -= np.where(right, below, 0.0)
            nodes += right
        return nodes - self._leaves
