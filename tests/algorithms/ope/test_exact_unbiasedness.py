"""Unbiased means: over ALL trajectories of a small world, probability times contribution sums to the value.

Estimators that are no mean of contributions are enumerated over whole logs, in ``test_claims.py``.
"""

from dataclasses import replace

import numpy as np
import pytest

from algorithms.ope.doubly_robust import doubly_robust_contributions
from algorithms.ope.importance_sampling import ips_contributions
from algorithms.ope.paired import paired_difference
from algorithms.ope.per_decision import pdis_contributions

BEHAVIOUR = np.array([[0.7, 0.3], [0.4, 0.6], [0.15, 0.85]])
TARGETS = {
    "stochastic": np.array([[0.2, 0.8], [0.9, 0.1], [0.5, 0.5]]),
    "deterministic": np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]),
    "behaviour": BEHAVIOUR,
}
CONTRIBUTIONS = {"ips": ips_contributions, "pdis": pdis_contributions, "dr": doubly_robust_contributions}


def wrong_model(world, seed):
    """A model that knows nothing; only Q_0 = 0 is right."""
    q = np.random.default_rng(seed).normal(size=(world.horizon + 1, 3, 2)) * 10
    q[0] = 0.0
    return q


@pytest.mark.parametrize("name", CONTRIBUTIONS)
@pytest.mark.parametrize("target", TARGETS)
def test_unbiased_by_enumeration(world, name, target):
    batch = world.enumerate(BEHAVIOUR)
    assert batch.probability.sum() == pytest.approx(1.0, abs=1e-12)
    for seed in range(3):
        trajectories = world.trajectories(batch, BEHAVIOUR, TARGETS[target], wrong_model(world, seed))
        value = batch.probability @ CONTRIBUTIONS[name](trajectories)
        assert value == pytest.approx(world.value(TARGETS[target]), abs=1e-10)


def test_the_paired_difference_is_unbiased_with_two_wrong_models(world):
    batch = world.enumerate(BEHAVIOUR)
    candidate = world.trajectories(batch, BEHAVIOUR, TARGETS["stochastic"], wrong_model(world, 1))
    champion = world.trajectories(batch, BEHAVIOUR, BEHAVIOUR, wrong_model(world, 2))
    gain = world.value(TARGETS["stochastic"]) - world.value(BEHAVIOUR)
    assert batch.probability @ paired_difference(candidate, champion) == pytest.approx(gain, abs=1e-10)


def test_without_overlap_importance_sampling_is_biased(world):
    """The unbiasedness is of the assumption, too: a behaviour that never takes an action proves nothing of it."""
    blind = np.array([[1.0, 0.0], [0.4, 0.6], [0.15, 0.85]])
    batch = world.enumerate(blind)
    trajectories = world.trajectories(batch, blind, TARGETS["stochastic"])
    assert abs(batch.probability @ pdis_contributions(trajectories) - world.value(TARGETS["stochastic"])) > 0.05


def test_the_exact_model_makes_the_doubly_robust_variance_small_and_the_direct_method_exact(world):
    world = replace(world, noise=0.0)  # the noise of the reward itself is left to every estimator
    batch = world.enumerate(BEHAVIOUR)
    target = TARGETS["stochastic"]
    exact = world.trajectories(batch, BEHAVIOUR, target, world.q_values(target))
    truth = world.value(target)
    assert batch.probability @ exact.v_values[:, 0] == pytest.approx(truth, abs=1e-12)

    def variance(contributions):
        return batch.probability @ (contributions - truth) ** 2

    assert variance(doubly_robust_contributions(exact)) < 0.5 * variance(pdis_contributions(exact))


def test_forgetting_the_weights_of_ended_episodes_would_be_wrong(exact_log):
    world, behaviour, batch = exact_log
    policy = TARGETS["stochastic"]
    trajectories = world.trajectories(batch, behaviour, policy)
    weights = np.where(trajectories.active, trajectories.cumulative_weights, 0.0)
    forgetful = ((weights * trajectories.rewards).sum(axis=0) / weights.sum(axis=0)) @ trajectories.discounts
    assert abs(forgetful - world.value(policy)) > 0.02
