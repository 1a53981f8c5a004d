"""Control variates: the coefficient is the others', it is exact beside large weights, and it takes the level away."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from algorithms.ope.control_variates import control_variate_contributions, control_variates, other_units
from algorithms.ope.intervals import unit_values
from algorithms.ope.overlap import NO_RULE
from algorithms.ope.per_decision import pdis
from tests.algorithms.ope.test_weight_limits import TRUTH, heavy_tailed

BEHAVIOUR = np.array([[0.7, 0.3], [0.4, 0.6], [0.15, 0.85]])
TARGET = np.array([[0.2, 0.8], [0.9, 0.1], [0.5, 0.5]])


def coefficients(weights, values, units=None):
    return other_units(weights, values, units).coefficient


def slope(weights, values):
    return np.polyfit(weights, values, 1)[0]


def test_a_coefficient_is_the_regression_over_all_other_units():
    rng = np.random.default_rng(0)
    weights, values = rng.exponential(size=(12, 3)), rng.normal(size=(12, 3))
    units = np.repeat(["c", "a", "b", "d"], 3)
    alone, shared = (coefficients(weights, values, labels) for labels in (None, units))
    for row in range(12):
        for step in range(3):
            single, others = np.arange(12) != row, units != units[row]
            assert alone[row, step] == pytest.approx(slope(weights[single, step], values[single, step]))
            assert shared[row, step] == pytest.approx(slope(weights[others, step], values[others, step]))


def test_a_units_own_rewards_do_not_reach_its_coefficient():
    rng = np.random.default_rng(1)
    weights, values = rng.exponential(size=(12, 1)), rng.normal(size=(12, 1))
    before = coefficients(weights, values)
    values[5] += 1e6
    after = coefficients(weights, values)
    assert after[5] == before[5] and np.all(np.delete(after, 5) != np.delete(before, 5))


def test_beside_one_large_weight_the_others_are_not_rounded_away():
    others = np.array([1.0, 1.5, 2.0, 0.5])
    weights = np.append(others, 1e12)[:, None]
    values = np.append(others * [1.0, 2.0, -1.0, 0.3], 7e12)[:, None]
    assert coefficients(weights, values)[-1] == pytest.approx(slope(others, values[:-1, 0]))


def test_weights_that_do_not_vary_have_no_coefficient():
    assert not coefficients(np.full((9, 2), 0.3), np.random.default_rng(2).normal(size=(9, 2))).any()


@pytest.mark.parametrize("shared", [False, True])
def test_the_deviations_are_of_the_estimate_without_each_unit(world, shared):
    """By leaving each unit out and regressing anew; the mean over units is the estimate."""
    batch = world.draw(BEHAVIOUR, 30, np.random.default_rng(3))
    log = world.trajectories(batch, BEHAVIOUR, TARGET)
    units = np.arange(30) % 7 if shared else np.arange(30)
    weights = log.cumulative_weights
    values = weights * log.rewards

    def regressed(kept):
        fits = [np.polyfit(weights[kept, t], values[kept, t], 1) for t in range(log.horizon)]
        return np.array([slope + level for slope, level in fits]) @ log.discounts  # where the weight is 1

    without = np.array([regressed(units != unit) for unit in np.unique(units)])
    by_unit = unit_values(control_variate_contributions(log, units), units)
    estimate = control_variates(log, overlap=NO_RULE, units=units).value
    assert by_unit - estimate == pytest.approx(-(len(without) - 1) * (without - without.mean()))


def test_intervals_cover_where_weights_are_heavy_tailed():
    """A quarter of effective units; without the share of β in the error they cover 1 to 2 % less."""
    rng = np.random.default_rng(2)
    logs = [heavy_tailed(rng, 2_000, spread=1.18) for _ in range(300)]
    found = [control_variates(log) for log in logs]
    answered = [each for each in found if each.usable]
    assert len(answered) > 150
    hits = sum(each.lower <= TRUTH <= each.upper for each in answered)
    assert stats.binomtest(hits, len(answered), 0.95, alternative="less").pvalue > 0.01


def test_the_level_of_the_rewards_no_longer_costs_variance(world):
    world = replace(world, base=world.base + 5.0, end=np.zeros_like(world.end))
    truth = world.value(TARGET)
    errors = {pdis: [], control_variates: []}
    for seed in range(100):
        batch = world.draw(BEHAVIOUR, 400, np.random.default_rng(seed))
        for each, found in errors.items():
            found.append(each(world.trajectories(batch, BEHAVIOUR, TARGET), overlap=NO_RULE).value - truth)
    plain, ours = (np.square(each).mean() for each in errors.values())
    assert ours < 0.3 * plain
