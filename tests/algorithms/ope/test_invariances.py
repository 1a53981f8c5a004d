"""What must not change an estimate, and what must: theorems that hold in every log, by the table of claims."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.ope.overlap import NO_RULE
from algorithms.ope.registry import ESTIMATORS, NEEDS_MODEL, SINGLE_DECISION
from algorithms.ope.trajectories import Trajectories
from tests.algorithms.ope.claims import CLAIMS, longest, that

SEEDS = st.integers(0, 10_000)
QUICK = settings(max_examples=25, deadline=None)
PER_EPISODE = ("rewards", "log_ratios", "active", "q_values", "v_values", "state_log_ratios")


def random_trajectories(seed, name="", *, ended=True, episodes=30, spread=0.5):
    """Any numbers will do: nothing below knows of a policy or of a world."""
    rng = np.random.default_rng(seed)
    horizon = longest(name, 4)
    lengths = rng.integers(1, horizon + 1, episodes) if ended else np.full(episodes, horizon)
    active = np.arange(horizon) < lengths[:, None]
    v = np.zeros((episodes, horizon + 1))
    v[:, :horizon] = np.where(active, rng.normal(size=(episodes, horizon)), 0.0)
    return Trajectories(
        rewards=np.where(active, rng.normal(size=(episodes, horizon)), 0.0),
        log_ratios=np.where(active, rng.normal(size=(episodes, horizon)) * spread, 0.0),
        active=active,
        discount=0.95,
        q_values=np.where(active, rng.normal(size=(episodes, horizon)), 0.0),
        v_values=v,
        state_log_ratios=np.where(active, rng.normal(size=(episodes, horizon)) * spread, 0.0),
    )


def value(name, trajectories):
    return ESTIMATORS[name](trajectories, overlap=NO_RULE).value


def taken(trajectories, index):
    return replace(trajectories, **{field: getattr(trajectories, field)[index] for field in PER_EPISODE})


def assert_same(name, ours, theirs, *, scale=1.0, units=(None, None)):
    """Value and both ends."""
    first, second = (
        ESTIMATORS[name](each, overlap=NO_RULE, units=of) for each, of in zip((ours, theirs), units, strict=True)
    )
    for end in ("value", "lower", "upper"):
        expected = scale * getattr(second, end)
        assert getattr(first, end) == pytest.approx(expected, rel=1e-7, abs=1e-9 * scale), (name, end)


def shifted(trajectories, shift, *, model):
    """Every reward moved, and the model's sums of rewards with it if ``model``."""
    moved = replace(trajectories, rewards=trajectories.rewards + shift)
    if not model:
        return moved
    remaining = np.append(np.cumsum(trajectories.discounts[::-1])[::-1] / trajectories.discounts, 0.0)
    return replace(
        moved,
        q_values=trajectories.q_values + shift * remaining[:-1],
        v_values=trajectories.v_values + shift * remaining,
    )


@QUICK
@given(SEEDS, st.floats(-50, 50))
def test_a_reward_shift_is_followed_as_claimed(seed, shift):
    for model, names in ((False, that(reward_shift="alone")), (True, set(ESTIMATORS) - set(that(reward_shift="no")))):
        for name in names:
            trajectories = random_trajectories(seed, name, ended=False)
            followed = value(name, shifted(trajectories, shift, model=model)) - value(name, trajectories)
            assert followed == pytest.approx(shift * trajectories.discounts.sum(), abs=1e-7), name


def of_the_logs_own_policy(trajectories):
    """It takes the log's actions in the log's states."""
    nothing = np.zeros_like(trajectories.log_ratios)
    return replace(trajectories, log_ratios=nothing, state_log_ratios=nothing)


@QUICK
@given(SEEDS)
def test_the_logs_own_policy_gets_the_logs_mean_as_claimed(seed):
    for name in that(own_policy=True):
        trajectories = random_trajectories(seed, name)
        own = of_the_logs_own_policy(trajectories)
        assert value(name, own) == pytest.approx(own.returns.mean(), abs=1e-12), name


def spanned(trajectories):
    """Smallest and largest sum of one logged reward a step; an ended episode's is 0."""
    low, high = trajectories.rewards.min(axis=0), trajectories.rewards.max(axis=0)
    return low @ trajectories.discounts, high @ trajectories.discounts


@QUICK
@given(SEEDS)
def test_an_estimate_within_the_rewards_stays_there(seed):
    for name in that(within=True):
        trajectories = random_trajectories(seed, name, spread=2.0)
        low, high = spanned(trajectories)
        assert low - 1e-12 <= value(name, trajectories) <= high + 1e-12, name
    trajectories = random_trajectories(seed)
    assert trajectories.returns.min() - 1e-12 <= value("snips", trajectories) <= trajectories.returns.max() + 1e-12


def with_factors(trajectories, seed):
    """Another factor on all ratios of each step."""
    factors = np.random.default_rng(seed).normal(size=trajectories.horizon) + 0.5
    return replace(trajectories, log_ratios=trajectories.log_ratios + factors)


@QUICK
@given(SEEDS)
def test_a_factor_on_all_ratios_of_a_step_cancels_as_claimed(seed):
    """Ended episodes have no ratio: their weight would not get the factor, so all run to the horizon."""
    for name in that(up_to_a_factor=True):
        trajectories = random_trajectories(seed, name, ended=False)
        assert_same(name, with_factors(trajectories, seed), trajectories)


def breaks(name, seed):
    """By how much each invariance fails in one log."""
    complete = random_trajectories(seed, name, ended=False, episodes=4, spread=2.0)
    own = of_the_logs_own_policy(complete)
    found, (low, high) = value(name, complete), spanned(complete)
    return {
        "reward_shift": abs(value(name, shifted(complete, 1.0, model=False)) - found - complete.discounts.sum()),
        "own_policy": abs(value(name, own) - own.returns.mean()),
        "within": max(low - found, found - high),
        "up_to_a_factor": abs(value(name, with_factors(complete, seed)) - found),
    }


@pytest.mark.parametrize("name", ESTIMATORS)
def test_what_is_not_claimed_does_not_hold(name):
    claimed = {claim: getattr(CLAIMS[name], claim) in (True, "alone") for claim in breaks(name, 0)}
    found = [breaks(name, seed) for seed in range(40)]
    assert {claim: all(each[claim] < 1e-6 for each in found) for claim in claimed} == claimed
    if CLAIMS[name].reward_shift == "no":
        assert name not in NEEDS_MODEL  # a model that is moved as well would not be read


@QUICK
@given(SEEDS, st.floats(0.01, 100))
def test_all_scale_with_the_reward(seed, scale):
    for name in ESTIMATORS:
        trajectories = random_trajectories(seed, name)
        changes = {field: getattr(trajectories, field) * scale for field in ("rewards", "q_values", "v_values")}
        assert_same(name, replace(trajectories, **changes), trajectories, scale=scale)


@QUICK
@given(SEEDS)
def test_the_order_of_units_is_nothing(seed):
    for name in ESTIMATORS:
        trajectories = random_trajectories(seed, name)
        order = np.random.default_rng(seed).permutation(len(trajectories))
        assert_same(name, taken(trajectories, order), trajectories)
        assert_same(name, taken(trajectories, order), trajectories, units=(order.astype(str), None))


@QUICK
@given(SEEDS, st.integers(2, 4))
def test_copies_of_an_episode_within_its_unit_prove_nothing(seed, copies):
    for name in ESTIMATORS:
        trajectories = random_trajectories(seed, name)
        index = np.repeat(np.arange(len(trajectories)), copies)
        assert_same(name, taken(trajectories, index), trajectories, units=(index, None))


@QUICK
@given(SEEDS, st.integers(1, 3))
def test_steps_after_the_last_end_are_nothing(seed, more):
    for name in set(ESTIMATORS) - SINGLE_DECISION:
        trajectories = random_trajectories(seed, name)
        longer = {field: np.pad(getattr(trajectories, field), ((0, 0), (0, more))) for field in PER_EPISODE}
        assert_same(name, replace(trajectories, **longer), trajectories)


@QUICK
@given(SEEDS, st.floats(0.1, 3.0), st.booleans())
def test_what_trades_bias_for_variance_stays_near_what_it_came_from(seed, spread, ended):
    """|v̂ - v̂∞| ≤ B ≤ se∞, for the limit has the least se² + B²; and MAGIC within (1 + t) se of the weighted DR."""
    for name in set(that(exact="error")) - {"control_variates"}:
        trajectories = random_trajectories(seed, name, ended=ended, spread=spread)
        ours, whole = (ESTIMATORS[each](trajectories, overlap=NO_RULE) for each in (name, CLAIMS[name].close_to))
        error, gap = whole.diagnostics["standard_error"], abs(ours.value - whole.value)
        rounding = 1e-9 * (1.0 + error)
        assert gap <= CLAIMS[name].errors * error + rounding, name
        assert ours.lower - rounding <= ours.value <= ours.upper + rounding
        if name != "magic":
            assert gap <= ours.diagnostics["bias_bound"] + rounding <= error + 2 * rounding, name


@QUICK
@given(SEEDS)
def test_models_are_read_by_those_that_say_so(seed):
    for name in ESTIMATORS:
        trajectories = random_trajectories(seed, name)
        blind = replace(trajectories, q_values=None, v_values=None)
        if name not in NEEDS_MODEL:
            assert value(name, blind) == value(name, trajectories), name


@QUICK
@given(SEEDS, st.floats(-600, 600))
def test_ratios_beyond_the_range_of_floats_do_not_break_what_is_normalised(seed, size):
    for name in that(up_to_a_factor=True, unbiased=False):
        trajectories = random_trajectories(seed, name)
        far = replace(trajectories, log_ratios=trajectories.log_ratios + np.where(trajectories.active, size, 0.0))
        estimate = ESTIMATORS[name](far)
        assert 0 < estimate.effective_sample_size <= len(far) + 1e-9
        assert estimate.refused or name == "direct_method"
        assert np.isfinite(value(name, far)) or abs(size) > 150
