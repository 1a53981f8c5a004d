"""Leaves are pure where rows can be told apart, and end where the classes do."""

from __future__ import annotations

import numpy as np
import pytest

from envs.decision_tree import DecisionTree


@pytest.mark.parametrize("seed", range(5))
def test_rows_that_differ_end_in_pure_leaves(seed: int) -> None:
    random = np.random.default_rng(seed)
    features = random.integers(6, size=(300, 3)).astype(float)
    classes = random.integers(4, size=300)
    _, cell = np.unique(features, axis=0, return_inverse=True)
    expected = np.zeros((int(cell.max()) + 1, 4), dtype=int)
    np.add.at(expected, (cell.ravel(), classes), 1)
    tree = DecisionTree.fit(features, classes, 4)
    found = tree.leaf_counts(features)
    mixed = (expected[cell.ravel()] > 0).sum(axis=1) > 1
    assert mixed.any() and not mixed.all()
    np.testing.assert_array_equal(found[mixed], expected[cell.ravel()][mixed])
    assert (found[~mixed] > 0).sum(axis=1).max() == 1
    assert (found[np.arange(300), classes] > 0).all()
    assert tree.counts[tree.feature < 0].sum() == 300


def test_it_splits_where_the_classes_part() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(1_000, 5))
    classes = np.where((features[:, 1] > 0.3) & (features[:, 4] < 0.5), 1, 0)
    tree = DecisionTree.fit(features[:500], classes[:500], 2)
    assert (tree.leaf_counts(features[500:]).argmax(axis=1) == classes[500:]).mean() > 0.98
    assert set(tree.feature[:3]) <= {-1, 1, 4} and len(tree.feature) < 25


def test_neighbouring_numbers_are_told_apart() -> None:
    first = np.nextafter(1.0, 2.0)
    second = np.nextafter(first, 2.0)
    close = np.array([[1.0], [first], [second], [np.finfo(float).max / 2]])
    tree = DecisionTree.fit(close, np.arange(4), 4)
    np.testing.assert_array_equal(tree.leaf_counts(close), np.eye(4))
