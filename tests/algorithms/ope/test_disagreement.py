"""Disagreement of two policies, and the policy that follows one of them in a region only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.ope.disagreement import followed_in, most_probable_agrees, total_variation
from tests.worlds import bandit, random_world


@given(st.integers(0, 10**6), st.integers(2, 5))
def test_total_variation_is_the_least_share_of_different_draws(seed: int, actions: int) -> None:
    first, second, third = np.random.default_rng(seed).dirichlet(np.full(actions, 0.5), (3, 20))
    distance = total_variation(first, second)
    # The best coupling agrees on what both give to the same action.
    assert distance == pytest.approx(1.0 - np.minimum(first, second).sum(axis=1))
    assert total_variation(second, first) == pytest.approx(distance)
    assert (total_variation(first, third) <= distance + total_variation(second, third) + 1e-12).all()
    assert total_variation(first, first) == pytest.approx(np.zeros(20))


def test_agreement_is_about_the_most_probable_action() -> None:
    first = np.array([[0.6, 0.4], [0.5, 0.5], [0.1, 0.9]])
    second = np.array([[0.9, 0.1], [0.4, 0.6], [0.6, 0.4]])
    assert most_probable_agrees(first, second).tolist() == [True, False, False]


def test_with_single_decisions_the_gains_of_regions_add_up_to_the_whole_gain() -> None:
    world = bandit(6)
    rng = np.random.default_rng(0)
    champion, policy = rng.dirichlet(np.ones(2), (2, 6))
    parts = [followed_in(np.arange(6) // 2 == region, policy, champion) for region in range(3)]
    gains = [world.value(part) - world.value(champion) for part in parts]
    assert sum(gains) == pytest.approx(world.value(policy) - world.value(champion))
    assert min(abs(gain) for gain in gains) > 1e-3


def test_in_longer_episodes_each_part_is_a_policy_of_its_own() -> None:
    world = random_world(1, states=4, actions=2, horizon=5)
    champion, policy = np.random.default_rng(2).dirichlet(np.ones(2), (2, 4))
    here = np.array([True, False, True, False])
    part = followed_in(here, policy, champion)
    assert (part[here] == policy[here]).all() and (part[~here] == champion[~here]).all()
    assert followed_in(np.ones(4, dtype=bool), policy, champion) == pytest.approx(policy)
    assert followed_in(np.zeros(4, dtype=bool), policy, champion) == pytest.approx(champion)
    assert world.value(part) not in (pytest.approx(world.value(policy)), pytest.approx(world.value(champion)))
