"""The empirical decision process: exact values, pessimism, Gymnasium's contract, scalar = vector."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import envs.offline  # noqa: F401
from envs.columns import save_columns
from envs.encoding import IntegerStates
from envs.errors import DataError
from envs.offline.empirical_mdp import EmpiricalMDPEnv
from envs.offline.empirical_model import build_model
from envs.offline.vector_empirical_mdp import EmpiricalMDPVectorEnv
from tests.worlds import World, bandit, chain, random_world

UNIFORM = 1.0 / 3.0


def every_state(world: World) -> IntegerStates:
    return IntegerStates(np.arange(world.state_count))


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def by_hand(dataset, count: int, worst: float, minimum: int, policy: np.ndarray, horizon: int, discount: float):
    """Value of the maximum-likelihood MDP from plain counts and probabilities, written independently."""
    actions = len(dataset.specification.actions)
    tally = np.zeros((count + 1, actions, count + 1))
    reward_sum, ended = np.zeros((count + 1, actions)), np.zeros((count + 1, actions))
    for episode in range(dataset.episode_count):
        for index in range(dataset.offsets[episode], dataset.offsets[episode + 1]):
            state, following = (int(dataset.observations[index + episode + shift, 0]) for shift in (0, 1))
            action = dataset.actions[index]
            reward_sum[state, action] += dataset.rewards[index]
            if dataset.terminated[index]:
                ended[state, action] += 1
            else:
                tally[state, action, following] += 1
    total = tally.sum(axis=2) + ended
    values = np.zeros(count + 1)
    for _ in range(horizon):
        q = np.full((count + 1, actions), worst + discount * values[count])
        known = total >= minimum
        mean = (reward_sum + discount * tally @ values) / np.maximum(total, 1)
        q[known] = mean[known]
        values = (policy * q).sum(axis=1)
    return values


@pytest.mark.parametrize("minimum", [1, 4, 12])
def test_values_equal_those_of_the_maximum_likelihood_process(minimum: int) -> None:
    world = random_world(3)
    dataset = world.log(np.full((6, 3), UNIFORM), 60, seed=1)
    model = build_model(dataset, every_state(world), minimum_count=minimum)
    policy = np.random.default_rng(0).dirichlet(np.ones(3), size=7)
    worst = dataset.specification.reward_range[0]
    expected = by_hand(dataset, 6, worst, minimum, policy, world.horizon, world.discount)
    np.testing.assert_allclose(model.evaluate(policy), expected, atol=1e-12)


def test_simulated_returns_agree_with_exact_values() -> None:
    world = random_world(3)
    dataset = world.log(np.full((6, 3), UNIFORM), 60, seed=1)
    env = EmpiricalMDPVectorEnv(4000, dataset, encoder=every_state(world), minimum_count=3)
    policy = np.random.default_rng(0).dirichlet(np.ones(3), size=7)
    random = np.random.default_rng(5)
    states, _ = env.reset(seed=2)
    alive, returns = np.ones(4000, dtype=bool), np.zeros(4000)
    for _ in range(world.horizon):
        drawn = random.random(4000)[:, None] < np.cumsum(policy[states], axis=1)
        states, rewards, terminated, truncated, _ = env.step(drawn.argmax(axis=1))
        returns += np.where(alive, rewards, 0.0)
        alive &= ~(terminated | truncated)
    assert not alive.any()
    exact = env.model.start_value(env.model.evaluate(policy))
    assert abs(returns.mean() - exact) < 4 * returns.std() / np.sqrt(4000)


def test_a_pair_never_logged_leads_to_a_halt_that_pays_the_worst_reward() -> None:
    world = chain()
    right = np.tile([0.0, 1.0], (5, 1))
    env = EmpiricalMDPEnv(world.log(right, 30), horizon=6)
    env.reset(seed=0)
    observation, reward, terminated, truncated, info = env.step(np.int64(0))
    assert (observation, reward, terminated, truncated, info["halted"]) == (env.model.halt, -0.1, False, False, True)
    for left in range(4, -1, -1):
        observation, reward, terminated, truncated, info = env.step(np.int64(1))
        assert (observation, reward, terminated, truncated) == (env.model.halt, -0.1, False, left == 0)
    assert info["action_mask"].all()


def test_pessimism_only_lowers_values() -> None:
    world = random_world(4)
    dataset = world.log(np.full((6, 3), UNIFORM), 40, seed=2)
    policy = np.full((6, 3), UNIFORM)
    values = [build_model(dataset, every_state(world), minimum_count=n).evaluate(policy) for n in (1, 3, 9, 27)]
    for looser, stricter in pairwise(values):
        assert (stricter <= looser + 1e-12).all()
    assert (values[-1] < values[0] - 0.1).any()


def test_the_optimised_policy_overshoots_by_at_most_a_fifth_of_the_range() -> None:
    """STATISTICS 3: pessimism is tested on the policy that was optimised inside the model."""
    for seed in range(5):
        world = random_world(seed, noise=0.5)
        dataset = world.log(np.full((6, 3), UNIFORM), 60, seed=seed)
        model = build_model(dataset, every_state(world), minimum_count=5)
        policy, inside = model.optimise()
        values = np.zeros(6)
        for left in range(world.horizon - 1, -1, -1):
            values = world.action_values(values)[np.arange(6), policy[left][:6]]
        span = world.optimal().max() - (-1.0 * world.horizon)
        assert model.start_value(inside) - world.start @ values < 0.2 * span


@pytest.mark.parametrize("world", [chain(), chain(vector=True), bandit(), random_world(2)])
def test_gymnasium_check(world: World) -> None:
    dataset = world.log(np.full((world.state_count, world.action_count), 1.0 / world.action_count), 50)
    env = gymnasium.make("retrainer/EmpiricalMDP-v0", dataset=dataset, minimum_count=2)
    check_env(env.unwrapped)


def test_made_from_a_directory_and_in_vector_form(tmp_path) -> None:
    dataset = chain().log(np.full((5, 2), 0.5), 40)
    save_columns(dataset, tmp_path / "data")
    env = gymnasium.make("retrainer/EmpiricalMDP-v0", dataset=str(tmp_path / "data"), splits=("train",))
    assert env.unwrapped.model.counts.sum() == len(dataset.split("train"))
    vector = gymnasium.make_vec("retrainer/EmpiricalMDP-v0", num_envs=3, dataset=dataset)
    assert isinstance(vector, EmpiricalMDPVectorEnv)
    assert vector.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    observations, _ = vector.reset(seed=1)
    assert observations in vector.observation_space


def test_one_vector_environment_is_the_scalar_one() -> None:
    dataset = random_world(1).log(np.full((6, 3), UNIFORM), 40)
    scalar = EmpiricalMDPEnv(dataset, minimum_count=4)
    vector = EmpiricalMDPVectorEnv(1, dataset, minimum_count=4)
    actions = np.random.default_rng(0).integers(3, size=200)
    state, info = scalar.reset(seed=9)
    states, infos = vector.reset(seed=9)
    ended = False
    for action in actions:
        if ended:
            state, info = scalar.reset()
            reward, terminated, truncated = 0.0, False, False
        else:
            state, reward, terminated, truncated, info = scalar.step(action)
        states, rewards, terminations, truncations, infos = vector.step(np.array([action]))
        assert (state, reward, terminated, truncated) == (states[0], rewards[0], terminations[0], truncations[0])
        np.testing.assert_array_equal(info["action_mask"], infos["action_mask"][0])
        ended = terminated or truncated


def test_same_seed_same_episodes() -> None:
    dataset = random_world(1).log(np.full((6, 3), UNIFORM), 40)
    runs = []
    for _ in range(2):
        env = EmpiricalMDPEnv(dataset)
        runs.append([env.reset(seed=4)[0], *(env.step(np.int64(step % 3))[:2] for step in range(8))])
    assert runs[0] == runs[1]


def test_one_decision_agents_need_no_next_observation() -> None:
    dataset = bandit(vector=False, noise=0.0).log(np.full((4, 2), 0.5), 200)
    rows = dataset.observations.copy()
    rows[1::2] = np.nan
    blind = replace(dataset, observations=rows, end_known=np.zeros(200, dtype=bool))
    values = build_model(blind, IntegerStates(np.arange(4))).action_values(np.zeros(5), 1.0)
    np.testing.assert_allclose(values[:4, 1], [-0.5, -0.5, 0.5, 0.5])


def test_a_dataset_without_known_next_observations_is_refused() -> None:
    dataset = chain(horizon=1).log(np.full((5, 2), 0.5), 20, specification=chain().specification())
    never, always = np.zeros(20, dtype=bool), np.ones(20, dtype=bool)
    blind = replace(dataset, end_known=never, terminated=never, truncated=always)
    with pytest.raises(DataError, match="no decision has a known next observation"):
        EmpiricalMDPEnv(blind)
    with pytest.raises(DataError, match="no decisions in the splits"):
        EmpiricalMDPEnv(chain().log(np.full((5, 2), 0.5), 5), splits=("final",))
