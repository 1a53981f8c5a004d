"""The nearest-neighbour decision process: exact on the log, costs, masks, ends, pessimism, scalar = vector."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs.offline  # noqa: F401
from envs.columns import save_columns
from envs.dataset import Dataset
from envs.errors import DataError
from envs.offline.nearest_neighbour_mdp import NearestNeighbourMDPEnv
from envs.offline.nearest_neighbour_model import NearestNeighbourModel, build_neighbours
from envs.offline.neighbours import nearest
from envs.offline.vector_nearest_neighbour_mdp import NearestNeighbourMDPVectorEnv
from tests.envs.offline.continuous import LinearWorld, inward, uniform
from tests.worlds import World, bandit, chain, random_world

THIRD = np.full((6, 3), 1.0 / 3.0)


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def returns(dataset: Dataset) -> np.ndarray:
    return np.bincount(dataset.episode_index, dataset.rewards)


@pytest.mark.parametrize(("size", "count"), [(3000, 6), (40, 40), (1, 1)])
def test_neighbours_are_the_nearest(size: int, count: int) -> None:
    random = np.random.default_rng(0)
    points = random.normal(size=(size, 7)) * np.array([1, 1, 1, 1, 1, 1, 100.0]) + 50.0
    queries = np.vstack([points[::2], random.normal(size=(200, 7)) + 50.0])
    own = np.concatenate([np.arange(size)[::2], np.full(200, -1)])
    found, distances = nearest(points, queries, own, count, random)
    exact = np.sqrt(((queries[:, None, :] - points[None, :, :]) ** 2).sum(axis=2))
    np.testing.assert_allclose(distances, np.sort(exact, axis=1)[:, :count], atol=1e-9)
    np.testing.assert_allclose(np.take_along_axis(exact, found, axis=1), distances, atol=1e-9)
    assert all(len(set(row)) == count for row in found.tolist())
    np.testing.assert_array_equal(found[: len(points[::2]), 0], own[: len(points[::2])])


def test_equal_neighbours_take_turns() -> None:
    """1,000 points at one place, asked for by 1,000 queries there: each is found 5 times on average."""
    points = np.repeat([[0.0, 1.0], [5.0, 1.0]], 1000, axis=0)
    found, distances = nearest(points, points[:1000], np.full(1000, -1), 5, np.random.default_rng(0))
    assert (distances == 0.0).all() and (found < 1000).all()
    times = np.bincount(found.ravel(), minlength=1000)
    assert times.max() <= 25 and (times == 0).mean() < 0.1


@pytest.mark.parametrize("neighbours", [1, 4])
def test_a_deterministic_log_is_its_own_model(neighbours: int) -> None:
    world = chain(vector=True)
    dataset = world.log(np.full((5, 2), 0.5), 40, seed=1)
    model = build_neighbours(dataset, neighbours=neighbours, cost=0.0)
    policy = np.random.default_rng(0).dirichlet(np.ones(2), size=5)
    states = dataset.observations[:, 0].astype(int)
    live = states < 4
    np.testing.assert_allclose(model.evaluate(policy[states])[live], world.evaluate(policy)[states][live], atol=1e-12)
    decisions, values = model.optimise()
    assert (decisions[0][live] == 1).all()
    np.testing.assert_allclose(values[live], world.optimal().max(axis=1)[states][live], atol=1e-12)


@pytest.mark.parametrize("dataset", [LinearWorld().log(inward, 50), random_world(1, noise=1.0).log(THIRD, 50)])
def test_the_nearest_neighbour_of_a_decision_is_itself(dataset: Dataset) -> None:
    """Also where many rows are alike, told apart by their noisy rewards."""
    model = build_neighbours(dataset, neighbours=3)
    rows = dataset.rows
    np.testing.assert_array_equal(model.rewards[rows, dataset.actions, 0], dataset.rewards)
    np.testing.assert_array_equal(model.next_rows[rows, dataset.actions, 0], rows + 1)
    np.testing.assert_array_equal(model.terminated[rows, dataset.actions, 0], dataset.terminated)
    assert (model.next_rows[rows, dataset.actions, 1] != rows + 1).all()


def test_a_neighbour_costs_in_proportion_to_its_distance() -> None:
    """By hand: rows at 0, 1, 2 and 6; action 1 was logged at 0 and 6 only."""
    dataset = one_step([0.0, 1.0, 2.0, 6.0], [1, 0, 0, 1], [10.0, 2.0, 4.0, 8.0])
    model = build_neighbours(dataset, neighbours=1, cost=0.5)
    scale = (3.0 - 0.75) / 1.3489795003921634  # the interquartile range of 0, 1, 2, 6 as a standard deviation
    # Distances to the next decision of one's action: 6, 1, 1, 6; half of them 1, so the median is 3.5.
    assert model.unit_distance == pytest.approx(3.5 / scale)
    assert model.unit_reward == 6.0
    expected = np.array([[2.0 - 3 / 3.5, 10.0], [2.0, 10.0 - 3 / 3.5], [4.0, 10.0 - 6 / 3.5], [4.0 - 12 / 3.5, 8.0]])
    np.testing.assert_allclose(model.rewards[dataset.rows, :, 0], expected)


def one_step(positions: list[float], actions: list[int], rewards: list[float]) -> Dataset:
    """One-decision episodes at the given positions, whose ends are not known."""
    world = bandit(len(positions), vector=False, noise=0.0)
    runs = [([0, 0], [action], [reward], False) for action, reward in zip(actions, rewards, strict=True)]
    dataset = world.dataset(runs, np.full((len(positions), 2), 0.5))
    rows = np.full((2 * len(positions), 1), np.nan)
    rows[::2, 0] = positions
    observation = LinearWorld().specification().observation
    specification = replace(
        dataset.specification,
        observation=replace(observation, fields=observation.fields[:1]),
        reward_range=(-3.0, 20.0),
    )
    blind = np.zeros(len(positions), dtype=bool)
    return replace(dataset, specification=specification, observations=rows, end_known=blind)


def test_costs_lower_values_and_have_no_units() -> None:
    dataset = LinearWorld().log(inward, 60)
    policy = np.full((len(dataset.observations), 3), 1 / 3)
    values = [build_neighbours(dataset, cost=cost).evaluate(policy) for cost in (0.0, 0.2, 1.0)]
    for looser, stricter in pairwise(values):
        assert (stricter < looser).all()
    specification = replace(dataset.specification, reward_range=None)
    scaled = replace(
        dataset,
        specification=specification,
        observations=1000.0 * dataset.observations + 5.0,
        rewards=7.0 * dataset.rewards,
    )
    np.testing.assert_allclose(build_neighbours(scaled, cost=0.2).evaluate(policy), 7.0 * values[1], rtol=1e-6)


def test_a_masked_action_stays_and_pays_the_worst() -> None:
    world = random_world(1)
    behaviour = np.tile([0.5, 0.5, 0.0], (6, 1))
    dataset = world.log(behaviour, 60)
    allowed = dataset.allowed.copy()
    allowed[dataset.observations[:, 0] == 2.0, 1] = False
    model = build_neighbours(replace(dataset, allowed=allowed))
    assert not model.mask[:, 2].any()
    np.testing.assert_array_equal(model.mask[:, 1], dataset.observations[:, 0] != 2.0)
    rows = np.flatnonzero(dataset.observations[:, 0] == 2.0)
    for action in (1, 2):
        rewards, after, terminated = model.step(rows, np.full(len(rows), action), np.full(len(rows), 0.99))
        assert (rewards == model.rewards.min()).all() and (after == rows).all() and not terminated.any()
    assert model.rewards.min() <= dataset.specification.reward_range[0]
    assert (model.optimise()[0][:, rows] == 0).all()


def test_unknown_ends_are_no_neighbours_unless_they_terminated() -> None:
    dataset = LinearWorld(horizon=3).log(uniform, 80)
    rows, ends = dataset.observations.copy(), dataset.rows[dataset.offsets[1:] - 1]
    rows[ends + 1] = np.nan
    blind = replace(dataset, observations=rows, end_known=np.zeros(80, dtype=bool))
    model = build_neighbours(blind, neighbours=2)
    live = np.isfinite(rows).all(axis=1)
    cut = ends[dataset.truncated[dataset.offsets[1:] - 1]]
    assert live[model.next_rows[live]].all()
    assert not np.isin(model.next_rows[live] - 1, cut).any()
    finished = ends[dataset.terminated[dataset.offsets[1:] - 1]]
    assert model.terminated[finished, dataset.actions[dataset.offsets[1:] - 1][np.isin(ends, finished)], 0].all()


def test_one_decision_agents_need_no_next_observation() -> None:
    env = NearestNeighbourMDPEnv(one_step([0.0, 1.0, 2.0, 6.0], [1, 0, 0, 1], [10.0, 2.0, 4.0, 8.0]), cost=0.0)
    env.reset(seed=0)
    assert env.step(np.int64(1))[2:4] == (True, False)


def test_a_log_without_known_next_observations_is_refused() -> None:
    dataset = LinearWorld(horizon=2, ends=False).log(uniform, 5)
    with pytest.raises(DataError, match="no decision has a known next observation"):
        build_neighbours(
            replace(dataset, observations=np.where(np.arange(15)[:, None] % 3, np.nan, dataset.observations))
        )
    for wrong in ({"neighbours": 0}, {"cost": -1.0}, {"cost": np.inf}):
        with pytest.raises(DataError, match=next(iter(wrong))):
            build_neighbours(dataset, **wrong)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="starts is 'last'"):
        NearestNeighbourMDPEnv(dataset).reset(options={"starts": "last"})


def test_the_value_of_behaviour_is_the_logs_mean_return() -> None:
    """Within the log's own standard error, over worlds: model and log share their noise."""
    deviations = []
    for seed in range(8):
        dataset = random_world(seed, noise=0.5).log(THIRD, 150, seed=seed)
        model = build_neighbours(dataset)
        logged = returns(dataset)
        value = model.start_value(model.evaluate(np.full((len(dataset.observations), 3), 1 / 3)))
        deviations.append((value - logged.mean()) / (logged.std() / np.sqrt(len(logged))))
    assert np.abs(deviations).max() < 2.5
    assert abs(np.mean(deviations)) < 0.75


def outside(world: World, dataset: Dataset, model: NearestNeighbourModel) -> float:
    """True value of the optimised policy of observations; a state that was never logged takes action 0."""
    decisions, _ = model.optimise()
    rows = {int(state): row for row, state in enumerate(dataset.observations[:, 0])}
    values = np.zeros(world.state_count)
    for left in range(world.horizon - 1, -1, -1):
        chosen = [decisions[left][rows[state]] if state in rows else 0 for state in range(world.state_count)]
        values = world.action_values(values)[np.arange(world.state_count), chosen]
    return float(world.start @ values)


def test_the_optimised_policy_overshoots_by_at_most_a_fifth_of_the_range() -> None:
    """STATISTICS 3: pessimism is tested on the policy that was optimised inside the model."""
    for seed in range(5):
        world = random_world(seed, noise=0.5)
        dataset = world.log(THIRD, 60, seed=seed)
        model = build_neighbours(dataset)
        inside = model.start_value(model.optimise()[1])
        span = world.optimal().max() + world.horizon
        assert inside - outside(world, dataset, model) < 0.2 * span


def test_costs_hold_the_optimism_of_a_continuous_world_down() -> None:
    world = LinearWorld(noise=0.6, ends=False)
    for seed in range(3):
        dataset = world.log(uniform, 100, seed=seed)
        gaps = {}
        for cost in (0.0, 0.5):
            model = build_neighbours(dataset, cost=cost)
            decisions, values = model.optimise()
            points = dataset.observations

            def acts(rows: np.ndarray, decisions: Any = decisions, points: Any = points) -> np.ndarray:
                near = ((rows[:, None, :] - points[None, :, :]) ** 2).sum(axis=2).argmin(axis=1)
                return np.eye(3)[decisions[0][near]]

            gaps[cost] = model.start_value(values) - world.value(acts, episodes=2000)
        # Returns lie within about [-6, 6].
        assert gaps[0.5] < 0.2 * 12.0
        assert gaps[0.5] < gaps[0.0] - 1.0


def test_simulated_returns_agree_with_exact_values() -> None:
    dataset = LinearWorld().log(inward, 60)
    env = NearestNeighbourMDPVectorEnv(4000, dataset)
    policy = np.random.default_rng(0).dirichlet(np.ones(3), size=len(dataset.observations))
    random = np.random.default_rng(5)
    _, info = env.reset(seed=2)
    alive, total = np.ones(4000, dtype=bool), np.zeros(4000)
    for _ in range(6):
        drawn = random.random(4000)[:, None] < np.cumsum(policy[info["row_index"]], axis=1)
        _, rewards, terminated, truncated, info = env.step(drawn.argmax(axis=1))
        total += np.where(alive, rewards, 0.0)
        alive &= ~(terminated | truncated)
    assert not alive.any()
    exact = env.model.start_value(env.model.evaluate(policy))
    assert abs(total.mean() - exact) < 4 * total.std() / np.sqrt(4000)


LOGS = {
    "chain": chain().log(np.full((5, 2), 0.5), 30),
    "bandit": bandit().log(np.full((4, 2), 0.5), 30),
    "linear": LinearWorld().log(inward, 30),
}


@pytest.mark.parametrize("name", LOGS)
def test_gymnasium_check(name: str) -> None:
    env = gymnasium.make("retrainer/NearestNeighbourMDP-v0", dataset=LOGS[name])
    check_env(env.unwrapped)


@pytest.mark.parametrize("starts", ["first", "any"])
@pytest.mark.parametrize("name", LOGS)
def test_one_vector_environment_is_the_scalar_one(name: str, starts: str) -> None:
    dataset, options = LOGS[name], {"starts": starts}
    scalar = NearestNeighbourMDPEnv(dataset, horizon=4)
    vector = gymnasium.make_vec("retrainer/NearestNeighbourMDP-v0", num_envs=1, dataset=dataset, horizon=4)
    observation, info = scalar.reset(seed=9, options=options)
    observations, infos = vector.reset(seed=9, options=options)
    ended, begun = False, set()
    for action in np.random.default_rng(0).integers(len(dataset.specification.actions), size=200):
        if ended:
            observation, info = scalar.reset(options=options)
            reward, terminated, truncated = 0.0, False, False
            begun.add(info["row_index"])
        else:
            observation, reward, terminated, truncated, info = scalar.step(action)
        observations, rewards, terminations, truncations, infos = vector.step(np.array([action]))
        np.testing.assert_array_equal(observation, observations[0])
        assert (reward, terminated, truncated) == (rewards[0], terminations[0], truncations[0])
        for key in ("rows", "action_mask", "row_index"):
            np.testing.assert_array_equal(info[key], infos[key][0])
        np.testing.assert_array_equal(info["rows"], dataset.observations[info["row_index"]])
        ended = terminated or truncated
    inside = dataset.specification.horizon > 1 and starts == "any"
    assert (begun <= set(dataset.rows[dataset.offsets[:-1]])) != inside
    assert begun <= set(dataset.rows)


def test_episodes_are_cut_at_the_horizon() -> None:
    env = NearestNeighbourMDPEnv(LinearWorld(ends=False).log(inward, 30), horizon=9)
    env.reset(seed=1)
    assert [env.step(np.int64(0))[2:4] for _ in range(9)] == [(False, False)] * 8 + [(False, True)]


def test_made_from_a_directory_the_same_seed_gives_the_same_episodes(tmp_path) -> None:
    dataset = random_world(1).log(THIRD, 60)
    save_columns(dataset, tmp_path / "data")
    runs = []
    for _ in range(2):
        env = gymnasium.make_vec(
            "retrainer/NearestNeighbourMDP-v0", num_envs=3, dataset=str(tmp_path / "data"), splits=("train",)
        )
        assert len(env.unwrapped.dataset) == len(dataset.split("train"))
        runs.append([env.reset(seed=4)[0], *(env.step(np.full(3, step % 3))[0] for step in range(8))])
        assert all(observations in env.observation_space for observations in runs[-1])
    np.testing.assert_array_equal(*runs)
