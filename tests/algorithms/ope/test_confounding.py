"""Bounds under hidden confounding: SNIPS at Γ = 1, brute force over all corners, and a world with a hidden cause."""

import itertools
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.ope.confounding import confounding_sensitivity, extreme_means
from algorithms.ope.importance_sampling import snips
from algorithms.ope.overlap import NO_RULE
from algorithms.ope.trajectories import Trajectories
from envs.errors import DataError

QUICK = settings(max_examples=40, deadline=None)


def log(seed, episodes=40, horizon=1):
    """Ragged episodes with nominal propensities and a target that sometimes never takes the action."""
    rng = np.random.default_rng(seed)
    active = np.arange(horizon) < rng.integers(1, horizon + 1, episodes)[:, None]
    nominal = rng.uniform(0.05, 1.0, (episodes, horizon))
    target = rng.uniform(0.0, 1.0, (episodes, horizon)) * (rng.random((episodes, horizon)) < 0.9)
    with np.errstate(divide="ignore"):
        ratios = np.where(active, np.log(target) - np.log(nominal), 0.0)
    rewards = np.where(active, rng.normal(size=(episodes, horizon)).round(1), 0.0)
    return Trajectories(rewards, ratios, active, 0.9), nominal


@QUICK
@given(st.integers(0, 10_000), st.integers(1, 9))
def test_the_sort_finds_what_trying_every_corner_finds(seed, count):
    """A ratio of linear functions over a box is extreme at a corner: 2ⁿ of them; ties and zero weights included."""
    rng = np.random.default_rng(seed)
    small = rng.exponential(size=count) * (rng.random(count) < 0.8)
    large = small + rng.exponential(size=count) + 1e-3
    values = rng.integers(-3, 4, count).astype(float)
    corners = []
    for choice in itertools.product((False, True), repeat=count):
        weights = np.where(choice, large, small)
        if weights.sum() > 0:
            corners.append(weights @ values / weights.sum())
    assert extreme_means(small, large, values) == pytest.approx((min(corners), max(corners)), abs=1e-12)


@QUICK
@given(st.integers(0, 10_000), st.sampled_from([1, 3]))
def test_at_one_it_is_snips_and_wider_with_every_step(seed, horizon):
    trajectories, nominal = log(seed, horizon=horizon)
    found = confounding_sensitivity(trajectories, nominal, gammas=(1.0, 1.2, 2.0, 6.0, 1e6))
    value = snips(trajectories, overlap=NO_RULE).value
    assert found.lower[0] == pytest.approx(value, abs=1e-12) and found.upper[0] == pytest.approx(value, abs=1e-12)
    assert np.all(np.diff(found.lower) <= 1e-12) and np.all(np.diff(found.upper) >= -1e-12)
    reached = np.isfinite(trajectories.log_ratios.sum(axis=1))
    assert found.lower[-1] >= trajectories.returns[reached].min() - 1e-9
    assert found.upper[-1] <= trajectories.returns[reached].max() + 1e-9
    assert found.attained == (horizon == 1)


def test_the_intervals_are_those_of_the_odds_ratio():
    """By hand: b = 1/4 and Γ = 3 allow true propensities from 1/10 to 1/2."""
    with np.errstate(divide="ignore"):
        trajectories = Trajectories(
            np.array([[0.0], [1.0]]), np.log([[0.5 / 0.25], [0.5 / 0.25]]), np.ones((2, 1), dtype=bool)
        )
    found = confounding_sensitivity(trajectories, np.full((2, 1), 0.25), gammas=(3.0,))
    assert found.lower[0] == pytest.approx((1 / 0.5) / (1 / 0.5 + 1 / 0.1))
    assert found.upper[0] == pytest.approx((1 / 0.1) / (1 / 0.5 + 1 / 0.1))
    # An action that was certain cannot have been confounded.
    certain = confounding_sensitivity(replace(trajectories, log_ratios=np.zeros((2, 1))), np.ones((2, 1)))
    assert set(certain.lower) == set(certain.upper) == {0.5}


def test_no_choice_of_propensities_within_gamma_leaves_the_bounds_of_longer_episodes():
    trajectories, nominal = log(3, episodes=25, horizon=4)
    gamma = 1.7
    found = confounding_sensitivity(trajectories, nominal, gammas=(gamma,))
    rng = np.random.default_rng(0)
    target = np.exp(trajectories.log_ratios) * nominal
    seen = []
    direction = np.sign(trajectories.returns - np.median(trajectories.returns))[:, None]
    for trial in range(400):
        odds = np.exp(rng.choice([-1.0, 1.0], nominal.shape) * np.log(gamma) * rng.random(nominal.shape))
        if trial % 2:  # half of them push good episodes one way and bad ones the other
            odds = gamma ** (direction * (1 if trial % 4 == 1 else -1)) * np.ones(nominal.shape)
        odds_of_action = nominal / (1 - nominal) / odds
        true = odds_of_action / (1 + odds_of_action)
        with np.errstate(divide="ignore"):
            ratios = np.where(trajectories.active, np.log(target / true), 0.0)
        seen.append(snips(replace(trajectories, log_ratios=ratios), overlap=NO_RULE).value)
    assert found.lower[0] - 1e-12 <= min(seen) and max(seen) <= found.upper[0] + 1e-12
    assert max(seen) - min(seen) > 0.5 * (found.upper[0] - found.lower[0])


def test_a_hidden_cause_is_inside_the_bounds_of_its_gamma_and_outside_of_less():
    """An unrecorded u makes the action likely (.8) and the reward high; else .2. Nominal .5: an odds ratio of 4."""
    count = 40_000
    rng = np.random.default_rng(1)
    hidden = rng.random(count) < 0.5
    acted = rng.random(count) < np.where(hidden, 0.8, 0.2)
    rewards = hidden + 0.1 * rng.normal(size=count)
    with np.errstate(divide="ignore"):
        ratios = np.log(acted / 0.5)
    trajectories = Trajectories(rewards[:, None], ratios[:, None], np.ones((count, 1), dtype=bool))
    found = confounding_sensitivity(trajectories, np.full((count, 1), 0.5), gammas=(1.0, 2.0, 4.0), reference=0.5)
    assert found.lower[0] == pytest.approx(0.8, abs=0.02)  # what SNIPS believes; the truth is .5
    assert found.lower[1] > 0.55
    assert found.lower[2] == pytest.approx(0.5, abs=0.03)
    assert found.tipping == pytest.approx(4.0, abs=0.4)
    assert f"by a factor of {found.tipping:.2f}" in found.sentence
    assert json.dumps(asdict(found))


def test_the_tipping_point_is_where_the_reference_enters():
    trajectories, nominal = log(5, episodes=300)
    value = snips(trajectories, overlap=NO_RULE).value
    found = confounding_sensitivity(trajectories, nominal, reference=value - 0.3)
    below, above = (
        confounding_sensitivity(trajectories, nominal, gammas=(gamma,)).lower[0]
        for gamma in (found.tipping - 0.01, found.tipping)
    )
    assert above <= value - 0.3 < below
    assert confounding_sensitivity(trajectories, nominal, reference=value).tipping == pytest.approx(1.0, abs=1e-6)
    assert confounding_sensitivity(trajectories, nominal, reference=-99.0).tipping == 20.0
    with pytest.raises(DataError, match="below 1"):
        confounding_sensitivity(trajectories, nominal, gammas=(0.5,))
    with pytest.raises(DataError, match="every weight is 0"):
        confounding_sensitivity(replace(trajectories, log_ratios=np.full((300, 1), -np.inf)), nominal)
