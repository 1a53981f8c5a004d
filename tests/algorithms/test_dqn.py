"""Conservative deep Q-learning on worlds with known answers."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from algorithms.dqn import DQN, DQNConfig
from algorithms.dqn_data import learnable, n_step_transitions, returns_to_go
from algorithms.dqn_learner import action_values
from algorithms.policy import AdvantageNetwork, Network
from envs.dataset import Dataset
from envs.encoding import StandardFeatures
from envs.errors import DataError, SpecificationError
from tests.worlds import World, bandit, chain, deterministic, explored

LEFT = deterministic([0, 0, 0, 0, 0], 2)


def learned(dataset: Dataset, iterations: int = 3, seed: int = 0, **hyperparameters: Any) -> DQN:
    hyperparameters = {"hidden": (32,), "batch_size": 64, "target_period": 50} | hyperparameters
    config = DQNConfig().training(**hyperparameters).offline(dataset=dataset, splits=("train", "select", "final"))
    config.seed = seed
    algorithm = config.build_algo()
    for _ in range(iterations):
        algorithm.train()
    return algorithm


def values_of(algorithm: DQN, world: World) -> np.ndarray:
    """Learned Q (S, A) in units of the return."""
    columns = algorithm.columns
    return columns.centre + columns.scale * action_values(algorithm.module, algorithm.encoder.features(world.rows))


@pytest.mark.parametrize("changes", [{}, {"n_step": 3}, {"prioritized": True}, {"dueling": False, "double": False}])
def test_without_penalty_it_learns_the_exact_values_of_the_chain(changes: dict[str, Any]) -> None:
    world = chain(vector=True)
    optimum = world.optimal(horizon=1000, discount=0.9)
    # n-step returns are the log's: exact only along what the log does.
    behaviour = explored(deterministic([1] * 5, 2), 0.0 if "n_step" in changes else 0.5)
    settings = {"conservative_weight": 0.0, "discount": 0.9, "learning_rate": 0.003} | changes
    found = values_of(learned(world.log(behaviour, 300), 5, anchored=False, **settings), world)[:4]
    logged = slice(1, 2) if "n_step" in changes else slice(0, 2)
    np.testing.assert_allclose(found[:, logged], optimum[:4, logged], atol=0.06)


def test_the_conservative_policy_avoids_what_a_plain_one_dreams_of() -> None:
    """The third arm was tried in one context alone, and was good there. A plain network believes it everywhere."""
    contexts = 6
    good = np.where(np.arange(contexts) % 2 == 0, 1.0, -1.0)
    gain = np.stack([good, good + 0.4, np.full(contexts, -3.0)], axis=1)
    gain[0, 2] = 3.0
    world = replace(bandit(contexts, noise=0.1), reward=gain, transition=np.full((contexts, 3, contexts), 1 / contexts))
    behaviour = np.tile([0.5, 0.5, 0.0], (contexts, 1))
    behaviour[0] = [0.3, 0.3, 0.4]
    dataset = world.log(behaviour, 400)
    for seed in range(3):
        plain, conservative = (
            learned(dataset, 1, seed, anchored=False, conservative_weight=weight, learning_rate=0.003)
            for weight in (0.0, None)
        )
        np.testing.assert_array_equal(conservative.probabilities(world.rows), np.eye(3)[[2, 1, 1, 1, 1, 1]])
        assert world.value(plain.probabilities(world.rows)) < world.value(np.full((contexts, 3), 1 / 3))


@pytest.mark.parametrize("seed", range(3))
def test_the_chain_is_walked_right_on_a_noisy_log(seed: int) -> None:
    world = chain(slip=0.1, noise=0.2, vector=True)
    algorithm = learned(world.log(explored(LEFT, 0.8), 300, seed=seed), 3, seed, anchored=False, learning_rate=0.003)
    component = algorithm.export_component()
    assert isinstance(component, Network)
    np.testing.assert_array_equal(component(world.rows)[:4], np.tile([0.0, 1.0], (4, 1)))


@pytest.mark.parametrize("seed", range(3))
def test_anchored_moves_the_poor_rule_to_the_optimum(seed: int) -> None:
    world = chain(slip=0.1, vector=True)
    algorithm = learned(world.log(explored(LEFT, 0.4), 300, seed=seed, root=LEFT), 3, seed, learning_rate=0.003)
    component = algorithm.export_component()
    assert isinstance(component, AdvantageNetwork)
    np.testing.assert_array_equal(component(world.rows, LEFT)[:4], np.tile([0.0, 1.0], (4, 1)))
    assert world.value(algorithm.probabilities(world.rows, base=LEFT)) > world.value(LEFT) + 1.0


def test_a_margin_keeps_small_gains_at_the_base() -> None:
    world = bandit(noise=0.1)
    root = np.full((4, 2), 0.5)
    dataset = world.log(root, 600, root=root)
    moved = learned(dataset, learning_rate=0.003).probabilities(world.rows, base=root)
    np.testing.assert_array_equal(moved, [[1, 0], [1, 0], [0, 1], [0, 1]])
    unit = learned(dataset, 0).unit
    kept = learned(dataset, margin=2.0 * 0.5 / unit).probabilities(world.rows, base=root)
    np.testing.assert_array_equal(kept, root)


def test_what_is_not_allowed_is_neither_chosen_nor_bootstrapped_from() -> None:
    """Going right is never allowed at position 2, so that the end is out of reach: −0.1 for ever is −1/3."""
    world = chain(vector=True)
    random = np.random.default_rng(3)
    runs: list[tuple[list[int], list[int], list[float], bool]] = [([3, 4], [1], [0.9], True)] * 100
    for _ in range(150):
        states, actions = [int(random.integers(3))], list[int]()
        for _ in range(6):
            actions.append(0 if states[-1] == 2 else int(random.integers(2)))
            states.append(max(states[-1] + (1 if actions[-1] else -1), 0))
        runs.append((states, actions, [-0.1] * 6, False))
    dataset = world.dataset(runs, np.full((5, 2), 0.5))
    allowed = dataset.allowed.copy()
    allowed[dataset.observations[:, 0] == 2, 1] = False
    settings: dict[str, Any] = {"anchored": False, "conservative_weight": 0.0, "discount": 0.7, "learning_rate": 0.003}
    found = values_of(learned(replace(dataset, allowed=allowed), 4, **settings), world)
    np.testing.assert_allclose([found[0].max(), found[1].max(), found[2, 0]], -1 / 3, atol=0.04)
    assert values_of(learned(dataset, 4, **settings), world)[2, 0] > -0.2, "unmasked, it would believe in walking on"
    mask = np.tile([True, False], (5, 1))
    assert (learned(dataset, 1, **settings).probabilities(world.rows, allowed=mask) == mask).all()


def test_transitions_of_several_steps_stop_at_ends_and_before_unknown_rows() -> None:
    world = chain(horizon=20)
    runs = [
        ([0, 1, 2, 3, 4], [1, 1, 1, 1], [1.0, 2.0, 4.0, 8.0], True),
        ([0, 1, 2, 3], [1, 1, 1], [1.0, 2.0, 4.0], False),
        ([0, 1, 2], [1, 1], [1.0, 2.0], False),
    ]
    dataset = world.dataset(runs, np.full((5, 2), 0.5))
    dataset = replace(dataset, end_known=np.array([True, True, False]))
    known = np.ones(12, dtype=bool)
    known[7] = False  # the third row of the second episode
    decisions, steps, returns, terminated, behind = n_step_transitions(dataset, known, discount=0.5, steps=3)
    assert decisions.tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert steps.tolist() == [3, 3, 2, 1, 3, 2, 1, 1]
    assert returns.tolist() == [1 + 1 + 1, 2 + 2 + 2, 4 + 4, 8, 1 + 1 + 1, 2 + 2, 4, 1]
    assert terminated.tolist() == [False, True, True, True, False, False, False, False]
    assert behind.tolist() == [3, 4, 4, 4, 8, 8, 8, 10]
    single, *_ = n_step_transitions(dataset, known, discount=0.5, steps=1)
    assert single.tolist() == [0, 1, 2, 3, 4, 6, 7], "decision 5 leads to an unknown row, decision 8 to an unknown end"
    assert returns_to_go(dataset, 0.5).tolist() == [4.0, 6.0, 8.0, 8.0, 3.0, 4.0, 4.0, 2.0, 2.0]


def test_scaling_is_an_exact_change_of_variable() -> None:
    """The scaled rewards make (Q − centre) / scale the fixed point of the scaled equation."""
    world = chain(vector=True)
    dataset = world.log(np.full((5, 2), 0.5), 50)
    encoder = StandardFeatures.fit(dataset.observations, dataset.specification.observation)
    columns = learnable(dataset, encoder, discount=0.9, steps=1)
    optimum = world.optimal(horizon=1000, discount=0.9)
    scaled = (optimum - columns.centre) / columns.scale
    position = dataset.observations[:, 0].astype(int)
    following = scaled[position[columns.next_rows]].max(axis=1)
    expected = columns.rewards + 0.9**columns.lengths * ~columns.terminated * following
    np.testing.assert_allclose(scaled[position[columns.rows], columns.actions], expected, atol=1e-5)
    assert columns.terminated.any() and abs(columns.centre) > 0.1


def test_a_horizon_of_one_is_a_bandit_and_needs_no_next_observation() -> None:
    world = bandit()
    root = np.full((4, 2), 0.5)
    dataset = world.log(root, 600, root=root)
    observations = dataset.observations.copy()
    observations[1::2] = np.nan
    base = dataset.root_probabilities.copy()
    base[1::2] = np.nan
    blind = replace(dataset, observations=observations, end_known=np.zeros(600, dtype=bool), root_probabilities=base)
    algorithm = learned(blind, learning_rate=0.003)
    assert len(algorithm.columns.rows) == 600
    np.testing.assert_array_equal(algorithm.probabilities(world.rows, base=root), [[1, 0], [1, 0], [0, 1], [0, 1]])


def test_rows_that_lack_a_required_value_are_left_out() -> None:
    dataset = chain(vector=True).log(np.full((5, 2), 0.5), 40)
    observations = dataset.observations.copy()
    observations[7, 1] = np.nan
    columns = learned(replace(dataset, observations=observations), 1, anchored=False).columns
    assert 7 not in columns.rows and 7 not in columns.next_rows and len(columns.rows) == len(dataset) - 2


def test_an_unknown_base_is_named() -> None:
    with pytest.raises(DataError, match="the policy to improve is not known at any decision"):
        learned(chain(vector=True).log(np.full((5, 2), 0.5), 20))
    silent = chain(vector=True, horizon=1)
    specification = chain(vector=True).specification()
    dataset = silent.log(np.full((5, 2), 0.5), 20, specification=specification)
    never = np.zeros(20, dtype=bool)
    blind = replace(dataset, end_known=never, terminated=never, truncated=~never)
    with pytest.raises(DataError, match="no decision has a known next observation"):
        learned(blind, anchored=False)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("n_step", 0),
        ("hidden", ()),
        ("activation", "sigmoid"),
        ("learning_rate", 0.0),
        ("conservative_weight", -0.5),
        ("discount", 1.0),
        ("importance_exponent", 1.5),
        ("target_period", 0),
    ],
)
def test_settings_out_of_range_are_named(setting: str, value: Any) -> None:
    with pytest.raises(SpecificationError, match=f"{setting} is"):
        learned(chain(vector=True).log(np.full((5, 2), 0.5), 20), anchored=False, **{setting: value})


def test_rllibs_own_settings_are_valid_and_shared_names_agree() -> None:
    config = DQNConfig().training(lr=0.02, double_q=False, tau=0.5, train_batch_size=99, target_network_update_freq=7)
    assert (config.learning_rate, config.double, config.batch_size, config.target_period) == (0.02, False, 99, 7)
    config.training(learning_rate=0.03)
    dataset = chain(vector=True).log(np.full((5, 2), 0.5), 20)
    algorithm = config.training(anchored=False).offline(dataset=dataset).build_algo()
    assert algorithm.learner.config.lr == 0.03 and algorithm.learner.config.tau == 0.5


def test_learning_leaves_the_global_random_numbers_alone_and_loads_no_compiler() -> None:
    program = """
import random, sys
import numpy as np
import torch
from algorithms.dqn import DQNConfig
from tests.worlds import chain
def numbers():
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist(), torch.get_num_threads()
before = numbers()
dataset = chain(vector=True).log(np.full((5, 2), 0.5), 20)
algorithm = DQNConfig().training(anchored=False, updates_per_iteration=5).offline(dataset=dataset).build_algo()
algorithm.train()
algorithm.set_state(algorithm.get_state())
assert numbers() == before
assert "torch._dynamo" not in sys.modules
"""
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, timeout=300)
