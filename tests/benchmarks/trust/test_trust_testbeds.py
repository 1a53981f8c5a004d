"""Logs of the testbeds are theirs: their returns, their propensities, and steps of the overlap that was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.trust.testbed_coverage import ask, draw_pool, question_of, subset_of
from benchmarks.trust.testbed_logs import AIMS, behaviour_of, draw_dataset, mixed, step_of_overlap, true_returns
from envs.testbeds.rollout import explored
from envs.testbeds.testbed import EXPLORE, TESTBEDS

NAMES = tuple(TESTBEDS)


@pytest.mark.parametrize("name", NAMES)
def test_a_log_earns_what_the_simulator_says_its_policy_earns(name) -> None:
    dataset = draw_dataset(name, 1_500, np.random.default_rng(0))
    returns = np.add.reduceat(dataset.rewards, dataset.offsets[:-1])
    simulated = true_returns(name, behaviour_of(TESTBEDS[name]), 4_000, 1)
    error = np.hypot(returns.std() / np.sqrt(len(returns)), simulated.std() / np.sqrt(len(simulated)))
    assert abs(returns.mean() - simulated.mean()) < 4 * error
    low, high = dataset.specification.reward_range
    assert low <= dataset.rewards.min() and dataset.rewards.max() <= high


@pytest.mark.parametrize("name", NAMES)
def test_propensities_are_those_of_the_policy_that_wrote_the_log(name) -> None:
    dataset = draw_dataset(name, 300, np.random.default_rng(2))
    probabilities = behaviour_of(TESTBEDS[name])(dataset.observations[dataset.rows])
    taken = np.arange(len(dataset)), dataset.actions
    assert dataset.propensities == pytest.approx(probabilities[taken])
    assert dataset.allowed[dataset.rows][taken].all()


def test_a_step_has_the_overlap_that_was_asked_for() -> None:
    name = "self-healing"
    testbed = TESTBEDS[name]
    dataset = draw_dataset(name, 2_000, np.random.default_rng(3))
    aim = explored(AIMS[name], EXPLORE, testbed.allowed_of)
    rows = dataset.observations[dataset.rows]
    step = step_of_overlap(dataset, aim(rows), 0.4)
    target = mixed(behaviour_of(testbed), aim, step)(rows)
    ratios = target[np.arange(len(dataset)), dataset.actions] / dataset.propensities
    weights = np.exp(np.add.reduceat(np.log(ratios), dataset.offsets[:-1]))
    assert weights.sum() ** 2 / (weights**2).sum() / len(weights) == pytest.approx(0.4, abs=1e-3)


def test_a_pool_is_valued_by_models_of_other_episodes_and_drawn_from_by_episode() -> None:
    name = "task-solving"
    question = question_of(name, ask(name, 500) | {"step": 0.0})
    pool = draw_pool(question, 400, np.random.default_rng(4))
    assert len(pool.candidate) == 400
    # A step of nothing is the policy that wrote the log.
    assert np.allclose(pool.candidate.log_ratios, 0.0) and np.allclose(pool.champion.log_ratios, 0.0)
    chosen = np.array([7, 7, 3])
    part = subset_of(pool.candidate, chosen)
    assert np.array_equal(part.rewards, pool.candidate.rewards[chosen])
    assert part.q_values is not None and np.array_equal(part.q_values, pool.candidate.q_values[chosen])
