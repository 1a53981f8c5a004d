"""An RLlib torch learner that takes many steps in one call, and an optimizer that starts at once.

RLlib's ``Learner.update`` converts, checks, logs and reduces at every call, which costs more than a small
network's step itself. :meth:`StepsLearner.take_steps` runs the same loss of the same learner bare.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.learner.torch.torch_learner import TorchLearner

from algorithms.cloning_fit import Weights
from envs.adam import fused_adam_step

# RLlib's modules warn about RLlib's own migration.
logging.getLogger("ray._common.deprecation").setLevel(logging.ERROR)


class Adam(torch.optim.Optimizer):
    """Adam (Kingma & Ba 2015) by torch's fused kernel.

    The same numbers as ``torch.optim.Adam(fused=True)``. Torch's own constructor, ``zero_grad`` and state
    methods load its compiler at their first call, which takes seconds; none of them is used here.

    Args:
        parameters: what is optimised.
        learning_rate: step size; RLlib's schedules change it through ``param_groups``.
    """

    def __init__(self, parameters: Sequence[torch.nn.Parameter], learning_rate: float = 0.001) -> None:
        self.defaults: dict[str, Any] = {}
        self.param_groups: list[dict[str, Any]] = [{"params": list(parameters), "lr": learning_rate}]
        self.state: Any = {
            parameter: {
                "step": torch.zeros(()),
                "exp_avg": torch.zeros_like(parameter, requires_grad=False),
                "exp_avg_sq": torch.zeros_like(parameter, requires_grad=False),
            }
            for parameter in parameters
        }

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for parameter in self.param_groups[0]["params"]:
            parameter.grad = None

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step along the gradients; a parameter without one stays."""
        moving = [parameter for parameter in self.param_groups[0]["params"] if parameter.grad is not None]
        states = [self.state[parameter] for parameter in moving]
        fused_adam_step(
            moving,
            [parameter.grad for parameter in moving],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [state["step"] for state in states],
            float(self.param_groups[0]["lr"]),
        )

    def state_dict(self) -> dict[str, Any]:
        """Torch's layout: ``state`` by the position of the parameter, and ``param_groups``."""
        group = self.param_groups[0]
        return {
            "state": {number: dict(self.state[parameter]) for number, parameter in enumerate(group["params"])},
            "param_groups": [{"lr": float(group["lr"]), "params": list(range(len(group["params"])))}],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave."""
        group = self.param_groups[0]
        group["lr"] = float(state_dict["param_groups"][0]["lr"])
        for number, parameter in enumerate(group["params"]):
            for name, value in state_dict["state"][number].items():
                self.state[parameter][name].copy_(torch.as_tensor(value))


class StepsLearner(TorchLearner):
    """Mixed into an RLlib learner of one module, before it: ``class Mine(StepsLearner, DQNTorchLearner)``.

    Attributes:
        steps: optimizer steps taken by :meth:`take_steps`.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.steps = 0
        self._figures: dict[str, list[Any]] = {}

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """One :class:`Adam` over the trainable parameters, at the configured ``lr``."""
        module: Any = self.module
        parameters: list[Any] = [each for each in module[module_id].parameters() if each.requires_grad]
        self.register_optimizer(
            module_id=module_id, optimizer=Adam(parameters), params=parameters, lr_or_lr_schedule=config.lr
        )

    @property
    def only(self) -> Any:
        """The one module, a ``TorchRLModule``."""
        return self.module[DEFAULT_MODULE_ID]

    def record(self, **figures: Any) -> None:
        """Note figures of the present step, scalar tensors or numbers; :meth:`take_steps` gives their means."""
        for name, value in figures.items():
            self._figures.setdefault(name, []).append(value.detach() if isinstance(value, torch.Tensor) else value)

    def forward(self, batch: dict[str, Any]) -> dict[str, Any]:
        """What the loss needs of the module: RLlib's ``forward_train``."""
        out: dict[str, Any] = self.only.forward_train(batch)
        return out

    def after_step(self) -> None:
        """What follows an optimizer step, such as moving a target network; :attr:`steps` counts it already."""

    def take_steps(self, batches: Iterable[dict[str, Any]]) -> dict[str, float]:
        """One optimizer step on RLlib's loss (``compute_loss_for_module``) for each batch.

        Args:
            batches: tensors by RLlib's column names. The iterable is advanced after each step, so that it may
                depend on what the step found.

        Returns:
            ``loss`` and all that was recorded, each a mean over the steps.
        """
        (optimizer,) = self._named_optimizers.values()
        self._figures.clear()
        for batch in batches:
            optimizer.zero_grad()
            loss: Any = self.compute_loss_for_module(
                module_id=DEFAULT_MODULE_ID, config=self.config, batch=batch, fwd_out=self.forward(batch)
            )
            loss.backward()
            if self.config.grad_clip is not None:
                clipped = self.postprocess_gradients({name: each.grad for name, each in self._params.items()})
                for name, gradient in clipped.items():
                    self._params[name].grad = gradient
            optimizer.step()
            self.steps += 1
            self.record(loss=loss)
            self.after_step()
        self.metrics.reduce()
        return {name: float(np.mean([float(each) for each in values])) for name, values in self._figures.items()}

    def plain_state(self) -> dict[str, Any]:
        """Weights (target networks included), optimizer and counter as numpy arrays and plain values."""
        (optimizer,) = self._named_optimizers.values()
        stored = optimizer.state_dict()
        moments = {
            number: {name: value.numpy().copy() for name, value in entry.items()}
            for number, entry in stored["state"].items()
        }
        return {
            "weights": {name: value.numpy().copy() for name, value in self.only.state_dict().items()},
            "optimizer": {**stored, "state": moments},
            "steps": self.steps,
        }

    def set_plain_state(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`plain_state` gave."""
        (optimizer,) = self._named_optimizers.values()
        weights = {name: torch.from_numpy(np.array(value)) for name, value in state["weights"].items()}
        self.only.load_state_dict(weights)
        optimizer.load_state_dict(state["optimizer"])
        self.steps = int(state["steps"])


def dense_layers(network: torch.nn.Module) -> list[torch.nn.Linear]:
    """The fully connected layers of an RLlib MLP, from first to last."""
    return [layer for layer in network.modules() if isinstance(layer, torch.nn.Linear)]


def read_weights(*networks: torch.nn.Module) -> Weights:
    """Pairs W (inputs, outputs) and b (outputs,) of networks that follow each other, float32 copies."""
    layers = [layer for network in networks for layer in dense_layers(network)]
    return tuple((layer.weight.detach().numpy().T.copy(), layer.bias.detach().numpy().copy()) for layer in layers)


def write_weights(weights: Weights, *networks: torch.nn.Module) -> None:
    """Begin networks that follow each other at the pairs of :func:`read_weights` (a warm start).

    Raises:
        ValueError: the shapes differ.
    """
    layers = [layer for network in networks for layer in dense_layers(network)]
    with torch.no_grad():
        for layer, (weight, bias) in zip(layers, weights, strict=True):
            if tuple(layer.weight.shape) != weight.T.shape:
                raise ValueError(f"weights {weight.T.shape} do not fit a layer of {tuple(layer.weight.shape)}")
            layer.weight.copy_(torch.from_numpy(np.array(weight.T)))
            layer.bias.copy_(torch.from_numpy(np.array(bias)))
