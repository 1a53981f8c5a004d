"""Every estimator refuses below its stated overlap, with the figures; force gives numbers marked unusable."""

from dataclasses import replace

import numpy as np
import pytest

from algorithms.ope.overlap import (
    DOUBLY_ROBUST_RULE,
    WEIGHTED_RULE,
    OverlapRule,
    effective_error,
    effective_sample_size,
    largest_weight_share,
)
from algorithms.ope.paired import paired_estimate
from algorithms.ope.registry import ESTIMATORS, NEEDS_MODEL, estimator
from algorithms.ope.trajectories import Trajectories
from envs.errors import DataError
from tests.algorithms.ope.claims import CLAIMS, REFUSING, longest


def decisions(weights, horizon=1):
    """Units with the given weights, all of the weight in the first decision, and a model."""
    weights = np.asarray(weights, dtype=float)
    log_ratios = np.zeros((len(weights), horizon))
    with np.errstate(divide="ignore"):
        log_ratios[:, 0] = np.log(weights)
    full = np.ones_like(log_ratios)
    rewards = np.random.default_rng(0).normal(size=full.shape)
    v = np.hstack([0.2 * full, np.zeros((len(weights), 1))])
    return Trajectories(rewards, log_ratios, full > 0, 1.0, 0.1 * full, v, np.zeros_like(full))


def two_valued(units, effective, horizon=1):
    """Weights 1 and 0 whose Kish size is exactly ``effective``."""
    return decisions(np.arange(units) < effective, horizon)


RULES = [
    (name, horizon, CLAIMS[name].share if horizon == 1 else CLAIMS[name].share_beyond)
    for name in REFUSING
    for horizon in {1, longest(name, 2)}
]
"""Each estimator at one decision and, where it answers there, at two, with the smallest share of its rule."""


def test_kish_by_hand():
    assert effective_sample_size(np.log([1.0, 1.0, 2.0])) == pytest.approx(16 / 6)
    assert effective_sample_size(np.log([1e-300, 1e-300])) == pytest.approx(2)
    assert effective_sample_size(np.array([2000.0, 2000.0, -np.inf])) == pytest.approx(2)
    assert effective_sample_size(np.full(3, -np.inf)) == 0
    assert largest_weight_share(np.log([1.0, 1.0, 2.0])) == pytest.approx(0.5)


@pytest.mark.parametrize(("name", "horizon", "share"), RULES)
def test_refuses_below_the_share_with_figures(name, horizon, share):
    estimate = ESTIMATORS[name](two_valued(10_000, 340, horizon))
    needs = f"needs {100 * share:.0f} %"
    assert estimate.refused == f"overlap too small: effective sample size 340 of 10,000 units (3.4 %), {needs}"
    assert np.isnan([estimate.value, estimate.lower, estimate.upper]).all()
    assert not estimate.usable
    assert estimate.effective_sample_size == pytest.approx(340)


@pytest.mark.parametrize(("name", "horizon", "share"), RULES)
def test_answers_at_exactly_the_stated_overlap(name, horizon, share):
    effective = round(4_000 * share)
    assert ESTIMATORS[name](two_valued(4_000, effective, horizon)).usable
    assert not ESTIMATORS[name](two_valued(4_001, effective, horizon)).usable


@pytest.mark.parametrize("name", REFUSING)
def test_refuses_below_the_number_of_units(name):
    needed = CLAIMS[name].units
    assert ESTIMATORS[name](two_valued(needed, needed)).usable
    estimate = ESTIMATORS[name](two_valued(needed, needed - 1))
    assert f"needs {needed} effective units" in estimate.refused and "%)" in estimate.refused


@pytest.mark.parametrize("name", REFUSING)
def test_force_gives_numbers_and_keeps_the_reason(name):
    forced = ESTIMATORS[name](two_valued(10_000, 340), force=True)
    assert np.isfinite([forced.value, forced.lower, forced.upper]).all()
    assert forced.lower < forced.value < forced.upper
    assert "3.4 %" in forced.refused and not forced.usable


def test_the_rule_is_the_callers_to_set():
    trajectories = two_valued(10_000, 340)
    assert ESTIMATORS["snips"](trajectories, overlap=OverlapRule(10, 0.01)).usable
    assert ESTIMATORS["snips"](trajectories, overlap=OverlapRule(10, 0.05)).refused
    assert (WEIGHTED_RULE.minimum_units, DOUBLY_ROBUST_RULE.minimum_units) == (200, 100)


def test_overlap_is_counted_in_units_not_episodes():
    """Ten episodes a day: 300 days of which 40 count are 40, although 400 episodes do."""
    weights = np.repeat(np.arange(300) < 40, 10)
    days = np.repeat(np.arange(300), 10).astype(str)
    estimate = ESTIMATORS["snips"](decisions(weights), units=days)
    assert estimate.units == 300 and estimate.effective_sample_size == pytest.approx(40)
    assert "40 of 300 units" in estimate.refused


def test_the_pair_is_refused_for_either_policy():
    poor, good = two_valued(10_000, 340), two_valued(10_000, 10_000)
    good = replace(good, rewards=poor.rewards)
    assert paired_estimate(good, good).usable
    assert paired_estimate(poor, good).refused.startswith("overlap too small: effective sample size 340")
    assert paired_estimate(good, poor).refused.startswith("champion: overlap too small")
    assert np.isfinite(paired_estimate(poor, good, force=True).value)


def test_errors_name_the_remedy():
    plain = replace(two_valued(300, 300), q_values=None, v_values=None)
    for name in NEEDS_MODEL:
        with pytest.raises(DataError, match=rf"^{name}: .*fit a model first"):
            ESTIMATORS[name](plain)
    with pytest.raises(DataError, match=r"'ipss' is no estimator; choose one of ips, snips"):
        estimator("ipss")
    with pytest.raises(DataError, match="no episode"):
        ESTIMATORS["snips"](decisions(np.zeros(0)))
    with pytest.raises(DataError, match="different episodes"):
        paired_estimate(two_valued(300, 300), two_valued(301, 300))


def test_the_error_of_the_effective_number_is_that_of_drawn_logs():
    logs = 0.5 * np.random.default_rng(4).normal(size=(1_000, 400))
    found = np.std([np.log(effective_sample_size(each)) for each in logs]) * np.sqrt(400)
    assert np.mean([effective_error(each) for each in logs]) == pytest.approx(found, rel=0.1)
    assert effective_error(logs[0] - 900.0) == pytest.approx(effective_error(logs[0]))
    assert effective_error(np.zeros(9)) == effective_error(np.full(9, -np.inf)) == 0.0
