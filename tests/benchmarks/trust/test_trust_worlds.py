"""The worlds' truths are exact, and their logs are what they say."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from benchmarks.trust.worlds import World, dataset_of, explored, on_rows, turns, uniform_start_world
from envs.dataset import FINAL, SELECT, TRAIN


def tiny(alias: np.ndarray | None = None) -> World:
    rng = np.random.default_rng(0)
    move = rng.dirichlet(np.ones(3), (3, 2))
    return World(np.array([0.2, 0.3, 0.5]), move, rng.uniform(0, 0.5, (3, 2)), rng.normal(size=(3, 2)), 3, alias=alias)


def trajectories(world: World, policy: np.ndarray):
    """(chance, mean return, states, actions) of every trajectory."""
    on_states = world.on_states(policy)

    def extend(chance, total, states, actions):
        here = states[-1]
        for action in range(2):
            taken = chance * on_states[here, action]
            earned = total + world.mean[here, action]
            end = 1.0 if len(actions) + 1 == world.horizon else world.end[here, action]
            yield taken * end, earned, states, [*actions, action]
            if end < 1.0:
                for following in range(3):
                    step = taken * (1 - end) * world.move[here, action, following]
                    yield from extend(step, earned, [*states, following], [*actions, action])

    for first in range(3):
        yield from extend(float(world.start[first]), 0.0, [first], [])


@pytest.mark.parametrize("alias", [None, np.array([0, 1, 1])])
def test_value_and_overlap_are_those_of_all_trajectories(alias) -> None:
    world = tiny(alias)
    rng = np.random.default_rng(1)
    behaviour, target = (rng.dirichlet(np.ones(2), world.observed_count) for _ in range(2))
    everything = list(trajectories(world, target))
    assert sum(chance for chance, *_ in everything) == pytest.approx(1.0)
    assert world.value(target) == pytest.approx(sum(chance * total for chance, total, *_ in everything))
    b, p = world.on_states(behaviour), world.on_states(target)
    squared = 0.0
    for chance, _, states, actions in trajectories(world, behaviour):
        weight = np.prod([p[s, a] / b[s, a] for s, a in zip(states, actions, strict=True)])
        squared += chance * weight**2
    assert world.overlap(behaviour, target) == pytest.approx(1.0 / squared)


def test_the_best_policy_of_one_decision_is_the_best_of_all() -> None:
    world = uniform_start_world(3, 3, 2, 1)
    values = [world.value(np.eye(2)[list(choice)]) for choice in itertools.product(range(2), repeat=3)]
    assert world.value(world.best_policy()) == pytest.approx(max(values))


def test_a_step_has_the_overlap_that_was_asked_for() -> None:
    world = uniform_start_world(4, 5, 3, 8, end=0.02)
    behaviour = explored(np.roll(world.best_policy(), 1, axis=1), 0.4)
    aim = explored(world.best_policy(), 0.4)
    step = world.step_of_overlap(behaviour, aim, 0.3)
    assert world.overlap(behaviour, step) == pytest.approx(0.3, abs=1e-6)
    assert np.allclose(step.sum(axis=1), 1.0)
    assert np.array_equal(world.step_of_overlap(behaviour, behaviour, 0.3), behaviour)


@pytest.mark.parametrize("kind", ["sign", "skewed", "bernoulli"])
def test_logs_have_the_worlds_mean_return_whatever_the_noise(kind) -> None:
    rng = np.random.default_rng(5)
    world = uniform_start_world(6, 4, 2, 4, end=0.1, kind=kind, mean=rng.uniform(0.1, 0.9, (4, 2)))
    behaviour = explored(world.best_policy(), 0.5)
    log = world.draw(behaviour, 40_000, rng)
    returns = log.rewards.sum(axis=1)
    error = returns.std() / np.sqrt(len(returns))
    assert abs(returns.mean() - world.value(behaviour)) < 4 * error
    low, high = world.reward_range()
    assert low <= log.rewards.min() and log.rewards.max() <= high


def test_a_dataset_holds_the_log() -> None:
    world = uniform_start_world(7, 4, 3, 6, end=0.2)
    behaviour = explored(world.best_policy(), 0.3)
    log = world.draw(behaviour, 50, np.random.default_rng(8))
    dataset = dataset_of(log, world)
    assert np.array_equal(dataset.lengths, log.active.sum(axis=1))
    assert np.add.reduceat(dataset.rewards, dataset.offsets[:-1]) == pytest.approx(log.rewards.sum(axis=1))
    for episode in (0, 17, 49):
        length = dataset.lengths[episode]
        rows = np.arange(length + 1) + dataset.offsets[episode] + episode
        assert np.array_equal(dataset.observations[rows, 0], log.states[episode, : length + 1])
        last = dataset.offsets[episode + 1] - 1
        assert (
            dataset.terminated[last] == log.terminated[episode] and dataset.truncated[last] != log.terminated[episode]
        )
    states = dataset.observations[dataset.rows, 0].astype(int)
    assert dataset.propensities == pytest.approx(behaviour[states, dataset.actions])
    assert np.array_equal(on_rows(dataset, behaviour[None])[0, dataset.rows], behaviour[states])


def test_splits_by_turns_have_the_shares_of_the_project() -> None:
    splits = turns(2_000)
    assert [(splits == code).mean() for code in (TRAIN, SELECT, FINAL)] == pytest.approx([0.5, 0.15, 0.35])
