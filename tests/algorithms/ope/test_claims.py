"""Exact arithmetic for every registered estimator: its mean over all logs, and its value on a log without luck."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from algorithms.ope.overlap import NO_RULE
from algorithms.ope.registry import ESTIMATORS, NEEDS_MODEL, NEEDS_STATE_RATIOS, SINGLE_DECISION, estimators_for
from envs.errors import DataError
from tests.algorithms.ope.claims import CLAIMS, longest, that

EPISODES = 3
TARGETS = {
    "stochastic": np.array([[0.2, 0.8], [0.9, 0.1], [0.5, 0.5]]),
    "greedy": np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]),
}


def value(name, trajectories):
    return ESTIMATORS[name](trajectories, overlap=NO_RULE).value


def wrong_model(world, seed=0, size=10.0):
    """A model that knows nothing; only Q_0 = 0 is right."""
    q = np.random.default_rng(seed).normal(size=(world.horizon + 1, *world.base.shape)) * size
    q[0] = 0.0
    return q


def test_every_registered_estimator_states_its_claims():
    assert list(CLAIMS) == list(ESTIMATORS)
    assert {CLAIMS[name].close_to for name in that(exact="error")} <= set(that(exact="any"))


def test_what_does_not_answer_at_a_horizon_or_without_state_ratios_is_left_out(world):
    assert set(ESTIMATORS) - set(estimators_for(1)) == NEEDS_STATE_RATIOS
    assert estimators_for(1, state_ratios=True) == estimators_for(1)
    assert set(ESTIMATORS) - set(estimators_for(2)) == SINGLE_DECISION | NEEDS_STATE_RATIOS
    assert set(ESTIMATORS) - set(estimators_for(2, state_ratios=True)) == SINGLE_DECISION
    policy = TARGETS["stochastic"]
    log = world.trajectories(world.enumerate(policy), policy, policy, world.q_values(policy))
    for name in SINGLE_DECISION:
        with pytest.raises(DataError, match=f"{name} is for single decisions.*use doubly_robust, weighted"):
            ESTIMATORS[name](log)
    for name in NEEDS_STATE_RATIOS:
        with pytest.raises(DataError, match=f"{name}: no state ratios.*fit them first"):
            ESTIMATORS[name](replace(log, state_log_ratios=None))


@pytest.fixture(scope="module")
def tiny(world):
    """Two states, two decisions and endings: few enough trajectories that every log of three can be written down."""
    return replace(
        world,
        start=np.array([1.0, 0.0]),
        move=np.array([[[0.4, 0.6], [0.8, 0.2]], [[0.5, 0.5], [0.3, 0.7]]]),
        end=np.array([[0.0, 0.3], [0.1, 0.2]]),
        base=np.array([[1.0, -2.0], [0.5, 3.0]]),
        horizon=2,
        noise=0.0,
    )


def mean_over_all_logs(name, world, target):
    """Σ over all logs of probability times value, and the sum of the probabilities."""
    behaviour = np.array([[0.7, 0.3], [0.2, 0.8]])
    batch = world.enumerate(behaviour)
    keys = np.column_stack([batch.states, batch.actions, batch.terminated])
    _, first, code = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    chance, distinct = np.bincount(code.ravel(), weights=batch.probability), batch.take(first)
    model = wrong_model(world, size=2.0)
    total = mean = 0.0
    for log in itertools.combinations_with_replacement(range(len(chance)), EPISODES):
        orders = math.factorial(EPISODES) / math.prod(math.factorial(count) for count in np.bincount(log))
        probability = orders * math.prod(chance[list(log)])
        trajectories = world.trajectories(distinct.take(np.array(log)), behaviour, target, model)
        mean += probability * value(name, trajectories)
        total += probability
    return mean, total


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_mean_over_all_logs_is_the_value_where_that_is_claimed_and_only_there(tiny, name):
    world = replace(tiny, horizon=longest(name, 2))
    stochastic, greedy = TARGETS["stochastic"][:2], TARGETS["greedy"][:2]
    mean, total = mean_over_all_logs(name, world, stochastic)
    assert total == pytest.approx(1.0, abs=1e-12)
    if CLAIMS[name].unbiased:
        assert mean == pytest.approx(world.value(stochastic), abs=1e-12)
        assert mean_over_all_logs(name, world, greedy)[0] == pytest.approx(world.value(greedy), abs=1e-12)
    else:
        assert abs(mean - world.value(stochastic)) > 0.1


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_what_a_log_without_luck_gives(dyadic, name, target):
    """The frequencies of this log are the probabilities: what is not the value on it, is not consistent."""
    claims, policy = CLAIMS[name], TARGETS[target]
    world = replace(dyadic, horizon=longest(name, 3))
    behaviour = np.array([[0.5, 0.5], [0.25, 0.75], [0.5, 0.5]])
    batch, truth = world.frequency_log(behaviour), world.value(policy)

    def on(log, model, of=name):
        return ESTIMATORS[of](world.trajectories(log, behaviour, policy, model), overlap=NO_RULE)

    wrong = wrong_model(world)
    if claims.exact == "any":
        assert on(batch, wrong).value == pytest.approx(truth, abs=1e-10)
    if claims.exact == "model":
        assert abs(on(batch, wrong).value - truth) > 0.1
    if name in NEEDS_MODEL:
        assert on(batch, world.q_values(policy)).value == pytest.approx(truth, abs=1e-10)
    if claims.exact == "error":
        many = batch.take(np.tile(np.arange(len(batch.actions)), 16_384 // len(batch.actions)))
        whole = on(many, wrong, claims.close_to)
        assert whole.value == pytest.approx(truth, abs=1e-10)
        assert abs(on(many, wrong).value - truth) <= claims.errors * whole.diagnostics["standard_error"]
