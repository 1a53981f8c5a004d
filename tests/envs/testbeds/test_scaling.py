"""The scaling testbed: its physics, its declaration, and the truth that it knows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.expression import Expression
from envs.testbeds import scaling
from envs.testbeds.rollout import truth_of
from envs.testbeds.scaling import (
    ACTIONS,
    CHANGES,
    CONSTANTS,
    HORIZON,
    INTERVAL,
    OBSERVATION,
    ScalingWorld,
    draw_world,
    reward_of,
    rule_probabilities,
    specification,
    threshold_rule,
    true_returns,
)
from envs.testbeds.traffic import HISTORY, TrafficEpisodes

HOLD = ACTIONS.index("hold")
ROWS = st.lists(
    st.tuples(
        st.one_of(st.floats(0, 5), st.sampled_from([0.3, 1.05, 0.29999999, 1.0500001])),
        st.floats(-10, 10),
        *[st.floats(0, 1e4)] * 3,
        st.integers(1, 1000),
        st.floats(0, 1e6),
    ),
    min_size=1,
    max_size=30,
)


def world_of(arrivals: np.ndarray, nominal: float = 10_000.0, seed: int = 0) -> ScalingWorld:
    """A world under given requests per minute (E, HISTORY + HORIZON * INTERVAL)."""
    count = len(arrivals)
    episodes = TrafficEpisodes(
        arrivals.astype(float), np.full(count, nominal), np.full(count, "media"), np.zeros(count, dtype=np.int64)
    )
    return ScalingWorld(episodes, np.random.default_rng(seed))


def constant(requests: float, count: int = 1) -> ScalingWorld:
    return world_of(np.full((count, HISTORY + HORIZON * INTERVAL), requests))


@given(ROWS)
def test_the_rule_in_bulk_is_the_rule(rows: list[tuple[float, ...]]) -> None:
    table = np.array(rows, dtype=float)
    bulk = rule_probabilities(table)
    assert bulk.shape == (len(rows), len(ACTIONS))
    for row, probabilities in zip(table, bulk, strict=True):
        assert probabilities.tolist() == [float(a == threshold_rule(OBSERVATION.value(row))) for a in ACTIONS]


def test_the_declaration_is_what_the_world_gives() -> None:
    declared = specification(0.2)
    world = draw_world(50, logged=True, rng=np.random.default_rng(0))
    rows = world.observe()
    outcome = world.step(np.full(50, HOLD))
    assert rows.shape == (50, OBSERVATION.size)
    for row in rows[:5]:
        np.testing.assert_allclose(OBSERVATION.row(OBSERVATION.value(row)), row)
    expression = Expression(declared.reward)
    for index in range(50):
        one = {name: float(values[index]) for name, values in outcome.items()}
        assert expression.evaluate(one) == pytest.approx(reward_of(outcome)[index])
    assert (declared.horizon, declared.explore, declared.actions) == (HORIZON, 0.2, ACTIONS)
    assert len(CHANGES) == len(ACTIONS)
    assert declared.rule == "envs.testbeds.scaling:threshold_rule"


@pytest.mark.parametrize("action", range(len(ACTIONS)))
def test_replicas_change_by_the_declared_share_rounded_outwards(action: int) -> None:
    world = constant(5_000.0, 40)
    world.ready = np.arange(1.0, 41.0)
    world.starting[:] = 0.0
    world.step(np.full(40, action))
    total = world.ready + world.starting.sum(axis=1)
    for before, after in zip(np.arange(1, 41), total, strict=True):
        exact = before * (1.0 + CHANGES[action])
        assert after >= 1.0
        assert after == np.round(after)
        assert abs(after - max(exact, 1.0)) < 1.0 + 1e-9
        if CHANGES[action] > 0:
            assert after > before
        elif CHANGES[action] < 0:
            assert after < before or before == 1


def test_a_new_replica_serves_after_exactly_its_start_up() -> None:
    world = constant(10_000.0)
    world.ready[:], world.starting[:] = 10.0, 0.0
    ready = []
    real = world.step

    class Watched(np.ndarray):
        """The traffic, which notes how many replicas are ready in the minute that reads it."""

        def __getitem__(self, key: Any) -> Any:
            if isinstance(key, tuple) and isinstance(key[1], int):
                ready.append(float(world.ready[0]))
            return np.asarray(self)[key]

    object.__setattr__(world.episodes, "arrivals", world.episodes.arrivals.view(Watched))
    real(np.array([ACTIONS.index("up_80")]))
    real(np.array([HOLD]))
    real(np.array([HOLD]))
    assert ready[: CONSTANTS.start_up] == [10.0] * CONSTANTS.start_up
    assert ready[CONSTANTS.start_up :] == [18.0] * (3 * INTERVAL - CONSTANTS.start_up)


def test_starting_replicas_are_paid_for_and_go_first_when_scaled_down() -> None:
    world = constant(10_000.0)
    world.ready[:], world.starting[:] = 10.0, 0.0
    idle = constant(10_000.0)
    idle.ready[:], idle.starting[:] = 10.0, 0.0
    more, same = world.step(np.array([ACTIONS.index("up_35")])), idle.step(np.array([HOLD]))
    assert more["replica_cost"][0] > same["replica_cost"][0]
    assert world.starting.sum() == 4.0
    world.step(np.array([ACTIONS.index("down_30")]))  # 14 become 9: the four that start, and one that is ready
    assert (world.ready[0], world.starting.sum()) == (9.0, 0.0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.sampled_from([0.0, 10.0, 1e4, 1e6]))
def test_physics_hold_under_any_actions_and_traffic(seed: int, calm: float, most: float) -> None:
    rng = np.random.default_rng(seed)
    count = 20
    arrivals = rng.poisson(rng.uniform(0, most + 1.0, size=(count, HISTORY + HORIZON * INTERVAL)))
    arrivals = np.where(rng.random(arrivals.shape) < calm, 0, arrivals)  # bursts and silences
    world = world_of(arrivals, nominal=float(rng.uniform(6_000, 60_000)), seed=seed)
    low, high = specification(0.1).reward_range or (0.0, 0.0)
    for _ in range(HORIZON):
        queue, minute = world.queue.copy(), world.minute
        outcome = world.step(rng.integers(len(ACTIONS), size=count))
        requests = arrivals[:, HISTORY + minute : HISTORY + minute + INTERVAL].sum(axis=1)
        assert world.minute == minute + INTERVAL
        assert (world.ready >= 1).all()
        assert (world.starting >= 0).all()
        assert (world.queue >= 0).all()
        assert (world.queue <= CONSTANTS.queue_limit * world.ready * CONSTANTS.capacity + 1e-6).all()
        assert (outcome["dropped"] >= 0).all()
        # Nothing is lost that did not arrive.
        assert (outcome["dropped"] <= queue + requests - world.queue + 1e-6).all()
        rewards = reward_of(outcome)
        assert np.isfinite(rewards).all()
        assert ((rewards >= low) & (rewards <= high)).all()
        rows = world.observe()
        assert np.isfinite(rows).all()
        for declared, column in zip(OBSERVATION.fields, rows.T, strict=True):
            assert declared.low is None or (column >= declared.low).all()


def test_nothing_is_dropped_before_the_queue_is_full() -> None:
    world = constant(15_000.0)
    world.ready[:], world.starting[:], world.queue[:] = 10.0, 0.0, 0.0
    first = world.step(np.array([HOLD]))
    # 5,000 too many a minute fill a queue of 10,000 in two minutes; the three minutes after that drop theirs.
    assert first["dropped"][0] == pytest.approx(3 * 5_000.0)
    calm = constant(10_000.0)
    calm.ready[:], calm.starting[:], calm.queue[:] = 10.0, 0.0, 0.0
    assert calm.step(np.array([HOLD]))["dropped"][0] == 0.0
    assert calm.queue[0] == 0.0


def test_more_replicas_cost_more_and_serve_better() -> None:
    results = []
    for replicas in (8.0, 12.0, 20.0):
        world = constant(11_000.0)
        world.ready[:], world.starting[:] = replicas, 0.0
        results.append(world.step(np.array([HOLD])))
    for name, order in (("replica_cost", 1), ("latency_penalty", -1), ("drop_penalty", -1), ("latency", -1)):
        values = [float(result[name][0]) for result in results]
        assert values == sorted(values, reverse=order < 0), name
        assert values[0] != values[-1], name


def uniform(rows: np.ndarray) -> np.ndarray:
    return np.full((len(rows), len(ACTIONS)), 1.0 / len(ACTIONS))


def test_the_truth_of_the_same_seed_is_the_same_and_of_other_days_another() -> None:
    first, again = (true_returns(rule_probabilities, logged=True, episodes=300, seed=2) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    other = true_returns(rule_probabilities, logged=True, episodes=300, seed=3)
    unseen = true_returns(rule_probabilities, logged=False, episodes=300, seed=2)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, unseen)


def test_two_policies_meet_the_same_traffic() -> None:
    seen: list[np.ndarray] = []

    def watching(probabilities: Any) -> Any:
        def asked(rows: np.ndarray) -> np.ndarray:
            seen.append(rows[:, 6].copy())
            return probabilities(rows)

        return asked

    for policy in (rule_probabilities, uniform):
        true_returns(watching(policy), logged=True, episodes=50, seed=1)
    for step in range(HORIZON):
        np.testing.assert_array_equal(seen[step], seen[HORIZON + step])


def test_actions_are_drawn_with_the_probabilities_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[np.ndarray] = []
    step = ScalingWorld.step

    def watched(world: ScalingWorld, actions: np.ndarray) -> dict[str, np.ndarray]:
        taken.append(actions)
        return step(world, actions)

    monkeypatch.setattr(ScalingWorld, "step", watched)
    wanted = np.array([0.5, 0.0, 0.2, 0.0, 0.3, 0.0])
    true_returns(lambda rows: np.tile(wanted, (len(rows), 1)), logged=True, episodes=2000, seed=0)
    shares = np.bincount(np.concatenate(taken), minlength=6) / (2000 * HORIZON)
    np.testing.assert_allclose(shares, wanted, atol=0.02)
    assert shares[[1, 3, 5]].sum() == 0.0


def test_the_rule_can_be_beaten_on_both_kinds_of_days() -> None:
    """What the whole demo is about: a faster autoscaler is truly better, exploration is truly worse."""

    def faster(rows: np.ndarray) -> np.ndarray:
        load = rows[:, 0] * np.exp(rows[:, 1]) / (1.0 + rows[:, 3]) + rows[:, 2]
        chosen = np.select([load > 1.6, load > 1.1, load > 0.8, load < 0.45], [5, 4, 3, 1], 2)
        return np.eye(len(ACTIONS))[chosen]

    for logged in (True, False):
        values = [
            truth_of(true_returns(policy, logged=logged, episodes=1500))
            for policy in (uniform, rule_probabilities, faster)
        ]
        assert values[0].value + 3 * values[0].error < values[1].value
        assert values[1].value + 6 * values[1].error < values[2].value


def test_the_standard_error_is_that_of_a_mean() -> None:
    truth = truth_of(np.array([1.0, 3.0, 5.0, 7.0]))
    assert (truth.value, truth.error) == (4.0, pytest.approx(np.std([1, 3, 5, 7], ddof=1) / 2))
    assert OBSERVATION.names[:4] == scaling.SCALE_FREE
