"""Fitted Q evaluation against dynamic programming, endings of both kinds, and what it never reads."""

import time

import numpy as np
import pytest

from algorithms.ope.cross_fitting import cross_fit
from algorithms.ope.direct_method import direct_method
from algorithms.ope.doubly_robust import doubly_robust
from algorithms.ope.fitted_q_evaluation import fit_q, return_bounds
from algorithms.ope.overlap import NO_RULE
from algorithms.ope.padding import censored, pad, trajectories_from
from algorithms.ope.state_action_models import LinearModel, TabularModel
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


@pytest.mark.parametrize(("kind", "horizon", "policies", "limit"), [("linear", 12, 16, 3.0), ("table", 200, 8, 2.0)])
def test_many_policies_at_once_are_fast(kind, horizon, policies, limit):
    """20,000 rows, six actions; the limits are generous factors of what one core needs."""
    rng = np.random.default_rng(2)
    count, actions = 20_000, 6
    states = rng.integers(0, 500, 2 * count)
    model = (
        LinearModel(rng.normal(size=(2 * count, 100)), actions)
        if kind == "linear"
        else TabularModel(states, 500, actions)
    )
    rows = np.arange(0, 2 * count, 2)
    probabilities = rng.dirichlet(np.ones(actions), (policies, 2 * count))
    arguments = (rng.integers(0, actions, count), rng.normal(size=count))
    started = time.process_time()
    fit_q(
        model,
        rows=rows,
        actions=arguments[0],
        rewards=arguments[1],
        terminated=np.zeros(count, dtype=bool),
        next_rows=rows + 1,
        next_valid=np.ones(count, dtype=bool),
        probabilities=probabilities,
        horizon=horizon,
        reward_range=(-5, 5),
    )
    assert time.process_time() - started < limit


def test_cross_fitting_never_reads_the_unit_it_is_applied_to(bigger):
    """Poisoned rewards of a unit must not reach that unit's own model values, and must reach others'."""
    from dataclasses import replace

    behaviour = np.full((4, 3), 1 / 3)
    dataset = bigger.dataset(bigger.draw(behaviour, 120, np.random.default_rng(3)), behaviour)
    dataset = replace(dataset, units=(np.arange(120) // 3).astype(str))
    dataset = replace(dataset, specification=replace(dataset.specification, reward_range=None))
    states = all_states(dataset)
    model = TabularModel(states, 4, 3)
    probabilities = at_rows(behaviour[None], states)
    evaluated = np.arange(120) < 90
    always = np.arange(120) >= 80  # episode 89 and 80 … 88 are both evaluated and always fitted on

    def values(rewards, folds):
        return cross_fit(
            model, replace(dataset, rewards=rewards), probabilities, evaluated=evaluated, always=always, folds=folds
        )

    plain, _ = values(dataset.rewards, 5)
    for episode in (0, 40, 85):
        poisoned = dataset.rewards.copy()
        same = dataset.units[dataset.episode_index] == dataset.units[episode]
        poisoned[same] += 1e6
        q, _ = values(poisoned, 5)
        group = np.flatnonzero(dataset.units[:90] == dataset.units[episode])
        assert np.array_equal(q[:, group], plain[:, group])
        assert np.abs(q - plain).max() > 1e3
    alone, _ = values(dataset.rewards, 0)
    poisoned = np.where(dataset.episode_index < 79, 1e6, dataset.rewards)
    assert np.array_equal(values(poisoned, 0)[0], alone)


def test_cross_fit_agrees_with_fit_and_evaluate(bigger):
    behaviour = np.full((4, 3), 1 / 3)
    dataset = bigger.dataset(bigger.draw(behaviour, 100, np.random.default_rng(4)), behaviour)
    states = all_states(dataset)
    model = TabularModel(states, 4, 3)
    policies = np.random.default_rng(5).dirichlet(np.ones(3), (2, 4))
    probabilities = at_rows(policies, states)
    evaluated = np.arange(100) >= 60
    q, v = cross_fit(model, dataset, probabilities, evaluated=evaluated, always=~evaluated, folds=0)
    train = dataset.select_episodes(~evaluated)
    assert q.shape == (2, 40, 8) and v.shape == (2, 40, 9)
    use = ~evaluated[dataset.episode_index]
    functions = fit(
        dataset,
        model,
        probabilities,
        rows=dataset.rows[use],
        actions=dataset.actions[use],
        rewards=dataset.rewards[use],
        terminated=dataset.terminated[use],
        next_rows=dataset.rows[use] + 1,
        next_valid=dataset.next_known[use],
        reward_range=dataset.specification.reward_range,
    )
    assert train.episode_count == 60
    here = ~use
    rows = dataset.rows[here]
    expected_q, expected_v = functions.evaluate(
        rows, 8 - dataset.steps[here], dataset.actions[here], probabilities[:, rows]
    )
    padding = dataset.select_episodes(evaluated)
    for policy in range(2):
        assert q[policy] == pytest.approx(pad(padding, expected_q[policy], 8))
        assert v[policy, :, :8] == pytest.approx(pad(padding, expected_v[policy], 8))
    assert np.all(v[:, :, 8] == 0)


def test_a_cut_episode_carries_the_models_value_of_what_was_cut_off(bigger):
    """Cut after three of eight steps: v holds V̂_5 where the state is known, and the last step goes where not."""
    from dataclasses import replace

    behaviour = np.full((4, 3), 1 / 3)
    short = bigger.draw(behaviour, 50, np.random.default_rng(6))
    short.active[:, 3:] = False
    short.terminated[:] = False
    whole = short.active.sum(axis=1) == 3
    for known in (True, False):
        dataset = bigger.dataset(short, behaviour, end_known=known)
        states = all_states(dataset)
        probabilities = at_rows(behaviour[None], states)
        everyone = np.ones(50, dtype=bool)
        q, v = cross_fit(TabularModel(states, 4, 3), dataset, probabilities, evaluated=everyone, folds=2)
        trajectories = trajectories_from(dataset, probabilities[0, dataset.rows], q=q[0], v=v[0])
        assert censored(dataset).all()
        assert np.array_equal(v[0, whole, 3] != 0, np.full(whole.sum(), known))
        assert trajectories.active[whole].sum(axis=1) == pytest.approx(3 if known else 2)
        # With every weight 1, the estimate is the rewards that count and the model's value of the rest.
        steps = trajectories.active.sum(axis=1)
        tail = trajectories.v_values[np.arange(50), steps]
        residual = (q[0] - trajectories.v_values[:, :-1])[trajectories.active].sum()
        total = (trajectories.rewards.sum() + tail.sum() - residual) / 50
        assert doubly_robust(trajectories, overlap=NO_RULE).value == pytest.approx(total)
    missing = replace(dataset, propensities=np.where(np.arange(len(dataset)) == 3, np.nan, dataset.propensities))
    with pytest.raises(DataError, match=r"1 of .* decisions have no propensity"):
        trajectories_from(missing, probabilities[0, dataset.rows])
