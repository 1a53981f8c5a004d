"""Rollouts in worlds whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from algorithms.rollouts import draw_actions, rollout
from tests.algorithms.world_environment import WorldVectorEnv
from tests.worlds import World, chain, random_world

STEPS = 15


def uniform(rows: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    return np.asarray(allowed / allowed.sum(axis=1, keepdims=True))


def masks(world: World) -> np.ndarray:
    allowed = np.random.default_rng(1).random(world.reward.shape) < 0.6
    allowed[np.arange(len(allowed)), np.arange(len(allowed)) % world.action_count] = True
    return allowed


def test_forbidden_actions_are_never_drawn_and_the_rest_as_often_as_said() -> None:
    random = np.random.default_rng(0)
    probabilities = np.tile([0.0, 0.2, 0.0, 0.8, 0.0], (20_000, 1))
    counts = np.bincount(draw_actions(probabilities, random.random(20_000)), minlength=5)
    assert counts[[0, 2, 4]].tolist() == [0, 0, 0]
    assert counts[1] / 20_000 == pytest.approx(0.2, abs=0.015)
    edges = np.array([0.0, np.nextafter(1.0, 0.0)])
    for row, expected in ((np.array([0.0, 1.0, 0.0]), [1, 1]), (np.full(7, 1 / 7), [0, 6])):
        assert draw_actions(np.tile(row, (2, 1)), edges).tolist() == expected
    # A sum that rounds above 1 must not push the last level past every action.
    assert draw_actions(np.array([[0.7, 0.6, 0.0]]), edges[1:]).tolist() == [1]


def test_rows_that_only_begin_an_episode_are_dropped_and_nothing_else() -> None:
    """Of the kept rows each follows from the one before by the world's own law; the dropped ones pay nothing."""
    world = random_world(seed=3, states=6, actions=3, horizon=5)
    allowed = masks(world)
    played = rollout(WorldVectorEnv(64, world, allowed), uniform, np.random.default_rng(2), STEPS)
    states = played.rows[..., 0].astype(int)
    ended = played.terminated | played.truncated
    assert (played.kept[1:] == ~ended[:-1]).all() and played.kept[0].all()
    assert (played.rewards[~played.kept] == 0.0).all()
    chances = world.transition[states[:-1], played.actions, states[1:]]
    assert (chances[played.kept] > 0.0).all()
    np.testing.assert_array_equal(played.rewards[played.kept], world.reward[states[:-1], played.actions][played.kept])
    assert (played.terminated == (played.kept & world.terminal[states[1:]])).all()
    np.testing.assert_array_equal(played.allowed, allowed[states])
    assert np.take_along_axis(played.allowed[:-1], played.actions[..., None], 2)[played.kept[..., None]].all()
    np.testing.assert_allclose(played.probabilities, 1.0 / played.allowed[:-1].sum(axis=2))
    clock = played.clock[1:]
    assert (clock[played.truncated] == world.horizon).all() and (clock[~played.kept] == 0).all()
    assert (np.diff(played.clock, axis=0)[played.kept] == 1).all()


def test_returns_are_unbiased_though_short_episodes_restart() -> None:
    world = chain(slip=0.3, horizon=12)
    policy = np.full((5, 2), 0.5)
    played = rollout(WorldVectorEnv(8_000, world), uniform, np.random.default_rng(4), 40)
    returns = played.returns()
    assert returns.mean() == pytest.approx(world.value(policy), abs=4 * returns.std() / np.sqrt(8_000))
    discounted = replace(world, discount=0.8)
    returns = played.returns(0.8)
    assert returns.mean() == pytest.approx(discounted.value(policy), abs=4 * returns.std() / np.sqrt(8_000))


def test_what_follows_a_truncation_is_counted_and_nothing_follows_a_termination() -> None:
    world = chain(horizon=2)
    right = np.eye(2)[[1] * 5]
    played = rollout(
        WorldVectorEnv(200, world), lambda rows, allowed: right[rows[:, 0].astype(int)], np.random.default_rng(0), 4
    )
    returns, start = played.returns(0.5, np.full((5, 200), 8.0)), played.rows[0, :, 0].astype(int)
    np.testing.assert_allclose(returns, np.array([-0.15 + 0.25 * 8.0, -0.15 + 0.25 * 8.0, 0.35, 0.9])[start])


def test_first_episodes_alone_are_the_same_ones() -> None:
    world = chain(slip=0.3, horizon=12)
    whole = rollout(WorldVectorEnv(5, world), uniform, np.random.default_rng(4), 40)
    first = rollout(WorldVectorEnv(5, world), uniform, np.random.default_rng(4), 40, first_only=True)
    assert len(first.rewards) < 40
    np.testing.assert_array_equal(first.returns(), whole.returns())
    np.testing.assert_array_equal(first.actions, whole.actions[: len(first.actions)])


def test_the_generator_alone_decides() -> None:
    environment = WorldVectorEnv(16, random_world(seed=1))
    runs = [rollout(environment, uniform, np.random.default_rng(seed), STEPS) for seed in (7, 8, 7)]
    np.testing.assert_array_equal(runs[0].rows, runs[2].rows)
    np.testing.assert_array_equal(runs[0].actions, runs[2].actions)
    assert not np.array_equal(runs[0].rows, runs[1].rows)
    anywhere = rollout(WorldVectorEnv(400, chain()), uniform, np.random.default_rng(0), 1, starts="any")
    assert set(np.unique(anywhere.rows[0])) == {0.0, 1.0, 2.0, 3.0}
