"""The learned decision process: known worlds, disagreement, pessimism, masks, ends, scalar = vector."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs.offline  # noqa: F401
from envs.dataset import Dataset
from envs.errors import DataError
from envs.offline.ensemble import Layout, fit_ensemble, resamples
from envs.offline.learned_model import LearnedModel, fit_model
from envs.offline.vector_learned_model_env import LearnedModelVectorEnv
from tests.envs.offline.continuous import LinearWorld, inward, uniform
from tests.envs.offline.mixed import mixed_log
from tests.worlds import bandit, chain, random_world

WORLD = LinearWorld()
COUNT = 3000


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@cache
def linear() -> tuple[Dataset, LearnedModel]:
    dataset = WORLD.log(inward, 300, seed=1)
    return dataset, fit_model(dataset, updates=500)


@cache
def mixed() -> tuple[Dataset, LearnedModel]:
    dataset = mixed_log(150)
    return dataset, fit_model(dataset, members=3, hidden=32, updates=400)


def simulate(env: LearnedModelVectorEnv, policy: Callable[[np.ndarray], np.ndarray], seed: int = 0) -> np.ndarray:
    """Returns of one episode in every environment."""
    random = np.random.default_rng(seed)
    _, info = env.reset(seed=seed)
    alive, total = np.ones(env.num_envs, dtype=bool), np.zeros(env.num_envs)
    for _ in range(env.horizon):
        chances = np.cumsum(policy(info["rows"]), axis=1)[:, :-1]
        actions = (random.random(env.num_envs)[:, None] >= chances).sum(axis=1)
        _, rewards, terminated, truncated, info = env.step(actions)
        total += np.where(alive, rewards, 0.0)
        alive &= ~(terminated | truncated)
    assert not alive.any()
    return total


def test_a_linear_world_is_recovered() -> None:
    """One step: means within a third of the noise, its size within a tenth, termination within five points."""
    dataset, model = linear()
    rows = dataset.observations[dataset.rows]
    actions = np.random.default_rng(0).integers(3, size=len(rows))
    outputs, _ = model.predict(rows, actions)
    mean = outputs.mean(axis=0)
    after = rows + model.changes.shifts + model.changes.scales * mean[:, :2]
    truth = WORLD.mean_next(rows, actions)
    assert np.sqrt(((after - truth) ** 2).mean(axis=0)).max() < 0.08
    rewards = model.reward[0] + model.reward[1] * mean[:, 2]
    assert np.sqrt(((rewards - WORLD.mean_reward(rows)) ** 2).mean()) < 0.1
    np.testing.assert_allclose(model.changes.noise * model.changes.scales, 0.25, rtol=0.1)
    ends = np.array([0.5 * math.erfc((1.5 - value) / (0.25 * math.sqrt(2.0))) for value in truth[:, 0]])
    assert np.abs(mean[:, -1] - ends).mean() < 0.05


def test_drawn_steps_have_the_worlds_law() -> None:
    _, model = linear()
    rows = np.repeat([[0.3, 0.1]], COUNT, axis=0)
    actions, masks = np.full(COUNT, 2), np.ones((COUNT, 3), dtype=bool)
    _, after, _, terminated = model.step(rows, masks, actions, model.draw(np.random.default_rng(0), COUNT))
    np.testing.assert_allclose(after.mean(axis=0), WORLD.mean_next(rows[:1], actions[:1])[0], atol=0.1)
    np.testing.assert_allclose(after.std(axis=0), 0.25, rtol=0.15)
    assert terminated.mean() < 0.05


def test_terminations_are_drawn_with_their_probability() -> None:
    """On a log that covers the edge: with the few rows there of a log that avoids it, the model cannot know."""
    model = fit_model(WORLD.log(uniform, 1500, seed=0), members=3, updates=500)
    edge, actions = np.repeat([[1.6, 0.1]], COUNT, axis=0), np.full(COUNT, 2)
    draws = model.draw(np.random.default_rng(0), COUNT)
    *_, terminated = model.step(edge, np.ones((COUNT, 3), dtype=bool), actions, draws)
    outputs, _ = model.predict(edge[:1], actions[:1])
    assert abs(terminated.mean() - outputs[:, 0, -1].mean()) < 0.03
    assert abs(terminated.mean() - 0.34) < 0.15  # P(1.4 + N(0, ¼²) > 1.5)


def test_the_return_of_behaviour_is_that_of_the_log() -> None:
    dataset, model = linear()
    logged = np.bincount(dataset.episode_index, dataset.rewards)
    inside = simulate(LearnedModelVectorEnv(COUNT, dataset, model=replace(model, penalty=0.0)), inward)
    error = math.hypot(logged.std() / math.sqrt(len(logged)), inside.std() / math.sqrt(COUNT))
    assert abs(inside.mean() - logged.mean()) < 3.0 * error
    # The other policy was not logged, and is worse by a quarter.
    other = simulate(LearnedModelVectorEnv(COUNT, dataset, model=replace(model, penalty=0.0)), uniform)
    assert abs(other.mean() - WORLD.value(uniform)) < 0.25


def test_members_disagree_away_from_the_data() -> None:
    dataset, model = linear()
    rows = dataset.observations[dataset.rows]
    _, near = model.predict(rows, dataset.actions)
    _, far = model.predict(np.repeat([[8.0, -8.0]], 3, axis=0), np.arange(3))
    assert far.min() > 4.0 * near.mean()
    rarest = np.argsort((rows**2).sum(axis=1))
    assert near[rarest[-100:]].mean() > 1.5 * near[rarest[:500]].mean()


def test_disagreement_is_paid_in_units_of_the_usual_reward() -> None:
    dataset, model = linear()
    rows, masks, actions = dataset.observations[:50], np.ones((50, 3), dtype=bool), np.arange(50) % 3
    draws = model.draw(np.random.default_rng(0), 50)
    free, *rest = replace(model, penalty=0.0).step(rows, masks, actions, draws)
    paid, *others = model.step(rows, masks, actions, draws)
    _, disagreement = model.predict(rows, actions)
    np.testing.assert_allclose(free - paid, np.median(np.abs(dataset.rewards)) * disagreement, rtol=1e-6)
    for left, right in zip(rest, others, strict=True):
        np.testing.assert_array_equal(left, right)


def optimised(model: LearnedModel, horizon: int) -> Callable[[np.ndarray], np.ndarray]:
    """The greedy policy of value iteration inside the model, on a grid of its plane."""
    side = np.linspace(-2.0, 2.0, 11)
    points = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)

    def place(rows: np.ndarray) -> np.ndarray:
        cell = np.clip(np.rint((rows + 2.0) / 0.4), 0, 10).astype(int)
        return np.asarray(cell[:, 0] * 11 + cell[:, 1])

    random, draws = np.random.default_rng(0), 30
    rows, masks = np.repeat(points, draws, axis=0), np.ones((121 * draws, 3), dtype=bool)
    steps = [model.step(rows, masks, np.full(len(rows), action), model.draw(random, len(rows))) for action in range(3)]
    values = np.zeros(121)
    for _ in range(horizon):
        looks = [
            (reward + np.where(ended, 0.0, values[place(after)])).reshape(121, draws)
            for reward, after, _, ended in steps
        ]
        table = np.stack(looks).mean(axis=2)
        values = table.max(axis=0)
    chosen = table.argmax(axis=0)
    return lambda rows: np.eye(3)[chosen[place(rows)]]


def test_the_penalty_bounds_the_optimism_of_the_optimised_policy() -> None:
    """STATISTICS 3: at most a fifth of the range; in fact, it does not overshoot, where without a penalty it does."""
    world = LinearWorld(noise=0.6)
    dataset = world.log(uniform, 60, seed=0)
    model = fit_model(dataset, updates=500)
    gaps = {}
    for penalty in (0.0, model.penalty):
        variant = replace(model, penalty=penalty)
        policy = optimised(variant, world.horizon)
        inside = simulate(LearnedModelVectorEnv(2000, dataset, model=variant), policy).mean()
        gaps[penalty] = inside - world.value(policy, episodes=10_000)
    low, high = dataset.specification.reward_range
    assert gaps[model.penalty] < 0.02 * world.horizon * (high - low)
    assert gaps[0.0] > gaps[model.penalty] + 0.3


def test_rows_stay_within_the_logged_range() -> None:
    dataset, model = linear()
    env = LearnedModelVectorEnv(500, dataset, model=model, horizon=40)
    env.reset(seed=0)
    for _ in range(40):
        observations, *_, info = env.step(np.full(500, 2))
        assert observations in env.observation_space
        assert (info["rows"] >= dataset.observations.min(axis=0)).all()
        assert (info["rows"] <= dataset.observations.max(axis=0)).all()


def test_mixed_rows_and_masks_are_predicted() -> None:
    """``open`` follows the action, ``kind`` turns, ``level`` counts up; the third action needs ``open``."""
    dataset, model = mixed()
    rows = dataset.observations[dataset.rows]
    masks = dataset.allowed[dataset.rows]
    assert (model.allowed(rows) == masks).all(axis=1).mean() > 0.97
    actions = np.where(masks[:, 2], 2, np.arange(len(rows)) % 2)
    _, after, after_masks, _ = model.step(rows, masks, actions, model.draw(np.random.default_rng(0), len(rows)))
    known = np.isfinite(rows[:, 0])
    assert (after[:, 1] == (actions == 1)).mean() > 0.97
    assert (after[:, 2] == (rows[:, 2] + 1) % 3).mean() > 0.97
    assert (after[:, 3] == np.minimum(rows[:, 3] + 1, 6)).mean() > 0.9
    assert np.isin(after[:, 3], np.arange(7)).all()
    assert abs(np.isnan(after[:, 0]).mean() - 0.3) < 0.06
    assert (after_masks[:, 2] == (after[:, 1] == 1)).mean() > 0.95
    assert known.any() and not known.all()


def test_a_masked_action_stays_and_pays_the_worst() -> None:
    dataset, model = mixed()
    closed = np.flatnonzero(dataset.observations[:, 1] == 0.0)[:40]
    rows, masks = dataset.observations[closed], dataset.allowed[closed]
    masks[:, 2] = False
    draws = model.draw(np.random.default_rng(0), 40)
    rewards, after, after_masks, terminated = model.step(rows, masks, np.full(40, 2), draws)
    np.testing.assert_array_equal(after, rows)
    np.testing.assert_array_equal(after_masks, masks)
    assert not terminated.any() and (rewards == model.masked_reward).all()
    paid = model.step(rows, masks, np.zeros(40, dtype=np.int64), draws)[0]
    assert model.masked_reward <= min(paid.min(), dataset.specification.reward_range[0])


def test_an_action_that_was_never_logged_is_never_allowed() -> None:
    model = fit_model(chain(vector=True).log(np.tile([0.0, 1.0], (5, 1)), 20), members=2, hidden=4, updates=5)
    assert not model.start_masks[:, 0].any() and model.start_masks[:, 1].all()
    np.testing.assert_array_equal(model.allowed(model.starts)[0], [False, True])


def test_named_states_are_drawn_with_their_transition_probabilities() -> None:
    world = random_world(3)
    dataset = world.log(np.full((6, 3), 1 / 3), 500, seed=0)
    model = fit_model(dataset, members=3, hidden=32, updates=400)
    rows, actions = (part.ravel() for part in np.meshgrid(np.arange(5.0), np.arange(3), indexing="ij"))
    outputs, _ = model.predict(rows[:, None], actions.astype(np.int64))
    span = model.changes.layout.spans[0]
    # One more before the classes: the reward, and one more: termination.
    predicted = outputs.mean(axis=0)[:, span.start + 2 : span.stop + 2]
    truth = world.transition[rows.astype(int), actions.astype(int)]
    assert 0.5 * np.abs(predicted - truth).sum(axis=1).mean() < 0.12
    rewards = model.reward[0] + model.reward[1] * outputs.mean(axis=0)[:, 0]
    np.testing.assert_allclose(rewards, world.reward[rows.astype(int), actions.astype(int)], atol=0.15)
    np.testing.assert_allclose(outputs.mean(axis=0)[:, 1], truth[:, 5], atol=0.15)


def test_resamples_are_of_whole_units() -> None:
    units = np.repeat([f"unit-{index}" for index in range(40)], 5)
    times = resamples(units, 6, np.random.default_rng(0))
    assert (times.reshape(6, 40, 5) == times.reshape(6, 40, 5)[:, :, :1]).all()
    assert (times.sum(axis=1) == 200).all()
    assert len(np.unique(times, axis=0)) == 6
    assert 0.2 < (times == 0).mean() < 0.5


def test_an_ensemble_fits_what_no_linear_map_can() -> None:
    random = np.random.default_rng(0)
    inputs = random.uniform(-1.0, 1.0, (2000, 2))
    product = inputs[:, 0] * inputs[:, 1]
    targets = np.stack([3.0 * product, product > 0, product > 0, product <= 0], axis=1)
    targets[::7] = np.nan
    times = resamples(np.arange(2000), 2, random)
    ensemble = fit_ensemble(inputs, targets, Layout(1, 1, (2,)), times, random, hidden=32, updates=500)
    means = ensemble.predict(inputs[::7]).mean(axis=0)
    assert np.sqrt(((means[:, 0] - 3.0 * product[::7]) ** 2).mean()) < 0.3  # 1.0 for the best linear map
    clear = np.abs(product[::7]) > 0.05
    for column in (1, 2):
        assert ((means[:, column] > 0.5) == (product[::7] > 0))[clear].mean() > 0.98
    np.testing.assert_allclose(means[:, 2] + means[:, 3], 1.0, rtol=1e-5)


def test_unknown_ends_teach_reward_and_termination_only() -> None:
    dataset = bandit(noise=0.0).log(np.full((4, 2), 0.5), 200)
    rows = dataset.observations.copy()
    rows[1::2] = np.nan
    blind = replace(dataset, observations=rows, end_known=np.zeros(200, dtype=bool))
    model = fit_model(blind, members=3, hidden=32, updates=400, cost=0.0)
    env = LearnedModelVectorEnv(400, blind, model=model)
    _, info = env.reset(seed=0)
    _, rewards, terminated, _, _ = env.step(np.ones(400, dtype=np.int64))
    np.testing.assert_allclose(rewards, np.where(info["rows"][:, 0] >= 2, 0.5, -0.5), atol=0.1)
    assert terminated.all()
    with pytest.raises(DataError, match="no decision has a known next observation"):
        fit_model(replace(blind, specification=replace(blind.specification, horizon=2)))


@pytest.mark.parametrize("wrong", [{"members": 1}, {"hidden": 0}, {"updates": 0}, {"cost": -1.0}, {"cost": math.nan}])
def test_settings_out_of_range_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=next(iter(wrong))):
        fit_model(bandit().log(np.full((4, 2), 0.5), 5), **wrong)


LOGS = {
    "chain": lambda: chain().log(np.full((5, 2), 0.5), 30),
    "bandit": lambda: bandit().log(np.full((4, 2), 0.5), 30),
    "mixed": lambda: mixed_log(30),
}


@pytest.mark.parametrize("name", LOGS)
def test_gymnasium_check_and_one_vector_environment_is_the_scalar_one(name: str) -> None:
    dataset = LOGS[name]()
    settings: dict[str, Any] = {"members": 2, "hidden": 8, "updates": 30}
    scalar = gymnasium.make("retrainer/LearnedModel-v0", dataset=dataset, **settings).unwrapped
    check_env(scalar)
    vector = gymnasium.make_vec("retrainer/LearnedModel-v0", num_envs=1, dataset=dataset, **settings)
    for starts in ("first", "any"):
        observation, info = scalar.reset(seed=9, options={"starts": starts})
        observations, infos = vector.reset(seed=9, options={"starts": starts})
        ended = False
        for action in np.random.default_rng(0).integers(2, size=60):
            if ended:
                observation, info = scalar.reset(options={"starts": starts})
                reward, terminated, truncated = 0.0, False, False
            else:
                observation, reward, terminated, truncated, info = scalar.step(action)
            observations, rewards, terminations, truncations, infos = vector.step(np.array([action]))
            np.testing.assert_array_equal(observation, observations[0])
            assert (reward, terminated, truncated) == (rewards[0], terminations[0], truncations[0])
            for key in ("rows", "action_mask"):
                np.testing.assert_array_equal(info[key], infos[key][0])
            ended = terminated or truncated


def test_the_seed_decides_the_fit() -> None:
    dataset = WORLD.log(inward, 30)
    probe = dataset.observations[:20], np.zeros(20, dtype=np.int64)
    fits = [fit_model(dataset, members=2, hidden=8, updates=20, seed=seed).predict(*probe) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(fits[0][0], fits[1][0])
    assert not np.array_equal(fits[0][0], fits[2][0])
