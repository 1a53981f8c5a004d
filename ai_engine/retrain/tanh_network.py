"""A tanh network while it learns: its arrays as tensors, its forward pass, and the way back."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from algorithms.cloning_fit import Weights


def tensors_of(weights: Weights) -> list[torch.Tensor]:
    """Copies of a network's arrays, W and b in turn."""
    return [torch.from_numpy(array.copy()) for pair in weights for array in pair]


def weights_of(tensors: Sequence[torch.Tensor]) -> Weights:
    """The inverse of :func:`tensors_of`."""
    arrays = [tensor.detach().numpy() for tensor in tensors]
    return tuple(zip(arrays[0::2], arrays[1::2], strict=True))


def forward(tensors: Sequence[torch.Tensor], features: torch.Tensor) -> torch.Tensor:
    """Outputs (n, O) of features (n, F)."""
    for weight, bias in zip(tensors[:-2:2], tensors[1:-2:2], strict=True):
        features = torch.tanh(features @ weight + bias)
    return features @ tensors[-2] + tensors[-1]
