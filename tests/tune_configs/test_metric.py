"""The one number that Tune maximises: finite whatever is refused, and on one scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from algorithms.ope.estimate import Estimate
from tests import worlds
from tune_configs.judge import Judgement
from tune_configs.metric import flat_metric, smallest_difference

NAN = float("nan")
BEHAVIOUR = np.full((5, 2), 0.5)


def judgement(lower: float, *, refused: str = "", model_gain: float = 9.0) -> Judgement:
    gain = Estimate(NAN if refused else lower + 1.0, lower, lower + 2.0, 0.95, "paired", 1.0, 2, refused=refused)
    return Judgement(gain, gain, model_gain, 1.0)


def test_the_smallest_difference_is_that_of_the_declared_returns() -> None:
    world = worlds.chain(5, horizon=3)
    specification = world.specification(reward_range=(-2.0, 1.0), discount=0.5)
    log = world.log(BEHAVIOUR, 4, specification=specification)
    # Returns lie between 1.75 times -2 and 1.75 times 1: 1 + 0.5 + 0.25 decisions count.
    assert smallest_difference(log) == pytest.approx(-3.5 - 1.75)
    # Where every reward is positive, the smallest return is that of one decision.
    positive = replace(log, specification=replace(specification, reward_range=(1.0, 2.0)))
    assert smallest_difference(positive) == pytest.approx(1.0 - 3.5)
    negative = replace(log, specification=replace(specification, reward_range=(-2.0, -1.0)))
    assert smallest_difference(negative) == pytest.approx(-3.5 + 1.0)


def test_without_a_declared_range_the_logs_own_rewards_stand_for_it() -> None:
    world = worlds.chain(5, horizon=3)
    log = world.log(BEHAVIOUR, 40, specification=world.specification(reward_range=None))
    low, high = log.rewards.min(), log.rewards.max()
    assert smallest_difference(log) == pytest.approx(3 * low - 3 * high)


def test_a_refusal_scores_the_smallest_and_no_model_helps_it() -> None:
    assert flat_metric(judgement(NAN, refused="no overlap", model_gain=9.0), -6.0) == -6.0
    assert flat_metric(judgement(0.25), -6.0) == 0.25


def test_nothing_scores_less_than_a_refusal_and_everything_is_finite() -> None:
    assert flat_metric(judgement(-50.0), -6.0) == -6.0
    assert flat_metric(judgement(NAN), -6.0) == -6.0  # one unit has no interval
    assert flat_metric(judgement(float("-inf")), -6.0) == -6.0
