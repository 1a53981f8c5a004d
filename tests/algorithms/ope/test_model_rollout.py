"""Playing in a model: exact where the model can be solved, the same luck for all policies, and no interval."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

import envs.offline  # noqa: F401  (registers the environments)
from algorithms.ope.model_rollout import model_rollout, rollout_returns
from envs.errors import DataError
from envs.offline.vector_empirical_mdp import EmpiricalMDPVectorEnv
from envs.offline.vector_nearest_neighbour_mdp import NearestNeighbourMDPVectorEnv
from tests.worlds import chain, random_world


def of_states(table):
    """A policy by state (S, A); HALT takes anything."""
    table = np.vstack([table, np.full((1, table.shape[1]), 1.0 / table.shape[1])])
    return lambda rows, allowed: table[rows[:, 0].astype(int)]


def logged(seed=0, episodes=150, discount=0.9):
    world = replace(random_world(3, states=5, actions=3, horizon=6), discount=discount)
    return world, world.log(np.full((5, 3), 1 / 3), episodes, seed)


def policies(seed=1, states=5):
    return np.random.default_rng(seed).dirichlet(np.ones(3), (3, states))


def test_it_is_the_empirical_process_value_within_monte_carlo_error():
    """Against backward induction in the same model, terminations, discount and shorter horizons included."""
    _, dataset = logged()
    environment = EmpiricalMDPVectorEnv(2_000, dataset, horizon=6)
    tables = policies(states=environment.model.state_count)
    for horizon, discount in ((6, 0.9), (6, 1.0), (3, 0.9), (1, 1.0)):
        shorter = EmpiricalMDPVectorEnv(2_000, dataset, horizon=horizon) if horizon < 6 else environment
        found = model_rollout(
            [shorter], [of_states(table) for table in tables], horizon=horizon, discount=discount, runs=5
        )
        for table, estimate in zip(tables, found, strict=True):
            exact = environment.model.start_value(environment.model.evaluate(table, horizon=horizon, discount=discount))
            error = estimate.diagnostics["monte_carlo_error"]
            assert abs(estimate.value - exact) < 4 * error
            assert 0 < error < 0.02


def test_its_error_is_what_it_says_it_is():
    _, dataset = logged()
    environment = EmpiricalMDPVectorEnv(100, dataset)
    table = policies(states=environment.model.state_count)[0]
    exact = environment.model.start_value(environment.model.evaluate(table, discount=0.9))
    scores = []
    for seed in range(60):
        (found,) = model_rollout([environment], [of_states(table)], horizon=6, discount=0.9, runs=2, seed=seed)
        scores.append((found.value - exact) / found.diagnostics["monte_carlo_error"])
    assert np.std(scores) == pytest.approx(1.0, abs=0.3) and abs(np.mean(scores)) < 0.5


def test_policies_meet_the_same_luck():
    """Identical policies get identical returns; a small change is seen far beyond independent playing."""
    _, dataset = logged()
    environment = EmpiricalMDPVectorEnv(400, dataset)
    first, second = policies(states=environment.model.state_count)[:2]
    near = 0.95 * first + 0.05 * second
    found = rollout_returns(environment, [of_states(table) for table in (first, first, near)], horizon=6, runs=3)
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0, 0], found[0, 1])  # runs differ
    alone = rollout_returns(environment, [of_states(near)], horizon=6, runs=3, seed=9)[0]
    assert np.var(found[2] - found[0]) < 0.3 * np.var(alone - found[0])
    estimates = model_rollout([environment], [of_states(table) for table in (first, first, near)], horizon=6, runs=3)
    assert estimates[1].diagnostics["gain"] == 0.0 == estimates[1].diagnostics["gain_monte_carlo_error"]
    assert estimates[2].diagnostics["gain"] == pytest.approx(estimates[2].value - estimates[0].value)
    again = model_rollout([environment], [of_states(near)], horizon=6, runs=3)
    assert again[0].value == estimates[2].value


def test_only_first_episodes_count():
    """Walking right ends after one to four steps; whatever the environment begins next must not be added."""
    world = chain(5, horizon=6)
    dataset = world.log(np.full((5, 2), 0.5), 400, 0)
    environment = EmpiricalMDPVectorEnv(500, dataset)
    (found,) = model_rollout([environment], [lambda rows, allowed: np.tile([0.0, 1.0], (len(rows), 1))], horizon=6)
    steps = 4 - dataset.observations[dataset.rows[dataset.offsets[:-1]], 0]
    assert found.value == pytest.approx(float(np.mean(1.0 - 0.1 * steps)), abs=0.03)
    assert found.value <= 0.9


def test_two_models_disagree_and_say_so_and_no_interval_is_given():
    _, one = logged(0, 60)
    _, two = logged(1, 60)
    models = [EmpiricalMDPVectorEnv(400, log) for log in (one, two)]
    rows = of_states(policies(states=max(model.model.state_count for model in models))[0])
    (found,) = model_rollout(models, [rows], horizon=6, discount=0.9)
    each = [model_rollout([model], [rows], horizon=6, discount=0.9)[0].value for model in models]
    assert found.value == pytest.approx(np.mean(each))
    assert found.diagnostics["between_model_deviation"] == pytest.approx(np.std(each, ddof=1))
    assert (found.diagnostics["lowest_model"], found.diagnostics["highest_model"]) == (min(each), max(each))
    assert found.diagnostics["between_model_deviation"] > 2 * found.diagnostics["monte_carlo_error"]
    assert found.evidence == "model" and found.units == 0
    assert all(math.isnan(end) for end in (found.lower, found.upper, found.confidence, found.effective_sample_size))
    assert math.isnan(model_rollout([models[0]], [rows], horizon=6)[0].diagnostics["between_model_deviation"])


def test_raw_rows_and_masks_reach_the_policy():
    """In the nearest-neighbour model a policy decides on raw rows; near the truth where rows are states."""
    world = chain(5, slip=0.1, horizon=8, vector=True)
    dataset = world.log(np.full((5, 2), 0.5), 600, 0)
    environment = NearestNeighbourMDPVectorEnv(1_000, dataset, neighbours=50, cost=0.0)

    def right(rows, allowed):
        assert rows.shape == (1_000, 2) and allowed.dtype == bool and np.all(rows[:, 1] == -0.5 * rows[:, 0])
        return np.tile([0.0, 1.0], (len(rows), 1))

    (found,) = model_rollout([environment], [right], horizon=8)
    assert found.value == pytest.approx(world.value(np.tile([0.0, 1.0], (5, 1))), abs=0.05)
    assert json.dumps(found.diagnostics)


def test_a_shorter_environment_is_refused():
    _, dataset = logged()
    environment = EmpiricalMDPVectorEnv(20, dataset, horizon=3)
    with pytest.raises(DataError, match="cut after 3 of 6"):
        model_rollout([environment], [of_states(policies()[0])], horizon=6)
    with pytest.raises(DataError, match="no model"):
        model_rollout([], [of_states(policies()[0])], horizon=6)
