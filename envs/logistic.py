"""Multinomial logistic regression by L-BFGS, in numpy: which action, given the features."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]
MEMORY = 10
SUFFICIENT_DECREASE = 1e-4


def fit_logistic(
    features: np.ndarray,
    actions: np.ndarray,
    allowed: np.ndarray,
    *,
    ridge: float = 1.0,
    iterations: int = 60,
) -> np.ndarray:
    """Weights that minimise the mean negative log-likelihood plus ``ridge`` / (2 N) times their squares.

    Args:
        features: float64 (N, F), finite.
        actions: int64 (N,), each allowed in its row.
        allowed: bool (N, A); what is not allowed has probability 0.
        ridge: penalty on the weights; the intercept is free.
        iterations: most L-BFGS iterations.

    Returns:
        float64 (F + 1, A), the intercept last.
    """
    count, choices = len(features), allowed.shape[1]
    inputs = np.hstack([features, np.ones((count, 1))])
    taken = np.zeros((count, choices))
    taken[np.arange(count), actions] = 1.0
    penalty = np.full((inputs.shape[1], 1), ridge / count)
    penalty[-1] = 1e-6  # only so that the optimum is one point

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(-1, choices)
        probabilities = _softmax(inputs @ weights, allowed)
        likelihood = np.log(np.maximum(probabilities[np.arange(count), actions], 1e-300)).mean()
        gradient = inputs.T @ (probabilities - taken) / count + penalty * weights
        return float(0.5 * (penalty * weights**2).sum() - likelihood), gradient.ravel()

    return minimize(objective, np.zeros(inputs.shape[1] * choices), iterations=iterations).reshape(-1, choices)


def logistic_probabilities(features: np.ndarray, weights: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Probabilities float64 (N, A) of the actions under the fitted weights."""
    return _softmax(features @ weights[:-1] + weights[-1], allowed)


def minimize(objective: Objective, start: np.ndarray, *, iterations: int, tolerance: float = 1e-5) -> np.ndarray:
    """The minimum of a smooth convex function by L-BFGS (Nocedal & Wright 2006, algorithm 7.4).

    Steps are halved until they decrease enough (Armijo); a pair without positive curvature is skipped.

    Args:
        objective: point (P,) -> value and gradient (P,).
        start: float64 (P,).
        iterations: most iterations.
        tolerance: largest gradient entry at which it ends.
    """
    point = start
    value, gradient = objective(point)
    pairs: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=MEMORY)
    for _ in range(iterations):
        if np.abs(gradient).max() <= tolerance:
            break
        direction = _direction(gradient, pairs)
        slope = float(direction @ gradient)
        step = 1.0 if pairs else 1.0 / max(1.0, float(np.abs(gradient).sum()))
        while True:
            candidate = point + step * direction
            next_value, next_gradient = objective(candidate)
            if next_value <= value + SUFFICIENT_DECREASE * step * slope or step < 1e-12:
                break
            step *= 0.5
        if next_value >= value:
            break
        moved, bent = candidate - point, next_gradient - gradient
        if float(moved @ bent) > 1e-12 * float(bent @ bent):
            pairs.append((moved, bent))
        point, value, gradient = candidate, next_value, next_gradient
    return point


def _direction(gradient: np.ndarray, pairs: deque[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The two-loop recursion: minus the inverse Hessian's estimate times the gradient."""
    rest = -gradient
    shares = []
    for moved, bent in reversed(pairs):
        share = float(moved @ rest) / float(moved @ bent)
        rest = rest - share * bent
        shares.append(share)
    if pairs:
        moved, bent = pairs[-1]
        rest = rest * (float(moved @ bent) / float(bent @ bent))
    for (moved, bent), share in zip(pairs, reversed(shares), strict=True):
        rest = rest + (share - float(bent @ rest) / float(moved @ bent)) * moved
    return rest


def _softmax(logits: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    masked = np.where(allowed, logits, -np.inf)
    exponential = np.exp(masked - masked.max(axis=1, keepdims=True))
    return np.asarray(exponential / exponential.sum(axis=1, keepdims=True))
