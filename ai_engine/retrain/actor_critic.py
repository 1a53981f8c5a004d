"""Policy and value network of a trainer, with the optimizer's state, and PPO's epochs over a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch

from ai_engine.retrain.network_model import network_arrays, network_of
from ai_engine.retrain.tanh_network import forward, tensors_of, weights_of
from algorithms.cloning_fit import NetworkState, initial_network
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

    @property
    def step(self) -> int:
        """Optimizer steps so far."""
        return self.actor.step

    def arrays(self) -> dict[str, np.ndarray]:
        """Weights and moments by name."""
        return network_arrays("actor", self.actor) | network_arrays("critic", self.critic)

    def log_probabilities(self, features: np.ndarray, allowed: torch.Tensor | None) -> torch.Tensor:
        """ln π of features (n, F) over the allowed actions, float32 (n, A), without gradient."""
        with torch.no_grad():
            return log_probabilities(forward(tensors_of(self.actor.weights), torch.from_numpy(features)), allowed)

    def values(self, features: np.ndarray) -> np.ndarray:
        """V of features (n, F), float64 (n,), in the critic's unit."""
        with torch.no_grad():
            values = forward(tensors_of(self.critic.weights), torch.from_numpy(features))
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
        tensors = [each.requires_grad_() for network in networks for each in tensors_of(network.weights)]
        first = [each for network in networks for each in tensors_of(network.first)]
        second = [each for network in networks for each in tensors_of(network.second)]
        split, step, found = len(tensors) // 2, self.actor.step, []
        count = len(played.actions)
        for _ in range(epochs):
            for piece in np.array_split(random.permutation(count), max(1, count // minibatch_size)):
                rows = torch.from_numpy(piece)
                features = played.features[rows]
                allowed = None if played.allowed is None else played.allowed[rows]
                losses = ppo_losses(
                    log_probabilities(forward(tensors[:split], features), allowed),
                    forward(tensors[split:], features)[:, 0],
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
            NetworkState(weights_of(tensors[side]), weights_of(first[side]), weights_of(second[side]), step)
            for side in (slice(0, split), slice(split, None))
        )
        return found
