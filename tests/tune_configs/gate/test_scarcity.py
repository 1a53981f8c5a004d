"""The action that the log lacks: an exact part of the weights' variance."""

from dataclasses import replace

import numpy as np
import pytest

from algorithms.ope.padding import trajectories_from
from tests.worlds import explored, random_world
from tune_configs.gate.scarcity import scarce_action


def test_the_parts_are_the_variance_of_the_weights():
    """Over every trajectory of a small world, Σ_a E[ω_{t-1}² (ρ_t - 1)² 1{a_t = a}] = Var ω_H."""
    world = random_world(1, states=3, actions=3, horizon=3)
    behaviour = explored(np.eye(3)[[0, 1, 0]], 0.5)
    target = explored(np.eye(3)[[1, 1, 2]], 0.4)
    variance, parts = 0.0, np.zeros(3)
    for chance, states, actions, _, _ in world.trajectories(behaviour):
        weight = 1.0
        for state, action in zip(states, actions, strict=False):
            ratio = target[state, action] / behaviour[state, action]
            parts[action] += chance * weight**2 * (ratio - 1.0) ** 2
            weight *= ratio
        variance += chance * (weight - 1.0) ** 2
    assert parts.sum() == pytest.approx(variance)
    log = world.log(behaviour, 4_000, 0)
    states = log.observations[log.rows, 0].astype(int)
    found = scarce_action(log, trajectories_from(log, target[states]))
    worst = int(parts.argmax())
    assert found.action == f"a{worst}" and found.share == pytest.approx(parts[worst] / parts.sum(), abs=0.1)
    assert found.frequency == pytest.approx((log.actions == worst).mean())


def test_a_rare_action_that_the_finalist_wants_is_named():
    """Two per cent of failover: its ratios are large, those of the other actions near one."""
    world = random_world(2, states=4, actions=3, horizon=2)
    behaviour = np.tile([0.49, 0.49, 0.02], (4, 1))
    log = world.log(behaviour, 2_000, 1)
    log = replace(log, specification=replace(log.specification, actions=("down", "up", "failover")))
    target = np.tile([0.45, 0.45, 0.1], (len(log), 1))
    found = scarce_action(log, trajectories_from(log, target))
    assert found.action == "failover" and found.share > 0.9 and found.frequency == pytest.approx(0.02, abs=0.01)


def test_the_log_itself_lacks_nothing_and_long_products_do_not_overflow():
    world = random_world(3, states=3, actions=2, horizon=400, terminal=0)
    behaviour = explored(np.eye(2)[[0, 0, 0]], 0.02)
    log = world.log(behaviour, 20, 2)
    states = log.observations[log.rows, 0].astype(int)
    assert scarce_action(log, trajectories_from(log, behaviour[states])) is None
    # What the finalist never takes has ratio 0; what it always takes, ratios of 100 by the hundred.
    for target in (np.eye(2)[[1, 1, 1]], np.eye(2)[[0, 0, 0]]):
        found = scarce_action(log, trajectories_from(log, target[states]))
        assert found is not None and 0 < found.share <= 1
