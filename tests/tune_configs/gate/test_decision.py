"""Each of the five answers, each condition on its own, and what the answer carries."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from algorithms.ope.estimate import Estimate
from envs.errors import DataError
from tune_configs.gate.betting import BoundedDifferences
from tune_configs.gate.budget import alpha_at, leg_level, needed_units
from tune_configs.gate.decision import decide
from tune_configs.gate.guardrails import Guardrail
from tune_configs.gate.planning import about
from tune_configs.gate.request import Needs, Planning
from tune_configs.gate.scarcity import ScarceAction
from tune_configs.gate.tail import TailEvidence

UNITS = 800


def gains(mean, units=UNITS, seed=0):
    """Differences of exactly this mean and standard deviation 1."""
    raw = np.random.default_rng(seed).normal(size=units)
    return (raw - raw.mean()) / raw.std(ddof=1) + mean


def symmetric(mean, units=UNITS, seed=0):
    """The same without skewness, which raises the critical value."""
    half = np.random.default_rng(seed).normal(size=units // 2)
    raw = np.concatenate([half, -half])
    return raw / raw.std(ddof=1) + mean


def model(lower):
    return Estimate(lower + 0.1, lower, lower + 0.2, 0.95, "direct_method", 5.0, UNITS, evidence="model")


def test_promotes_a_clear_gain(request_for):
    decision = decide(request_for(gains(0.5)))
    assert (decision.decision, decision.winner, decision.leg) == ("promote", 0, "asymptotic")
    assert decision.alpha == alpha_at(1) and decision.look == 1
    assert decision.estimate is decision.estimates[0]
    assert decision.estimate.lower > 0 and decision.estimate.confidence == pytest.approx(1 - alpha_at(1))
    assert decision.reason.count(".") == decision.reason.count("0.") and "\n" not in decision.reason


def test_same_request_same_answer(request_for):
    five = np.stack([gains(0.1, seed=s) for s in range(5)])
    first, second = decide(request_for(five)), decide(request_for(five))
    assert first.reason == second.reason
    assert [e.lower for e in first.estimates] == [e.lower for e in second.estimates]


def test_of_several_the_largest_lower_bound_wins(request_for):
    """The larger mean has the larger spread; both are shown."""
    wild, calm = 6 * gains(0.0, seed=1) + 1.0, gains(0.6, seed=2)
    decision = decide(request_for(np.stack([wild, calm])))
    assert decision.decision == "promote" and decision.winner == decision.subject == 1
    assert decision.estimates[0].value > decision.estimates[1].value
    # An answer that promotes nobody speaks of the one that came nearest, and so does its estimate.
    decision = decide(request_for(np.stack([gains(-0.05), gains(0.02, seed=1)])))
    assert (decision.decision, decision.winner, decision.subject) == ("inconclusive", None, 1)
    assert decision.estimate is decision.estimates[1]


def test_minimum_gain_moves_the_null(request_for):
    assert decide(request_for(gains(0.5), minimum_gain=0.3)).decision == "promote"
    assert decide(request_for(gains(0.5), minimum_gain=0.5)).decision == "inconclusive"
    assert decide(request_for(gains(0.5), minimum_gain=0.9)).decision == "keep"


def test_keeps_where_no_finalist_can_reach_the_minimum(request_for):
    assert decide(request_for(gains(-0.3))).decision == "keep"
    decision = decide(request_for(np.stack([gains(-0.3), gains(0.0)])))
    assert decision.decision == "inconclusive"
    assert "minimum gain" in decide(request_for(gains(-0.3))).reason


def test_keep_speaks_of_none_that_could_not_be_tested(request_for):
    two = request_for(np.stack([gains(-0.5), gains(3.0, seed=1)]), effective_sample_sizes=np.array([700.0, 20.0]))
    decision = decide(two)
    assert decision.decision == "keep"
    assert decision.reason.startswith("no finalist that could be tested (1 of 2 could not: overlap too small")
    assert decide(request_for(gains(-0.5))).reason.startswith("no finalist gains more than")


def test_a_finalist_that_decides_as_the_champion_does_is_kept_out(request_for):
    decision = decide(request_for(np.zeros(UNITS)))
    assert decision.decision == "keep" and "otherwise" in decision.reason
    # A constant gain that was never seen to vary is no evidence of its size.
    assert decide(request_for(np.full(UNITS, 0.1))).decision == "inconclusive"


def test_inconclusive_says_how_many_decisions_and_how_long(request_for):
    decision = decide(request_for(gains(0.02), look=2))
    assert decision.decision == "inconclusive" and decision.winner is None
    units = needed_units(1.0, 0.1, leg_level(3))
    # More than σ alone would have it: the spread is an estimate.
    assert 1.0 < decision.needs.decisions / (units / 0.35 * 12) < 1.15
    assert decision.needs.seconds == pytest.approx(decision.needs.decisions / 12 / 0.01, rel=0.01)
    assert decision.needs.explore == pytest.approx(0.2)
    told = f"needs ~{about(decision.needs.decisions):,} decisions (5 days at your rate), or explore=0.2"
    assert f"to show a gain of 0.1 in 8 of 10 cases it {told}" in decision.reason
    assert decision.reason.endswith("final split: 2 looks spent, fresh after 3,900 new decisions")
    assert decision.until_look == math.ceil(100 / 0.9 / 0.35) * 12
    scarce = (ScarceAction("failover", 0.8, 0.01),)
    assert "or explore=0.2 on failover; final split" in decide(request_for(gains(0.02), scarce=scarce)).reason
    # What is explored as much as is ever advised is not told to explore.
    assert decide(request_for(gains(0.02), planning=Planning(explore=0.5))).needs.explore is None
    unknown = decide(request_for(gains(0.02), planning=Planning()))
    assert unknown.needs.seconds is None and unknown.needs.explore is None


def test_no_gain_is_planned_for_that_the_null_already_asks_for(request_for):
    """A gain of .1 promotes nothing where .5 is the minimum; the plan is for .6, and says so."""
    low, high = (decide(request_for(gains(0.5), minimum_gain=0.5, practical_effect=each)) for each in (0.1, 0.6))
    assert "to show a gain of 0.6 in 8 of 10 cases" in low.reason and "to show a gain of 0.6" in high.reason
    assert low.needs == high.needs


def test_the_needs_are_enough(request_for):
    """As many final units as it asks for show the practical effect at the next look in 8 of 10 gates."""
    needed = needed_units(1.0, 0.25, leg_level(2))
    rng = np.random.default_rng(3)
    promoted = sum(
        decide(request_for(rng.normal(size=needed) + 0.25, look=2)).decision == "promote" for _ in range(300)
    )
    assert 0.74 < promoted / 300 < 0.87


@pytest.mark.parametrize("grade", ["C", "D"])
def test_refuses_a_log_that_proves_nothing(request_for, grade):
    decision = decide(request_for(gains(5.0), grade=grade))
    assert decision.decision == "refused" and f"grade {grade}" in decision.reason
    assert decision.alpha == 0.0 and decision.winner is None
    assert all(estimate.refused for estimate in decision.estimates)
    assert (decision.needs.explore is not None) == (grade == "C")


def test_refuses_a_look_that_cannot_be_paid_for(request_for):
    decision = decide(request_for(gains(5.0), unpaid="no final unit is newer than the last gate", lacking=100, look=2))
    assert decision.decision == "refused" and "newer than the last gate" in decision.reason
    assert decision.alpha == 0.0 and decision.needs.decisions == math.ceil(100 / 0.35) * 12 == decision.until_look
    assert decision.reason.endswith("final split: 1 look spent, fresh after 3,500 new decisions")
    hopeless = decide(request_for(gains(5.0), unpaid="no finalist gains more than the minimum"))
    assert hopeless.needs.decisions is None is hopeless.until_look


def test_refuses_too_few_units_and_says_how_many_more(request_for):
    decision = decide(request_for(gains(5.0, units=60)))
    assert decision.decision == "refused" and "54 of 60 units" in decision.reason
    assert decision.needs.decisions == pytest.approx((100 / 0.9 - 60) / 0.35 * 12, abs=13)
    assert decide(request_for(np.zeros((1, 0)))).decision == "refused"


def test_refuses_without_overlap_and_asks_for_exploration(request_for):
    decision = decide(request_for(gains(5.0, units=4_000), effective_sample_sizes=np.array([120.0])))
    assert decision.decision == "refused" and "120 of 4,000 units (3 %), needs 10 %" in decision.reason
    assert decision.alpha == 0.0 and decision.needs.decisions is None
    assert decision.needs.explore == pytest.approx(0.1 * math.log(0.03) / math.log(0.1))


def test_a_models_word_is_worth_a_live_test_at_most(request_for):
    arguments = {"effective_sample_sizes": np.array([20.0])}
    decision = decide(request_for(gains(5.0), model_estimate=model(0.5), **arguments))
    assert decision.decision == "canary" and "only a model" in decision.reason and decision.alpha == 0.0
    assert decide(request_for(gains(5.0), model_estimate=model(-0.1), **arguments)).decision == "refused"
    none = request_for(np.zeros((0, UNITS)), model_estimate=model(0.5))
    assert decide(none).decision == "canary"
    assert decide(request_for(gains(5.0), model_estimate=model(0.5), grade="C")).decision == "refused"


def test_finalists_without_overlap_are_left_out_of_the_test(request_for):
    decision = decide(
        request_for(np.stack([gains(5.0), gains(0.5, seed=1)]), effective_sample_sizes=np.array([30.0, 700.0]))
    )
    assert decision.decision == "promote" and decision.winner == 1
    assert "30 of 800 units" in decision.estimates[0].refused and decision.estimates[1].usable


def test_a_barred_finalist_is_not_tested(request_for):
    decision = decide(request_for(gains(0.5), barred=("the history test failed",)))
    assert decision.decision == "refused" and decision.reason.startswith("the history test failed;")
    # More decisions or exploration do not help a finalist that is barred.
    assert decision.needs == Needs() and "needs" not in decision.reason


def test_estimated_propensities_lead_to_a_live_test_only(request_for):
    decision = decide(request_for(gains(0.5), grade="B"))
    assert decision.decision == "canary" and "grade B" in decision.reason and decision.winner == 0
    assert decide(request_for(gains(0.5), grade="A-M")).decision == "promote"
    assert decide(request_for(gains(0.0), grade="B")).decision == "inconclusive"


def test_tail_condition_with_a_declared_worst_class(request_for):
    returns, weights = np.random.default_rng(0).normal(size=UNITS), np.ones((1, UNITS))
    for seen, expected in ((10, "promote"), (9, "canary"), (0, "canary")):
        tail = TailEvidence(returns, np.arange(UNITS) < seen, weights)
        decision = decide(request_for(gains(0.5), tail=tail))
        assert decision.decision == expected, seen
    assert "worst class was seen in 0 units" in decision.reason
    # Seen often, but never where the finalist would go.
    elsewhere = np.where(np.arange(UNITS) < 50, 0.2, 1.0)[None]
    tail = TailEvidence(returns, np.arange(UNITS) < 50, elsewhere)
    assert decide(request_for(gains(0.5), tail=tail)).decision == "canary"


def test_tail_condition_without_one(request_for):
    # One unit can lie at most √n deviations out, so the condition bites from 226 units on.
    ruled = gains(0.5, units=4_000)
    ruled[7] += 30
    decision = decide(request_for(ruled))
    assert decision.decision == "canary" and "standard deviations out" in decision.reason
    returns = np.random.default_rng(0).normal(size=4_000)
    returns[3] = -500.0
    decision = decide(request_for(gains(0.5, units=4_000), tail=TailEvidence(returns)))
    assert decision.decision == "canary" and "returns span" in decision.reason


def bounded(differences, c, deviation=1.0):
    differences = np.atleast_2d(differences)
    count = len(differences)
    return BoundedDifferences(differences, np.full(count, c), np.full(count, deviation))


def test_the_finite_sample_leg_promotes_alone(request_for):
    """It needs neither the tail condition nor the other leg's overlap, but known propensities."""
    differences = np.clip(gains(1.0), -2.0, None)
    tail = TailEvidence(np.zeros(UNITS), np.zeros(UNITS, dtype=bool), np.ones((1, UNITS)))
    arguments = {"tail": tail, "bounded": bounded(differences, 2.0)}
    assert decide(request_for(differences, tail=tail)).decision == "canary"
    decision = decide(request_for(differences, **arguments))
    assert (decision.decision, decision.leg) == ("promote", "finite-sample")
    decision = decide(request_for(differences, effective_sample_sizes=np.array([5.0]), **arguments))
    assert (decision.decision, decision.leg) == ("promote", "finite-sample")
    assert decision.estimate.estimator == "betting" and 0 < decision.estimate.lower < 1
    doubted = decide(request_for(differences, grade="B", **arguments))
    assert doubted.decision == "canary"
    # A log of exact propensities may be B as well: for one unit of much weight, or an effect that it cannot show.
    assert "the log is grade B (retrainer inspect says why)" in doubted.reason and "propensities" not in doubted.reason


def test_a_gain_that_the_bets_alone_show_is_told_by_their_bound(request_for):
    """The other leg tested it as well and its interval reaches over 0: beside a promotion it would deny it."""
    decision = decide(request_for(gains(0.02), bounded=bounded(np.clip(gains(1.0), -2.0, None), 2.0)))
    assert (decision.decision, decision.leg) == ("promote", "finite-sample")
    assert decision.estimate.estimator == "betting" and decision.estimate.lower > 0.0
    both = decide(request_for(gains(0.5), bounded=bounded(np.clip(gains(1.0), -2.0, None), 2.0)))
    assert both.leg == "finite-sample" and both.estimate.estimator == "paired_doubly_robust"


def test_the_finite_sample_leg_that_shows_nothing_has_spent_its_look(request_for):
    decision = decide(
        request_for(gains(5.0), effective_sample_sizes=np.array([5.0]), bounded=bounded(np.zeros(UNITS), 2.0))
    )
    assert decision.decision == "inconclusive" and decision.alpha == alpha_at(1)
    assert decision.needs.decisions is None


def test_units_that_a_spent_look_has_read_do_not_count_towards_the_next(request_for):
    """Three effective units were missing, but the look is spent: it takes as many new ones as the effect does."""
    few = request_for(
        gains(0.0, units=110), effective_sample_sizes=np.array([97.0]), bounded=bounded(np.zeros(110), 2.0)
    )
    decision = decide(few)
    assert decision.decision == "inconclusive" and decision.alpha == alpha_at(1)
    assert decision.needs.decisions > needed_units(1.0, 0.1, leg_level(2)) / 0.35 * 12
    barred = decide(replace(few, barred=("the history test failed",)))
    assert barred.decision == "inconclusive" and barred.needs == Needs()


def test_guardrails_stop_a_promotion(request_for):
    worse, fine = np.atleast_2d(gains(-0.2, seed=4)), np.atleast_2d(gains(0.0, seed=5))
    passing = Guardrail("latency", fine, 0.2)
    assert decide(request_for(gains(0.5), guardrails=(passing,))).decision == "promote"
    decision = decide(request_for(gains(0.5), guardrails=(passing, Guardrail("errors", worse, 0.2))))
    assert decision.decision == "canary" and "errors" in decision.reason and "latency" not in decision.reason
    assert [(outcome.name, outcome.verdict) for outcome in decision.guardrails] == [
        ("latency", "held"),
        ("errors", "open"),
    ]


def test_what_surely_breaks_a_guardrail_gets_no_live_test(request_for):
    harmful = Guardrail("errors", np.atleast_2d(gains(-0.5, seed=4)), 0.2)
    decision = decide(request_for(gains(0.5), guardrails=(harmful,)))
    assert decision.decision == "keep" and decision.winner is None and "errors would get worse" in decision.reason
    assert decision.guardrails[0].verdict == "broken" and decision.alpha == alpha_at(1)
    # Another finalist that holds it is promoted.
    both = np.stack([gains(0.9), gains(0.5, seed=1)])
    rail = Guardrail("errors", np.stack([gains(-0.5, seed=4), gains(0.0, seed=5)]), 0.2)
    decision = decide(request_for(both, guardrails=(rail,)))
    assert decision.decision == "promote" and decision.winner == 1 and decision.guardrails[0].verdict == "held"


def test_each_guardrail_has_the_whole_level(request_for):
    """Intersection-union: ten guardrails need no correction, and each is tested at α_j, not at a leg's half of it."""
    level = alpha_at(1)
    reach = stats.t.isf(level, UNITS - 1) / math.sqrt(UNITS)
    just = Guardrail("just", np.atleast_2d(symmetric(1.02 * reach - 0.2)), 0.2)
    short = Guardrail("short", np.atleast_2d(symmetric(0.98 * reach - 0.2)), 0.2)
    rails = tuple(Guardrail(f"{index}", just.differences, 0.2) for index in range(10))
    assert decide(request_for(gains(0.5), guardrails=rails)).decision == "promote"
    assert decide(request_for(gains(0.5), guardrails=(*rails, short))).decision == "canary"


def test_a_guardrail_that_the_log_does_not_reach_is_not_shown(request_for):
    """The finite-sample leg may promote without overlap; a mean that rests on a few weights is no guardrail."""
    differences = np.clip(gains(1.0), -2.0, None)
    fine = Guardrail("latency", np.atleast_2d(gains(1.0, seed=5)), 0.2)
    arguments = {"effective_sample_sizes": np.array([5.0]), "bounded": bounded(differences, 2.0)}
    assert decide(request_for(differences, **arguments)).decision == "promote"
    decision = decide(request_for(differences, guardrails=(fine,), **arguments))
    assert decision.decision == "canary" and "latency" in decision.reason


def test_later_looks_ask_for_more(request_for):
    differences = gains(0.1)  # t = 2.8
    answers = [decide(request_for(differences, look=look)).decision for look in (1, 2, 3)]
    assert answers == ["promote", "promote", "inconclusive"]


def test_contradictions_are_named(request_for):
    for changes, message in (
        ({"grade": "E"}, "grade 'E'"),
        ({"practical_effect": 0.0}, "practical effect"),
        ({"effective_sample_sizes": np.ones(2)}, r"effective_sample_sizes has shape \(2,\)"),
        ({"tail": TailEvidence(np.zeros(3))}, "tail.returns has shape"),
    ):
        with pytest.raises(DataError, match=message):
            request_for(gains(0.5), **changes)
    with pytest.raises(DataError, match="at most 5 on the select split"):
        request_for(np.zeros((6, 100)))
    with pytest.raises(DataError, match="not finite"):
        decide(request_for(np.where(np.arange(UNITS) == 1, np.nan, gains(0.5))))


def test_declared_bounds_that_leave_room_for_the_unseen_end_at_a_live_test(request_for):
    """A range of 300 standard deviations was declared, nothing of it was ever logged, and no class of it is named."""
    returns = np.random.default_rng(0).normal(size=4_000)
    narrow, wide = (TailEvidence(returns, declared=width) for width in (40.0, 300.0))
    promoted, proposed = (decide(request_for(gains(0.5, units=4_000), tail=tail)) for tail in (narrow, wide))
    assert promoted.decision == "promote" and proposed.decision == "canary"
    assert "never seen could undo the gain" in proposed.reason
    told = [decision.estimates[0] for decision in (promoted, proposed)]
    assert [estimate.diagnostics["tail_condition"] for estimate in told] == [1.0, 0.0]
    assert [len(estimate.assumptions) for estimate in told] == [2, 3]
    assert "never seen" in told[1].assumptions[-1]
