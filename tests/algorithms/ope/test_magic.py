"""MAGIC: the mixture is the least one, its parts are the paper's returns, and it leaves a model that is wrong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.ope.magic import j_step_returns, magic, magic_mixture, simplex_minimum
from algorithms.ope.overlap import NO_RULE
from algorithms.ope.weighted_doubly_robust import weighted_doubly_robust
from tests.algorithms.ope.test_invariances import random_trajectories

BEHAVIOUR = np.array([[0.7, 0.3], [0.4, 0.6], [0.15, 0.85]])
TARGET = np.array([[0.5, 0.5], [0.6, 0.4], [0.3, 0.7]])


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 9))
def test_no_mixture_has_a_smaller_error(seed, size, rank):
    """x is the least on the simplex if and only if every (A x)_j is at least xᵀ A x."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(rank, size)) * 10.0 ** rng.uniform(-1, 1, size)
    matrix = root.T @ root
    found = simplex_minimum(matrix)
    assert found.min() >= 0 and found.sum() == pytest.approx(1.0)
    least = found @ matrix @ found
    assert np.all(matrix @ found >= least - 1e-9 * np.diag(matrix).max())


def test_parts_without_an_error_are_taken_whole():
    assert simplex_minimum(np.diag([4.0, 1.0])) == pytest.approx([0.2, 0.8])
    assert simplex_minimum(np.diag([4.0, 0.0, 1.0])) == pytest.approx([0.0, 1.0, 0.0])


@pytest.mark.parametrize("seed", range(5))
def test_the_parts_are_the_j_step_returns(seed):
    """Thomas & Brunskill (2016): rewards up to j, V̂ after it, and a control variate per step."""
    trajectories = random_trajectories(seed)
    count, horizon, gamma = len(trajectories), trajectories.horizon, trajectories.discount
    weights = trajectories.cumulative_weights
    w = np.column_stack([np.full(count, 1 / count), weights / weights.sum(axis=0)])  # w[:, t + 1] is of step t
    q, v, r = trajectories.q_values, trajectories.v_values, trajectories.rewards
    returns = j_step_returns(trajectories).mean(axis=0)
    for j in range(-1, horizon):
        expected = gamma ** (j + 1) * (w[:, j + 1] @ v[:, j + 1])
        for t in range(j + 1):
            expected += gamma**t * (w[:, t + 1] @ r[:, t] - w[:, t + 1] @ q[:, t] + w[:, t] @ v[:, t])
        assert returns[j + 1] == pytest.approx(expected, abs=1e-12)
    assert returns[0] == pytest.approx(v[:, 0].mean())
    assert returns[-1] == pytest.approx(weighted_doubly_robust(trajectories, overlap=NO_RULE).value)


def logged(world, shift, episodes=4_000, seed=0):
    batch = world.draw(BEHAVIOUR, episodes, np.random.default_rng(seed))
    model = world.q_values(TARGET) + shift
    model[0] = 0.0
    return world.trajectories(batch, BEHAVIOUR, TARGET, model)


def test_an_exact_model_is_trusted_and_a_wrong_one_is_left(world):
    """By the distance to what the log says, in units of the log's own error."""
    shares, errors = [], []
    for shift in (0.0, 0.3, 3.0):
        found = magic(logged(world, shift))
        shares.append(found.diagnostics["model_share"])
        errors.append(abs(found.value - world.value(TARGET)))
    assert shares[0] > 0.9 and shares[0] > shares[1] > shares[2] and shares[2] < 0.01
    assert max(errors) < 3 * found.diagnostics["standard_error"]


def test_with_a_good_model_its_error_is_far_below_that_of_the_weights(world):
    truth = world.value(TARGET)
    logs = [logged(world, 0.02, 300, seed) for seed in range(80)]
    ours, theirs = (
        np.mean([(each(log, overlap=NO_RULE).value - truth) ** 2 for log in logs])
        for each in (magic, weighted_doubly_robust)
    )
    assert ours < 0.5 * theirs


def test_its_interval_is_that_of_the_weights_drawn_out_to_the_value(world):
    """At a bias below the log's error the mixture looks certain and is not: the interval does not believe it."""
    outside = []
    for shift, confidence in ((0.02, 0.9), (0.3, 0.9), (0.3, 0.2), (-0.3, 0.2)):
        log = logged(world, shift, 300)
        ours, whole = magic(log, confidence), weighted_doubly_robust(log, confidence)
        assert (ours.lower, ours.upper) == (min(whole.lower, ours.value), max(whole.upper, ours.value))
        assert ours.diagnostics["standard_error"] == whole.diagnostics["standard_error"]
        outside.append((ours.value < whole.lower, whole.upper < ours.value))
    assert np.any(outside, axis=0).all()


def test_units_decide_the_mixture(world):
    """Four episodes a unit: the same numbers, four times their variance, so that a wrong model is seen later."""
    log = logged(world, 0.6, 400)
    index = np.repeat(np.arange(400), 4)
    returns = j_step_returns(log)
    assert magic_mixture(returns[index], index) == pytest.approx(magic_mixture(returns, None), abs=1e-6)
    assert magic_mixture(returns[index], None)[0] < magic_mixture(returns, None)[0]
    assert magic_mixture(returns[:1], None).tolist() == [0.0] * log.horizon + [1.0]
