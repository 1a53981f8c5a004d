"""The replayed log: exactly unbiased acceptance, queues, exhaustion, Gymnasium's contract, scalar = vector."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs.offline  # noqa: F401
from envs.errors import DataError
from envs.offline.logged_replay import LoggedReplayEnv
from envs.offline.replay import EpisodeReplay
from envs.offline.vector_logged_replay import LoggedReplayVectorEnv
from tests.worlds import World, bandit, chain, random_world

WORLD = random_world(5, states=3, actions=2, horizon=3)
BEHAVIOUR = np.array([[0.7, 0.3], [0.4, 0.6], [0.5, 0.5]])
TARGET = np.array([[0.2, 0.8], [0.9, 0.1], [0.5, 0.5]])


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def target_rows(rows: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    return TARGET[rows[:, 0].astype(int)]


def every_trajectory() -> tuple[list[float], list[float], object]:
    """Each possible trajectory once: its probability under behaviour, its return, and their dataset."""
    chances, returns, runs = [], [], []
    for chance, states, actions, rewards, ended in WORLD.trajectories(BEHAVIOUR):
        chances.append(chance)
        returns.append(sum(rewards))
        runs.append((states, actions, rewards, ended))
    return chances, returns, WORLD.dataset(runs, BEHAVIOUR)


@pytest.mark.parametrize("bound", [None, 40.0])
def test_accepted_episodes_have_exactly_the_target_law(bound: float | None) -> None:
    """Enumerated, not sampled: behaviour's law times acceptance is the target's law, for any valid bound."""
    chances, returns, dataset = every_trajectory()
    assert math.isclose(sum(chances), 1.0)
    source = EpisodeReplay(dataset, target_rows, bound)
    accepted = np.array([chance * source.acceptance(index) for index, chance in enumerate(chances)])
    assert math.isclose(accepted.sum(), math.exp(-source.log_bound), rel_tol=1e-9)
    assert math.isclose(accepted @ returns / accepted.sum(), WORLD.value(TARGET), rel_tol=1e-9)


def test_matching_actions_have_exactly_the_target_law() -> None:
    """Without a policy: P(all actions match) times the coin is the target's law too."""
    chances, returns, dataset = every_trajectory()
    source = EpisodeReplay(dataset)
    accepted = []
    for index, chance in enumerate(chances):
        span = slice(dataset.offsets[index], dataset.offsets[index + 1])
        states = dataset.observations[dataset.rows[span], 0].astype(int)
        matched = np.prod(TARGET[states, dataset.actions[span]])
        accepted.append(chance * matched * source.acceptance(index))
    assert math.isclose(np.dot(accepted, returns) / sum(accepted), WORLD.value(TARGET), rel_tol=1e-9)


def test_a_variable_bound_would_be_biased() -> None:
    """The reason for a fixed M: without it (every matched episode accepted) short episodes are favoured."""
    chances, returns, dataset = every_trajectory()
    accepted = []
    for index, chance in enumerate(chances):
        span = slice(dataset.offsets[index], dataset.offsets[index + 1])
        states = dataset.observations[dataset.rows[span], 0].astype(int)
        accepted.append(chance * np.prod(TARGET[states, dataset.actions[span]]))
    assert abs(np.dot(accepted, returns) / sum(accepted) - WORLD.value(TARGET)) > 0.01


def play(env: LoggedReplayEnv, policy: np.ndarray, seed: int) -> list[float]:
    """Returns of the accepted episodes of one pass."""
    random = np.random.default_rng(seed)
    kept, options = [], {"seed": seed}
    while True:
        try:
            state, info = env.reset(**options)
        except DataError:
            return kept
        options, total, ended = {}, 0.0, False
        while not ended:
            action = random.choice(len(policy[state]), p=policy[state])
            state, reward, terminated, truncated, info = env.step(action)
            total, ended = total + reward, terminated or truncated
        if info["accepted"]:
            kept.append(total)
        if info["exhausted"]:
            return kept


@pytest.mark.parametrize("disclosed", [True, False])
def test_played_episodes_agree_with_the_exact_value(disclosed: bool) -> None:
    dataset = WORLD.log(BEHAVIOUR, 6000, seed=3)
    env = LoggedReplayEnv(dataset, policy=target_rows if disclosed else None, bound=15.0 if disclosed else None)
    kept = np.array(play(env, TARGET, seed=1))
    assert len(kept) > 100
    assert abs(kept.mean() - WORLD.value(TARGET)) < 4 * kept.std() / math.sqrt(len(kept))


def test_a_bound_below_a_weight_is_an_error_that_names_the_bound() -> None:
    _, _, dataset = every_trajectory()
    source = EpisodeReplay(dataset, target_rows, 1.5)
    with pytest.raises(DataError, match="give a bound of at least"):
        for index in range(dataset.episode_count):
            source.acceptance(index)


def test_queues_give_each_logged_transition_once_and_say_when_one_is_missing() -> None:
    world = chain()
    dataset = world.log(np.full((5, 2), 0.5), 30, seed=1)
    env = LoggedReplayEnv(dataset, mode="queues")
    state, info = env.reset(seed=0)
    used = 0
    while True:
        if state == 4:
            state, info = env.reset()
            continue
        before = state
        state, reward, terminated, truncated, info = env.step(np.int64(1))
        if info["exhausted"] and not info["accepted"]:
            break
        used += 1
        assert state == before + 1 and terminated == (state == 4)
        assert reward == pytest.approx(0.9 if terminated else -0.1)
    assert (truncated, reward, state, info["logged_action"]) == (True, 0.0, before, -1)
    starts = dataset.observations[dataset.rows, 0]
    assert used <= int((dataset.actions == 1).sum())
    # The queue that was empty had been read to its last entry.
    logged = int(((starts == before) & (dataset.actions == 1)).sum())
    assert logged > 0
    with pytest.raises(DataError, match="exhausted"):
        env.reset()
    env.reset(seed=0)


def test_queues_keep_the_law_of_a_transition() -> None:
    world = chain(slip=0.25)
    dataset = world.log(np.full((5, 2), 0.5), 800, seed=2)
    env = LoggedReplayEnv(dataset, mode="queues")
    moved = []
    state, _ = env.reset(seed=1)
    while True:
        here = state
        state, _, terminated, truncated, info = env.step(np.int64(1))
        if info["exhausted"]:
            break
        if here > 0:
            moved.append(state == here + 1)
        if terminated or truncated:
            state, _ = env.reset()
    assert len(moved) > 300
    assert abs(np.mean(moved) - 0.75) < 4 * math.sqrt(0.75 * 0.25 / len(moved))


def test_the_last_episode_says_so_and_another_reset_is_refused() -> None:
    dataset = chain().log(np.full((5, 2), 0.5), 3)
    env = LoggedReplayEnv(dataset)
    env.reset(seed=0)
    for episode in range(3):
        if episode:
            env.reset()
        ended = False
        while not ended:
            *_, terminated, truncated, info = env.step(np.int64(0))
            ended = terminated or truncated
            assert info["exhausted"] == (ended and episode == 2)
    with pytest.raises(DataError, match=r"the log is exhausted; reset\(seed=...\) begins it anew"):
        env.reset()
    assert env.reset(seed=0)[0] in env.observation_space


def test_rejected_episodes_are_replayed_to_their_end() -> None:
    dataset = chain().log(np.full((5, 2), 0.5), 20)
    env = LoggedReplayEnv(dataset)
    env.reset(seed=3)
    rejected = ended = False
    while not ended:
        _, _, terminated, truncated, info = env.step(np.int64(0))
        rejected |= info["logged_action"] != 0
        ended = terminated or truncated
        assert not (rejected and info["accepted"])
    assert rejected


@pytest.mark.parametrize("mode", ["episodes", "queues"])
@pytest.mark.parametrize("world", [chain(), chain(vector=True), bandit(), random_world(2)])
def test_gymnasium_check(world: World, mode: str) -> None:
    uniform = np.full((world.state_count, world.action_count), 1.0 / world.action_count)
    env = gymnasium.make("retrainer/LoggedReplay-v0", dataset=world.log(uniform, 50), mode=mode)
    check_env(env.unwrapped)


@pytest.mark.parametrize("mode", ["episodes", "queues"])
def test_one_vector_environment_is_the_scalar_one(mode: str) -> None:
    dataset = random_world(1, horizon=4).log(np.full((6, 3), 1 / 3), 30)
    scalar = LoggedReplayEnv(dataset, mode=mode)
    vector = gymnasium.make_vec("retrainer/LoggedReplay-v0", num_envs=1, dataset=dataset, mode=mode)
    state, info = scalar.reset(seed=9)
    states, infos = vector.reset(seed=9)
    ended = False
    for action in np.random.default_rng(0).integers(3, size=300):
        if ended:
            try:
                state, info = scalar.reset()
            except DataError:
                assert vector.step(np.array([action]))[4]["exhausted"].all()
                with pytest.raises(DataError, match="exhausted"):
                    vector.step(np.array([action]))
                return
            reward, terminated, truncated = 0.0, False, False
        else:
            state, reward, terminated, truncated, info = scalar.step(action)
        states, rewards, terminations, truncations, infos = vector.step(np.array([action]))
        assert (state, reward, terminated, truncated) == (states[0], rewards[0], terminations[0], truncations[0])
        assert (info["accepted"], info["exhausted"]) == (infos["accepted"][0], infos["exhausted"][0])
        ended = terminated or truncated
    raise AssertionError("the log never ended")


def test_vector_actors_share_one_pass() -> None:
    dataset = chain(vector=True).log(np.full((5, 2), 0.5), 10)
    env = LoggedReplayVectorEnv(4, dataset)
    observations, info = env.reset(seed=0)
    assert observations in env.observation_space
    begun, steps, ended = 4, 0, np.zeros(4, dtype=bool)
    while not info["exhausted"].all():
        before = ended
        _, _, terminated, truncated, info = env.step(np.zeros(4, dtype=np.int64))
        begun += int((before & (info["logged_action"] < 0) & ~info["exhausted"]).sum())
        steps += int((info["logged_action"] >= 0).sum())
        ended = terminated | truncated
    assert (begun, steps) == (10, len(dataset))


def test_missing_propensities_and_wrong_options_are_named() -> None:
    dataset = chain().log(np.full((5, 2), 0.5), 5)
    blind = replace(dataset, propensities=np.full(len(dataset), np.nan))
    with pytest.raises(DataError, match="log propensities"):
        LoggedReplayEnv(blind)
    with pytest.raises(DataError, match="no mode"):
        LoggedReplayEnv(dataset, mode="rows")
    with pytest.raises(DataError, match="belong to mode 'episodes'"):
        LoggedReplayEnv(dataset, mode="queues", bound=2.0)
