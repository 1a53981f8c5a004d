"""Q-network of a trainer with its target network and the optimizer's state, and the steps of conservative DQN."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ai_engine.retrain.network_model import network_arrays, network_of
from ai_engine.retrain.tanh_network import forward, tensors_of, weights_of
from algorithms.cloning_fit import NetworkState, Weights, initial_network
from algorithms.dqn_update import next_values, q_loss, td_targets
from envs.adam import adam_step
from envs.errors import ArtefactError


@dataclass(frozen=True, slots=True, eq=False)
class QBatch:
    """Experiences to learn from, tensors of n rows.

    Attributes:
        features: float32 (n, F).
        actions: int64 (n,).
        rewards: float32 (n,), in the unit of the values.
        next_features: float32 (n, F).
        dones: bool (n,).
        weights: float32 (n,), importance weights, or ``None`` where all are 1.
    """

    features: torch.Tensor
    actions: torch.Tensor
    rewards: torch.Tensor
    next_features: torch.Tensor
    dones: torch.Tensor
    weights: torch.Tensor | None


@dataclass(frozen=True, slots=True)
class QStep:
    """What one step found, in the unit of the values: loss, mean |δ|, conservative gap, and Q of the actions taken."""

    loss: float
    td_error: float
    conservative_gap: float
    q: float


class QNetwork:
    """A tanh network of action values, the copy that it is bootstrapped from, and Adam's moments.

    Attributes:
        network: features (F,) to values (A,).
        target: the older weights.
        errors: δ of the last step's rows, float64 (n,).
    """

    errors: np.ndarray

    def __init__(self, network: NetworkState, target: Weights) -> None:
        self.network, self.target = network, target

    @classmethod
    def begin(cls, random: np.random.Generator, inputs: int, hidden: Sequence[int], actions: int) -> QNetwork:
        """A new network, with values near 0."""
        network = initial_network(random, (inputs, *hidden, actions))
        return cls(network, network.weights)

    @classmethod
    def of_arrays(
        cls, arrays: Mapping[str, np.ndarray], step: int, inputs: int, hidden: Sequence[int], actions: int
    ) -> QNetwork:
        """What :meth:`arrays` gave.

        Raises:
            ArtefactError: an array is missing, or has another shape.
        """
        network = network_of("q", arrays, step, (inputs, *hidden, actions))
        target = []
        for number, pair in enumerate(network.weights):
            copies = tuple(arrays.get(f"target.weights.{number}.{letter}", np.empty(0)) for letter in "Wb")
            if [each.shape for each in copies] != [each.shape for each in pair]:
                raise ArtefactError(f"lacks target.weights.{number}", where="target", remedy="train it again")
            target.append((copies[0], copies[1]))
        return cls(network, tuple(target))

    @property
    def step(self) -> int:
        """Optimizer steps so far."""
        return self.network.step

    def arrays(self) -> dict[str, np.ndarray]:
        """Weights, moments and target by name."""
        return network_arrays("q", self.network) | network_arrays("target", NetworkState(self.target, (), ()))

    def values(self, features: np.ndarray) -> np.ndarray:
        """Q of features (n, F), float64 (n, A), in its own unit."""
        with torch.no_grad():
            return np.asarray(forward(tensors_of(self.network.weights), torch.from_numpy(features)).double().numpy())

    def descend(
        self,
        batches: Iterable[QBatch],
        *,
        learning_rate: float,
        discount: float,
        conservative_weight: float,
        double: bool,
        target_period: int,
    ) -> list[QStep]:
        """One step for each batch, by the equations of :mod:`algorithms.dqn_update`.

        The iterable is advanced after each step, so that it may read :attr:`errors`.
        """
        tensors = [each.requires_grad_() for each in tensors_of(self.network.weights)]
        first, second = tensors_of(self.network.first), tensors_of(self.network.second)
        target, step, found = tensors_of(self.target), self.network.step, []
        for batch in batches:
            with torch.no_grad():
                older = forward(target, batch.next_features)
                chooser = forward(tensors, batch.next_features) if double else older
                discounts = torch.full_like(batch.rewards, discount)
                targets = td_targets(batch.rewards, discounts, batch.dones, next_values(chooser, older, None))
            values = forward(tensors, batch.features)
            loss, errors, gap = q_loss(
                values, batch.actions, targets, weights=batch.weights, conservative_weight=conservative_weight
            )
            gradients = torch.autograd.grad(loss, tensors)
            step += 1
            with torch.no_grad():
                adam_step(tensors, gradients, first, second, step, learning_rate)
            if step % target_period == 0:
                target = [each.detach().clone() for each in tensors]
            self.errors = errors.double().numpy()
            chosen = (targets + errors).mean()
            found.append(QStep(float(loss.detach()), float(errors.abs().mean()), float(gap.mean()), float(chosen)))
        self.network = NetworkState(weights_of(tensors), weights_of(first), weights_of(second), step)
        self.target = weights_of(target)
        return found
