"""Nearest-state completion, against a plain loop, and on the taxi (long suite)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.completion import PENALTY, complete, majority, modal, nearest
from algorithms.tabular_solver import Transitions
from envs.usual_reward import usual_reward


@given(st.sets(st.integers(-50, 50), min_size=1), st.integers(-60, 60), st.integers(1, 6))
def test_nearest_is_a_stable_sort_by_distance(codes: set[int], code: int, count: int) -> None:
    ordered = np.array(sorted(codes))
    expected = np.argsort(np.abs(ordered - code), kind="stable")[:count]
    assert nearest(ordered, np.array([code]), count)[0].tolist() == expected.tolist()


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=7))
def test_majority_takes_the_smallest_of_the_most_frequent(votes: list[int]) -> None:
    values, counts = np.unique(votes, return_counts=True)
    assert majority(np.array([votes]))[0] == values[counts.argmax()]


def test_modal_value_by_cell() -> None:
    cells = np.array([0, 0, 0, 2, 2])
    assert modal(cells, np.array([5, 5, 1, 9, 4]), 3).tolist() == [5, 0, 4]


def test_reward_scale_falls_back() -> None:
    assert usual_reward(np.array([-1.0, -1.0, 20.0])) == 1.0
    assert usual_reward(np.array([0.0, 0.0, 0.0, 4.0])) == 1.0
    assert usual_reward(np.zeros(3)) == 1.0
    assert usual_reward(np.array([-250.0])) == 250.0


@settings(max_examples=40)
@given(st.integers(0, 100_000), st.integers(1, 4))
def test_completion_equals_a_plain_loop(seed: int, neighbours: int) -> None:
    random = np.random.default_rng(seed)
    states, actions, rows = 30, 3, 60
    codes = np.arange(10, 10 + states)
    state, action = random.integers(states, size=rows), random.integers(actions, size=rows)
    transitions = Transitions(
        cells=state * actions + action,
        rewards=random.choice([-1.0, -10.0, 20.0], size=rows),
        next_states=np.clip(state + random.integers(-4, 5, size=rows), 0, states - 1),
        terminated=random.random(rows) < 0.1,
        state_count=states,
        action_count=actions,
    )
    completed = complete(transitions, codes, neighbours)
    assert completed.imagined is not None
    assert (completed.counts == transitions.counts).all()
    expected = {}
    for b in range(actions):
        seen = sorted({int(s) for s, a in zip(state, action, strict=True) if a == b})
        if not seen:
            continue

        def leads_to(s: int, b: int = b) -> int:
            nexts = transitions.next_states[(state == s) & (action == b)]
            values, counts = np.unique(nexts, return_counts=True)
            return int(values[counts.argmax()])

        for s in set(range(states)) - set(seen):
            near = sorted(seen, key=lambda o: (abs(o - s), o))[:neighbours]
            values, counts = np.unique([leads_to(o) - o for o in near], return_counts=True)
            target = s + int(values[counts.argmax()])
            means = [transitions.rewards[(state == o) & (action == b)].mean() for o in near]
            penalty = PENALTY * usual_reward(transitions.rewards)
            expected[s * actions + b] = (target if 0 <= target < states else s, np.median(means) - penalty)
    found = {
        int(completed.cells[i]): (int(completed.next_states[i]), completed.rewards[i])
        for i in np.flatnonzero(completed.imagined)
    }
    assert found.keys() == expected.keys()
    for cell, (target, reward) in expected.items():
        assert found[cell][0] == target and found[cell][1] == pytest.approx(reward)


def test_nothing_to_complete_changes_nothing() -> None:
    transitions = Transitions(
        cells=np.arange(4),
        rewards=np.ones(4),
        next_states=np.zeros(4, dtype=int),
        terminated=np.zeros(4, dtype=bool),
        state_count=2,
        action_count=2,
    )
    assert complete(transitions, np.arange(2), 3) is transitions
