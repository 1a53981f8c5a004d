"""Tabular fitted Q evaluation is exactly the value of the empirical decision process: matrices against sweeps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.ope.cross_fitting import cross_fit
from algorithms.ope.fitted_q_evaluation import QFunctions, fit_q
from algorithms.ope.state_action_models import TabularModel
from envs.dataset import Dataset

STATES, ACTIONS = 4, 3


def closed_form(dataset: Dataset, policy: np.ndarray, horizon: int | None, discount: float) -> np.ndarray:
    """Q (S, A) of the maximum-likelihood process: Σ_{k<H} (γ P̂ Π)ᵏ r̂, or (I - γ P̂ Π)⁻¹ r̂ without a horizon."""
    state = dataset.observations[dataset.rows, 0].astype(np.int64)
    use = dataset.terminated | dataset.next_known
    cells = state[use] * ACTIONS + dataset.actions[use]
    counts = np.bincount(cells, minlength=STATES * ACTIONS)
    assert counts.min() > 0
    rewards = np.bincount(cells, weights=dataset.rewards[use], minlength=STATES * ACTIONS) / counts
    moves = np.zeros((STATES * ACTIONS, STATES))
    going = np.flatnonzero(use & ~dataset.terminated)
    following = dataset.observations[dataset.rows[going] + 1, 0].astype(np.int64)
    np.add.at(moves, (state[going] * ACTIONS + dataset.actions[going], following), 1.0)
    choice = np.zeros((STATES, STATES * ACTIONS))
    for s in range(STATES):
        choice[s, s * ACTIONS : (s + 1) * ACTIONS] = policy[s]
    step = discount * (moves / counts[:, None]) @ choice
    if horizon is None:
        values = np.linalg.solve(np.eye(len(step)) - step, rewards)
    else:
        powers = (np.linalg.matrix_power(step, k) for k in range(horizon))
        values = np.sum([power @ rewards for power in powers], axis=0)
    return values.reshape(STATES, ACTIONS)


def fitted(dataset: Dataset, policies: np.ndarray, horizon: int, discount: float) -> QFunctions:
    """Without shrinkage and without clipping."""
    states = np.nan_to_num(dataset.observations[:, 0], nan=-1).astype(np.int64)
    return fit_q(
        TabularModel(states, STATES, ACTIONS, shrinkage=0.0),
        rows=dataset.rows,
        actions=dataset.actions,
        rewards=dataset.rewards,
        terminated=dataset.terminated,
        next_rows=dataset.rows + 1,
        next_valid=dataset.next_known,
        probabilities=policies[:, np.maximum(states, 0)],
        horizon=horizon,
        discount=discount,
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.floats(0.0, 1.0), st.booleans())
def test_it_is_the_finite_sum_of_the_empirical_process(bigger, seed, horizon, discount, end_known) -> None:
    """Any log with every action in every state, ends known or not, any horizon and discount; three policies at once."""
    rng = np.random.default_rng(seed)
    behaviour = np.full((STATES, ACTIONS), 1 / ACTIONS)
    dataset = bigger.dataset(bigger.draw(behaviour, 100, rng), behaviour, end_known=end_known)
    policies = rng.dirichlet(np.full(ACTIONS, 0.5), (3, STATES))
    functions = fitted(dataset, policies, horizon, discount)
    for policy, coefficients in zip(policies, functions.coefficients[-1], strict=True):
        wanted = closed_form(dataset, policy, horizon, discount)
        assert coefficients[:STATES] == pytest.approx(wanted, rel=1e-9, abs=1e-9)


def test_over_a_long_horizon_it_is_the_solution_of_the_linear_equations(bigger) -> None:
    rng = np.random.default_rng(1)
    behaviour = np.full((STATES, ACTIONS), 1 / ACTIONS)
    dataset = bigger.dataset(bigger.draw(behaviour, 200, rng), behaviour)
    policies = rng.dirichlet(np.ones(ACTIONS), (2, STATES))
    functions = fitted(dataset, policies, 400, 0.9)
    for policy, coefficients in zip(policies, functions.coefficients[-1], strict=True):
        assert coefficients[:STATES] == pytest.approx(closed_form(dataset, policy, None, 0.9), abs=1e-10)


def test_cross_fitted_values_are_those_of_the_process_of_the_other_folds(bigger) -> None:
    """Fitted on half of the episodes, read on the other half: V̂ of each step is the closed form's."""
    rng = np.random.default_rng(2)
    behaviour = np.full((STATES, ACTIONS), 1 / ACTIONS)
    dataset = bigger.dataset(bigger.draw(behaviour, 300, rng), behaviour)
    states = np.nan_to_num(dataset.observations[:, 0], nan=-1).astype(np.int64)
    policies = rng.dirichlet(np.ones(ACTIONS), (2, STATES))
    evaluated = np.arange(300) < 150
    q, v = cross_fit(
        TabularModel(states, STATES, ACTIONS, shrinkage=0.0),
        dataset,
        policies[:, np.maximum(states, 0)],
        evaluated=evaluated,
        always=~evaluated,
        folds=0,
    )
    others, own = dataset.select_episodes(~evaluated), dataset.select_episodes(evaluated)
    state = own.observations[own.rows, 0].astype(np.int64)
    for index, policy in enumerate(policies):
        for step in range(bigger.horizon):
            wanted = closed_form(others, policy, bigger.horizon - step, 1.0)
            here = own.steps == step
            episode = own.episode_index[here]
            assert q[index, episode, step] == pytest.approx(wanted[state[here], own.actions[here]], abs=1e-9)
            assert v[index, episode, step] == pytest.approx((wanted * policy).sum(axis=1)[state[here]], abs=1e-9)
