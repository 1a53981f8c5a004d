"""State ratios: exact where frequencies are, never from the own unit, quiet where a step has few rows."""

from dataclasses import replace

import numpy as np
import pytest

from algorithms.ope.cross_fitting import folds_of
from algorithms.ope.padding import pad, trajectories_from
from algorithms.ope.state_action_models import TabularModel
from algorithms.ope.state_ratios import cross_fit_state_ratios, ratio_states
from envs.errors import DataError
from envs.marginal_ratios import MarginalRatios
from tests.algorithms.ope.conftest import World
from tests.algorithms.ope.marginals import state_ratios
from tests.worlds import chain

TARGET = np.array([[0.2, 0.8], [0.9, 0.1], [0.5, 0.5]])


def states_of(dataset):
    """The observed integer, and one more state for ends that are not known."""
    seen = dataset.observations[:, 0]
    return np.where(np.isnan(seen), np.nanmax(seen) + 1, seen).astype(np.int64)


def at_rows(policies, states):
    """Policies (P, S, A) at all rows, (P, N + E, A)."""
    return policies[:, np.minimum(states, policies.shape[1] - 1)]


def fitted_table(dataset, policy, **settings):
    """The table (H, S) of one fit on all episodes."""
    states = states_of(dataset)
    fit = MarginalRatios(
        dataset, states, np.ones(dataset.episode_count, bool), horizon=dataset.specification.horizon, **settings
    )
    probabilities = at_rows(policy[None], states)[0][dataset.rows]
    taken = probabilities[np.arange(len(dataset)), dataset.actions]
    return fit.table(probabilities, taken / dataset.propensities)[:, : len(policy)]


@pytest.mark.parametrize("shrinkage", [0.0, 30.0, 1e12])
@pytest.mark.parametrize("target", ["stochastic", "deterministic"])
def test_exact_on_a_log_whose_frequencies_are_the_probabilities(exact_log, shrinkage, target):
    """By the steps' own rows (κ = 0), by the chains (κ → ∞), and by any mixture of both; ends included."""
    world, behaviour, batch = exact_log
    policy = TARGET if target == "stochastic" else np.eye(2)[[1, 0, 1]]
    table = fitted_table(world.dataset(batch, behaviour), policy, shrinkage=shrinkage, action_shrinkage=0.0)
    reached = state_ratios(world, behaviour, np.ones((3, 2)) / 2) > 0
    np.testing.assert_allclose(table[reached], state_ratios(world, behaviour, policy)[reached], atol=1e-9)


def test_the_policy_that_wrote_the_log_is_everywhere_as_often(bigger):
    behaviour = np.random.default_rng(1).dirichlet(np.ones(3) * 3, 4)
    dataset = bigger.dataset(bigger.draw(behaviour, 2_000, np.random.default_rng(0)), behaviour, end_known=True)
    np.testing.assert_allclose(fitted_table(dataset, behaviour, shrinkage=0.0), 1.0, atol=1e-12)
    np.testing.assert_allclose(fitted_table(dataset, behaviour), 1.0, atol=0.05)


def test_steps_that_no_episode_has_reached_are_left_to_the_chains(bigger):
    """A declared horizon is often longer than anything that was logged."""
    behaviour = np.full((4, 3), 1 / 3)
    batch = replace(bigger, horizon=3).draw(behaviour, 50, np.random.default_rng(0))
    short = replace(bigger, horizon=3).dataset(batch, behaviour, end_known=True)
    longer = replace(short, specification=replace(short.specification, horizon=6))
    policy = np.random.default_rng(1).dirichlet(np.ones(3), 4)
    table = fitted_table(longer, policy)
    np.testing.assert_array_equal(table[:3], fitted_table(short, policy))
    assert np.isfinite(table).all()


def test_a_factor_on_all_action_ratios_cancels(bigger):
    """Chance mass is taken out step by step: what a step's ratios are too high by must not reach the next."""
    behaviour = np.full((4, 3), 1 / 3)
    dataset = bigger.dataset(bigger.draw(behaviour, 200, np.random.default_rng(0)), behaviour, end_known=True)
    doubled = replace(dataset, propensities=dataset.propensities / 2.0)
    policy = np.random.default_rng(1).dirichlet(np.ones(3), 4)
    np.testing.assert_allclose(fitted_table(doubled, policy), fitted_table(dataset, policy), rtol=1e-9)


def slow(horizon=40):
    """Eight states that mostly stay; the target goes where the behaviour seldom does."""
    rng = np.random.default_rng(3)
    move = 0.8 * np.eye(8)[:, None] + 0.2 * rng.dirichlet(np.full(8, 0.3), (8, 3))
    return World(np.full(8, 1 / 8), move, np.full((8, 3), 0.005), rng.normal(size=(8, 3)), horizon, 1.0)


def test_chains_take_the_noise_out_of_counts():
    """What barred the prototype: by counts of the step alone the error of 40 steps is several times as large."""
    world, rng = slow(), np.random.default_rng(4)
    behaviour = 0.7 * np.eye(3)[rng.integers(3, size=8)] + 0.1
    target = 0.5 * behaviour + 0.5 * np.eye(3)[rng.integers(3, size=8)]
    exact, weight = state_ratios(world, behaviour, target), None
    errors = {0.0: 0.0, 30.0: 0.0}
    for seed in range(3):
        dataset = world.dataset(world.draw(behaviour, 300, np.random.default_rng(seed)), behaviour, end_known=True)
        weight = pad(dataset, np.ones(len(dataset)), world.horizon).sum(axis=0)[:, None]
        for shrinkage in errors:
            wrong = fitted_table(dataset, target, shrinkage=shrinkage) - exact
            errors[shrinkage] += float((weight * wrong**2).sum())
    assert errors[30.0] < 0.3 * errors[0.0]


def test_the_steps_own_rows_correct_chains_where_behaviour_changes_with_the_step(world):
    """Two policies wrote the log, one for the first step and one from then on: no one chain is right."""
    first, later = np.array([[0.9, 0.1]] * 3), np.array([[0.1, 0.9]] * 3)
    rng = np.random.default_rng(0)
    move = np.array([[[0.9, 0.1, 0.0], [0.0, 0.1, 0.9]]] * 3)
    short = replace(world, start=np.array([1.0, 0.0, 0.0]), move=move, end=np.zeros((3, 2)), horizon=2)
    begun, gone = short.draw(first, 20_000, rng), short.draw(later, 20_000, rng)
    # Both decisions of an episode are independent of each other here but for the state between them.
    taken = np.where(np.arange(2) == 0, begun.actions, 0)
    state = np.array([(rng.random(20_000) > 0.9).astype(int), 1 + (rng.random(20_000) > 0.1)])[
        taken[:, 0], np.arange(20_000)
    ]
    batch = replace(begun, states=np.stack([np.zeros(20_000, int), state], axis=1))
    batch.actions[:, 1] = gone.actions[:, 1]
    dataset = short.dataset(batch, later, end_known=True)
    early = dataset.steps == 0
    dataset = replace(
        dataset,
        propensities=np.where(early, first[0][dataset.actions], later[0][dataset.actions]),
    )
    exact = np.array([0.45 + 0.0, 0.1, 0.45]) / np.array([0.81, 0.1, 0.09])
    even = np.full((3, 2), 0.5)
    by_rows = fitted_table(dataset, even)[1]
    by_chains = fitted_table(dataset, even, shrinkage=1e12)[1]
    np.testing.assert_allclose(by_rows, exact, rtol=0.06)
    assert np.abs(by_chains - exact).max() > 0.5


def test_cross_fitting_never_reads_the_unit_it_is_applied_to(bigger):
    """Other actions and other states of a unit must not reach its own ratios, and must reach others'."""
    behaviour = np.full((4, 3), 1 / 3)
    dataset = bigger.dataset(bigger.draw(behaviour, 120, np.random.default_rng(3)), behaviour, end_known=True)
    dataset = replace(dataset, units=(np.arange(120) // 3).astype(str))
    states = states_of(dataset)
    policy = np.random.default_rng(0).dirichlet(np.ones(3), 4)
    evaluated, always = np.arange(120) < 90, np.arange(120) >= 80

    def tables(dataset, states, folds=5):
        """Ratios read at the original states, so that only the fit can differ."""
        found = cross_fit_state_ratios(
            TabularModel(states, 4, 3), dataset, at_rows(policy[None], states), evaluated=evaluated, always=always,
            folds=folds,
        )  # fmt: skip
        return found[0]

    plain = tables(dataset, states)
    assert plain.shape == (90, bigger.horizon)
    for episode in (0, 40, 85):
        same = dataset.units[dataset.episode_index] == dataset.units[episode]
        poisoned = replace(dataset, actions=np.where(same, 2, dataset.actions))
        found = tables(poisoned, states)
        group = np.flatnonzero(dataset.units[:90] == dataset.units[episode])
        np.testing.assert_array_equal(found[group], plain[group])
        assert np.abs(found - plain).max() > 1e-3
    alone = tables(dataset, states, folds=0)
    poisoned = replace(dataset, actions=np.where(dataset.episode_index < 78, 2, dataset.actions))
    np.testing.assert_array_equal(tables(poisoned, states, folds=0), alone)


def test_its_folds_are_those_of_the_values(bigger):
    """An episode's ratios are those of a fit on exactly the other folds' episodes."""
    behaviour = np.full((4, 3), 1 / 3)
    dataset = bigger.dataset(bigger.draw(behaviour, 60, np.random.default_rng(3)), behaviour, end_known=True)
    states, policy = states_of(dataset), np.random.default_rng(0).dirichlet(np.ones(3), 4)
    every = np.ones(60, dtype=bool)
    found = cross_fit_state_ratios(
        TabularModel(states, 4, 3), dataset, at_rows(policy[None], states), evaluated=every, folds=4, seed=7
    )[0]
    own = folds_of(dataset.units, 4, seed=7) == 2
    fit = MarginalRatios(dataset, states, ~own, horizon=bigger.horizon)
    probabilities = policy[states[dataset.rows]]
    table = fit.table(probabilities, probabilities[np.arange(len(dataset)), dataset.actions] / dataset.propensities)
    at = pad(dataset, states[dataset.rows], bigger.horizon)[own]
    active = pad(dataset, np.ones(len(dataset), bool), bigger.horizon)[own]
    np.testing.assert_allclose(found[own], np.where(active, np.log(table[np.arange(bigger.horizon), at]), 0.0))


def test_cut_episodes_unknown_ends_and_never_taken_actions(bigger):
    behaviour = np.array([[0.5, 0.5, 0.0]] * 4)
    batch = bigger.draw(behaviour, 100, np.random.default_rng(3))
    batch.active[::2, 5:] = False
    dataset = bigger.dataset(batch, behaviour)
    dataset = replace(dataset, terminated=np.zeros(len(dataset), bool))
    seen = dataset.observations[:, 0]
    states = np.where(np.isnan(seen), -1, seen).astype(np.int64)
    policy = np.array([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    probabilities = policy[np.maximum(states, 0)][None]
    every = np.ones(100, dtype=bool)
    found = cross_fit_state_ratios(TabularModel(states, 4, 3), dataset, probabilities, evaluated=every)
    assert not np.isnan(found).any() and not np.isposinf(found).any()
    assert np.all(found[:, ::2, 5:] == 0.0)
    trajectories = trajectories_from(dataset, probabilities[0][dataset.rows], state_log_ratios=found[0], markov=True)
    assert trajectories.markov and np.array_equal(trajectories.state_log_ratios, found[0])


def test_states_are_the_observations_where_they_are_few_and_cells_elsewhere():
    dataset = chain(5, horizon=6, vector=True, noise=0.1).log(np.full((5, 2), 0.5), 200, 0)
    every = np.ones(200, dtype=bool)
    exact = ratio_states(dataset, every)
    distinct = np.unique(dataset.observations, axis=0, return_inverse=True)[1].ravel()
    assert np.array_equal(np.unique(np.stack([exact.states, distinct]), axis=1)[0], np.arange(5))
    jittered = dataset.observations + np.random.default_rng(0).normal(size=dataset.observations.shape) * 0.01
    cells = ratio_states(replace(dataset, observations=jittered), every)
    assert 5 < cells.state_count < 100


def test_errors_name_what_is_wrong(bigger):
    behaviour = np.full((4, 3), 1 / 3)
    dataset = bigger.dataset(bigger.draw(behaviour, 20, np.random.default_rng(3)), behaviour, end_known=True)
    states = states_of(dataset)
    model, every = TabularModel(states, 4, 3), np.ones(20, dtype=bool)
    with pytest.raises(DataError, match="ends included"):
        cross_fit_state_ratios(model, dataset, behaviour[states[dataset.rows]][None], evaluated=every)
    with pytest.raises(DataError, match="no episode to fit on"):
        cross_fit_state_ratios(model, dataset, behaviour[states][None], evaluated=every, folds=0)
    with pytest.raises(DataError, match="state ratios have shape"):
        trajectories_from(dataset, behaviour[states[dataset.rows]], state_log_ratios=np.zeros((20, 3)))
