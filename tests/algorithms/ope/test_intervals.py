"""Intervals: exact ones cover whatever the distribution, clustered ones count clusters."""

import numpy as np
import pytest
from scipy import stats

from algorithms.ope.importance_sampling import ips_finite_sample
from algorithms.ope.intervals import (
    betting_interval,
    empirical_bernstein,
    student_t,
    studentised,
    unit_any,
    unit_log_weights,
    unit_values,
)
from algorithms.ope.trajectories import Trajectories
from envs.errors import DataError


def test_student_t_by_scipy():
    values = np.random.default_rng(0).normal(size=17)
    interval = student_t(values, 0.9)
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.9)
    assert (interval.lower, interval.upper) == pytest.approx((expected.low, expected.high))
    assert np.isnan(student_t(values[:1]).lower)


def test_where_values_are_skewed_the_studentised_interval_covers_and_students_does_not():
    """Costs of which few are a hundred times as large as most: the mean of a log without some of them looks good."""
    rng, hits = np.random.default_rng(7), np.zeros(2)
    for _ in range(400):
        values = -rng.lognormal(0.0, 1.5, 400)
        plain, wider = student_t(values), studentised(values)
        assert wider.lower <= plain.lower and wider.upper >= plain.upper and wider.value == plain.value
        hits += [each.lower <= -np.exp(1.125) <= each.upper for each in (plain, wider)]
    assert stats.binomtest(int(hits[0]), 400, 0.95, alternative="less").pvalue < 0.001
    assert hits[1] > hits[0] + 8, "and the far side alone is wider"


def test_a_studentised_interval_is_students_where_values_are_symmetric_or_few():
    rng = np.random.default_rng(8)
    values = rng.normal(size=400)
    both = np.concatenate([values, -values])
    plain, wider = student_t(both), studentised(both)
    assert wider.upper - wider.lower < 1.06 * (plain.upper - plain.lower)
    assert studentised(values[:49]) == student_t(values[:49])
    assert studentised(np.full(60, 2.5)) == student_t(np.full(60, 2.5))


def test_a_studentised_interval_does_not_know_the_order_of_its_values():
    values = np.random.default_rng(9).choice([-3.0, -1.0, 1.0, 3.0], 300)  # many are as far out as each other
    shuffled = np.random.default_rng(10).permutation(values)
    assert studentised(values).lower == pytest.approx(studentised(shuffled).lower, rel=1e-12)
    assert studentised(5.0 * values + 2.0).upper == pytest.approx(5.0 * studentised(values).upper + 2.0)


@pytest.mark.parametrize("method", [empirical_bernstein, betting_interval])
def test_finite_sample_intervals_cover_where_student_t_fails(method):
    """1 in 500 catastrophes, 200 values: the t interval misses in most logs, the exact ones never should."""
    rng = np.random.default_rng(1)
    misses = naive = 0
    for _ in range(200):
        values = np.where(rng.random(200) < 0.002, 0.0, 0.94 + 0.02 * rng.random(200))
        truth = 0.998 * 0.95
        interval = method(values, 0.0, 1.0)
        misses += not interval.lower <= truth <= interval.upper
        plain = student_t(values)
        naive += not plain.lower <= truth <= plain.upper
    assert stats.binomtest(misses, 200, 0.05, alternative="greater").pvalue > 0.01
    assert naive > 60


def test_betting_is_the_narrower_exact_interval():
    values = np.random.default_rng(2).beta(2, 8, 500)
    bernstein, betting = empirical_bernstein(values, 0, 1), betting_interval(values, 0, 1)
    assert betting.upper - betting.lower < 0.8 * (bernstein.upper - bernstein.lower)
    assert betting.lower < values.mean() < betting.upper


def test_intervals_move_with_the_range():
    values = np.random.default_rng(3).random(100)
    one, other = betting_interval(values, 0, 1), betting_interval(10 * values - 4, -4, 6)
    assert other.lower == pytest.approx(10 * one.lower - 4)
    assert other.upper == pytest.approx(10 * one.upper - 4)
    with pytest.raises(DataError, match="leave the stated range"):
        betting_interval(values * 2, 0, 1)


def test_clusters_of_copies_count_once():
    values = np.random.default_rng(4).normal(size=50)
    copied, units = np.repeat(values, 8), np.repeat(np.arange(50), 8)
    clustered, single = student_t(unit_values(copied, units)), student_t(values)
    assert (clustered.value, clustered.lower) == pytest.approx((single.value, single.lower))
    assert student_t(copied).upper - student_t(copied).lower < 0.5 * (single.upper - single.lower)


def test_unequal_clusters_keep_the_mean_over_episodes_and_cover_it():
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(400):
        sizes = rng.integers(1, 20, 60)
        shared = rng.normal(size=60) + 0.1 * sizes
        units = np.repeat(np.arange(60), sizes)
        values = shared[units] + rng.normal(size=len(units))
        interval = student_t(unit_values(values, units))
        assert interval.value == pytest.approx(values.mean())
        sizes_all = np.arange(1, 20)
        truth = 0.1 * np.mean(sizes_all**2) / np.mean(sizes_all)
        hits += interval.lower <= truth <= interval.upper
    assert hits / 400 > 0.91


def test_units_without_repetition_change_nothing():
    values = np.random.default_rng(6).normal(size=20)
    assert sorted(unit_values(values, np.arange(20)[::-1])) == sorted(values)
    assert unit_values(values, np.arange(20)[::-1]) == pytest.approx(values[::-1])
    assert np.exp(unit_log_weights(np.log([1.0, 2.0, 3.0]), np.array(["b", "a", "b"]))) == pytest.approx([2.0, 4.0])


def test_finite_sample_value_of_one_decision():
    rng = np.random.default_rng(7)
    action = rng.random(3_000) < 0.3
    reward = np.where(action, 0.8, 0.2) > rng.random(3_000)
    weights = np.where(action, 0.7 / 0.3, 0.3 / 0.7)
    trajectories = Trajectories(
        reward.astype(float)[:, None] - 5, np.log(weights)[:, None], np.ones((3_000, 1), dtype=bool)
    )
    interval = ips_finite_sample(trajectories, reward_range=(-5, -4), largest_weight=0.7 / 0.3 + 1e-9)
    assert interval.lower < 0.7 * 0.8 + 0.3 * 0.2 - 5 < interval.upper
    assert interval.upper - interval.lower < 0.3
    with pytest.raises(DataError, match="leave the stated range"):
        ips_finite_sample(trajectories, reward_range=(-5, -4), largest_weight=1.0)


def test_a_unit_is_flagged_when_any_of_its_episodes_is():
    """Not the sign of unit_values, which is positive for a small unit without any."""
    flags, units = np.array([True, False, False, False]), np.array(["b", "b", "c", "a"])
    assert unit_any(flags, units).tolist() == [False, True, False]
    assert unit_any(flags, None).tolist() == flags.tolist()
    assert (unit_values(flags, units) > 0).tolist() != [False, True, False]
