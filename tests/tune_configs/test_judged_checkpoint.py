"""Several seeds are one variant, and of its checkpoints the best by the metric stands for it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.ope.estimate import Estimate
from algorithms.policy.components import ProbabilityTable
from envs.encoding import IntegerStates
from tests.tune_configs.judged import SMALLEST, checkpoint, trial
from tune_configs.judge import Judgement
from tune_configs.judged_checkpoint import JudgedCheckpoint, best_of, judged_checkpoint
from tune_configs.selection import select
from tune_configs.training import LearningCurve, TrainedComponent
from tune_configs.variant import VariantSpecification

NAN = float("nan")


def judgement(lower: float, *, refused: bool = False, model_gain: float = 0.0) -> Judgement:
    gain = Estimate(
        NAN if refused else lower + 0.1,
        NAN if refused else lower,
        NAN if refused else lower + 0.2,
        0.95,
        "paired",
        1.0,
        2,
        refused="no overlap" if refused else "",
    )
    return Judgement(gain, gain, model_gain, 1.0)


def learned(number: int) -> TrainedComponent:
    component = ProbabilityTable(IntegerStates(np.array([0])), np.full((1, 2), 0.5), np.full(2, 0.5))
    return TrainedComponent(component, {"number": float(number)}, LearningCurve("loss", (1.0,)), {}, 3)


def variant(judgements: list[Judgement]) -> JudgedCheckpoint:
    seeds = tuple(range(10, 10 + len(judgements)))
    return judged_checkpoint(
        VariantSpecification("tabular_q", {}, 1.0, seeds),
        [learned(number) for number in range(len(seeds))],
        judgements,
        [np.array([0.5, 0.5])] * len(seeds),
        smallest=SMALLEST,
    )


def test_the_best_of_seeds_is_not_what_ranks() -> None:
    lucky = variant([judgement(0.9), judgement(0.0), judgement(0.0)])
    steady = variant([judgement(0.35), judgement(0.4), judgement(0.45)])
    assert max(lucky.seed_metrics) > max(steady.seed_metrics)
    assert steady.metric > lucky.metric
    chosen = select((trial(0, lucky), trial(1, steady)))
    assert (chosen.recommended, chosen.finalists) == (1, (1, 0))


def test_the_seed_in_the_middle_stands_for_the_variant_with_its_own_figures() -> None:
    found = variant([judgement(0.9), judgement(0.0), judgement(0.2)])
    assert (found.seed, found.gain.lower, found.statistics) == (12, 0.2, {"number": 2.0})
    assert found.metric == found.score == pytest.approx((0.9 + 0.0 + 0.2) / 3)
    # Of two in the middle the lower one: an even number makes nobody lucky either.
    assert variant([judgement(0.9), judgement(0.1)]).gain.lower == 0.1


def test_a_seed_that_the_log_does_not_reach_counts_as_the_smallest_difference() -> None:
    found = variant([judgement(0.5), judgement(NAN, refused=True, model_gain=0.4), judgement(0.3)])
    assert found.metric == pytest.approx((0.5 + SMALLEST + 0.3) / 3)
    assert found.score == pytest.approx((0.5 + 0.4 + 0.3) / 3)
    assert found.seed_metrics == (0.5, SMALLEST, 0.3)
    assert found.gain.lower == 0.3


def test_among_refused_seeds_the_models_say_which_is_in_the_middle() -> None:
    found = variant([judgement(NAN, refused=True, model_gain=gain) for gain in (3.0, 1.0, 2.0)])
    assert (found.seed, found.model_gain, found.metric) == (12, 2.0, SMALLEST)


@given(st.lists(st.floats(-2, 2), min_size=1, max_size=7))
def test_the_policy_that_stands_for_all_is_no_better_than_the_median(bounds: list[float]) -> None:
    found = variant([judgement(bound) for bound in bounds])
    assert found.metric == pytest.approx(np.mean(bounds))
    assert sum(bound <= found.gain.lower for bound in bounds) >= len(bounds) / 2
    assert found.gain.lower <= np.median(bounds)


def test_the_best_checkpoint_is_that_of_the_largest_metric_and_the_later_of_equals() -> None:
    found = (checkpoint(lower=0.1), checkpoint(lower=0.3, iteration=4), checkpoint(lower=0.2, iteration=12))
    assert best_of(found).iteration == 4
    equal = (checkpoint(refused="none"), checkpoint(refused="none", model=-5.0, iteration=12))
    assert best_of(equal).iteration == 12


def test_what_the_log_reaches_stands_for_a_trial_and_a_better_end_may_still_be_proposed() -> None:
    reached = checkpoint(lower=0.1)
    beyond = trial(0, reached, checkpoint(refused="none", model=0.5, iteration=12))
    assert beyond.best is reached and beyond.gain.lower == 0.1
    assert beyond.proposed is beyond.last and beyond.score == 0.5
    worse = trial(0, reached, checkpoint(refused="none", model=0.05, iteration=12))
    assert worse.proposed is worse.best
    # An end that the log reaches and finds worse is no proposal, whatever the models say of it.
    fallen = trial(0, reached, checkpoint(lower=0.0, model=9.0, iteration=12))
    assert fallen.proposed is fallen.best
    unknown = trial(0, reached, checkpoint(refused="none", model=NAN, iteration=12))
    assert unknown.proposed is unknown.best
