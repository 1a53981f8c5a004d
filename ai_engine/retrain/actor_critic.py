"""Policy and value network of a trainer, with the optimizer's state, and PPO's epochs over a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch

from ai_engine.retrain.network_model import network_arrays, network_of
from algorithms.cloning_fit import NetworkState, Weights, initial_network
from algorithms.ppo_update import Coefficients, Losses, log_probabilities, ppo_losses
from envs.adam import adam_step

PARTS = tuple(part.name for part in fields(Losses))


@dataclass(frozen=True, slots=True, eq=False)
class PlayedDecisions:
    """What is learned from, tensors of n decisions.

    Attributes:
        features: float32 (n, F).
        actions: int64 (n,).
        old_log_p: float32 (n,), ln of the probability with which each action was drawn.
        advantages: float32 (n,).
        targets: float32 (n,), of the value network.
        allowed: bool (n, A), or ``None`` where everything is.
    """

    features: torch.Tensor
    actions: torch.Tensor
    old_log_p: torch.Tensor
    advantages: torch.Tensor
    targets: torch.Tensor
    allowed: torch.Tensor | None


class ActorCritic:
    """Two tanh networks that share nothing, and Adam's moments of both.

    Attributes:
        actor: features (F,) to logits (A,).
        critic: features (F,) to a value.
    """

    def __init__(self, actor: NetworkState, critic: NetworkState) -> None:
        self.actor, self.critic = actor, critic

    @classmethod
    def begin(cls, random: np.random.Generator, inputs: int, hidden: Sequence[int], actions: int) -> ActorCritic:
        """New networks: a nearly uniform policy, and values near 0."""
        return cls(*(initial_network(random, (inputs, *hidden, outputs)) for outputs in (actions, 1)))

    @classmethod
    def of_arrays(
        cls, arrays: Mapping[str, np.ndarray], step: int, inputs: int, hidden: Sequence[int], actions: int
    ) -> ActorCritic:
        """What :meth:`arrays` gave; raises an ``ArtefactError`` where that does not fit the sizes."""
        actor = network_of("actor", arrays, step, (inputs, *hidden, actions))
        return cls(actor, network_of("critic", arrays, step, (inputs, *hidden, 1)))

    def arrays(self) -> dict[str, np.ndarray]:
        """Weights and moments by name."""
        return network_arrays("actor", self.actor) | network_arrays("critic", self.critic)

    def log_probabilities(self, features: np.ndarray, allowed: torch.Tensor | None) -> torch.Tensor:
        """ln π of features (n, F) over the allowed actions, float32 (n, A), without gradient."""
        with torch.no_grad():
            return log_probabilities(_forward(_tensors(self.actor.weights), torch.from_numpy(features)), allowed)

    def values(self, features: np.ndarray) -> np.ndarray:
        """V of features (n, F), float64 (n,), in the critic's unit."""
        with torch.no_grad():
            values = _forward(_tensors(self.critic.weights), torch.from_numpy(features))
        return np.asarray(values[:, 0].double().numpy())

    def descend(
        self,
        played: PlayedDecisions,
        coefficients: Coefficients,
        random: np.random.Generator,
        *,
        learning_rate: float,
        epochs: int,
        minibatch_size: int,
    ) -> list[dict[str, float]]:
        """The epochs, in minibatches that ``random`` draws; the parts of :class:`Losses` of each step."""
        networks = (self.actor, self.critic)
        tensors = [each.requires_grad_() for network in networks for each in _tensors(network.weights)]
        first = [each for network in networks for each in _tensors(network.first)]
        second = [each for network in networks for each in _tensors(network.second)]
        split, step, found = len(tensors) // 2, self.actor.step, []
        count = len(played.actions)
        for _ in range(epochs):
            for piece in np.array_split(random.permutation(count), max(1, count // minibatch_size)):
                rows = torch.from_numpy(piece)
                features = played.features[rows]
                allowed = None if played.allowed is None else played.allowed[rows]
                losses = ppo_losses(
                    log_probabilities(_forward(tensors[:split], features), allowed),
                    _forward(tensors[split:], features)[:, 0],
                    played.actions[rows],
                    played.old_log_p[rows],
                    played.advantages[rows],
                    played.targets[rows],
                    coefficients,
                )
                gradients = torch.autograd.grad(losses.total, tensors)
                step += 1
                with torch.no_grad():
                    adam_step(tensors, gradients, first, second, step, learning_rate)
                found.append({part: float(getattr(losses, part).detach()) for part in PARTS})
        self.actor, self.critic = (
            NetworkState(_pairs(tensors[side]), _pairs(first[side]), _pairs(second[side]), step)
            for side in (slice(0, split), slice(split, None))
        )
        return found


def _tensors(weights: Weights) -> list[torch.Tensor]:
    """Copies of a network's arrays, W and b in turn."""
    return [torch.from_numpy(array.copy()) for pair in weights for array in pair]


def _pairs(tensors: Sequence[torch.Tensor]) -> Weights:
    arrays = [tensor.detach().numpy() for tensor in tensors]
    return tuple(zip(arrays[0::2], arrays[1::2], strict=True))


def _forward(tensors: Sequence[torch.Tensor], features: torch.Tensor) -> torch.Tensor:
    for weight, bias in zip(tensors[:-2:2], tensors[1:-2:2], strict=True):
        features = torch.tanh(features @ weight + bias)
    return features @ tensors[-2] + tensors[-1]
