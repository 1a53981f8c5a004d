"""The sum tree against cumulative sums."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.replay import SumTree


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70), st.integers(0, 10_000), st.integers(1, 6))
def test_the_tree_is_a_cumulative_sum(capacity: int, seed: int, rounds: int) -> None:
    random = np.random.default_rng(seed)
    tree, weights = SumTree(capacity), np.zeros(capacity)
    for _ in range(rounds):
        indices = random.integers(capacity, size=random.integers(1, 2 * capacity + 1))
        values = random.integers(0, 4, size=len(indices)).astype(float)
        tree.set(indices, values)
        weights[indices] = values
    assert np.array_equal(tree.weights, weights) and tree.total == weights.sum()
    if tree.total:
        marks = np.arange(0.0, tree.total, 0.25)
        assert np.array_equal(tree.find(marks), np.searchsorted(np.cumsum(weights), marks, side="right"))
        assert weights[tree.find(np.array([tree.total]))] > 0  # past the end by rounding: still a slot that holds one


def test_rounding_does_not_pile_up() -> None:
    random, tree = np.random.default_rng(0), SumTree(33)
    for _ in range(2000):
        tree.set(random.integers(33, size=5), 10.0 ** random.uniform(-9, 9, 5))
    tree.set(np.arange(33), np.zeros(33))
    assert tree.total == 0.0
