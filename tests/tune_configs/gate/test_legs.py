"""The two tests by themselves: level, power, families, catastrophes, budget."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from algorithms.ope.trajectories import Trajectories
from envs.errors import DataError
from tune_configs.gate.asymptotic import step_down
from tune_configs.gate.betting import (
    BoundedDifferences,
    bet,
    bet_sizes,
    betting_lower_bounds,
    logger_difference,
    single_decision_difference,
)
from tune_configs.gate.budget import alpha_at, leg_level, needed_multiple, needed_units, planned_power
from tune_configs.gate.decision import decide
from tune_configs.gate.tail import TailEvidence


def at_most(count, runs, level):
    return stats.binomtest(int(count), runs, level, alternative="greater").pvalue > 0.01


def test_the_budget_is_spent_over_a_life_and_never_more():
    spent = [alpha_at(look, 0.05) for look in range(1, 20_000)]
    assert sum(spent) < 0.05 and sum(spent) == pytest.approx(0.05, rel=1e-4)
    assert alpha_at(1) == pytest.approx(0.0304, abs=1e-4) and alpha_at(3) == pytest.approx(0.00338, abs=1e-5)
    assert leg_level(3) * 2 == alpha_at(3)
    with pytest.raises(DataError, match="count from 1"):
        alpha_at(0)


def test_the_multiple_for_80_percent_power_rises_with_the_looks():
    """2.5 is the multiple at a level of 5 %; half of α_j asks for more."""
    assert needed_multiple(0.05) == pytest.approx(2.49, abs=0.01)
    assert [round(needed_multiple(leg_level(j)), 2) for j in (1, 2, 3)] == [3.01, 3.51, 3.77]
    assert needed_units(2.0, 0.5, 0.05) == int(np.ceil((needed_multiple(0.05) * 4) ** 2))
    # The power of a plan is the plan's own inverse.
    for power in (0.5, 0.8, 0.95):
        units = needed_units(2.0, 0.1, leg_level(2), power)
        assert planned_power(2.0, 0.1, units, leg_level(2)) == pytest.approx(power, abs=1e-3)


@pytest.mark.parametrize("look", [1, 3])
def test_power_is_80_percent_at_the_stated_multiple(look):
    """Of units without skewness the drawn laws take nothing of Student's power."""
    rng = np.random.default_rng(look)
    level, units, runs = leg_level(look), 400, 600
    effect = needed_multiple(level) / np.sqrt(units)
    tests = [step_down(rng.normal(size=(1, units)) + effect, 0.0, level, draws=16_000) for _ in range(runs)]
    by_t = sum(test.statistics[0] > test.students for test in tests)
    assert stats.binomtest(int(by_t), runs, 0.8, alternative="less").pvalue > 0.001
    assert sum(test.rejected[0] for test in tests) >= by_t - 0.015 * runs


def test_one_finalist_is_students_t():
    half = np.random.default_rng(0).normal(size=18)
    differences = np.concatenate([half, -half, [0.0]])[None] + 0.3  # without skewness, which raises the critical value
    outcome = step_down(differences, 0.1, 0.02)
    assert outcome.statistics[0] == pytest.approx(stats.ttest_1samp(differences[0], 0.1).statistic)
    assert outcome.students == pytest.approx(stats.t.isf(0.02, 36))
    interval = stats.ttest_1samp(differences[0], 0.0).confidence_interval(0.96)
    wider = outcome.critical[0] / outcome.students  # by the noise of the drawn logs
    assert 1.0 <= wider < 1.05
    assert outcome.lower[0] == pytest.approx(0.3 - wider * (0.3 - interval.low))
    assert outcome.upper[0] == pytest.approx(interval.high, rel=0.05) and outcome.upper[0] >= interval.high


def test_the_draws_are_the_multiplier_bootstrap():
    """Against the bootstrap done unit by unit, as it is written in the paper."""
    rng = np.random.default_rng(1)
    differences = rng.normal(size=(4, 600)) + 2 * rng.normal(size=600)
    outcome = step_down(differences, 0.0, 0.05)
    centred = differences - differences.mean(axis=1, keepdims=True)
    multipliers = rng.normal(size=(20_000, 600))
    maxima = (multipliers @ centred.T / np.sqrt(600) / outcome.deviations).max(axis=1)
    assert outcome.students == pytest.approx(np.quantile(maxima, 0.95), abs=0.03)


def test_critical_values_lie_between_one_test_and_bonferroni():
    rng = np.random.default_rng(2)
    shared = rng.normal(size=500)
    alike = step_down(np.stack([shared, 2 * shared, 3 * shared]), 0.0, 0.01)
    assert alike.students == pytest.approx(stats.t.isf(0.01, 499), abs=0.05)
    apart = step_down(rng.normal(size=(5, 500)), 0.0, 0.01)
    assert stats.t.isf(0.01, 499) < alike.students + 0.3 < apart.students + 0.3
    assert apart.students <= stats.t.isf(0.01 / 5, 499) + 1e-12


def skewed(rng, count, units):
    """Costs with a heavy tail: mean 0, skewness about -4."""
    return np.exp(0.5 * 0.8**2) - rng.lognormal(0.0, 0.8, (count, units))


def test_skewness_of_untested_units_keeps_the_level():
    """Plain t promotes far too often; the spread and the law of all units together do not."""
    rng = np.random.default_rng(11)
    runs, units, level = 6_000, 300, leg_level(3)
    by_t = corrected = 0
    for _ in range(runs):
        differences, reference = skewed(rng, 1, units), skewed(rng, 1, 200)
        statistic = np.sqrt(units) * differences.mean() / differences.std(ddof=1)
        by_t += statistic > stats.t.isf(level, units - 1)
        corrected += step_down(differences, 0.0, level, reference=reference).rejected[0]
    assert not at_most(by_t, runs, 2 * level)
    assert at_most(corrected, runs, 2 * level)  # both legs share α_j, and this one alone may not exceed it


@pytest.mark.parametrize(("failures", "units"), [(0.1, 150), (0.03, 350)])
def test_decoupled_differences_keep_the_level_where_few_units_carry_the_weight(failures, units):
    """A tenth of the decisions has a weight of 4.5, and by luck none of these failed: the mean and σ̂ do not know."""
    rng = np.random.default_rng(15)
    runs, level = 1_500, leg_level(3)
    plain = corrected = 0
    for _ in range(runs):
        excess = np.where(rng.random(units * 10 // 7) < 0.1, 3.5, -0.4375)
        residuals = failures - (rng.random(len(excess)) < failures)
        found = (excess * residuals)[None]
        given = {"reference": found[:, units:]}
        apart = np.concatenate([excess * rng.permutation(residuals) for _ in range(6)])[None]
        plain += step_down(found[:, :units], 0.0, level, **given).rejected[0]
        corrected += step_down(found[:, :units], 0.0, level, decoupled=apart, **given).rejected[0]
    assert plain > 4 * runs * level and at_most(corrected, runs, level)


def test_no_figure_that_is_not_finite_switches_a_caution_off():
    differences = np.random.default_rng(16).normal(size=(2, 100)) + 0.3
    for name in ("reference", "decoupled"):
        given = np.zeros((2, 50))
        given[1, 7] = np.nan
        with pytest.raises(DataError, match="not finite"):
            step_down(differences, 0.0, 0.01, **{name: given})


def test_no_reference_makes_a_rejection_easier_than_students_t():
    rng = np.random.default_rng(12)
    for sign in (-1, 1):
        differences = sign * skewed(rng, 2, 200) + 0.3
        own = differences.std(axis=1, ddof=1)
        student = np.sqrt(200) * differences.mean(axis=1) / own
        for reference in (
            None,
            skewed(rng, 2, 100),
            10 * skewed(rng, 2, 100),
            -skewed(rng, 2, 100),
            0.01 * differences,
        ):
            judged = step_down(differences, 0.0, 0.01, reference=reference)
            assert np.all(judged.statistics <= student + 1e-12)
            assert np.all(judged.deviations >= own) and np.all(judged.critical >= stats.t.isf(0.01, 199))
    # Calm other units lower no spread; wild ones raise it by their share.
    calm, wild = (step_down(differences, 0.0, 0.01, reference=f * differences) for f in (0.01, 10.0))
    assert calm.deviations == pytest.approx(own)
    assert wild.deviations == pytest.approx(own * np.sqrt(0.5 + 0.5 * 100))


def test_the_critical_value_is_that_of_all_units_together():
    """A half that looks symmetric by chance is corrected by the other half."""
    rng = np.random.default_rng(14)
    both = skewed(rng, 1, 600)
    order = np.argsort(np.abs(both[0] - np.median(both[0])))
    differences, reference = both[:, order[:300]], both[:, order[300:]]
    together = step_down(differences, 0.0, 0.01, reference=reference)
    alone = step_down(differences, 0.0, 0.01)
    assert together.deviations[0] > 1.2 * alone.deviations[0] and together.critical[0] > alone.critical[0]
    # Decoupled ones speak for themselves, and half of their variance counts where it is the larger one.
    apart = step_down(differences, 0.0, 0.01, decoupled=3.0 * both)
    assert apart.critical[0] > 1.1 * alone.critical[0]
    mixed = np.sqrt(0.5 * differences.var(ddof=1) + 0.5 * 9.0 * both.var(ddof=1))
    assert apart.deviations[0] == pytest.approx(mixed) and alone.deviations[0] == pytest.approx(differences.std(ddof=1))
    calm = step_down(differences, 0.0, 0.01, decoupled=0.1 * both)
    assert calm.deviations == pytest.approx(alone.deviations)


def test_the_lower_bound_is_the_test_inverted():
    rng = np.random.default_rng(13)
    differences = skewed(rng, 3, 150)
    lower = step_down(differences, 0.0, 0.02).lower
    for k in range(3):
        for shift, expected in ((-1e-6, True), (1e-6, False)):
            outcome = step_down(differences, lower[k] + shift, 0.02)
            assert (outcome.statistics[k] > outcome.critical[k]) == expected


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 1000), st.floats(-5, 5))
def test_step_down_knows_no_scale_and_no_origin(seed, scale, shift):
    rng = np.random.default_rng(seed)
    differences = rng.normal(size=(3, 60)) + 0.3 * rng.random((3, 1))
    plain = step_down(differences, 0.05, 0.1, draws=2_000)
    moved = step_down(scale * (differences + shift), scale * (0.05 + shift), 0.1, draws=2_000)
    assert np.array_equal(plain.rejected, moved.rejected)
    assert moved.lower == pytest.approx(scale * (plain.lower + shift), abs=1e-6 * scale)


def family(rng, units, means):
    return rng.normal(size=(5, units)) + 0.8 * rng.normal(size=units) + np.asarray(means)[:, None]


@pytest.mark.parametrize("means", [(0, 0, 0, 0, 0), (0.4, 0.4, 0, 0, 0), (0.4, 0.15, 0, 0, -0.2)])
def test_step_down_controls_the_error_of_a_correlated_family(means):
    rng = np.random.default_rng(3)
    runs, level = 1_000, 0.05
    null = np.asarray(means) <= 0
    errors = sum(step_down(family(rng, 150, means), 0.0, level, draws=3_000).rejected[null].any() for _ in range(runs))
    assert at_most(errors, runs, level)


def test_without_the_family_the_error_is_not_controlled():
    """The broken rule: five finalists, each tested as if it were alone."""
    rng = np.random.default_rng(3)
    errors = sum(
        any(step_down(row[None], 0.0, 0.05, draws=2_000).rejected[0] for row in family(rng, 150, np.zeros(5)))
        for _ in range(500)
    )
    assert not at_most(errors, 500, 0.05)


def test_stepping_down_finds_more_than_one_step():
    rng = np.random.default_rng(4)
    means = (1.0, 1.0, 1.0, 1.0, 0.28)
    down = single = 0
    for _ in range(300):
        outcome = step_down(family(rng, 120, means), 0.0, 0.05, draws=3_000)
        down += outcome.rejected[4]
        single += outcome.statistics[4] > outcome.critical[4]
        assert np.all(outcome.rejected >= (outcome.statistics > outcome.critical))
    assert down > single + 20


def catastrophe(rng, units, chance=1e-3, cost=100.0):
    """A small sure gain against a rare catastrophe: mean 0 and D >= -cost."""
    gain = chance * cost / (1 - chance)
    hit = rng.random(units) < chance
    return np.where(hit, -cost, gain + 0.2 * gain * rng.uniform(-1, 1, units)), hit


def test_bets_hold_under_a_rare_catastrophe_where_the_mean_does_not(request_for):
    rng = np.random.default_rng(5)
    runs, units = 150, 400
    by_mean = by_bets = promoted = undeclared = 0
    for _ in range(runs):
        differences, hit = catastrophe(rng, units)
        bounded = BoundedDifferences(differences[None], np.array([100.0]), np.array([0.02]))
        by_mean += step_down(differences[None], 0.0, leg_level(1)).rejected[0]
        by_bets += bet(bounded, 0.0, leg_level(1)).rejected[0]
        tail = TailEvidence(rng.normal(size=units), hit, np.ones((1, units)))
        promoted += decide(request_for(differences, tail=tail, bounded=bounded)).decision == "promote"
        undeclared += decide(request_for(differences)).decision == "promote"
    assert by_mean / runs > 0.5
    assert at_most(by_bets, runs, leg_level(1))
    assert at_most(promoted, runs, alpha_at(1))
    # What was neither seen nor declared cannot be known: this is why a worst class is declared.
    assert undeclared / runs > 0.5


@pytest.mark.parametrize("distribution", ["two points", "uniform", "exponential"])
def test_bets_control_the_error_of_a_family_at_few_units(distribution):
    rng = np.random.default_rng(6)
    runs, level = 2_000, 0.05
    errors = 0
    for _ in range(runs):
        if distribution == "two points":
            differences = np.where(rng.random((3, 30)) < 0.9, 1.0, -9.0)
        elif distribution == "uniform":
            differences = rng.uniform(-1, 1, (3, 30))
        else:
            differences = rng.exponential(size=(3, 30)) - 1.0
        bounded = BoundedDifferences(differences, np.full(3, 9.0), np.full(3, 0.5))
        errors += bet(bounded, 0.0, level).rejected.any()
    assert at_most(errors, runs, level)


def test_bets_have_power_at_the_stated_multiple():
    """80 % where δ√n/σ is 3.6, at 5 % and one finalist."""
    rng = np.random.default_rng(7)
    units, runs = 2_000, 600
    found = 0
    for _ in range(runs):
        differences = rng.uniform(-1, 1, (1, units)) + 3.6 / np.sqrt(units) / np.sqrt(3)
        bounded = BoundedDifferences(differences, np.array([1.0]), np.array([1 / np.sqrt(3)]))
        found += bet(bounded, 0.0, 0.05).rejected[0]
    assert stats.binomtest(int(found), runs, 0.8, alternative="less").pvalue > 0.01


def test_bets_are_frozen_before_the_tested_units():
    sizes = bet_sizes(np.array([2.0, 1e-9]), np.array([1.0, 3.0]), 0.5, 100, 2, 0.05)
    assert sizes == pytest.approx([np.sqrt(2 * np.log(40) / 100) / 2, 0.9 / 3.5])
    with pytest.raises(DataError, match="below every possible difference"):
        bet_sizes(np.ones(1), np.ones(1), -2.0, 100, 1, 0.05)


def test_a_bound_that_does_not_hold_is_an_error():
    with pytest.raises(DataError, match="below its bound"):
        BoundedDifferences(np.array([[0.0, -1.5]]), np.array([1.0]), np.array([1.0]))


def test_the_lower_bound_is_where_the_bets_turn():
    rng = np.random.default_rng(8)
    bounded = BoundedDifferences(rng.uniform(-1, 2, (2, 300)), np.full(2, 1.0), np.full(2, 0.9))
    lower = betting_lower_bounds(bounded, 0.05)
    assert np.all((lower > 0) & (lower < bounded.differences.mean(axis=1)))
    for k in range(2):
        assert bet(bounded, lower[k] - 1e-6, 0.05).rejected[k]
        assert not bet(bounded, lower[k] + 1e-6, 0.05).rejected[k]


def test_differences_for_bets_are_unbiased_and_bounded():
    rng = np.random.default_rng(9)
    behaviour, candidate = np.array([0.8, 0.2]), np.array([0.5, 0.5])
    action = (rng.random(200_000) < 0.2).astype(int)
    reward = -1.0 + (rng.random(200_000) < np.array([0.3, 0.6])[action])
    active = np.ones((len(action), 1), dtype=bool)

    def under(policy):
        return Trajectories(reward[:, None], np.log(policy / behaviour)[action][:, None], active)

    gain = (candidate - behaviour) @ np.array([0.3, 0.6])
    one, c = single_decision_difference(under(candidate), under(behaviour), (-1.0, 0.0), 1.0)
    assert c == 1.0 and one.min() >= -c and one.mean() == pytest.approx(gain, abs=0.01)
    other, c = logger_difference(under(candidate), (-1.0, 0.0))
    assert c == 1.0 and other == pytest.approx(one)
    with pytest.raises(DataError, match="leaves"):
        logger_difference(under(candidate), (-0.5, 0.0))
    with pytest.raises(DataError, match="weight of the champion"):
        single_decision_difference(under(behaviour), under(candidate), (-1.0, 0.0), 2.0)
