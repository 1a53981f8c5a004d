"""PPO on worlds whose best policy is known, and what holds it to the clone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.evaluation.postprocessing import Postprocessing

from algorithms import ppo
from algorithms.cloning_fit import network_probabilities
from algorithms.ppo import PPO, PPOConfig
from algorithms.ppo_learner import ALLOWED, CLOCK, REFERENCE
from envs.dataset import Dataset
from envs.errors import DataError, SpecificationError
from tests.worlds import World, bandit, chain, deterministic, explored

SMALL: dict[str, Any] = {
    "environments": 64,
    "minibatch_size": 128,
    "rollouts_per_iteration": 1,
    "clone_updates": 100,
    "hidden": (16,),
    "learning_rate": 0.01,
}
WORLD = chain(vector=True, slip=0.1, horizon=12)
POOR = deterministic([0, 0, 1, 0, 0], 2)


def built(dataset: Dataset, *, seed: int = 0, **settings: Any) -> PPO:
    config = PPOConfig().training(**SMALL | settings).offline(dataset=dataset)
    config.seed = seed
    algorithm = config.build_algo()
    assert isinstance(algorithm, PPO)
    return algorithm


def trained(dataset: Dataset, iterations: int, **settings: Any) -> PPO:
    algorithm = built(dataset, **settings)
    for _ in range(iterations):
        algorithm.train()
    return algorithm


@pytest.fixture(scope="module")
def poor_log() -> Dataset:
    """A log of a rule that walks left, with exploration."""
    return WORLD.log(explored(POOR, 0.4), 400, seed=1, root=POOR)


@pytest.mark.parametrize(("seed", "vector"), [(0, True), (1, False), (2, True)])
def test_the_chain_is_walked_to_its_end(seed: int, vector: bool) -> None:
    world = replace(WORLD, vector=vector)
    best, logged = float(world.start @ world.optimal().max(axis=1)), world.value(explored(POOR, 0.4))
    algorithm = trained(world.log(explored(POOR, 0.4), 400, seed=1, root=POOR), 12, seed=seed, kl_weight=0.0)
    assert logged < 0.0 < best
    assert world.value(algorithm.probabilities(world.rows)) > best - 0.1 * (best - logged)


@pytest.mark.parametrize("seed", range(3))
def test_a_masked_bandit_is_solved_and_what_is_forbidden_never_done(seed: int) -> None:
    """The better arm is forbidden in the last context."""
    world = bandit(contexts=4, noise=0.3)
    dataset = world.log(np.full((4, 2), 0.5), 1200, seed=seed, root=np.full((4, 2), 0.5))
    allowed = np.ones((4, 2), dtype=bool)
    allowed[3, 1] = False
    states = dataset.observations[:, 0].astype(int)
    masked = replace(dataset, allowed=allowed[states], actions=np.where(states[dataset.rows] == 3, 0, dataset.actions))
    masked = replace(masked, rewards=np.where(states[dataset.rows] == 3, 0.0, dataset.rewards))
    algorithm = trained(masked, 12, seed=seed, kl_weight=0.0)
    chosen = algorithm.probabilities(world.rows, allowed=allowed)
    assert chosen[3].tolist() == [1.0, 0.0]
    assert (chosen[[0, 1], 0] > 0.9).all() and chosen[2, 1] > 0.9


def test_the_more_it_costs_the_nearer_it_stays_to_the_clone(poor_log: Dataset) -> None:
    rows = poor_log.observations[poor_log.rows]
    away = []
    for weight in (0.0, 0.5, 5.0, 1e6):
        algorithm = trained(poor_log, 4, kl_weight=weight)
        clone = network_probabilities(algorithm.clone, algorithm.encoder.features(rows), None, 1.0)
        now = algorithm.probabilities(rows)
        away.append(float((now * np.log(now / clone)).sum(axis=1).mean()))
    assert away[0] > away[1] > 2 * away[2] and away[0] > 0.3
    assert away[3] < 1e-3


def test_it_begins_as_the_clone_of_the_log(poor_log: Dataset) -> None:
    algorithm = built(poor_log, clone_updates=600)
    np.testing.assert_allclose(algorithm.probabilities(WORLD.rows)[:4], explored(POOR, 0.4)[:4], atol=0.08)


def test_it_may_begin_as_the_champion_and_not_as_the_log() -> None:
    log = WORLD.log(np.full((5, 2), 0.5), 400, seed=1, root=POOR, specification=WORLD.specification(explore=0.2))
    algorithm = built(log, clone_of="champion", clone_updates=600)
    np.testing.assert_allclose(algorithm.probabilities(WORLD.rows)[:4], explored(POOR, 0.2)[:4], atol=0.1)
    with pytest.raises(DataError, match="the policy to improve is not known at any decision"):
        built(WORLD.log(np.full((5, 2), 0.5), 40), clone_of="champion")


def test_the_return_in_the_model_is_the_models_own_value_of_the_policy(poor_log: Dataset) -> None:
    """Against exact backward induction in the tables that the environment steps through."""
    algorithm = built(poor_log, environments=4000, num_epochs=1, minibatch_size=100_000, learning_rate=1e-9)
    model = algorithm.environment.model
    expected = model.start_value(model.evaluate(algorithm.probabilities(algorithm.data.observations)))
    assert algorithm.train()["model_return"] == pytest.approx(expected, abs=0.05)


def test_an_unseen_clock_is_known_to_the_critic_alone() -> None:
    """The value of a decision falls with the decisions left, which this observation does not show."""
    world = World(np.ones((1, 2, 1)), np.ones((1, 2)), np.zeros(1, dtype=bool), np.ones(1), horizon=10, vector=True)
    algorithm = trained(world.log(np.full((1, 2), 0.5), 80), 15, cost=0.0, lambda_=1.0, learning_rate=0.02)
    inputs = algorithm.inputs(np.repeat(world.rows, 10, axis=0))
    clock = torch.arange(10, dtype=torch.float32)[:, None] / 10
    np.testing.assert_allclose(algorithm._values(inputs, clock), np.arange(10, 0, -1), atol=0.5)


def test_long_horizons_are_played_in_branches_that_bootstrap() -> None:
    """One state, reward 1 for ever: the value is 1 / (1 − γ), which no branch of 4 decisions shows by itself."""
    world = World(np.ones((1, 2, 1)), np.ones((1, 2)), np.zeros(1, dtype=bool), np.ones(1), horizon=60, vector=True)
    dataset = world.log(np.full((1, 2), 0.5), 20)
    algorithm = trained(dataset, 30, rollout_length=4, discount=0.8, cost=0.0, learning_rate=0.02)
    assert not algorithm.whole and algorithm.length == 4
    value = float(algorithm._values(algorithm.inputs(world.rows), torch.zeros(1, 1))[0])
    assert value == pytest.approx(5.0, abs=0.5)
    assert algorithm.figures["model_return"] == pytest.approx(5.0, abs=0.5)


def test_horizon_and_discount_are_the_declared_ones_where_whole_episodes_are_played(poor_log: Dataset) -> None:
    algorithm = built(poor_log)
    assert (algorithm.whole, algorithm.length, algorithm.discount) == (True, 12, 1.0)
    branched = built(poor_log, rollout_length=3)
    assert (branched.whole, branched.length, branched.discount) == (False, 3, pytest.approx(11 / 12))


def test_without_masks_and_clone_the_loss_is_rllibs_own(poor_log: Dataset) -> None:
    algorithm = built(poor_log, kl_weight=0.0, entropy_coeff=0.03, vf_loss_coeff=0.7, clip_param=0.1)
    learner, random = algorithm.learner, np.random.default_rng(0)
    rows = algorithm.data.observations[random.choice(algorithm.data.rows, 256)]

    def floats(*shape: int) -> torch.Tensor:
        return torch.from_numpy(random.normal(size=shape).astype(np.float32))

    actions = torch.from_numpy(random.integers(2, size=256))
    batch = {
        Columns.OBS: algorithm.inputs(rows),
        CLOCK: floats(256, 1).abs(),
        Columns.ACTIONS: actions,
        Columns.ACTION_DIST_INPUTS: floats(256, 2),
        Columns.ACTION_LOGP: -floats(256).abs(),
        Postprocessing.ADVANTAGES: floats(256),
        Postprocessing.VALUE_TARGETS: floats(256),
    }
    out = learner.only.forward_train(batch)
    arguments: dict[str, Any] = {
        "module_id": DEFAULT_MODULE_ID,
        "config": learner.config,
        "batch": batch,
        "fwd_out": out,
    }
    theirs = PPOTorchLearner.compute_loss_for_module(learner, **arguments)
    ours = learner.compute_loss_for_module(**arguments)
    torch.testing.assert_close(ours, theirs)
    parameters = list(learner.only.parameters())
    for mine, other in zip(
        torch.autograd.grad(ours, parameters, retain_graph=True), torch.autograd.grad(theirs, parameters), strict=True
    ):
        torch.testing.assert_close(mine, other)
    batch[ALLOWED] = torch.ones(256, 2, dtype=torch.bool)
    batch[REFERENCE] = torch.log_softmax(floats(256, 2), dim=1)
    torch.testing.assert_close(learner.compute_loss_for_module(**arguments), theirs)


def test_temperature_sharpens_what_is_exported(poor_log: Dataset) -> None:
    soft, hard = (trained(poor_log, 2, temperature=temperature) for temperature in (1.0, 0.0))
    one, other = (each.export_component()(WORLD.rows, None, None) for each in (soft, hard))
    np.testing.assert_array_equal(other, np.eye(2)[one.argmax(axis=1)])
    assert (one < 1.0).all()


@pytest.mark.parametrize(
    ("setting", "value", "problem"),
    [
        ("environment", "live", "environment is 'live'; use one of nearest_neighbour"),
        ("clone_of", "teacher", "clone_of is 'teacher'; use one of log, champion"),
        ("clip_param", 1.0, r"clip_param is 1.0; give a number in \(0, 1\)"),
        ("kl_weight", -0.5, "kl_weight is -0.5; give 0 or more"),
        ("rollouts_per_iteration", 0, "rollouts_per_iteration is 0; give 1 or more"),
        ("rollout_length", 0, "rollout_length is 0; give 1 or more"),
        ("minibatch_size", 0, "minibatch_size is 0; give 1 or more"),
        ("lambda_", 1.5, r"lambda_ is 1.5; give a number in \[0, 1\]"),
    ],
)
def test_settings_out_of_range_are_named(poor_log: Dataset, setting: str, value: Any, problem: str) -> None:
    with pytest.raises(SpecificationError, match=problem):
        built(poor_log, **{setting: value})


@pytest.mark.parametrize("environment", ppo.ENVIRONMENTS)
def test_every_environment_teaches_the_bandit(environment: str) -> None:
    world = bandit(contexts=4, noise=0.1)
    dataset = world.log(np.full((4, 2), 0.5), 400, seed=1)
    algorithm = trained(dataset, 8, environment=environment, kl_weight=0.0)
    chosen = algorithm.probabilities(world.rows)
    assert (chosen[:2, 0] > 0.8).all() and (chosen[2:, 1] > 0.8).all()


@pytest.mark.full
@pytest.mark.usefixtures("cluster")
def test_stock_rllib_ppo_trains_in_our_vector_environment(poor_log: Dataset) -> None:
    """RLlib's own PPO, runners and connectors, 32 episodes in one batched environment."""
    from ray.rllib.algorithms.ppo import PPOConfig as StockPPOConfig
    from ray.tune import register_env

    from envs.offline.vector_nearest_neighbour_mdp import NearestNeighbourMDPVectorEnv

    register_env("nearest-neighbour", lambda config: NearestNeighbourMDPVectorEnv(config["num_envs"], poor_log))
    config = (
        StockPPOConfig()
        .environment("nearest-neighbour")
        .env_runners(num_env_runners=0, num_envs_per_env_runner=32, gym_env_vectorize_mode="vector_entry_point")
        .training(train_batch_size_per_learner=2048, minibatch_size=256, num_epochs=6, lr=0.003)
        .debugging(seed=0)
    )
    algorithm = config.build_algo()
    try:
        returns = [algorithm.train()["env_runners"]["episode_return_mean"] for _ in range(10)]
    finally:
        algorithm.stop()
    model = NearestNeighbourMDPVectorEnv(1, poor_log).model
    best = model.start_value(model.optimise()[1])
    assert returns[-1] > returns[0] + 0.5 * (best - returns[0])
