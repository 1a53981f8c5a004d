"""The models rank what the log reaches and what it does not, until the log contradicts them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import stats

from algorithms.ope.estimate import Estimate
from tune_configs.recommendation import (
    MODELS_GAIN,
    SIGNIFICANCE,
    best_first,
    cautious_mean,
    confirmed_share,
    models_contradicted,
    models_gain,
)

UNITS = 101


@dataclass(frozen=True)
class Policy:
    """What is read of a judged policy."""

    gain: Estimate
    model_gain: float


def policy(
    value: float = math.nan, error: float = 1.0, *, least: float = 0.0, mean: float | None = None, units: int = UNITS
) -> Policy:
    """A policy with its gain and standard error, without a value one that the log does not reach."""
    half = error * float(stats.t.ppf(0.975, units - 1))
    refused = "no overlap" if math.isnan(value) else ""
    diagnostics = {MODELS_GAIN: least if mean is None else mean}
    gain = Estimate(value, value - half, value + half, 0.95, "paired", 100.0, units, "log", refused, diagnostics)
    return Policy(gain, least)


def test_unchecked_models_count_at_their_most_cautious() -> None:
    bold, cautious = policy(least=0.1, mean=9.0), policy(least=0.2, mean=0.3)
    assert best_first([bold, cautious]) == [1, 0]


def test_checked_models_count_by_their_mean_whether_the_log_reaches_a_policy_or_not() -> None:
    # The first has the largest bound and the largest cautious word; neither is on the scale of a mean.
    proven, wide, far = (
        policy(1.0, 0.1, least=0.9, mean=1.0), policy(1.2, 5.0, least=0.0, mean=2.0), policy(least=-1.0, mean=3.0)
    )  # fmt: skip
    assert best_first([proven, wide, far]) == [2, 1, 0]


def test_models_that_see_no_gain_do_not_outweigh_what_the_log_proves() -> None:
    proven, promised = policy(1.0, 0.1, least=0.0, mean=0.1), policy(least=0.2, mean=0.6)
    assert best_first([promised, proven]) == [1, 0]
    # Proven for as many as were tried: the same bound of one among many is chance.
    lucky = policy(2.2, 1.0, least=0.0, mean=0.1)
    assert best_first([promised, lucky]) == [0, 1] and best_first([policy(mean=0.1), lucky]) == [1, 0]
    assert best_first([policy(mean=0.2), lucky, *[policy(0.0, least=0.0)] * 9])[0] == 0


def test_a_logged_loss_is_never_first_where_the_log_shows_a_gain() -> None:
    # The models promise most for the loss, and its error is too large to contradict them.
    loss, gains, better = (
        policy(-3.0, 3.0, least=2.0, mean=3.0),
        policy(0.1, 0.1, mean=0.1),
        policy(0.5, 1.0, mean=0.6),
    )
    assert not models_contradicted([loss, gains, better])
    assert best_first([loss, gains, better]) == [2, 0, 1], "the others stay in their order"
    assert best_first([policy(0.0, 3.0, mean=3.0), gains]) == [1, 0], "the champion itself is no gain"
    assert best_first([loss, policy(-0.1, 0.1, mean=0.1)]) == [0, 1], "where none gains, the models choose"
    far = policy(least=1.0, mean=1.0)
    assert best_first([loss, far, gains]) == [1, 0, 2], "the log says nothing against what it does not reach"
    # Contradicted models: a bound that is tight about a loss does not beat a wide one about a gain.
    tight, denied = policy(-0.1, 0.1), policy(-2.0, 0.1, least=3.0)
    assert best_first([tight, better, denied]) == [1, 0, 2]
    # The gain may be that of a checkpoint which is not proposed itself.
    assert best_first([loss, far], [loss, gains]) == [1, 0]


def test_where_the_log_confirms_nothing_of_what_models_promise_the_reached_come_first() -> None:
    denied = policy(-1.0, 0.1, least=1.0, mean=5.0)
    proven, vague = policy(0.5, 0.1, least=0.4, mean=0.5), policy(0.6, 0.5, least=0.6, mean=1.0)
    far, farther = policy(least=8.0, mean=9.0), policy(least=7.0, mean=10.0)
    judged = [far, denied, vague, proven, farther]
    assert confirmed_share(judged) < 0
    assert best_first(judged) == [3, 2, 1, 0, 4]


def test_where_it_confirms_a_share_that_share_of_the_promise_competes_with_the_bounds() -> None:
    halved = policy(1.0, 0.1, least=2.0)  # its lower bound is 0.80
    below, above = policy(least=1.5, mean=9.0), policy(least=1.7, mean=0.0)
    judged = [below, halved, above]
    assert models_contradicted(judged) and confirmed_share(judged) == pytest.approx(0.5)
    assert best_first(judged) == [2, 1, 0]


def test_the_confirmed_share_is_a_weighted_slope_and_never_more_than_the_promise() -> None:
    exact, vague = policy(0.5, 0.1, least=1.0), policy(-3.0, 1.0, least=2.0)
    weighted = (0.5 * 100 - 6.0) / (100 + 4.0)
    assert confirmed_share([exact, vague, policy(0.0, 0.0, least=0.0)]) == pytest.approx(weighted)
    assert confirmed_share([policy(5.0, 0.1, least=1.0)]) == 1.0
    assert confirmed_share([policy(least=1.0), policy(1.0, 1.0, least=0.0)]) == 1.0


@pytest.mark.parametrize("count", [1, 8])
def test_a_contradiction_is_a_significant_one_for_the_number_of_policies(count: int) -> None:
    needed = float(stats.t.ppf(1.0 - SIGNIFICANCE / count, UNITS - 1))
    others = [policy(0.0, least=0.0)] * (count - 1)
    for error in (0.01, 3.0):
        assert models_contradicted([*others, policy(0.0, error, least=1.01 * needed * error)])
        assert not models_contradicted([*others, policy(0.0, error, least=0.99 * needed * error)])
    # What the log shows to be better than the models thought contradicts nothing that they promise.
    assert not models_contradicted([policy(9.0, 0.01, least=0.0)])


def test_what_the_log_does_not_reach_checks_nothing_and_an_identical_policy_contradicts_nothing() -> None:
    assert not models_contradicted([policy(least=1e9)])
    assert not models_contradicted([policy(0.0, 0.0, least=0.0)])
    assert not models_contradicted([])


def test_models_that_are_right_are_seldom_contradicted_however_the_policies_correlate() -> None:
    rng = np.random.default_rng(0)
    for correlation in (0.0, 0.9):
        found = 0
        for _ in range(1_000):
            noise = math.sqrt(correlation) * rng.standard_normal() + math.sqrt(1 - correlation) * rng.standard_normal(
                10
            )
            found += models_contradicted([policy(float(each), least=0.0) for each in noise])
        assert found <= 80  # at 5 % more than 80 of 1,000 come once in 30,000 times


def test_a_wider_set_may_check_the_models() -> None:
    denied = policy(-1.0, 0.1, least=1.0)
    near, far = policy(0.1, 0.1, least=0.1), policy(least=3.0)
    assert best_first([near, far]) == [1, 0]
    assert best_first([near, far], [near, denied]) == [0, 1]


def test_of_equals_the_larger_bound_then_the_earlier_and_no_number_comes_last() -> None:
    same = [policy(0.1, 1.0, mean=0.5), policy(0.1, 0.1, mean=0.5), policy(0.1, 0.1, mean=0.5), policy(mean=math.nan)]
    assert best_first(same) == [1, 2, 0, 3]
    assert best_first([policy(least=math.nan), policy(least=-3.0)]) == [1, 0]
    assert best_first([]) == []


def test_without_a_kept_mean_the_smallest_gain_stands_for_it() -> None:
    judged = policy(0.0, least=0.3, mean=0.5)
    assert models_gain(judged) == 0.5
    assert models_gain(replace(judged, gain=replace(judged.gain, diagnostics={}))) == 0.3


def test_a_mean_over_models_is_less_by_its_standard_error() -> None:
    assert cautious_mean([1.0, 2.0, 3.0]) == pytest.approx(2.0 - 1.0 / math.sqrt(3.0))
    assert cautious_mean([0.0] * 6) == 0.0 and cautious_mean([4.0]) == 4.0
