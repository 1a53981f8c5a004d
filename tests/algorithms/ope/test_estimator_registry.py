"""One contract over all estimators: good and bad policies rank rightly, errors shrink, diagnostics are there."""

from dataclasses import replace

import numpy as np
import pytest

from algorithms.ope.overlap import NO_RULE
from algorithms.ope.paired import paired_estimate
from algorithms.ope.registry import ESTIMATORS
from tests.algorithms.ope.claims import CLAIMS, longest

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
    bigger = replace(bigger, horizon=longest(name, bigger.horizon))
    behaviour, better, worse = policies(bigger)
    apart = 0.02 * bigger.horizon
    assert bigger.value(better) > bigger.value(behaviour) + apart > bigger.value(worse) + 2 * apart
    batch = bigger.draw(behaviour, 6_000, np.random.default_rng(1))
    values = []
    for target in (better, behaviour, worse):
        model = bigger.q_values(target) * 0.9
        values.append(ESTIMATORS[name](bigger.trajectories(batch, behaviour, target, model), overlap=NO_RULE).value)
    assert values[0] > values[1] > values[2]


@pytest.fixture(scope="module")
def logs(bigger):
    """Logs of the behaviour by (horizon, episodes), drawn once for all estimators."""
    drawn = {}

    def of(horizon, episodes, count):
        if (horizon, episodes) not in drawn:
            world, rng = replace(bigger, horizon=horizon), np.random.default_rng(2)
            behaviour, _, _ = policies(world)
            drawn[horizon, episodes] = [world.draw(behaviour, episodes, rng) for _ in range(count)]
        return drawn[horizon, episodes]

    return of


@pytest.mark.parametrize("name", [name for name in ESTIMATORS if name != "direct_method"])
def test_the_error_falls_with_the_log(bigger, logs, name):
    """error(4n) <= .6 error(n) where the overlap is ample; for MAGIC where the model's bias is seen, too.

    MAGIC keeps a bias of the model that is below the log's own error, and drops it later: with this model its
    ratio is .62 from 500 to 2,000 episodes, where it has left half of the model, and .50 from 2,000 to 8,000.
    """
    world = replace(bigger, horizon=longest(name, bigger.horizon))
    sizes = {2_000: 100, 8_000: 40} if name == "magic" else {500: 200, 2_000: 200}
    behaviour, better, _ = policies(world)
    truth, model = world.value(better), world.q_values(better) * 0.5
    errors = []
    for episodes, count in sizes.items():
        found = [
            ESTIMATORS[name](world.trajectories(batch, behaviour, better, model), overlap=NO_RULE).value
            for batch in logs(world.horizon, episodes, count)
        ]
        errors.append(np.sqrt(np.mean(np.square(np.array(found) - truth))))
    assert errors[1] <= 0.6 * errors[0]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimate_says_what_it_is(bigger, name):
    bigger = replace(bigger, horizon=longest(name, bigger.horizon))
    behaviour, better, _ = policies(bigger)
    batch = bigger.draw(behaviour, 2_000, np.random.default_rng(3))
    estimate = ESTIMATORS[name](bigger.trajectories(batch, behaviour, better, bigger.q_values(better)), 0.9)
    assert estimate.estimator == name and estimate.units == 2_000 and estimate.confidence == 0.9
    assert estimate.evidence == CLAIMS[name].evidence
    assert estimate.usable and estimate.lower < estimate.value < estimate.upper
    assert estimate.diagnostics["mean_weight"] == pytest.approx(1.0, abs=0.2)
    assert 0 < estimate.diagnostics["largest_weight_share"] < 0.05
    assert estimate.assumptions


@pytest.mark.parametrize("name", [*ESTIMATORS, "paired"])
def test_that_propensities_are_estimated_stands_beside_every_number(bigger, name):
    bigger = replace(bigger, horizon=longest(name, bigger.horizon) if name in ESTIMATORS else bigger.horizon)
    behaviour, better, _ = policies(bigger)
    batch = bigger.draw(behaviour, 500, np.random.default_rng(3))
    log = bigger.trajectories(batch, behaviour, better, bigger.q_values(better))
    estimated = replace(log, estimated=True)

    def found(trajectories):
        if name == "paired":
            return paired_estimate(trajectories, log, force=True)
        return ESTIMATORS[name](trajectories, force=True)

    known, told = found(log), found(estimated)
    assert not any("propensities are estimated" in text for text in known.assumptions)
    assert ("the logged propensities" in "".join(known.assumptions)) == (name != "direct_method")
    assert not any("the logged propensities" in text for text in told.assumptions)
    assert any("propensities are estimated" in text for text in told.assumptions) == (name != "direct_method")
    assert (told.value, told.lower) == (known.value, known.lower)


def test_control_variates_count_on_a_mean_weight_of_1(bigger):
    """Estimated propensities do not give it: where no propensity is known there is no number."""
    behaviour, better, _ = policies(bigger)
    log = bigger.trajectories(bigger.draw(behaviour, 4_000, np.random.default_rng(3)), behaviour, better)
    assert ESTIMATORS["control_variates"](log).usable
    refused = ESTIMATORS["control_variates"](replace(log, estimated=True))
    assert "estimated" in refused.refused and np.isnan(refused.value)
