"""What many logs together say of the gate's power: the test, the farthest unit and the worst class at once."""

import numpy as np
import pytest

from benchmarks.trust.power_settings import Setting
from benchmarks.trust.worlds import uniform_start_world
from tune_configs.gate.budget import leg_level, needed_units
from tune_configs.gate.tail_odds import TailOdds

LEVEL = leg_level(1)
NOBODY = np.ones((2, 2)) / 2


def setting(differences, odds, worst=None):
    world = uniform_start_world(0, 2, 2, 1)
    return Setting("x", world, NOBODY, NOBODY, 0.5, 0.1, 1.0, worst, differences, odds)


def test_without_a_tail_it_is_the_plan_of_the_leg():
    pool = np.random.default_rng(0).normal(size=20_000)
    light = setting(pool, TailOdds(20_000, None))
    for power in (0.5, 0.8, 0.95):
        assert light.chance(needed_units(1.0, 0.1, LEVEL, power), LEVEL) == pytest.approx(power, abs=0.08)
    assert light.reachable(LEVEL, 6_000) and not light.reachable(LEVEL, 600)


def test_single_far_units_cost_power_and_a_declared_class_does_not_mind_them():
    pool = np.random.default_rng(0).normal(size=20_000)
    pool[:12] = np.resize([-40.0, 40.0], 12)
    undeclared = setting(pool, TailOdds(20_000, None))
    declared = setting(pool, TailOdds(20_000, 2_000), worst=-5.0)
    assert undeclared.chance(3_000, LEVEL) < 0.35 and not undeclared.reachable(LEVEL, 6_000)
    assert declared.chance(3_000, LEVEL) > 0.85 and declared.reachable(LEVEL, 6_000)
    assert setting(pool, TailOdds(20_000, 0), worst=-5.0).chance(3_000, LEVEL) == 0.0
