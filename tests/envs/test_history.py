"""The history test: silent where observations are states, however sticky; loud where something is hidden."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.trust.worlds import World, dataset_of, explored, uniform_start_world
from envs.card.history import LEVEL, history_test
from envs.dataset import Dataset
from envs.observation import ObservationField, ObservationSpecification
from tests.worlds import bandit

NUMBERS = ObservationSpecification("object", (ObservationField("position"), ObservationField("speed")))


def sticky(seed: int, *, stay: float = 0.8, horizon: int = 20, **changes: Any) -> World:
    """A random world of eight states that mostly stays where it is: rows of an episode look alike."""
    world = uniform_start_world(seed, 8, 2, horizon, end=0.01, kind="skewed")
    return replace(world, move=stay * np.eye(8)[:, None] + (1.0 - stay) * world.move, **changes)


def uniform(world: World, episodes: int, seed: int) -> Dataset:
    """A log of actions by coin."""
    behaviour = np.full((world.observed_count, 2), 0.5)
    return dataset_of(world.draw(behaviour, episodes, np.random.default_rng(seed)), world)


def ruled(world: World, episodes: int, seed: int) -> Dataset:
    """A log of a random rule with exploration."""
    rng = np.random.default_rng(seed)
    behaviour = explored(np.eye(2)[rng.integers(2, size=world.observed_count)], 0.5)
    return dataset_of(world.draw(behaviour, episodes, rng), world)


PAIRS = np.arange(8) // 2
"""Two neighbouring states look alike."""


def different_pairs(seed: int, **changes: Any) -> World:
    """A sticky world in which the hidden half of the state is worth 1.5 a decision."""
    world = sticky(seed, alias=PAIRS, **changes)
    return replace(world, mean=np.repeat(world.mean[::2], 2, axis=0) + 1.5 * (np.arange(8) % 2)[:, None])


def numbers(seen: list[np.ndarray], actions: list[np.ndarray], rewards: list[np.ndarray]) -> Dataset:
    """H + 1 observations (E, 2), H actions and H rewards (E,) as a log of actions by coin."""
    horizon, episodes = len(actions), len(actions[0])
    count, base = episodes * horizon, bandit().log(np.full((4, 2), 0.5), 2, 0)
    return replace(
        base,
        specification=replace(base.specification, observation=NUMBERS, horizon=horizon, reward_range=None),
        offsets=np.arange(episodes + 1) * horizon,
        observations=np.stack(seen, axis=1).reshape(-1, 2),
        allowed=np.ones((count + episodes, 2), dtype=bool),
        actions=np.stack(actions, axis=1).ravel(),
        propensities=np.full(count, 0.5),
        action_probabilities=np.full((count, 2), 0.5),
        root_probabilities=np.full((count + episodes, 2), np.nan),
        rewards=np.stack(rewards, axis=1).ravel(),
        worst=np.zeros(count, dtype=bool),
        terminated=np.zeros(count, dtype=bool),
        truncated=np.tile(np.arange(horizon) == horizon - 1, episodes),
        end_known=np.ones(episodes, dtype=bool),
        timestamps=np.full(count, np.nan),
        policy_versions=np.full(count, ""),
        units=np.char.mod("%06d", np.arange(episodes)),
        splits=np.zeros(episodes, dtype=np.int8),
        sequences=np.arange(1, episodes + 1) * horizon - 1,
        guardrails=np.empty((count, 0)),
    )


def pendulum(episodes: int, seed: int, *, hide: bool = False, horizon: int = 20) -> Dataset:
    """A swinging thing that is pushed: sticky, curved, with a threshold in the reward; its speed may be hidden."""
    rng = np.random.default_rng(seed)
    position, speed = rng.normal(size=episodes), 0.3 * rng.normal(size=episodes)
    shown = np.array([1.0, 0.0 if hide else 1.0])
    seen, actions, rewards = [np.stack([position, speed], axis=1) * shown], [], []
    for _ in range(horizon):
        action = rng.integers(2, size=episodes)
        rewards.append(-(position**2) - 2.0 * (position > 1.0) + 0.5 * rng.standard_t(3, size=episodes))
        position = position + 0.2 * speed + 0.1 * rng.normal(size=episodes)
        speed = 0.95 * speed + 0.3 * (action - 0.5) - 0.1 * np.sin(2.0 * position) + 0.1 * rng.normal(size=episodes)
        seen.append(np.stack([position, speed], axis=1) * shown)
        actions.append(action)
    return numbers(seen, actions, rewards)


def second_order(stacked: bool) -> Dataset:
    """x_{t+1} = 1.5 x_t - 0.6 x_{t-1} + push: two values are a state, one is not."""
    rng = np.random.default_rng(0)
    before, now = rng.normal(size=200), rng.normal(size=200)
    seen, actions, rewards = [np.stack([now, stacked * before], axis=1)], [], []
    for _ in range(20):
        action = rng.integers(2, size=200)
        rewards.append(-(now**2) + rng.normal(size=200))
        before, now = now, 1.5 * now - 0.6 * before + 0.2 * (action - 0.5) + 0.3 * rng.normal(size=200)
        seen.append(np.stack([now, stacked * before], axis=1))
        actions.append(action)
    return numbers(seen, actions, rewards)


CLEAN: dict[str, Callable[[int], Dataset]] = {
    "discrete": lambda seed: ruled(sticky(seed, stay=0.0, horizon=8), 200, seed),
    "discrete, sticky": lambda seed: ruled(sticky(seed, stay=0.9), 120, seed),
    "numbers, sticky": lambda seed: pendulum(150, seed, horizon=10),
}


def alarms(draw: Callable[[int], Dataset], logs: int) -> int:
    return sum(history_test(draw(seed)).failed for seed in range(logs))


@pytest.mark.parametrize("kind", CLEAN)
def test_clean_logs_raise_no_alarm(kind: str) -> None:
    assert alarms(CLEAN[kind], 25) == 0


@pytest.mark.full
@pytest.mark.parametrize("kind", CLEAN)
def test_at_most_two_in_a_hundred_clean_logs_raise_an_alarm(kind: str) -> None:
    assert alarms(CLEAN[kind], 500) <= 10


def test_p_values_of_clean_logs_are_those_of_chance() -> None:
    """Of the two targets (reward, state) the smaller p-value, doubled: not crowded at 0, not all at 1."""
    found = np.array([history_test(CLEAN["discrete"](seed)).p_value for seed in range(100)])
    assert 1 <= (found < 0.1).sum() <= 18
    assert (found < 0.5).mean() > 0.2


def test_a_hidden_half_of_the_state_is_found() -> None:
    """A slow hidden state by its rewards, a hidden speed by where it leads."""
    for seed in range(5):
        found = history_test(uniform(different_pairs(seed), 200, seed))
        assert found.failed and found.p_value < LEVEL, seed
        moving = history_test(pendulum(200, seed, hide=True))
        assert moving.failed and moving.target == "position" and moving.effect > 0.1
        assert "the past explains" in moving.sentence and "the next position" in moving.sentence


def test_what_the_previous_reward_alone_tells_is_found() -> None:
    """A coin tossed before the episode doubles all rewards: neither observation nor action know of it."""
    dataset = uniform(sticky(0, stay=0.0), 300, 0)
    doubled = np.repeat(np.arange(300) % 2, dataset.lengths)
    assert not history_test(dataset).failed
    found = history_test(replace(dataset, rewards=dataset.rewards * (1.0 + doubled) + 0.5 * doubled))
    assert found.failed and found.target == "reward"


@pytest.mark.parametrize("numbers", [False, True])
def test_a_world_that_changes_with_the_step_is_found(numbers: bool) -> None:
    """Stationary dynamics are part of the claim: every row serves every step of a model."""
    dataset = pendulum(200, 0) if numbers else uniform(sticky(0, stay=0.0), 300, 0)
    late = dataset.steps >= 10
    assert not history_test(dataset).failed
    assert history_test(replace(dataset, rewards=np.where(late, -dataset.rewards, dataset.rewards))).failed


def test_history_that_is_stacked_into_the_observation_is_the_remedy() -> None:
    assert history_test(second_order(stacked=False)).failed
    assert not history_test(second_order(stacked=True)).failed


def test_units_and_not_rows_are_what_is_independent() -> None:
    """Every episode eight times over in its unit is no new evidence: the score must not grow by the root of 8."""
    dataset = uniform(sticky(6, stay=0.0, horizon=4, alias=PAIRS), 150, 6)
    copied = dataset.select_episodes(np.repeat(np.arange(150), 8))
    once, units = history_test(dataset), history_test(copied)
    episodes = history_test(replace(copied, units=np.arange(1200).astype(str)))
    assert 1e-4 < once.p_value < 0.2
    assert once.p_value / 30 < units.p_value < 1.0
    assert episodes.p_value < 1e-3 * min(once.p_value, units.p_value)


def test_certain_fields_and_odd_logs_are_no_alarm() -> None:
    """A clock that the present foretells exactly leaves rounding only; ends may be unknown, rewards constant."""
    world = sticky(1, stay=0.0)
    dataset = uniform(world, 200, 1)
    for changed in (
        replace(dataset, rewards=np.ones(len(dataset))),
        replace(dataset, end_known=np.arange(200) % 2 == 0),
        replace(dataset, rewards=dataset.observations[dataset.rows, 0]),
    ):
        assert history_test(changed).passed
    swinging = pendulum(200, 1)
    clock = np.concatenate([np.arange(21.0)] * 200)
    rows = np.stack([clock, swinging.observations[:, 1]], axis=1)
    assert history_test(replace(swinging, observations=rows)).target != "position"


def test_what_cannot_be_tested_neither_passes_nor_fails() -> None:
    few = history_test(uniform(sticky(0), 99, 0))
    assert not few.passed and not few.failed and np.isnan(few.p_value) and "99 units" in few.sentence
    alone = history_test(bandit().log(np.full((4, 2), 0.5), 300, 0))
    assert alone.passed and not alone.failed


def test_only_few_and_distinct_observations_show_states() -> None:
    discrete, continuous = history_test(CLEAN["discrete"](0)), history_test(pendulum(150, 0))
    assert discrete.passed and discrete.shows_states
    assert continuous.passed and not continuous.shows_states
    assert not history_test(uniform(different_pairs(0), 200, 0)).shows_states


def test_integers_that_are_hardly_ever_seen_twice_show_no_states() -> None:
    """The test has no power there, and to pass it means nothing."""
    dataset = uniform(sticky(0, stay=0.0), 150, 0)
    ids = np.random.default_rng(0).integers(500, size=dataset.observations.shape).astype(float)
    found = history_test(replace(dataset, observations=ids))
    assert found.passed and not found.exact and not found.shows_states


def test_the_same_log_has_the_same_answer_whatever_its_order() -> None:
    for dataset in (uniform(sticky(2), 150, 2), pendulum(150, 2)):
        order = np.random.default_rng(0).permutation(dataset.episode_count)
        one, other = history_test(dataset), history_test(dataset.select_episodes(order))
        assert one.target == other.target and one.passed == other.passed
    discrete = uniform(sticky(2), 150, 2)
    order = np.random.default_rng(0).permutation(150)
    one, other = history_test(discrete), history_test(discrete.select_episodes(order))
    assert one.p_value == pytest.approx(other.p_value) and one.effect == pytest.approx(other.effect)


def test_of_a_large_log_of_numbers_a_part_of_the_units_is_enough() -> None:
    assert history_test(pendulum(1_500, 0, hide=True)).failed
    assert not history_test(pendulum(1_500, 0)).failed
