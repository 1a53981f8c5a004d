"""Fitted Q evaluation against dynamic programming, endings of both kinds, shrinkage, clipping, speed."""

import numpy as np
import pytest

from algorithms.ope.direct_method import direct_method
from algorithms.ope.doubly_robust import doubly_robust
from algorithms.ope.fitted_q_evaluation import fit_q, return_bounds
from algorithms.ope.linear_model import LinearModel
from algorithms.ope.overlap import NO_RULE
from algorithms.ope.padding import pad, trajectories_from
from algorithms.ope.state_action_models import TabularModel
from envs.errors import DataError

TARGETS = np.array([[[0.2, 0.8], [0.9, 0.1], [0.5, 0.5]], [[1.0, 0.0], [0.0, 1.0], [0.3, 0.7]]])


def all_states(dataset):
    return np.where(np.isnan(dataset.observations[:, 0]), -1, dataset.observations[:, 0]).astype(np.int64)


def at_rows(policies, states):
    """Policies (P, S, A) at rows (P, M, A), NaN where the state is not known."""
    probabilities = policies[:, np.maximum(states, 0)].copy()
    probabilities[:, states < 0] = np.nan
    return probabilities


def model_of(kind, states, count, actions, tiny=1e-10):
    if kind == "table":
        return TabularModel(states, count, actions, shrinkage=0.0)
    features = np.eye(count)[np.maximum(states, 0)][:, 1:]  # with the intercept, one column per state
    features[states < 0] = np.nan
    return LinearModel(features, actions, ridge=tiny)


def fit(dataset, model, probabilities, **changes):
    arguments = {
        "rows": dataset.rows,
        "actions": dataset.actions,
        "rewards": dataset.rewards,
        "terminated": dataset.terminated,
        "next_rows": dataset.rows + 1,
        "next_valid": dataset.next_known,
        "probabilities": probabilities,
        "horizon": dataset.specification.horizon,
        "discount": dataset.specification.discount,
    }
    return fit_q(model, **(arguments | changes))


@pytest.mark.parametrize("kind", ["table", "linear"])
def test_equals_dynamic_programming_on_a_log_with_exact_frequencies(exact_log, kind):
    """Both policies at once; the last rows, whose next state is unknown, must be left out for this to hold."""
    world, behaviour, batch = exact_log
    dataset = world.dataset(batch, behaviour)
    states = all_states(dataset)
    functions = fit(dataset, model_of(kind, states, 3, 2), at_rows(TARGETS, states))
    tolerance = 1e-10 if kind == "table" else 1e-6
    examples = np.array([np.flatnonzero(states == s)[0] for s in range(3)])
    for h in range(world.horizon + 1):
        for action in range(2):
            q, v = functions.evaluate(examples, np.full(3, h), np.full(3, action), TARGETS)
            for policy, target in enumerate(TARGETS):
                truth = world.q_values(target)[h]
                assert q[policy] == pytest.approx(truth[:, action], abs=tolerance)
                assert v[policy] == pytest.approx((truth * target).sum(axis=1), abs=tolerance)


def test_the_direct_method_is_exact_when_the_model_is(exact_log):
    world, behaviour, batch = exact_log
    dataset = world.dataset(batch, behaviour)
    states = all_states(dataset)
    probabilities = at_rows(TARGETS, states)
    functions = fit(dataset, model_of("table", states, 3, 2), probabilities)
    to_go = world.horizon - dataset.steps
    q, v = functions.evaluate(dataset.rows, to_go, dataset.actions, probabilities[:, dataset.rows])
    for policy, target in enumerate(TARGETS):
        trajectories = trajectories_from(
            dataset,
            probabilities[policy, dataset.rows],
            q=pad(dataset, q[policy], world.horizon),
            v=np.pad(pad(dataset, v[policy], world.horizon), ((0, 0), (0, 1))),
        )
        for estimator in (direct_method, doubly_robust):
            assert estimator(trajectories, overlap=NO_RULE).value == pytest.approx(world.value(target), abs=1e-10)


@pytest.mark.parametrize("kind", ["table", "linear"])
def test_a_termination_ends_all_reward_and_a_truncation_does_not(kind):
    """One state, one action, reward 1: h when the row was cut, 1 when it terminated."""
    states = np.zeros(40, dtype=np.int64)
    rows = np.arange(0, 40, 2)
    common = {
        "rows": rows,
        "actions": np.zeros(20, dtype=np.int64),
        "rewards": np.ones(20),
        "next_rows": rows + 1,
        "next_valid": np.ones(20, dtype=bool),
        "probabilities": np.ones((1, 40, 1)),
        "horizon": 5,
    }
    for terminated, expected in ((np.zeros(20, dtype=bool), [1, 2, 3, 4, 5]), (np.ones(20, dtype=bool), [1] * 5)):
        model = model_of(kind, states, 1, 1)
        functions = fit_q(model, terminated=terminated, **common)
        q, v = functions.evaluate(rows[:5], np.arange(1, 6), np.zeros(5, dtype=np.int64), np.ones((1, 5, 1)))
        assert q[0] == pytest.approx(expected, abs=1e-6)
        assert v[0] == pytest.approx(expected, abs=1e-6)


def test_a_terminated_row_needs_no_next_observation(exact_log):
    """With NaN everywhere behind an end, nothing becomes NaN, and terminated rows still count."""
    world, behaviour, batch = exact_log
    dataset = world.dataset(batch, behaviour)
    states = all_states(dataset)
    for kind in ("table", "linear"):
        model = model_of(kind, states, 3, 2)
        functions = fit(dataset, model, at_rows(TARGETS, states))
        assert all(np.isfinite(array).all() for array in functions.coefficients)


def test_the_sparse_sums_equal_row_by_row_regression():
    """Probabilities that differ between rows of one state (relative policies) are not averaged away wrongly."""
    rng = np.random.default_rng(0)
    rows = np.arange(0, 600, 2)
    states = rng.integers(-1, 6, 600)
    probabilities = rng.dirichlet(np.ones(3), (2, 600))
    arguments = {
        "rows": rows,
        "actions": rng.integers(0, 3, 300),
        "rewards": rng.normal(size=300),
        "terminated": rng.random(300) < 0.1,
        "next_rows": rows + 1,
        "next_valid": rng.random(300) < 0.95,
    }
    model = TabularModel(states, 6, 3, shrinkage=0.7)
    functions = fit_q(model, probabilities=probabilities, horizon=4, discount=0.9, reward_range=(-1, 1), **arguments)
    keep = arguments["terminated"] | arguments["next_valid"]
    coded = np.where(states < 0, 6, states)
    table = np.zeros((2, 7, 3))
    for h in range(1, 5):
        bounds = return_bounds((-1, 1), h - 1, 0.9) if h > 1 else (0, 0)
        for policy in range(2):
            clipped = np.clip(table[policy], *bounds)
            following = (clipped[coded[rows + 1]] * probabilities[policy, rows + 1]).sum(axis=1)
            targets = (arguments["rewards"] + 0.9 * ~arguments["terminated"] * following)[keep]
            fresh = np.zeros((7, 3))
            for state in range(7):
                inside = coded[rows[keep]] == state
                mean = (targets[inside].sum() + 0.7 * targets.mean()) / (inside.sum() + 0.7)
                for action in range(3):
                    cell = inside & (arguments["actions"][keep] == action)
                    fresh[state, action] = (targets[cell].sum() + 0.7 * mean) / (cell.sum() + 0.7)
            table[policy] = fresh
        assert functions.coefficients[h - 1] == pytest.approx(table, abs=1e-10)


def test_rare_actions_take_the_value_of_their_state_not_zero():
    rng = np.random.default_rng(1)
    rows = np.arange(0, 400, 2)
    states = rng.integers(0, 2, 400)
    arguments = {
        "rows": rows,
        "actions": np.zeros(200, dtype=np.int64),
        "rewards": -200.0 + 10 * states[rows],
        "terminated": np.ones(200, dtype=bool),
        "next_rows": rows + 1,
        "next_valid": np.ones(200, dtype=bool),
        "probabilities": np.full((1, 400, 2), 0.5),
        "horizon": 1,
    }
    features = np.eye(2)[states]
    for model in (TabularModel(states, 2, 2), LinearModel(features, 2)):
        q, _ = fit_q(model, **arguments).evaluate(
            rows, np.ones(200, dtype=np.int64), np.ones(200, dtype=np.int64), np.full((1, 200, 2), 0.5)
        )
        assert q[0] == pytest.approx(arguments["rewards"], abs=0.2)


def test_values_are_clipped_to_what_rewards_can_sum_to():
    assert return_bounds((-60, 0), 12, 1.0) == (-720, 0)
    assert return_bounds((1, 2), 3, 1.0) == (1, 6)
    assert return_bounds((-2, -1), 3, 0.5) == (-3.5, -1)
    assert return_bounds(None, 3, 1.0) is None
    rows = np.arange(0, 20, 2)
    functions = fit_q(
        TabularModel(np.zeros(20, dtype=np.int64), 1, 1),
        rows=rows,
        actions=np.zeros(10, dtype=np.int64),
        rewards=np.full(10, 7.0),
        terminated=np.zeros(10, dtype=bool),
        next_rows=rows + 1,
        next_valid=np.ones(10, dtype=bool),
        probabilities=np.ones((1, 20, 1)),
        horizon=4,
        reward_range=(0, 1),
    )
    q, _ = functions.evaluate(rows[:1], np.array([4]), np.array([0]), np.ones((1, 1, 1)))
    assert q[0, 0] == 4.0


def test_errors_say_what_to_do():
    with pytest.raises(DataError, match="encode with one encoder"):
        TabularModel(np.array([0, 3]), 3, 2)
    with pytest.raises(DataError, match="no transition"):
        fit_q(
            TabularModel(np.array([0]), 1, 1),
            rows=np.zeros(1, dtype=np.int64),
            actions=np.zeros(1, dtype=np.int64),
            rewards=np.zeros(1),
            terminated=np.zeros(1, dtype=bool),
            next_rows=np.zeros(1, dtype=np.int64),
            next_valid=np.zeros(1, dtype=bool),
            probabilities=np.ones((1, 1, 1)),
            horizon=2,
        )
