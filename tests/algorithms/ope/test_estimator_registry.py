"""One contract over all estimators: good and bad policies rank rightly, errors shrink, diagnostics are there."""

import numpy as np
import pytest

from algorithms.ope.overlap import NO_RULE
from algorithms.ope.registry import ESTIMATORS

EXPLORE = 0.4


def step_towards(world, action_of_state, step):
    rule = np.eye(3)[[0, 1, 2, 0]]
    behaviour = (1 - EXPLORE) * rule + EXPLORE / 3
    aim = (1 - EXPLORE) * np.eye(3)[action_of_state] + EXPLORE / 3
    return behaviour, (1 - step) * behaviour + step * aim


def policies(world):
    """Behaviour, a better and a worse policy, by the world's true values."""
    behaviour, _ = step_towards(world, [0, 0, 0, 0], 0.0)
    q = world.q_values(behaviour)[-1]
    _, better = step_towards(world, q.argmax(axis=1), 0.2)
    _, worse = step_towards(world, q.argmin(axis=1), 0.2)
    return behaviour, better, worse


@pytest.mark.parametrize("name", ESTIMATORS)
def test_ranks_good_above_present_above_bad(bigger, name):
    behaviour, better, worse = policies(bigger)
    assert bigger.value(better) > bigger.value(behaviour) + 0.2 > bigger.value(worse) + 0.4
    batch = bigger.draw(behaviour, 6_000, np.random.default_rng(1))
    values = []
    for target in (better, behaviour, worse):
        model = bigger.q_values(target) * 0.9
        values.append(ESTIMATORS[name](bigger.trajectories(batch, behaviour, target, model), overlap=NO_RULE).value)
    assert values[0] > values[1] > values[2]


@pytest.mark.parametrize("name", [name for name in ESTIMATORS if name != "direct_method"])
def test_the_error_falls_with_the_log(bigger, name):
    """error(4n) <= .6 error(n) where the overlap is ample."""
    behaviour, better, _ = policies(bigger)
    truth = bigger.value(better)
    model = bigger.q_values(better) * 0.5
    errors = []
    for episodes in (500, 2_000):
        rng = np.random.default_rng(2)
        found = [
            ESTIMATORS[name](
                bigger.trajectories(bigger.draw(behaviour, episodes, rng), behaviour, better, model), overlap=NO_RULE
            ).value
            for _ in range(150)
        ]
        errors.append(np.sqrt(np.mean(np.square(np.array(found) - truth))))
    assert errors[1] <= 0.6 * errors[0]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimate_says_what_it_is(bigger, name):
    behaviour, better, _ = policies(bigger)
    batch = bigger.draw(behaviour, 2_000, np.random.default_rng(3))
    estimate = ESTIMATORS[name](bigger.trajectories(batch, behaviour, better, bigger.q_values(better)), 0.9)
    assert estimate.estimator == name and estimate.units == 2_000 and estimate.confidence == 0.9
    assert estimate.evidence == ("model" if name == "direct_method" else "log")
    assert estimate.usable and estimate.lower < estimate.value < estimate.upper
    assert estimate.diagnostics["mean_weight"] == pytest.approx(1.0, abs=0.2)
    assert 0 < estimate.diagnostics["largest_weight_share"] < 0.05
    assert estimate.assumptions
