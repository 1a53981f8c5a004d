"""Training by torch without its optimizers: one thread, and Adam by hand (Kingma & Ba 2015)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

BETA_1, BETA_2 = 0.9, 0.999
"""Decay of Adam's moments."""
EPSILON = 1e-8
"""Adam's ε."""


@contextmanager
def one_thread() -> Iterator[Any]:
    """Torch with one thread: the same sums in the same order on any machine, and none taken from other trials."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield torch
    finally:
        torch.set_num_threads(before)


def adam_step(
    tensors: Sequence[Any],
    gradients: Sequence[Any],
    first: Sequence[Any],
    second: Sequence[Any],
    step: int,
    learning_rate: float,
    weight_decay: float = 0.0,
) -> None:
    """One step in place. By hand: torch's own optimizers load its compiler, which takes ten seconds.

    Args:
        tensors: what is learned.
        gradients: one for each tensor.
        first: their means, changed in place.
        second: the means of their squares, changed in place.
        step: from 1.
        learning_rate: size of the step.
        weight_decay: share of the weights taken off, times the learning rate (Loshchilov & Hutter 2019); spares
            the biases.
    """
    for tensor, gradient, mean, square in zip(tensors, gradients, first, second, strict=True):
        mean.mul_(BETA_1).add_(gradient, alpha=1.0 - BETA_1)
        square.mul_(BETA_2).addcmul_(gradient, gradient, value=1.0 - BETA_2)
        scale = (square / (1.0 - BETA_2**step)).sqrt_().add_(EPSILON)
        if weight_decay and tensor.dim() > 1:
            tensor.mul_(1.0 - learning_rate * weight_decay)
        tensor.addcdiv_(mean, scale, value=-learning_rate / (1.0 - BETA_1**step))


def fused_adam_step(
    tensors: list[Any],
    gradients: list[Any],
    first: list[Any],
    second: list[Any],
    steps: list[Any],
    learning_rate: float,
) -> None:
    """One step in place by torch's fused kernel: the numbers of ``torch.optim.Adam(fused=True)``, without its compiler.

    Args:
        tensors: what is learned.
        gradients: one for each tensor.
        first: their means, changed in place.
        second: the means of their squares, changed in place.
        steps: steps taken so far, a scalar float tensor for each, changed in place.
        learning_rate: size of the step.
    """
    import torch

    with torch.no_grad():
        torch._foreach_add_(steps, 1.0)
        torch._fused_adam_(
            tensors,
            gradients,
            first,
            second,
            [],
            steps,
            lr=learning_rate,
            beta1=BETA_1,
            beta2=BETA_2,
            weight_decay=0.0,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )
