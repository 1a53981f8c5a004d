"""RLlib's PPO learner with action masks and a policy that it is held to, and the module that it trains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.core.columns import Columns
from ray.rllib.core.distribution.torch.torch_distribution import TorchCategorical
from ray.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from ray.rllib.core.rl_module.torch import TorchRLModule
from ray.rllib.evaluation.postprocessing import Postprocessing

from algorithms.ppo_update import Coefficients, log_probabilities, ppo_losses
from algorithms.steps_learner import StepsLearner

ALLOWED = "allowed"
"""Column of the actions that may be taken, bool (B, A)."""
REFERENCE = "reference_logp"
"""Column of ln π_ref under the same mask, float (B, A)."""
CLOCK = "clock"
"""Column of the share of the horizon that is over, float (B, 1)."""
FUNCTIONS = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}


class ActorCriticModule(TorchRLModule, ValueFunctionAPI):
    """Two networks that share nothing: logits of the features, and the value of the features and the clock.

    A return to a horizon depends on the decisions that are left, which the observation may not show; the
    value function may know them, because only the actor is deployed.
    """

    def setup(self) -> None:
        """Build both from ``model_config``: ``fcnet_hiddens`` and ``fcnet_activation``."""
        spaces: Any = (self.observation_space, self.action_space)
        settings: Any = self.model_config
        inputs, outputs = int(spaces[0].shape[0]), int(spaces[1].n)
        hidden, function = settings["fcnet_hiddens"], FUNCTIONS[settings["fcnet_activation"]]
        self.actor = _network((inputs, *hidden, outputs), function)
        self.critic = _network((inputs + 1, *hidden, 1), function)
        self.action_dist_cls = TorchCategorical

    def _forward(self, batch: Mapping[str, Any], **kwargs: Any) -> dict[str, Any]:
        return {Columns.ACTION_DIST_INPUTS: self.actor(batch[Columns.OBS])}

    def compute_values(self, batch: Mapping[str, Any], embeddings: Any = None) -> torch.Tensor:
        """V, (B,), of ``obs`` (B, F) and ``clock`` (B, 1)."""
        values: torch.Tensor = self.critic(torch.cat([batch[Columns.OBS], batch[CLOCK]], dim=1)).squeeze(-1)
        return values


def _network(sizes: tuple[int, ...], function: type[torch.nn.Module]) -> torch.nn.Sequential:
    layers: list[torch.nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [torch.nn.Linear(inputs, outputs), function()]
    return torch.nn.Sequential(*layers[:-1])


class HeldPPOTorchLearner(StepsLearner, PPOTorchLearner):
    """RLlib's loss by :func:`~algorithms.ppo_update.ppo_losses`, over allowed actions, with KL(π ‖ π_ref).

    Without masks and at ``kl_weight`` 0 it is the loss of RLlib's own ``PPOTorchLearner`` without its KL term,
    which ``kl_weight`` takes the place of.
    """

    def compute_loss_for_module(
        self, *, module_id: Any, config: Any, batch: dict[str, Any], fwd_out: dict[str, Any]
    ) -> torch.Tensor:
        """The loss of a batch with RLlib's columns, and :data:`CLOCK`, :data:`ALLOWED`, :data:`REFERENCE`."""
        coefficients = Coefficients(
            clip=config.clip_param,
            value_weight=config.vf_loss_coeff,
            value_clip=config.vf_clip_param,
            entropy_weight=config.entropy_coeff,
            kl_weight=config.kl_weight,
        )
        losses = ppo_losses(
            log_probabilities(fwd_out[Columns.ACTION_DIST_INPUTS], batch.get(ALLOWED)),
            self.only.compute_values(batch),
            batch[Columns.ACTIONS],
            batch[Columns.ACTION_LOGP],
            batch[Postprocessing.ADVANTAGES],
            batch[Postprocessing.VALUE_TARGETS],
            coefficients,
            batch.get(REFERENCE),
        )
        self.record(
            policy_loss=losses.policy,
            value_loss=losses.value,
            entropy=losses.entropy,
            kl=losses.kl,
            clone_kl=losses.reference_kl,
            clipped_share=losses.clipped,
        )
        return losses.total


def minibatches(
    columns: Mapping[str, torch.Tensor], size: int, epochs: int, random: np.random.Generator
) -> Iterator[dict[str, torch.Tensor]]:
    """The epochs over a batch, each in another order and in equal pieces of ``size`` rows or a few more."""
    count = len(columns[Columns.OBS])
    for _ in range(epochs):
        for piece in np.array_split(random.permutation(count), max(1, count // size)):
            rows = torch.from_numpy(piece)
            yield {name: values[rows] for name, values in columns.items()}


def floats(values: np.ndarray) -> torch.Tensor:
    """A float32 tensor."""
    return torch.from_numpy(np.asarray(values, dtype=np.float32))
