"""Behaviour cloning on behaviours that are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.behavior_cloning import BehaviorCloning, BehaviorCloningConfig
from algorithms.cloning_fit import (
    count_table,
    fit_network,
    initial_network,
    negative_log_likelihood,
    network_probabilities,
    temper,
)
from algorithms.policy.components import Network, ProbabilityTable
from envs.dataset import Dataset
from tests.worlds import chain, explored

BEHAVIOUR = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.05, 0.95], [0.5, 0.5]])


def learned(dataset: Dataset, iterations: int = 10, **hyperparameters: Any) -> BehaviorCloning:
    config = BehaviorCloningConfig().training(**hyperparameters).offline(dataset=dataset, splits=("train", "final"))
    algorithm = config.build_algo()
    for _ in range(iterations):
        algorithm.train()
    return algorithm


def test_counts_are_smoothed_towards_the_overall_frequencies() -> None:
    table, overall = count_table(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), 3, 2, smoothing=2.0)
    np.testing.assert_allclose(overall, [0.5, 0.5])
    np.testing.assert_allclose(table, [[3 / 5, 2 / 5], [1 / 3, 2 / 3], [0.5, 0.5]])


@given(st.integers(0, 9999), st.floats(0.05, 3.0))
def test_temperature_sharpens_and_keeps_the_order(seed: int, temperature: float) -> None:
    p = np.random.default_rng(seed).dirichlet(np.ones(4), size=5)
    out = temper(p, temperature)
    np.testing.assert_allclose(out.sum(axis=1), 1.0)
    np.testing.assert_array_equal(out.argmax(axis=1), p.argmax(axis=1))
    assert ((out.max(axis=1) >= p.max(axis=1) - 1e-9) == (temperature <= 1.0)).all() or temperature == 1.0
    np.testing.assert_array_equal(temper(p, 0.0), np.eye(4)[p.argmax(axis=1)])
    assert temper(p, 1.0) is p


@pytest.mark.parametrize(
    "hyperparameters", [{"model": "table"}, {"model": "network", "hidden": (), "weight_decay": 0.0}]
)
def test_the_behaviour_is_recovered(hyperparameters: dict[str, Any]) -> None:
    """Integers are one-hot features, so that even the linear model can represent any table."""
    dataset = chain(slip=0.3).log(BEHAVIOUR, 1500, seed=1)
    algorithm = learned(dataset, 20, learning_rate=0.03, **hyperparameters)
    counts = np.bincount(dataset.observations[dataset.rows, 0].astype(int), minlength=5)
    clone = algorithm.probabilities(chain().rows)
    error = 4 * np.sqrt(0.25 / np.maximum(counts, 1)) + 0.02
    assert (np.abs(clone - BEHAVIOUR).max(axis=1) < error)[:4].all()


def test_temperature_zero_is_the_behaviour_without_its_noise() -> None:
    dataset = chain(vector=True, slip=0.3).log(explored(np.eye(2)[[0, 1, 0, 1, 0]], 0.6), 1500, seed=1)
    for model in ({"model": "table", "resolution": 5}, {"model": "network", "hidden": (32,), "learning_rate": 0.01}):
        algorithm = learned(dataset, 20, temperature=0.0, **model)
        np.testing.assert_array_equal(algorithm.probabilities(chain(vector=True).rows)[:4], np.eye(2)[[0, 1, 0, 1]])
        component = algorithm.export_component()
        assert isinstance(component, (ProbabilityTable, Network))


def test_loss_comes_near_the_entropy_of_the_behaviour() -> None:
    dataset = chain(slip=0.3).log(BEHAVIOUR, 1500, seed=1)
    states = dataset.observations[dataset.rows, 0].astype(int)
    entropy = negative_log_likelihood(BEHAVIOUR[states], dataset.actions)
    for model in ({"model": "table"}, {"model": "network", "hidden": (16,)}):
        algorithm = learned(dataset.select_episodes(np.arange(1500)), 12, learning_rate=0.01, **model)
        result = algorithm.train()
        assert result["loss"] < result["initial_loss"] - 0.05
        assert abs(result["loss"] - entropy) < 0.03


def test_the_requested_action_counts_and_forbidden_ones_get_nothing() -> None:
    dataset = chain(slip=0.3).log(np.full((5, 2), 0.5), 300, seed=2)
    # In half of the rows left is forbidden and right is taken; where both are allowed, left is.
    forbidden = np.random.default_rng(0).random(len(dataset.observations)) < 0.5
    allowed = dataset.allowed.copy()
    allowed[forbidden, 0] = False
    actions = np.where(forbidden[dataset.rows], 1, 0)
    masked = replace(dataset, allowed=allowed, actions=actions)
    algorithm = learned(masked, 15, model="network", hidden=(), learning_rate=0.05)
    free = algorithm.probabilities(chain().rows[:4])
    assert (free[:, 0] > 0.9).all()
    held = algorithm.probabilities(chain().rows[:4], allowed=np.tile([False, True], (4, 1)))
    np.testing.assert_array_equal(held, np.tile([0.0, 1.0], (4, 1)))
    assert algorithm.train()["loss"] < 0.1


def test_a_fit_in_two_parts_is_a_fit_in_one() -> None:
    random = np.random.default_rng(0)
    features, actions = random.normal(size=(200, 3)), random.integers(3, size=200)
    options: dict[str, Any] = {"batch_size": 32, "learning_rate": 0.01, "weight_decay": 0.01}
    begin = initial_network(np.random.default_rng(1), (3, 8, 3))
    whole, _ = fit_network(begin, features, actions, None, np.random.default_rng(2), updates=20, **options)
    source = np.random.default_rng(2)
    half, _ = fit_network(begin, features, actions, None, source, updates=10, **options)
    parts, _ = fit_network(half, features, actions, None, source, updates=10, **options)
    assert whole.step == parts.step == 20
    for pair, other in zip(whole.weights + whole.second, parts.weights + parts.second, strict=True):
        np.testing.assert_array_equal(pair[0], other[0])
        np.testing.assert_array_equal(pair[1], other[1])
    assert not np.array_equal(begin.weights[0][0], half.weights[0][0])


def test_adam_agrees_with_torchs_own() -> None:
    import torch

    random = np.random.default_rng(0)
    features, actions = random.normal(size=(64, 3)).astype(np.float32), random.integers(2, size=64)
    begin = initial_network(np.random.default_rng(1), (3, 4, 2))
    ours, _ = fit_network(
        begin, features, actions, None, np.random.default_rng(5), updates=25, batch_size=16, learning_rate=0.02,
        weight_decay=0.1,
    )  # fmt: skip
    tensors = [torch.from_numpy(array.copy()).requires_grad_() for pair in begin.weights for array in pair]
    groups = [{"params": tensors[0::2], "weight_decay": 0.1}, {"params": tensors[1::2], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=0.02)
    x, y = torch.from_numpy(features), torch.from_numpy(actions)
    for batch in np.random.default_rng(5).integers(64, size=(25, 16)):
        hidden = torch.tanh(x[batch] @ tensors[0] + tensors[1])
        loss = torch.nn.functional.cross_entropy(hidden @ tensors[2] + tensors[3], y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for ours_pair, weight, bias in zip(ours.weights, tensors[0::2], tensors[1::2], strict=True):
        np.testing.assert_allclose(ours_pair[0], weight.detach().numpy(), atol=1e-5)
        np.testing.assert_allclose(ours_pair[1], bias.detach().numpy(), atol=1e-5)


def test_network_probabilities_agree_with_the_artefacts() -> None:
    state = initial_network(np.random.default_rng(0), (2, 16, 16, 3))
    features = np.random.default_rng(1).normal(size=(50, 2))

    class Plain:
        def features(self, rows: np.ndarray) -> np.ndarray:
            return rows

        def to_json(self) -> dict[str, Any]:
            return {}

    for temperature in (0.0, 0.3, 1.0):
        own = network_probabilities(state.weights, features, None, temperature)
        np.testing.assert_allclose(Network(Plain(), state.weights, "tanh", temperature)(features), own, atol=1e-12)


def test_torch_keeps_its_threads() -> None:
    import torch

    before = torch.get_num_threads()
    learned(chain().log(BEHAVIOUR, 40), 1, updates_per_iteration=1)
    assert torch.get_num_threads() == before
