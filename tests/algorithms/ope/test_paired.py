"""The paired difference: rounding is no gain, and what is small is no rounding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from algorithms.ope.padding import trajectories_from
from algorithms.ope.paired import paired_difference, paired_estimate
from algorithms.ope.trajectories import Trajectories
from tests.worlds import random_world

EPISODES, STATES, ACTIONS, HORIZON = 300, 4, 3, 3


@pytest.fixture(scope="module")
def champion() -> Trajectories:
    world = random_world(0, states=STATES, actions=ACTIONS, horizon=HORIZON)
    behaviour = np.full((STATES, ACTIONS), 1.0 / ACTIONS)
    dataset = world.log(behaviour, EPISODES)
    states = dataset.observations[dataset.rows][:, 0].astype(int)
    policy = np.tile([0.5, 0.3, 0.2], (STATES, 1))[states]
    shape = (dataset.episode_count, HORIZON)
    return trajectories_from(dataset, policy, q=np.full(shape, 0.1), v=np.zeros((shape[0], HORIZON + 1)))


def changed(champion: Trajectories, size: float) -> Trajectories:
    """The champion with ratios that differ from its own by a share of this size."""
    noise = size * np.random.default_rng(0).uniform(0.5, 1.0, champion.log_ratios.shape)
    return replace(champion, log_ratios=champion.log_ratios + noise)


def test_an_equal_that_was_summed_otherwise_gains_exactly_nothing(champion: Trajectories) -> None:
    equal = changed(champion, 1e-13)
    assert not np.array_equal(equal.log_ratios, champion.log_ratios)
    found = paired_estimate(equal, champion)
    assert (found.value, found.lower, found.upper) == (0.0, 0.0, 0.0)


def test_a_small_difference_stays_whatever_a_rare_catastrophe_costs(champion: Trajectories) -> None:
    rewards = champion.rewards.copy()
    rewards[0, 0] = -1e12
    rare = replace(champion, rewards=rewards)
    for base in (champion, rare):
        assert (paired_difference(changed(base, 1e-8), base)[1:] != 0.0).all()
