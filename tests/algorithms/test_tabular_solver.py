"""The solver's mathematics against formulas written out by hand, on arrays alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.tabular_solver import (
    SHRINKAGE,
    Transitions,
    cell_values,
    greedy_table,
    improvement_moves,
    squared_errors,
    targets_of,
)
from algorithms.tabular_sweep import Settings, begin, conclude, sweep
from tests.worlds import World, chain, random_world


def enumerated(world: World, base: np.ndarray | None = None, copies: int = 1000) -> Transitions:
    """Every transition of a world in its exact proportion (to 1 / copies), so that the log has no noise."""
    cells, rewards, nexts, ends = [], [], [], []
    for state in range(world.state_count):
        if world.terminal[state]:
            continue
        for action in range(world.action_count):
            for following, chance in enumerate(world.transition[state, action]):
                count = round(chance * copies)
                cells += [state * world.action_count + action] * count
                rewards += [world.reward[state, action]] * count
                nexts += [following] * count
                ends += [bool(world.terminal[following])] * count
    nexts_array = np.array(nexts)
    return Transitions(
        cells=np.array(cells),
        rewards=np.array(rewards),
        next_states=nexts_array,
        terminated=np.array(ends),
        state_count=world.state_count,
        action_count=world.action_count,
        next_base=None if base is None else base[nexts_array],
    )


def solve(parts: list[Transitions], settings: Settings, sweeps: int = 600, freeze: int = 300):
    solution = begin(parts, settings)
    for index in range(sweeps):
        solution = sweep(parts, settings, solution, index >= freeze)
    return solution


def test_means_errors_and_fills_by_hand() -> None:
    transitions = Transitions(
        cells=np.array([0, 0, 0, 1, 4]),
        rewards=np.array([1.0, 2.0, 6.0, 5.0, 7.0]),
        next_states=np.zeros(5, dtype=int),
        terminated=np.ones(5, dtype=bool),
        state_count=3,
        action_count=2,
    )
    rows, targets = transitions.sums(), transitions.rewards
    values = cell_values(transitions, targets, rows)
    # State 1 has no rows: the mean of all. The unseen action of state 2: its state's mean.
    np.testing.assert_allclose(values, [[3.0, 5.0], [4.2, 4.2], [7.0, 7.0]])
    errors = squared_errors(transitions, targets, values, rows)
    pooled = 14.0 / (5 - 3)  # residual squares 4 + 1 + 9 over rows less cells
    expected = (14.0 + SHRINKAGE * pooled) / (2 + SHRINKAGE) / 3
    assert errors[0, 0] == pytest.approx(expected)
    assert errors[0, 1] == pytest.approx(pooled)  # one row: all of it is the pooled variance
    assert np.isinf(errors[1]).all() and np.isinf(errors[2, 1])


def test_moves_only_where_the_lower_bound_is_positive() -> None:
    values, errors, counts = np.array([[0.0, 1.0, 3.0]]), np.array([[0.16, 0.09, 4.0]]), np.array([[9.0, 9.0, 2.0]])
    # From 0: to 1 gains 1 − κ·0.5, to 2 gains 3 − κ·2.04. From 1: to 2 gains 2 − κ·2.02.
    assert improvement_moves(values, errors, counts, 0.0, 1).tolist() == [[2, 2, 2]]
    assert improvement_moves(values, errors, counts, 1.2, 1).tolist() == [[2, 1, 2]]
    assert improvement_moves(values, errors, counts, 1.4, 1).tolist() == [[1, 1, 2]]
    assert improvement_moves(values, errors, counts, 2.1, 1).tolist() == [[0, 1, 2]]
    assert improvement_moves(values, errors, counts, 0.0, 3).tolist() == [[1, 1, 2]]


def test_mass_neither_comes_to_nor_leaves_an_action_never_taken() -> None:
    values, errors = np.array([[0.0, 9.0, -9.0]]), np.array([[0.0, np.inf, np.inf]])
    assert improvement_moves(values, errors, np.array([[5.0, 0.0, 0.0]]), 0.0, 0).tolist() == [[0, 1, 2]]


@given(st.integers(0, 10_000), st.floats(0, 3), st.floats(0, 3))
def test_more_pessimism_moves_less(seed: int, first: float, second: float) -> None:
    random = np.random.default_rng(seed)
    values, errors = random.normal(size=(6, 4)), random.exponential(size=(6, 4))
    counts = random.integers(0, 4, size=(6, 4)).astype(float)
    errors[counts == 0] = np.inf
    low, high = sorted((first, second))
    moved = [improvement_moves(values, errors, counts, kappa, 1) != np.arange(4) for kappa in (low, high)]
    assert (moved[1] <= moved[0]).all()
    bound = [np.sort(values - kappa * np.sqrt(np.where(counts > 0, errors, 0)), axis=1) for kappa in (low, high)]
    assert (bound[1] <= bound[0] + 1e-12).all()


def test_greedy_takes_the_largest_lower_bound_and_spreads_where_it_knows_nothing() -> None:
    values = np.array([[1.0, 2.0], [1.0, 2.0], [0.0, 1.0]])
    errors = np.array([[0.01, 4.0], [0.01, 0.01], [np.inf, np.inf]])
    counts = np.array([[6.0, 2.0], [1.0, 1.0], [0.0, 0.0]])
    table, uncertain = greedy_table(values, errors, counts, 1.0, 2)
    np.testing.assert_allclose(table, [[1, 0], [0.5, 0.5], [0.7, 0.3]])
    assert uncertain.tolist() == [False, True, True]


def test_anchored_target_is_the_base_moved_and_masks_hold_mass_back() -> None:
    values = np.array([[0.0, 10.0, 20.0], [1.0, 2.0, 3.0]])
    moves = np.array([[2, 1, 2], [0, 0, 2]])
    base = np.array([[0.5, 0.25, 0.25], [0.2, 0.8, 0.0]])
    kwargs = {
        "cells": np.array([0, 0]),
        "rewards": np.array([1.0, 1.0]),
        "next_states": np.array([0, 1]),
        "terminated": np.array([False, False]),
        "state_count": 2,
        "action_count": 3,
        "next_base": base,
    }
    free = targets_of(Transitions(**kwargs), values, moves, 0.5)
    np.testing.assert_allclose(free, [1 + 0.5 * (0.75 * 20 + 0.25 * 10), 1 + 0.5 * 1.0])
    masked = Transitions(**kwargs, next_allowed=np.array([[True, True, False], [False, True, True]]))
    # Row 0: 2 is not allowed, 0 keeps its half. Row 1: 0 is not allowed, 1 keeps its mass.
    held = targets_of(masked, values, moves, 0.5)
    np.testing.assert_allclose(held, [1 + 0.5 * (0.25 * 10 + 0.25 * 20), 1 + 0.5 * (0.2 * 1.0 + 0.8 * 2.0)])


def test_a_termination_does_not_bootstrap_and_a_floor_is_valued() -> None:
    transitions = Transitions(
        cells=np.array([0, 0]),
        rewards=np.array([1.0, 1.0]),
        next_states=np.array([0, 0]),
        terminated=np.array([False, True]),
        state_count=1,
        action_count=2,
    )
    values, table = np.array([[4.0, 8.0]]), np.array([[0.0, 1.0]])
    np.testing.assert_allclose(targets_of(transitions, values, table, 0.5), [5.0, 1.0])
    np.testing.assert_allclose(
        targets_of(transitions, values, table, 0.5, floor=0.2), [1 + 0.5 * (0.8 * 8 + 0.2 * 6), 1]
    )


@pytest.mark.parametrize("seed", range(4))
def test_unanchored_values_are_the_optimum_of_the_world(seed: int) -> None:
    world = random_world(seed, horizon=4)
    part = enumerated(world)
    solution = solve([part], Settings(0.9, anchored=False))
    values, policy, _ = conclude([part], Settings(0.9, anchored=False), solution)
    optimum = world.optimal(horizon=1000, discount=0.9)
    live = ~world.terminal
    np.testing.assert_allclose(values[live], optimum[live], atol=0.01)
    assert (policy[live].argmax(axis=1) == optimum[live].argmax(axis=1)).all()
    assert solution.residual < 1e-9


def test_anchored_with_endless_pessimism_values_the_base() -> None:
    world = random_world(1, horizon=4)
    base = np.random.default_rng(0).dirichlet(np.ones(3), size=6)
    part = enumerated(world, base)
    settings = Settings(0.9, anchored=True, pessimism=1e9)
    solution = solve([part], settings)
    values, moves, _ = conclude([part], settings, solution)
    live = ~world.terminal
    assert (moves == np.arange(3)).all()
    exact = world.action_values(world.evaluate(base, horizon=1000, discount=0.9), 0.9)
    np.testing.assert_allclose(values[live], exact[live], atol=0.01)


def test_anchored_without_pessimism_reaches_the_optimum() -> None:
    world = random_world(2, horizon=4)
    base = np.full((6, 3), 1 / 3)
    part = enumerated(world, base)
    settings = Settings(0.9, anchored=True)
    _, moves, _ = conclude([part], settings, solve([part], settings))
    optimum = world.optimal(horizon=1000, discount=0.9).argmax(axis=1)
    live = ~world.terminal
    assert (moves[live] == optimum[live, None]).all()


def test_double_values_are_less_optimistic() -> None:
    """Two halves of pure noise: the largest of many means is above 0, its value on the other half is not."""
    random = np.random.default_rng(0)
    actions, rows = 20, 2000
    halves = [
        Transitions(
            cells=random.integers(actions, size=rows),
            rewards=random.normal(size=rows),
            next_states=np.zeros(rows, dtype=int),
            terminated=np.zeros(rows, dtype=bool),
            state_count=1,
            action_count=actions,
        )
        for _ in range(2)
    ]
    settings = Settings(0.9, anchored=False)
    double = conclude(halves, settings, solve(halves, settings))[0].mean()
    single = solve([halves[0]], settings).values.mean()
    assert single > 0.8
    assert abs(double) < 0.5 * single


def test_a_frozen_policy_converges_whatever_it_did_before() -> None:
    world = chain(slip=0.2)
    part = enumerated(world, np.tile([0.5, 0.5], (5, 1)), copies=5)
    settings = Settings(0.95, anchored=True, pessimism=1.0)
    solution = solve([part], settings, sweeps=900, freeze=1)
    assert solution.residual < 1e-9
    assert solution.changes == 0
