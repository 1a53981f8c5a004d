"""Every estimator at the edges: masks, greedy targets, ragged and long episodes, one unit, none, no overlap at all."""

from dataclasses import replace

import numpy as np
import pytest

from algorithms.ope.importance_sampling import NO_OVERLAP
from algorithms.ope.overlap import NO_RULE
from algorithms.ope.padding import trajectories_from
from algorithms.ope.registry import ESTIMATORS, NEEDS_MODEL, estimators_for
from algorithms.ope.trajectories import Trajectories
from envs.errors import DataError
from tests.algorithms.ope.claims import CLAIMS, longest, that

pytestmark = pytest.mark.filterwarnings("error")

GREEDY = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
MASKED = {
    "allowed": np.array([[True, False], [True, True], [True, True]]),
    "behaviour": np.array([[1.0, 0.0], [0.25, 0.75], [0.5, 0.5]]),
    "stochastic": np.array([[1.0, 0.0], [0.5, 0.5], [0.1, 0.9]]),
    "greedy": GREEDY,
}


@pytest.mark.parametrize("target", ["stochastic", "greedy"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_masked_actions_are_never_missed(dyadic, name, target):
    """A state with one allowed action, through the dataset; the log's frequencies are the probabilities."""
    world, behaviour, policy = replace(dyadic, horizon=longest(name, 3)), MASKED["behaviour"], MASKED[target]
    batch = world.frequency_log(behaviour)
    dataset = world.dataset(batch, behaviour)
    states = dataset.observations[dataset.rows, 0].astype(int)
    allowed = dataset.allowed.copy()
    allowed[dataset.rows] = MASKED["allowed"][states]
    dataset = replace(dataset, allowed=allowed)
    assert not allowed.all() and not policy[states][~allowed[dataset.rows]].any()
    model = world.trajectories(batch, behaviour, policy, world.q_values(policy))
    read = trajectories_from(
        dataset, policy[states], q=model.q_values, v=model.v_values, state_log_ratios=model.state_log_ratios
    )
    found = ESTIMATORS[name](read, overlap=NO_RULE)
    assert found.value == ESTIMATORS[name](model, overlap=NO_RULE).value
    room = CLAIMS[name].errors * found.diagnostics["standard_error"] if CLAIMS[name].close_to == "pdis" else 1e-10
    assert found.value == pytest.approx(world.value(policy), abs=room)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_greedy_policy_has_a_number_and_an_interval(bigger, name):
    """Weights of 0 from the first step that it would not have taken, and never back."""
    world = replace(bigger, horizon=longest(name, 4))
    behaviour = 0.76 * np.eye(3)[[0, 1, 2, 0]] + 0.08
    policy = np.eye(3)[[0, 1, 2, 0]]
    batch = world.draw(behaviour, 2_000, np.random.default_rng(4))
    trajectories = world.trajectories(batch, behaviour, policy, world.q_values(policy) * 0.8)
    gone = np.isneginf(trajectories.log_ratios)
    assert gone.any() and not trajectories.cumulative_weights[np.cumsum(gone, axis=1) > 0].any()
    found = ESTIMATORS[name](trajectories)
    assert not found.refused and found.lower < found.value < found.upper
    if CLAIMS[name].units:
        assert abs(found.value - world.value(policy)) < 1.5 * (found.upper - found.lower)


@pytest.mark.parametrize("name", estimators_for(200, state_ratios=True))
def test_two_hundred_decisions_near_the_logs_policy(bigger, name):
    """A small step over a long horizon: 2 % of another rule at each decision."""
    world = replace(bigger, horizon=200)
    rule, other = np.eye(3)[[0, 1, 2, 0]], np.eye(3)[[1, 2, 0, 1]]
    behaviour = 0.7 * rule + 0.1
    policy = 0.98 * behaviour + 0.02 * (0.7 * other + 0.1)
    batch = world.draw(behaviour, 2_000, np.random.default_rng(1))
    assert 1 < np.median(batch.active.sum(axis=1)) < 200 == batch.active.sum(axis=1).max()
    found = ESTIMATORS[name](world.trajectories(batch, behaviour, policy, world.q_values(policy) * 0.9))
    assert not found.refused and found.effective_sample_size > 1_000
    if CLAIMS[name].units:
        assert abs(found.value - world.value(policy)) < 1.5 * (found.upper - found.lower)


def some(episodes, *, log_ratio=0.0):
    """Single decisions that all weigh the same."""
    column = np.ones((episodes, 1))
    rewards = np.arange(episodes, dtype=float)[:, None]
    v = np.hstack([0.2 * column, 0.0 * column])
    return Trajectories(rewards, log_ratio * column, column > 0, 1.0, 0.1 * column, v, 0.0 * column)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_one_episode_has_a_value_and_no_interval(name):
    found = ESTIMATORS[name](some(1), overlap=NO_RULE)
    assert np.isfinite(found.value) and found.units == 1
    assert np.isnan([found.lower, found.upper, found.diagnostics["standard_error"]]).all()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_no_episode_is_an_error(name):
    with pytest.raises(DataError, match="no episode"):
        ESTIMATORS[name](some(0))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_policy_that_takes_no_logged_action(name):
    """What divides by the sum of weights has no number, even by force; the others know the sum: it is 0."""
    found = ESTIMATORS[name](some(500, log_ratio=-np.inf), force=True)
    assert found.effective_sample_size == 0
    if name in that(up_to_a_factor=True, unbiased=False) and CLAIMS[name].units:
        assert found.refused == NO_OVERLAP and np.isnan([found.value, found.lower, found.upper]).all()
    else:
        assert found.value == (0.2 if name in NEEDS_MODEL else 0.0)
        assert "effective sample size 0 of 500 units" in found.refused or not CLAIMS[name].units


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_weight_beyond_the_floats_is_refused_by_its_overlap(name):
    """One propensity of 10⁻³²⁰: the number is refused, never an exception and never a silent infinity."""
    log_ratios = np.zeros((500, 1))
    log_ratios[0] = 320 * np.log(10)
    with np.errstate(over="ignore", invalid="ignore"):
        found = ESTIMATORS[name](replace(some(500), log_ratios=log_ratios))
    assert found.effective_sample_size == pytest.approx(1.0)
    needed = CLAIMS[name].units
    assert not needed or found.refused.startswith("overlap too small: effective sample size 1.0 of 500")
    assert np.isfinite(found.value) == (not needed)
