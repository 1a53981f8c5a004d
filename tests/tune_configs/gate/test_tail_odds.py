"""The odds of the tail condition: more units make an outlier likelier, and a declared worst class."""

import numpy as np
import pytest
from scipy import stats

from tune_configs.gate.tail import TailEvidence, by_distance, tail_failure, without_farthest
from tune_configs.gate.tail_odds import ExtremeTail, TailOdds, extreme_tail, tail_odds


def outlier_rate(differences):
    return extreme_tail(differences).rate(15.0)


def test_light_tails_have_no_outlier_and_heavy_ones_as_many_as_there_are():
    rng = np.random.default_rng(0)
    for light in (rng.normal(size=(200, 350)), rng.uniform(size=(200, 350)), rng.binomial(1, 0.1, (200, 350)) - 0.1):
        assert np.mean([outlier_rate(each) for each in light]) < 1e-5
    true = 2.0 * stats.t.sf(15.0 * np.sqrt(3.0), 3)
    found = [outlier_rate(each) for each in rng.standard_t(3, size=(400, 1_000))]
    assert 0.5 * true < np.mean(found) < 2.0 * true
    # It is a statement about shapes: neither shift nor unit matters.
    heavy = rng.standard_t(3, size=1_000)
    assert outlier_rate(7.0 - 1e-3 * heavy) == pytest.approx(outlier_rate(heavy))
    assert outlier_rate(np.full(50, 0.3)) == 0.0


def test_the_more_units_the_likelier_an_outlier_until_one_alone_weighs_little():
    odds = TailOdds(500, None, ExtremeTail(2e-4, 60.0))
    assert odds.chance(1_000) == pytest.approx((1.0 - 2e-4) ** 1_000, rel=1e-3)
    assert odds.chance(4_000) < odds.chance(1_000)
    assert "more than 20 standard deviations out" in odds.limit(4_000) and not odds.out_of_range(4_000)
    heavy = TailOdds(1_000, None, extreme_tail(np.random.default_rng(3).standard_t(3, size=20_000)))
    assert heavy.chance(300) > heavy.chance(2_000) < heavy.chance(20_000) < heavy.chance(200_000)


@pytest.mark.parametrize("units", [240, 400, 800, 1_600])
def test_a_far_unit_widens_the_deviation_that_it_is_measured_in(units):
    rng, rate = np.random.default_rng(7), 1e-3
    odds = TailOdds(10_000, None, ExtremeTail(rate, 20.0))  # at 20 and nowhere else
    held = 0
    for _ in range(300):
        drawn = rng.normal(size=units)
        far = rng.random(units) < rate
        drawn[far] = 20.0 * rng.choice([-1.0, 1.0], int(far.sum()))
        held += not tail_failure(TailEvidence(np.zeros(units)), drawn, 0)
    # Two far units hide each other, which the odds do not count on.
    assert held / 300 - 0.25 < odds.chance(units) < held / 300 + 0.08


def test_a_worst_class_is_seen_often_enough_in_enough_units():
    """The chance is that of a count whose rate is known from the log alone, as simulated from the same prior."""
    odds = TailOdds(400, 6)
    rate = np.random.default_rng(1).gamma(6.0, 1.0 / 400.0, 200_000)
    for units in (300, 800, 3_000):
        truth = np.mean(stats.poisson.sf(9, rate * units))
        assert odds.chance(units) == pytest.approx(truth, abs=0.005)
    assert TailOdds(400, 0).chance(1e9) == 0.0
    assert "6 of 400 units" in odds.limit(300)


@pytest.mark.parametrize("span", [40.0, 49.5, 60.0])
def test_a_declared_range_near_the_limit_is_a_matter_of_luck(span):
    """The chance is that of simulated logs whose returns have the deviation that the log at hand shows."""
    rng, units, fresh = np.random.default_rng(2), 300, 500
    odds = tail_odds(TailEvidence(rng.normal(size=units), declared=span), np.zeros(units), 0)
    seen = np.std(without_farthest(odds.returns, 6), ddof=1)  # as many of 300 as ten of 500
    spread = seen / np.std(
        without_farthest(by_distance(stats.norm.ppf((np.arange(10_000) + 0.5) / 10_000)), 200), ddof=1
    )
    held = 0
    for _ in range(600):
        true = spread * np.sqrt(units / rng.chisquare(units))
        returns = true * rng.normal(size=fresh)
        held += not tail_failure(TailEvidence(returns, declared=span), rng.normal(size=fresh), 0)
    assert odds.chance(fresh) == pytest.approx(held / 600, abs=0.08)
    if span > 50.0:
        assert odds.out_of_range(fresh) and f"span {span / seen:.0f} standard deviations" in odds.limit(fresh)


def test_returns_that_are_all_alike_but_a_few_prove_nothing_about_a_declared_range():
    returns = -1.0 * (np.arange(300) < 8)
    odds = tail_odds(TailEvidence(returns, declared=2.0), np.zeros(300), 0)
    assert odds.chance(300) == 0.0 and odds.out_of_range(300) and "have the same return" in odds.limit(300)
    assert odds.chance(1_000) > 0.99  # of so many, thirty are expected to differ
    assert tail_odds(TailEvidence(np.zeros(300), declared=2.0), np.zeros(300), 0).chance(300) == 1.0
    assert 0.0 <= odds.chance(2) <= 1.0


def test_the_evidence_counts_what_the_finalist_would_meet():
    worst, weights = np.arange(100) < 12, np.stack([np.ones(100), np.where(np.arange(100) < 8, 0.1, 1.0)])
    evidence = TailEvidence(np.zeros(100), worst, weights)
    assert [tail_odds(evidence, np.zeros(100), finalist).seen for finalist in (0, 1)] == [12, 4]
