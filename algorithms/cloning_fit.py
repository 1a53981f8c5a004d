"""The mathematics of behaviour cloning: a smoothed table of counts, and a softmax network by torch.

Pure functions: all state goes in and comes out as numpy arrays. Torch is imported only where a network
is fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from envs.adam import adam_step, one_thread

Weights = tuple[tuple[np.ndarray, np.ndarray], ...]
"""Pairs W (inputs, outputs) and b (outputs,), float32, from first to last."""
EPSILON = 1e-12
"""Smallest probability that a log is taken of."""


def count_table(
    states: np.ndarray, actions: np.ndarray, state_count: int, action_count: int, smoothing: float
) -> tuple[np.ndarray, np.ndarray]:
    """(n(z, a) + s p(a)) / (n(z) + s) with p the action frequencies of the whole log.

    Args:
        states: int64 (N,), -1 rows count for the frequencies only.
        actions: int64 (N,).
        state_count: Z.
        action_count: A.
        smoothing: s, pseudo rows of the overall frequencies; more than 0.

    Returns:
        The table (Z, A) and the overall frequencies (A,).
    """
    overall = np.bincount(actions, minlength=action_count) / max(len(actions), 1)
    known = states >= 0
    cells = states[known] * action_count + actions[known]
    counts = np.bincount(cells, minlength=state_count * action_count).reshape(state_count, action_count)
    table = (counts + smoothing * overall) / (counts.sum(axis=1, keepdims=True) + smoothing)
    return table, overall


def temper(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """p^(1/T), renormalised; T = 0 is the most probable action (the first of equals), T = 1 changes nothing."""
    if temperature == 1.0:
        return probabilities
    if temperature == 0.0:
        return np.eye(probabilities.shape[-1])[probabilities.argmax(axis=-1)]
    with np.errstate(divide="ignore"):
        logarithm = np.log(probabilities)
    raised = np.exp((logarithm - logarithm.max(axis=-1, keepdims=True)) / temperature)
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def negative_log_likelihood(probabilities: np.ndarray, actions: np.ndarray) -> float:
    """Mean of −ln p(a) over the logged actions."""
    chosen = probabilities[np.arange(len(actions)), actions]
    return float(-np.log(np.maximum(chosen, EPSILON)).mean())


@dataclass(frozen=True, slots=True, eq=False)
class NetworkState:
    """A network in training: weights, and the two moments and step of Adam (Kingma & Ba 2015)."""

    weights: Weights
    first: Weights
    second: Weights
    step: int = 0


def initial_network(random: np.random.Generator, sizes: Sequence[int]) -> NetworkState:
    """Glorot-uniform weights (Glorot & Bengio 2010) and zero biases; the last layer a hundred times smaller.

    Args:
        random: source of the weights.
        sizes: inputs, hidden layers and outputs; two numbers give a linear model.
    """
    weights = []
    for number, (inputs, outputs) in enumerate(pairwise(sizes)):
        limit = np.sqrt(6.0 / (inputs + outputs)) * (0.01 if number == len(sizes) - 2 else 1.0)
        weight = random.uniform(-limit, limit, (inputs, outputs)).astype(np.float32)
        weights.append((weight, np.zeros(outputs, dtype=np.float32)))
    zeros = tuple((np.zeros_like(weight), np.zeros_like(bias)) for weight, bias in weights)
    return NetworkState(tuple(weights), zeros, zeros)


def _logits(torch: Any, features: Any, tensors: Sequence[Any], activation: str) -> Any:
    function = torch.tanh if activation == "tanh" else torch.relu
    for weight, bias in zip(tensors[:-2:2], tensors[1:-2:2], strict=True):
        features = function(features @ weight + bias)
    return features @ tensors[-2] + tensors[-1]


def network_probabilities(
    weights: Weights, features: np.ndarray, allowed: np.ndarray | None, temperature: float, activation: str = "tanh"
) -> np.ndarray:
    """softmax(f(x) / T) over the allowed actions by torch in double precision, float64 (N, A)."""
    with one_thread() as torch, torch.no_grad():
        tensors = [torch.from_numpy(np.asarray(array, dtype=np.float64)) for pair in weights for array in pair]
        logits = _logits(torch, torch.from_numpy(np.asarray(features, dtype=np.float64)), tensors, activation)
        if allowed is not None:
            logits = logits.masked_fill(torch.from_numpy(~np.asarray(allowed)), -torch.inf)
        if temperature == 0.0:
            return np.asarray(torch.nn.functional.one_hot(logits.argmax(dim=1), logits.shape[1]).double().numpy())
        return np.asarray(torch.softmax(logits / temperature, dim=1).numpy())


def fit_network(
    state: NetworkState,
    features: np.ndarray,
    actions: np.ndarray,
    allowed: np.ndarray | None,
    random: np.random.Generator,
    *,
    updates: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    activation: str = "tanh",
) -> tuple[NetworkState, float]:
    """A fixed number of Adam steps on the cross entropy of the logged actions, over the allowed ones.

    Weight decay is decoupled (Loshchilov & Hutter 2019) and spares the biases.

    Args:
        state: where to begin.
        features: float (N, F).
        actions: int64 (N,).
        allowed: bool (N, A), or ``None`` where everything is allowed.
        random: draws all batches, with replacement.
        updates: number of steps.
        batch_size: rows of one step.
        learning_rate: of Adam.
        weight_decay: share of the weights taken off per step, times the learning rate.
        activation: ``tanh`` or ``relu``.

    Returns:
        The new state, and the mean loss over the steps.
    """
    with one_thread() as torch:
        x = torch.from_numpy(np.ascontiguousarray(features, dtype=np.float32))
        y = torch.from_numpy(np.asarray(actions, dtype=np.int64).copy())
        blocked = None if allowed is None else torch.from_numpy(~np.asarray(allowed))
        batches = torch.from_numpy(random.integers(len(actions), size=(updates, batch_size)))
        tensors = [torch.from_numpy(array.copy()).requires_grad_() for pair in state.weights for array in pair]
        first = [torch.from_numpy(array.copy()) for pair in state.first for array in pair]
        second = [torch.from_numpy(array.copy()) for pair in state.second for array in pair]
        total = 0.0
        for step, batch in enumerate(batches, start=state.step + 1):
            logits = _logits(torch, x[batch], tensors, activation)
            if blocked is not None:
                logits = logits.masked_fill(blocked[batch], -1e9)
            loss = torch.nn.functional.cross_entropy(logits, y[batch])
            gradients = torch.autograd.grad(loss, tensors)
            with torch.no_grad():
                adam_step(tensors, gradients, first, second, step, learning_rate, weight_decay)
            total += float(loss.detach())
        weights, means, squares = (_pairs(arrays) for arrays in (tensors, first, second))
        return NetworkState(weights, means, squares, state.step + updates), total / max(updates, 1)


def _pairs(tensors: Sequence[Any]) -> Weights:
    plain = [tensor.detach().numpy().copy() for tensor in tensors]
    return tuple(zip(plain[0::2], plain[1::2], strict=True))
