from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from envs.testbeds import incidents
from envs.testbeds import self_healing as testbed
from envs.testbeds.incidents import ACTIONS, CAUSES, ESCALATE
from tests.envs.testbeds.checks import observation_rows, rule_action, walk

BEST = {
    "leak": "restart_service",
    "crash_loop": "clear_cache",
    "bad_deploy": "rollback_deploy",
    "dependency_outage": "failover",
    "full_disk": "free_disk",
    "noisy_neighbour": "scale_out",
}


def world_of(cause: str, *, count: int = 4_000, seed: int = 3) -> testbed.SelfHealingWorld:
    """Incidents of one cause, all in the gateway, all at severity one half."""
    world = testbed.draw_world(count, rng=np.random.default_rng(seed))
    world.cause[:] = CAUSES.index(cause)
    world.service[:] = 0
    world.severity[:] = 0.5
    return world


def first_then_best(cause: str, first: str) -> float:
    """Mean return of one repair followed by the right one to the end."""
    world = world_of(cause)
    total = np.zeros(len(world.active))
    for action in (first, *[BEST[cause]] * (testbed.HORIZON - 1)):
        total += testbed.reward_of(world.step(np.full(len(total), ACTIONS.index(action))))
    return float(total.mean())


@settings(max_examples=150, deadline=None)
@given(row=observation_rows(testbed))
def test_rule_and_its_vector_form_agree_everywhere(row: np.ndarray) -> None:
    probabilities = testbed.rule_probabilities(row[None])[0]
    assert probabilities.sum() == 1.0 and probabilities[rule_action(testbed, row)] == 1.0


def test_declared_promises_hold_on_a_log() -> None:
    walked = walk(testbed, episodes=1_500, explore=0.5, seed=1)
    active = walked["active"]
    assert active[:, 0].all() and (np.diff(active.astype(int), axis=1) <= 0).all(), "an ended incident began again"
    assert not walked["rewards"][~active].any(), "an ended incident still pays"
    for name in ("resolved", "escalated"):
        ended = np.stack([outcome[name] for outcome in walked["outcomes"]], axis=1) > 0
        assert not (ended & ~active).any()
        assert not active[:, 1:][ended[:, :-1]].any(), f"{name} must terminate"
    over = np.stack([outcome["resolved"] + outcome["escalated"] for outcome in walked["outcomes"]], axis=1).sum(axis=1)
    assert np.array_equal(over, (~walked["world"].active).astype(float)), "ended exactly once, and only for a reason"


def test_worst_reward_is_attained_and_never_passed() -> None:
    world = world_of("leak", count=1)
    world.severity[:] = 1.0
    reward = testbed.reward_of(world.step(np.array([ESCALATE])))
    assert reward[0] == testbed.specification().reward_range[0]
    assert -1.0 - incidents.COSTS.max() > testbed.specification().reward_range[0]


def test_waiting_runs_to_the_horizon_in_an_incident_that_does_not_pass_by_itself() -> None:
    world = world_of("full_disk", count=200)
    for _ in range(testbed.HORIZON):
        assert world.active.all()
        world.step(np.full(200, ACTIONS.index("wait")))
    assert world.active.all() and (world.severity > 0.5).all()


@pytest.mark.parametrize("cause", CAUSES)
def test_the_right_repair_beats_every_other_first_repair(cause: str) -> None:
    right = first_then_best(cause, BEST[cause])
    for other in set(ACTIONS) - {BEST[cause]}:
        assert right > first_then_best(cause, other) + 0.02, other


@pytest.mark.parametrize("cause", CAUSES)
def test_failed_wrong_repairs_worsen_more_than_waiting(cause: str) -> None:
    worse = 0
    for action in range(len(ACTIONS)):
        if action == ESCALATE or incidents.WORSENS[CAUSES.index(cause), action] == 0:
            continue
        world, waiting = world_of(cause), world_of(cause)
        world.step(np.full(len(world.active), action))
        waiting.step(np.full(len(world.active), ACTIONS.index("wait")))
        assert world.severity[world.active].min() > waiting.severity[waiting.active].max()
        worse += 1
    assert worse >= 3
    assert incidents.WORSENS[CAUSES.index(cause), ACTIONS.index(BEST[cause])] == 0


def test_nothing_hidden_is_shown() -> None:
    assert not {"cause", "severity"} & set(testbed.OBSERVATION.names)
    assert incidents.CAUSE_SHARES.sum(axis=1) == pytest.approx(1.0)


def test_same_seed_same_result_and_another_seed_another() -> None:
    first, again, other = (testbed.true_returns(testbed.exploring(), episodes=300, seed=seed) for seed in (5, 5, 6))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_diagnosis_truly_beats_the_runbook_and_both_beat_giving_up() -> None:
    def always(action: str) -> np.ndarray:
        return testbed.true_returns(
            lambda rows: np.eye(len(ACTIONS))[np.full(len(rows), ACTIONS.index(action))], episodes=2_000
        )

    rule = testbed.true_returns(testbed.rule_probabilities, episodes=2_000).mean()
    better = testbed.true_returns(testbed.diagnosing_probabilities, episodes=2_000).mean()
    assert better > rule + 1.0
    assert rule > always("escalate_to_human").mean() and rule > always("wait").mean()
