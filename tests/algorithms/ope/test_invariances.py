"""What must not change an estimate, and what must, estimator by estimator."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.ope.overlap import NO_RULE
from algorithms.ope.registry import ESTIMATORS
from algorithms.ope.trajectories import Trajectories

WEIGHTED = ("snips", "weighted_pdis")
UNWEIGHTED = ("ips", "pdis")
SEEDS = st.integers(0, 10_000)
QUICK = settings(max_examples=40, deadline=None)


def random_trajectories(seed, *, ended=True, episodes=30, horizon=4):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, horizon + 1, episodes) if ended else np.full(episodes, horizon)
    active = np.arange(horizon) < lengths[:, None]
    v = np.zeros((episodes, horizon + 1))
    v[:, :horizon] = np.where(active, rng.normal(size=(episodes, horizon)), 0.0)
    return Trajectories(
        rewards=np.where(active, rng.normal(size=(episodes, horizon)), 0.0),
        log_ratios=np.where(active, rng.normal(size=(episodes, horizon)) * 0.5, 0.0),
        active=active,
        discount=0.95,
        q_values=np.where(active, rng.normal(size=(episodes, horizon)), 0.0),
        v_values=v,
    )


def value(name, trajectories):
    return ESTIMATORS[name](trajectories, overlap=NO_RULE).value


@QUICK
@given(SEEDS, st.floats(-50, 50))
def test_weighted_estimators_follow_a_reward_shift_exactly(seed, shift):
    trajectories = random_trajectories(seed, ended=False)
    moved = replace(trajectories, rewards=trajectories.rewards + shift)
    expected = shift * trajectories.discounts.sum()
    for name in WEIGHTED:
        assert value(name, moved) - value(name, trajectories) == pytest.approx(expected, abs=1e-8)


@QUICK
@given(SEEDS)
def test_unweighted_estimators_do_not(seed):
    trajectories = random_trajectories(seed, ended=False)
    moved = replace(trajectories, rewards=trajectories.rewards + 10.0)
    for name in UNWEIGHTED:
        assert abs(value(name, moved) - value(name, trajectories) - 10.0 * trajectories.discounts.sum()) > 1e-6


@QUICK
@given(SEEDS, st.floats(-5, 5))
def test_doubly_robust_follows_when_its_model_is_shifted_too(seed, shift):
    trajectories = random_trajectories(seed, ended=False)
    remaining = np.append(np.cumsum(trajectories.discounts[::-1])[::-1] / trajectories.discounts, 0.0)
    moved = replace(
        trajectories,
        rewards=trajectories.rewards + shift,
        q_values=trajectories.q_values + shift * remaining[:-1],
        v_values=trajectories.v_values + shift * remaining,
    )
    gap = value("doubly_robust", moved) - value("doubly_robust", trajectories)
    assert gap == pytest.approx(shift * trajectories.discounts.sum(), abs=1e-9)


@QUICK
@given(SEEDS, st.floats(0.01, 100))
def test_all_scale_with_the_reward(seed, scale):
    trajectories = random_trajectories(seed)
    scaled = replace(
        trajectories,
        rewards=trajectories.rewards * scale,
        q_values=trajectories.q_values * scale,
        v_values=trajectories.v_values * scale,
    )
    for name, estimator in ESTIMATORS.items():
        ours, theirs = estimator(scaled, overlap=NO_RULE), estimator(trajectories, overlap=NO_RULE)
        for end in ("value", "lower", "upper"):
            assert getattr(ours, end) == pytest.approx(scale * getattr(theirs, end), rel=1e-9, abs=1e-12), name


@QUICK
@given(SEEDS)
def test_the_order_of_units_is_nothing(seed):
    trajectories = random_trajectories(seed)
    order = np.random.default_rng(seed).permutation(len(trajectories))
    fields = ("rewards", "log_ratios", "active", "q_values", "v_values")
    shuffled = replace(trajectories, **{name: getattr(trajectories, name)[order] for name in fields})
    for name in ESTIMATORS:
        assert value(name, shuffled) == pytest.approx(value(name, trajectories), abs=1e-12)


@QUICK
@given(SEEDS)
def test_the_logs_own_policy_gets_the_logs_mean_but_not_from_a_model(seed):
    trajectories = random_trajectories(seed)
    own = replace(trajectories, log_ratios=np.zeros_like(trajectories.log_ratios))
    for name in (*UNWEIGHTED, *WEIGHTED):
        assert value(name, own) == pytest.approx(own.returns.mean(), abs=1e-12), name
    for name in ("doubly_robust", "direct_method"):
        assert abs(value(name, own) - own.returns.mean()) > 1e-6, name


@QUICK
@given(SEEDS)
def test_snips_stays_within_the_returns(seed):
    trajectories = random_trajectories(seed)
    assert trajectories.returns.min() - 1e-12 <= value("snips", trajectories) <= trajectories.returns.max() + 1e-12


@QUICK
@given(SEEDS, st.floats(-600, 600))
def test_ratios_beyond_the_range_of_floats_do_not_break_what_is_normalised(seed, size):
    trajectories = random_trajectories(seed)
    far = replace(trajectories, log_ratios=trajectories.log_ratios + np.where(trajectories.active, size, 0.0))
    for name in WEIGHTED:
        estimate = ESTIMATORS[name](far)
        assert estimate.refused and 0 < estimate.effective_sample_size <= len(far) + 1e-9
        assert np.isfinite(value(name, far)) or abs(size) > 150
