"""RLlib's DQN learner with masks, an anchored target and the conservative penalty of :mod:`algorithms.dqn_update`."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from ray.rllib.algorithms.dqn.dqn_learner import QF_NEXT_PREDS, QF_PREDS, QF_TARGET_NEXT_PREDS
from ray.rllib.algorithms.dqn.torch.dqn_torch_learner import DQNTorchLearner
from ray.rllib.core.columns import Columns as Names
from ray.rllib.core.learner.utils import update_target_network

from algorithms.cloning_fit import Weights
from algorithms.dqn_update import next_values, q_loss, td_targets
from algorithms.steps_learner import StepsLearner, read_weights
from envs.adam import one_thread

MASK, NEXT_MASK, NEXT_BASE = "action_mask", "next_action_mask", "next_base"
"""Columns of a batch besides RLlib's: bool (n, A), bool (n, A), float (n, A); each may be absent."""


class ConservativeDQNLearner(StepsLearner, DQNTorchLearner):
    """Computes the loss of :mod:`algorithms.dqn_update`; ``n_step`` and ``weights`` are RLlib's columns.

    ``learner_config_dict`` gives ``conservative_weight`` and ``margin``, the latter in the units of the values.

    Attributes:
        errors: float32 (n,), the TD errors of the last step's rows.
    """

    config: Any
    errors: torch.Tensor

    def forward(self, batch: dict[str, Any]) -> dict[str, Any]:
        """As RLlib's ``forward_train``, without gradients where none is needed."""
        module = self.only
        out = {QF_PREDS: module.compute_q_values({Names.OBS: batch[Names.OBS]})[QF_PREDS]}
        with torch.no_grad():
            following = {Names.OBS: batch[Names.NEXT_OBS]}
            out[QF_TARGET_NEXT_PREDS] = module.forward_target(following)[QF_PREDS]
            if self.config.double_q:
                out[QF_NEXT_PREDS] = module.compute_q_values(following)[QF_PREDS]
        return out

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: dict[str, Any], fwd_out: dict[str, Any]
    ) -> torch.Tensor:
        """The mean loss of a batch; records ``td_error``, ``conservative_gap`` and ``mean_q``."""
        settings = config.learner_config_dict
        target = fwd_out[QF_TARGET_NEXT_PREDS]
        following = next_values(
            fwd_out[QF_NEXT_PREDS] if config.double_q else target,
            target,
            batch.get(NEXT_MASK),
            base=batch.get(NEXT_BASE),
            margin=settings["margin"],
        )
        discounts = config.gamma ** batch["n_step"]
        values = fwd_out[QF_PREDS]
        loss, self.errors, gap = q_loss(
            values,
            batch[Names.ACTIONS].long(),
            td_targets(batch[Names.REWARDS], discounts, batch[Names.TERMINATEDS], following),
            weights=batch.get("weights"),
            allowed=batch.get(MASK),
            conservative_weight=settings["conservative_weight"],
            squared=config.td_error_loss_fn == "mse",
        )
        self.record(
            td_error=self.errors.abs().mean(),
            conservative_gap=gap.mean(),
            mean_q=values.detach().gather(-1, batch[Names.ACTIONS].long()[:, None]).mean(),
        )
        return loss

    def after_step(self) -> None:
        """Move the target network every ``target_network_update_freq`` steps, by the share ``tau``."""
        if self.steps % self.config.target_network_update_freq == 0:
            for main, target in self.only.get_target_network_pairs():
                update_target_network(main_net=main, target_net=target, tau=self.config.tau)


def action_values(module: Any, features: np.ndarray) -> np.ndarray:
    """Q of RLlib's module itself, in double precision: features (N, F) to float64 (N, A)."""
    with one_thread(), torch.no_grad():
        double = copy.deepcopy(module).double()
        inputs = torch.from_numpy(np.asarray(features, dtype=np.float64))
        return np.asarray(double.compute_q_values({Names.OBS: inputs})[QF_PREDS].numpy())


def folded_weights(module: Any, centre: float = 0.0, scale: float = 1.0) -> Weights:
    """The module as one plain network of centre + scale · Q, float64 pairs W (inputs, outputs) and b.

    Dueling heads are linear in the last hidden layer, and so is Q = A − mean_a A + V (Wang et al. 2016, eq. 9):

        W_Q = W_A (I − 11ᵀ/A) + W_V 1ᵀ
    """
    pairs = [(weight.astype(np.float64), bias.astype(np.float64)) for weight, bias in read_weights(module.encoder)]
    ((weight, bias),) = read_weights(module.af)
    weight, bias = weight.astype(np.float64), bias.astype(np.float64)
    if module.uses_dueling:
        ((value_weight, value_bias),) = read_weights(module.vf)
        weight = weight - weight.mean(axis=1, keepdims=True) + value_weight
        bias = bias - bias.mean() + value_bias
    return (*pairs, (scale * weight, scale * bias + centre))
