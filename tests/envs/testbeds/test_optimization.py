from __future__ import annotations

import numpy as np
from hypothesis import given, settings

from envs.testbeds import optimization as testbed
from tests.envs.testbeds.checks import observation_rows, rule_action, walk


def world_of(usage: float, count: int = 2_000) -> testbed.OptimizationWorld:
    """Services that use this share of both their allocations."""
    world = testbed.draw_world(count, rng=np.random.default_rng(3))
    world.allocation = world._demand() / usage
    return world


def after(usage: float, action: str) -> float:
    """Mean reward of one decision in services of that usage."""
    world = world_of(usage)
    actions = np.full(len(world.active), testbed.ACTIONS.index(action))
    return float(testbed.reward_of(world.step(actions)).mean())


@settings(max_examples=150, deadline=None)
@given(row=observation_rows(testbed))
def test_rule_and_its_vector_form_agree_everywhere(row: np.ndarray) -> None:
    probabilities = testbed.rule_probabilities(row[None])[0]
    assert probabilities.sum() == 1.0 and probabilities[rule_action(testbed, row)] == 1.0


def test_declared_promises_hold_on_a_log() -> None:
    walked = walk(testbed, episodes=1_500, explore=0.5, seed=1)
    allocation = walked["world"].allocation
    assert walked["active"].all() and len(walked["outcomes"]) == testbed.HORIZON
    assert allocation.min() >= testbed.SMALLEST and allocation.max() <= testbed.LARGEST


def test_cpu_and_memory_are_moved_apart() -> None:
    for index, action in enumerate(testbed.ACTIONS):
        world = world_of(0.5)
        before = world.allocation.copy()
        world.step(np.full(len(before), index))
        inside = ((before > 1.0) & (before < 40.0)).all(axis=1)
        _, cpu, _, memory = action.split("_")
        expected = [testbed.FACTORS[testbed.DIRECTIONS.index(word)] for word in (cpu, memory)]
        assert inside.any() and np.allclose((world.allocation / before)[inside], expected)


def test_wrong_directions_worsen() -> None:
    assert after(0.95, "cpu_up_memory_up") > after(0.95, "cpu_hold_memory_hold") > after(0.95, "cpu_down_memory_down")
    assert after(0.25, "cpu_down_memory_down") > after(0.25, "cpu_hold_memory_hold") > after(0.25, "cpu_up_memory_up")


def test_memory_beyond_its_limit_kills_and_nothing_else_does() -> None:
    world = world_of(0.9)
    outcome = world.step(np.full(len(world.active), testbed.ACTIONS.index("cpu_hold_memory_hold")))
    assert np.array_equal(outcome["killed"] > 0, outcome["memory_usage"] > 1.0)
    assert 0.0 < outcome["killed"].mean() < 1.0


def test_a_higher_price_costs_more() -> None:
    cheap, dear = world_of(0.5), world_of(0.5)
    dear.price = cheap.price * 1.5
    hold = np.full(len(cheap.active), testbed.ACTIONS.index("cpu_hold_memory_hold"))
    assert (dear.step(hold)["cost"] > cheap.step(hold)["cost"]).all()


def test_same_seed_same_result_and_another_seed_another() -> None:
    first, again, other = (testbed.true_returns(testbed.exploring(), episodes=300, seed=seed) for seed in (5, 5, 6))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_narrower_bands_truly_beat_the_rule_and_that_beats_doing_nothing() -> None:
    rule = testbed.true_returns(testbed.rule_probabilities, episodes=2_000).mean()
    better = testbed.true_returns(testbed.better_probabilities, episodes=2_000).mean()
    idle = testbed.true_returns(lambda rows: np.eye(9)[np.full(len(rows), 4)], episodes=2_000).mean()
    assert better > rule + 0.8 and rule > idle + 1.0
