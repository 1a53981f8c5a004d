from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from envs.testbeds import task_solving as testbed
from envs.testbeds.solvers import CAPABLE, CLEARED, HUMAN, SKILL, SOLVERS, TOOLS
from tests.envs.testbeds.checks import observation_rows, rule_action, walk


def world_of(count: int = 3_000, seed: int = 3) -> testbed.TaskSolvingWorld:
    """Fresh batches."""
    return testbed.draw_world(count, rng=np.random.default_rng(seed))


@settings(max_examples=150, deadline=None)
@given(row=observation_rows(testbed))
def test_rule_and_its_vector_form_agree_everywhere(row: np.ndarray) -> None:
    row[testbed.ACCEPTS.start + HUMAN] = 1.0  # the one thing the testbed promises of every task
    probabilities = testbed.rule_probabilities(row[None])[0]
    chosen = rule_action(testbed, row)
    assert probabilities.sum() == 1.0 and probabilities[chosen] == 1.0
    assert testbed.allowed_of(row[None])[0, chosen]


def test_declared_promises_hold_on_a_log() -> None:
    walked = walk(testbed, episodes=1_500, explore=0.5, seed=1)
    assert walked["active"].all() and walked["world"].position == testbed.HORIZON


def test_masks_are_capability_clearance_tools_and_load() -> None:
    world = world_of()
    world.load[:, :HUMAN] *= 6.0
    world._arrive()
    allowed, others = world.allowed(), np.arange(len(SOLVERS)) != HUMAN
    assert allowed[:, HUMAN].all() and 2.0 < allowed.sum(axis=1).mean() < 7.0
    expected = CAPABLE[world.category] & (world.load < testbed.LOAD_LIMIT)
    expected &= ~world.confidential[:, None] | CLEARED
    expected &= ~world.needs_tools[:, None] | TOOLS
    assert np.array_equal(allowed[:, others], expected[:, others])
    assert (world.load[:, others] >= testbed.LOAD_LIMIT).any(), "the load limit was not put to the test"


def test_a_solver_that_does_not_accept_is_refused() -> None:
    world = world_of(50)
    actions = np.full(50, HUMAN)
    episode, solver = np.argwhere(~world.allowed())[0]
    actions[episode] = solver
    with pytest.raises(ValueError, match="does not accept"):
        world.step(actions)


def test_load_carries_over_and_makes_the_next_task_late() -> None:
    busy, idle = world_of(), world_of()
    idle.load[:] = 0.0
    busy.load[:] = 0.0
    busy.load[:, HUMAN] = 5.0
    human = np.full(len(busy.active), HUMAN)
    late, early = busy.step(human), idle.step(human)
    assert (late["hours"] > early["hours"]).all()
    assert late["late_penalty"].mean() > early["late_penalty"].mean() + 0.2
    assert (busy.load[:, HUMAN] > idle.load[:, HUMAN]).mean() > 0.9


def test_quality_rises_with_skill_and_falls_with_difficulty() -> None:
    skill, difficulty = np.meshgrid(np.linspace(0, 1, 9), np.linspace(0, 1, 9))
    quality = testbed.expected_quality(skill, difficulty)
    assert (np.diff(quality, axis=1) > 0).all() and (np.diff(quality, axis=0) < 0).all()
    world = world_of()
    outcome = world_of().step(np.full(len(world.active), HUMAN))
    expected = testbed.expected_quality(SKILL[world.category, HUMAN], world.difficulty)
    assert outcome["quality"].mean() == pytest.approx(expected.mean(), abs=0.04)


def test_thirty_features_or_more_are_declared() -> None:
    assert testbed.OBSERVATION.size >= 30 and len(testbed.ACTIONS) == 10


def test_same_seed_same_result_and_another_seed_another() -> None:
    first, again, other = (testbed.true_returns(testbed.exploring(), episodes=300, seed=seed) for seed in (5, 5, 6))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_matching_truly_beats_the_least_loaded_rule_and_that_beats_chance() -> None:
    rule = testbed.true_returns(testbed.rule_probabilities, episodes=2_000).mean()
    better = testbed.true_returns(testbed.matching_probabilities, episodes=2_000).mean()
    chance = testbed.true_returns(lambda rows: np.ones((len(rows), len(testbed.ACTIONS))), episodes=2_000).mean()
    assert better > rule + 0.8 and rule > chance
