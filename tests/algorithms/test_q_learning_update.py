"""The Q-learning update against the textbook's loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.q_learning_update import steps_towards, temporal_differences


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 1.0), st.booleans())
def test_temporal_differences(seed: int, discount: float, masked: bool) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(size=(5, 3))
    states, actions, following = random.integers(5, size=9), random.integers(3, size=9), random.integers(5, size=9)
    rewards, dones = random.normal(size=9), random.random(9) < 0.3
    possible = random.random((5, 3)) < 0.5 if masked else None
    errors = temporal_differences(values, states, actions, rewards, following, dones, discount, possible)
    for row in range(9):
        choices = [values[following[row], a] for a in range(3) if possible is None or possible[following[row], a]]
        target = rewards[row] + (0.0 if dones[row] else discount * max(choices, default=0.0))
        assert errors[row] == pytest.approx(target - values[states[row], actions[row]])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 1.0))
def test_a_batch_moves_a_cell_as_single_steps_would(seed: int, rate: float) -> None:
    random = np.random.default_rng(seed)
    values, cells, targets = random.normal(size=4), random.integers(4, size=12), random.normal(size=4)
    expected = values.copy()
    for cell in cells:
        expected[cell] += rate * (targets[cell] - expected[cell])
    moved, changes = steps_towards(cells, targets[cells] - values[cells], rate)
    values[moved] += changes
    np.testing.assert_allclose(values, expected)


def test_weights_scale_errors() -> None:
    moved, changes = steps_towards(np.array([2, 0]), np.array([1.0, 4.0]), 0.5, np.array([1.0, 0.25]))
    assert moved.tolist() == [0, 2] and changes.tolist() == [0.5, 0.5]
