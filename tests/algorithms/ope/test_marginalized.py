"""Marginal weights: unbiased by enumeration with exact ratios and any model, or with the exact model and any ratios."""

from dataclasses import replace

import numpy as np
import pytest

from algorithms.ope.doubly_robust import doubly_robust, doubly_robust_contributions
from algorithms.ope.doubly_robust_marginalized import (
    MARGINAL_RULE,
    doubly_robust_marginalized,
    marginalized_contributions,
)
from algorithms.ope.importance_sampling import ips
from algorithms.ope.marginalized_importance_sampling import (
    marginal_weights,
    marginalized_importance_sampling,
    thinnest_step,
)
from algorithms.ope.overlap import NO_RULE, effective_sample_size
from algorithms.ope.trajectories import Trajectories
from envs.errors import DataError
from tests.algorithms.ope.marginals import state_ratios

BEHAVIOUR = np.array([[0.7, 0.3], [0.4, 0.6], [0.15, 0.85]])
TARGETS = {
    "stochastic": np.array([[0.2, 0.8], [0.9, 0.1], [0.5, 0.5]]),
    "deterministic": np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]),
    "behaviour": BEHAVIOUR,
}


def wrong_model(world, seed):
    q = np.random.default_rng(seed).normal(size=(world.horizon + 1, 3, 2)) * 10
    q[0] = 0.0
    return q


def with_ratios(world, batch, trajectories, table):
    """The trajectories with a table (H, S) of state ratios."""
    with np.errstate(divide="ignore"):
        logs = np.log(table[np.arange(world.horizon), np.maximum(batch.states, 0)])
    return replace(trajectories, state_log_ratios=np.where(batch.active, logs, 0.0))


def enumerated(world, target, q=None, table=None):
    batch = world.enumerate(BEHAVIOUR)
    table = state_ratios(world, BEHAVIOUR, target) if table is None else table
    return batch, with_ratios(world, batch, world.trajectories(batch, BEHAVIOUR, target, q), table)


@pytest.mark.parametrize("target", TARGETS)
def test_unbiased_with_exact_ratios_and_any_model(world, target):
    policy = TARGETS[target]
    for seed in range(3):
        batch, trajectories = enumerated(world, policy, wrong_model(world, seed))
        value = batch.probability @ marginalized_contributions(trajectories)
        assert value == pytest.approx(world.value(policy), abs=1e-10)
    plain = (marginal_weights(trajectories) * trajectories.rewards) @ trajectories.discounts
    assert batch.probability @ plain == pytest.approx(world.value(policy), abs=1e-10)


@pytest.mark.parametrize("target", TARGETS)
def test_unbiased_with_the_exact_model_and_any_ratios(world, target):
    policy = TARGETS[target]
    table = np.random.default_rng(1).uniform(0.1, 5.0, size=(world.horizon, 3))
    batch, trajectories = enumerated(world, policy, world.q_values(policy), table)
    value = batch.probability @ marginalized_contributions(trajectories)
    assert value == pytest.approx(world.value(policy), abs=1e-10)
    both_wrong = enumerated(world, policy, wrong_model(world, 0), table)[1]
    assert abs(batch.probability @ marginalized_contributions(both_wrong) - world.value(policy)) > 0.1


def test_what_is_left_of_both_errors_is_their_product(world):
    """A tenth of each error is a hundredth of the bias."""
    policy = TARGETS["stochastic"]
    exact, q = state_ratios(world, BEHAVIOUR, policy), world.q_values(policy)
    rng = np.random.default_rng(2)
    of_ratios, of_model = rng.normal(size=exact.shape) * 0.3 * exact, rng.normal(size=q.shape)
    of_model[0] = 0.0

    def bias(size):
        batch, found = enumerated(world, policy, q + size * of_model, exact + size * of_ratios)
        return batch.probability @ marginalized_contributions(found) - world.value(policy)

    assert abs(bias(1.0)) > 0.01
    assert bias(0.1) == pytest.approx(0.01 * bias(1.0), rel=1e-6)


def test_marginal_weights_vary_less_than_their_products(world):
    """With the exact model the variance by enumeration falls; a marginal weight is a product's mean given the state."""
    policy = TARGETS["stochastic"]
    batch, trajectories = enumerated(world, policy, world.q_values(policy))

    def variance(values):
        return batch.probability @ (values - batch.probability @ values) ** 2

    assert variance(marginalized_contributions(trajectories)) < 0.9 * variance(
        doubly_robust_contributions(trajectories)
    )


def test_one_decision_has_no_marginal(world):
    """At a horizon of 1 the state's ratio is 1: the marginal forms are IPS and doubly robust estimation."""
    short = replace(world, horizon=1)
    policy = TARGETS["stochastic"]
    batch = short.draw(BEHAVIOUR, 400, np.random.default_rng(0))
    plain = short.trajectories(batch, BEHAVIOUR, policy, wrong_model(short, 0))
    found = with_ratios(short, batch, plain, np.ones((1, 3)))
    assert marginalized_importance_sampling(found, overlap=NO_RULE).value == pytest.approx(
        ips(plain, overlap=NO_RULE).value
    )
    ours, theirs = doubly_robust_marginalized(found, overlap=NO_RULE), doubly_robust(plain, overlap=NO_RULE)
    assert (ours.value, ours.lower, ours.upper) == pytest.approx((theirs.value, theirs.lower, theirs.upper))
    assert ours.effective_sample_size == pytest.approx(theirs.effective_sample_size)


def hand_made():
    """Four units, two steps; the last two end after the first step."""
    active = np.array([[True, True], [True, True], [True, False], [True, False]])
    ratios = np.where(active, np.log([[1.0, 0.5], [1.0, 2.0], [1.0, 1.0], [1.0, 1.0]]), 0.0)
    states = np.where(active, np.log([[1.0, 2.0], [1.0, 0.5], [1.0, 1.0], [1.0, 1.0]]), 0.0)
    zero = np.zeros((4, 2))
    return Trajectories(zero, ratios, active, 1.0, zero, np.zeros((4, 3)), states)


def test_the_thinnest_step_counts_those_that_have_ended():
    """Weights 1 and 1 of those still running leave 2 of 4 to the two ends: nothing is thinner than four units."""
    trajectories = hand_made()
    assert np.allclose(marginal_weights(trajectories), [[1, 1], [1, 1], [1, 0], [1, 0]])
    step, logs = thinnest_step(trajectories)
    assert effective_sample_size(logs) == pytest.approx(4.0)
    heavy = replace(trajectories, state_log_ratios=trajectories.state_log_ratios + np.log([[1, 3], [1, 0.5]] * 2))
    # Step 1: 3 and 0.5 leave 0.25 to each end: 16 / 9.375.
    step, logs = thinnest_step(heavy)
    assert step == 1
    assert effective_sample_size(logs) == pytest.approx(16.0 / (9.0 + 0.25 + 2 * 0.0625))
    beyond = replace(trajectories, state_log_ratios=trajectories.state_log_ratios + np.log([[1, 9], [1, 0.5]] * 2))
    # More than all: nothing is left to the ends.
    assert effective_sample_size(thinnest_step(beyond)[1]) == pytest.approx(9.5**2 / (81.0 + 0.25))
    # In one unit, weights of its episodes are added before they are compared.
    assert effective_sample_size(np.log(np.array([3.25, 0.75]))) == pytest.approx(16.0 / (3.25**2 + 0.75**2))
    by_unit = doubly_robust_marginalized(heavy, overlap=NO_RULE, units=np.array(["a", "b", "a", "b"]))
    assert by_unit.effective_sample_size == pytest.approx(16.0 / (3.25**2 + 0.75**2))
    assert by_unit.diagnostics["thinnest_step"] == 1.0


def sized(units, effective):
    """Two decisions; of the second only so many units are in states that the policy visits."""
    reached = np.arange(units) < effective
    with np.errstate(divide="ignore"):
        states = np.log(np.stack([np.ones(units), reached * units / effective], axis=1))
    rng = np.random.default_rng(0)
    shape = (units, 2)
    return Trajectories(
        rng.normal(size=shape), np.zeros(shape), np.ones(shape, dtype=bool), 1.0, np.zeros(shape), np.zeros((units, 3)),
        states,
    )  # fmt: skip


def test_it_refuses_by_the_thinnest_step():
    units, share = MARGINAL_RULE.minimum_units, MARGINAL_RULE.minimum_fraction
    enough = sized(int(units / share), int(units))
    assert doubly_robust_marginalized(enough).usable
    below = doubly_robust_marginalized(sized(int(units / share), int(units) - 1))
    assert not below.usable and np.isnan(below.value)
    assert f"{units:,.0f} effective units" in below.refused
    forced = doubly_robust_marginalized(sized(int(units / share), int(units) - 1), force=True)
    assert forced.refused == below.refused and np.isfinite([forced.lower, forced.upper]).all()


def test_a_weight_beyond_the_floats_is_refused_by_its_overlap():
    trajectories = sized(1_000, 900)
    ratios = trajectories.log_ratios.copy()
    ratios[-1, 0] = 320 * np.log(10)
    with np.errstate(over="ignore", invalid="ignore"):
        found = doubly_robust_marginalized(replace(trajectories, log_ratios=ratios))
    assert found.effective_sample_size == pytest.approx(1.0) and not found.usable
    assert found.refused.startswith("overlap too small: effective sample size 1.0 of 1,000")


def test_only_a_log_whose_states_were_shown_to_be_states_is_evidence():
    trajectories = sized(1_000, 900)
    assert doubly_robust_marginalized(trajectories).evidence == "model"
    assert doubly_robust_marginalized(replace(trajectories, markov=True)).evidence == "log"
    assert marginalized_importance_sampling(replace(trajectories, markov=True)).evidence == "model"


def test_what_is_missing_is_named():
    trajectories = sized(1_000, 900)
    without = replace(trajectories, state_log_ratios=None)
    for estimator in (marginalized_importance_sampling, doubly_robust_marginalized):
        with pytest.raises(DataError, match="no state ratios"):
            estimator(without)
    with pytest.raises(DataError, match="no model values"):
        doubly_robust_marginalized(replace(trajectories, q_values=None, v_values=None))
