"""What select foretells of a look: the units that it lacks are those that the test then needs."""

from dataclasses import replace

import numpy as np
import pytest

from algorithms.ope.estimate import Estimate
from algorithms.ope.intervals import student_t
from algorithms.ope.overlap import OverlapRule
from tune_configs.gate.asymptotic import step_down
from tune_configs.gate.budget import leg_level
from tune_configs.gate.foresight import foreseen_shortage

RULE = OverlapRule(100.0, 0.1)
SELECT = 400


def on_select(effect, deviation=2.0, share=0.5, units=SELECT):
    """The estimate of units whose mean and deviation are just these."""
    half = np.random.default_rng(0).normal(size=units // 2)
    raw = np.concatenate([half, -half])
    interval = student_t(raw / raw.std(ddof=1) * deviation + effect, 0.95)
    return Estimate(effect, interval.lower, interval.upper, 0.95, "paired", share * units, units)


def test_overlap_is_waited_for_at_the_reach_that_select_shows():
    found = foreseen_shortage([on_select(1.0, share=0.25), on_select(1.0, share=0.125)], 350, RULE, 1)
    assert found is not None and found.lacking == 50  # 100 effective units of 400 at a quarter
    assert found.reason == "only 350 final units are newer than the last look, 50 more are needed"
    assert foreseen_shortage([on_select(1.0, share=0.25)], 400, RULE, 1) is None
    # Where select answers nothing the fewest units of the rule are asked for.
    refused = replace(on_select(1.0), refused="too little overlap")
    assert foreseen_shortage([refused], 99, RULE, 1).lacking == 1
    assert foreseen_shortage([], 100, RULE, 1) is None


@pytest.mark.parametrize("finalists, look", [(1, 1), (1, 4), (3, 2)])
def test_after_the_units_that_lack_the_test_shows_the_gain_as_often_as_asked(finalists, look):
    gain = on_select(0.2)
    gains = [gain] * finalists
    assert foreseen_shortage(gains, 250, RULE, look) is None  # by hand a look is spent whatever it may show
    found = foreseen_shortage(gains, 250, RULE, look, least_power=0.6)
    assert found is not None and "no look is spent" in found.reason
    enough = 250 + found.lacking
    assert foreseen_shortage(gains, enough, RULE, look, least_power=0.6) is None
    assert foreseen_shortage(gains, enough - 1, RULE, look, least_power=0.6).lacking == 1
    rng, level = np.random.default_rng(look), leg_level(look) / finalists
    shown = [step_down(rng.normal(0.2, 2.0, (1, enough)), 0.0, level, draws=2_000).rejected[0] for _ in range(600)]
    assert np.mean(shown) == pytest.approx(0.6, abs=0.07)


def test_the_best_finalist_decides_and_the_minimum_gain_counts():
    weak, strong = on_select(0.05), on_select(1.0)
    assert foreseen_shortage([weak], 250, RULE, 1, least_power=0.5) is not None
    assert foreseen_shortage([weak, strong], 250, RULE, 1, least_power=0.5) is None
    assert foreseen_shortage([strong], 250, RULE, 1, least_power=0.5, minimum_gain=0.9) is not None
    hopeless = foreseen_shortage([on_select(0.5)], 250, RULE, 1, least_power=0.5, minimum_gain=0.9)
    assert hopeless is not None and hopeless.lacking is None
    # The unit of the outcomes does not matter, and a difference that never varies needs no power.
    scaled = [on_select(0.2, 2.0), on_select(200.0, 2_000.0)]
    told = [foreseen_shortage([each], 250, RULE, 1, least_power=0.5).lacking for each in scaled]
    assert told[0] == told[1]
    assert foreseen_shortage([on_select(0.2, 0.0)], 250, RULE, 1, least_power=0.5) is None
