"""The plan is what the gate's own test then takes, also where skewness and single units cost power."""

import math

import numpy as np
import pytest
from scipy import stats

from tune_configs.gate.asymptotic import step_down
from tune_configs.gate.budget import leg_level, needed_units, planned_power
from tune_configs.gate.decision import decide
from tune_configs.gate.outlook import FARTHEST, plan, resampled, shown
from tune_configs.gate.planning import OverlapOdds
from tune_configs.gate.request import Needs, Planning
from tune_configs.gate.tail import TailEvidence
from tune_configs.gate.tail_odds import ExtremeTail, TailOdds

LEVEL = leg_level(1)
SAFE = TailOdds(1_000, None)
AMPLE = OverlapOdds(1_000.0, 1_000, 0.0, 1.0)


def planned(tested, effect, odds=SAFE, overlap=AMPLE, **changes):
    arguments = {"deviation": float(tested.std(ddof=1)), "effect": effect, "level": LEVEL, "resamples": 500}
    return plan(tested, np.zeros(0), odds, overlap, **(arguments | changes))


def test_without_tail_or_skewness_it_is_students_plan():
    half = np.random.default_rng(0).normal(size=2_000)
    tested = np.concatenate([half, -half])
    for effect in (0.1, 0.02):
        fewest = needed_units(float(tested.std(ddof=1)), effect, LEVEL)
        found = planned(tested, effect)
        assert fewest <= found.units < 1.15 * fewest and not found.limit
        assert planned(tested, effect) == found
        assert planned(tested, effect, level=leg_level(3)).units > found.units


LIGHT, HEAVY = (lambda rng: rng.normal(size=40)), (lambda rng: rng.standard_t(5, 60) / math.sqrt(5 / 3))


@pytest.mark.parametrize("draw", [LIGHT, HEAVY])
def test_power_is_kept_on_the_average_over_what_the_deviation_may_be(draw):
    """By σ̂ as it is estimated .79 and .77, by σ̂ one standard error higher .86 and .85."""
    rng, critical, effect = np.random.default_rng(6), float(stats.norm.isf(LEVEL)), 0.1
    reached = []
    for _ in range(200):
        units = draw(rng)
        replicates, deviation = resampled(units, np.zeros(0), len(units), 400), float(units.std(ddof=1))
        counts = np.geomspace(100.0, 10_000.0, 150)
        enough = next(each for each in counts if shown(replicates, effect / deviation, each, critical) >= 0.8)
        reached.append(planned_power(1.0, effect, enough, LEVEL))
    assert 0.78 < np.mean(reached) < 0.83


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_the_test_finds_as_many_as_planned_under_heavy_tails(sign):
    """Products of weights with skewed outcomes: planned by σ alone, the test finds too few."""
    rng = np.random.default_rng(1)

    def draw(*shape):
        return rng.lognormal(0.0, 0.9, shape) * (sign * rng.exponential(size=shape) - sign)

    effect, tested = 0.25, draw(6_000)
    units = planned(tested, effect).units
    fewest = needed_units(float(tested.std(ddof=1)), effect, LEVEL)

    def found(count):
        return np.mean([step_down(draw(1, count) + effect, 0.0, LEVEL).rejected[0] for _ in range(500)])

    assert 0.7 < found(units) < 0.9
    if sign < 0:
        assert units > 1.05 * fewest and found(fewest) < found(units) - 0.02


def test_where_single_units_rule_no_number_is_enough():
    tested = np.random.default_rng(2).normal(size=800)
    fewest = planned(tested, 0.1).units
    some = planned(tested, 0.1, TailOdds(800, None, ExtremeTail(0.03 / fewest, 1e9)))
    assert fewest < some.units < 1.3 * fewest
    none = planned(tested, 0.1, TailOdds(800, None, ExtremeTail(0.5 / fewest, 1e9)))
    assert none.units is None and "standard deviations out" in none.limit and none.explorable
    ranged = planned(tested, 0.1, TailOdds(800, None, declared=54.0, returns=tested))
    assert ranged.units is None and "declared returns span 5" in ranged.limit and not ranged.explorable
    # A worst class is waited for, unless it was never seen or all but never.
    assert planned(tested, 0.1, TailOdds(8_000, 10)).units > 8_000
    assert planned(tested, 0.1, TailOdds(800, 0)).units is None
    assert planned(tested, 0.1, TailOdds(8_000, 1)).units is None
    # What the test itself takes is named, however much.
    assert planned(tested, 0.005).units > FARTHEST * len(tested)


def test_skewness_that_the_units_do_not_show_takes_more_of_them():
    tested = np.random.default_rng(4).normal(size=2_000)
    apart = 1.0 - np.random.default_rng(5).lognormal(0.0, 1.2, 8_000)
    assert planned(tested, 0.1, decoupled=apart).units > 1.1 * planned(tested, 0.1).units
    assert planned(tested, 0.1, decoupled=-apart).units <= 1.02 * planned(tested, 0.1).units


def test_as_many_as_just_have_enough_effective_units_are_not_enough():
    tested = np.random.default_rng(2).normal(size=400)
    certain, seen = OverlapOdds(160.0, 400, 0.0, 100.0), OverlapOdds(160.0, 400, 2.0, 100.0)
    assert planned(tested, 0.4, overlap=certain).units == 250  # the test itself takes fewer
    assert 275 < planned(tested, 0.4, overlap=seen).units < 300  # 250 exp(.84 · 2 √(1/400 + 1/n))
    assert planned(tested, 0.05, overlap=seen) == planned(tested, 0.05, overlap=certain)


def test_what_does_not_vary_needs_no_plan():
    assert planned(np.full(100, 0.2), 0.1, deviation=0.0).units == 2


def symmetric(mean):
    """Differences without skewness, of deviation 1."""
    half = np.random.default_rng(0).normal(size=400)
    raw = np.concatenate([half, -half])
    return raw / raw.std(ddof=1) + mean


def test_inconclusive_counts_the_tail_condition_in(request_for):
    """Where it is bound to fail no number of decisions is named, and what does help is."""
    tail = TailEvidence(np.random.default_rng(0).normal(size=800), declared=52.0)
    decision = decide(request_for(symmetric(0.02), tail=tail))
    assert decision.decision == "inconclusive" and decision.needs == Needs()
    assert (
        "no practical number of decisions promotes a gain of 0.1 in 8 of 10 cases: the declared returns span 5"
        in decision.reason
    )
    assert "(declare its worst_class); final split: 1 look spent" in decision.reason
    heavy = symmetric(0.02)
    heavy[:2] -= 20.0
    decision = decide(request_for(heavy, tail=TailEvidence(tail.returns)))
    assert decision.needs.decisions is None and decision.needs.explore == pytest.approx(0.2)
    assert "standard deviations out are too frequent (declare its worst_class); needs explore=0.2" in decision.reason
    # A class that was seen now and then is waited for.
    seen = TailEvidence(tail.returns, np.arange(800) < 4, np.ones((1, 800)))
    unseen = decide(request_for(symmetric(0.02))).needs.decisions
    assert decide(request_for(symmetric(0.02), tail=seen)).needs.decisions > 1.5 * unseen
    # A plan for overlap alone names no effect.
    bare = decide(request_for(symmetric(0.02), planning=Planning(decisions_per_unit=12.0, resamples=0)))
    assert bare.needs.decisions == math.ceil(100 / 0.9 / 0.35) * 12
