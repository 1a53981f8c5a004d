"""How wrong estimated propensities may be before a difference vanishes."""

from __future__ import annotations

import numpy as np

LARGEST = 20.0


def tipping_factor(weights: np.ndarray, returns: np.ndarray) -> float:
    """The least Γ at which the reference policy's gain over the log may have the other sign.

    Each episode's weight may be off by a factor in [1 / Γ, Γ]; the bounds of the self-normalised mean are
    attained by the largest factor above a threshold of the return and the smallest below it (after Kallus &
    Zhou 2018, "Confounding-robust policy improvement", with the bounds on whole trajectories' weights).

    Args:
        weights: float64 (E,), above 0.
        returns: float64 (E,).

    Returns:
        Γ, at least 1 (no difference to lose) and at most 20.
    """
    order = np.argsort(returns)
    weights, returns = weights[order], returns[order]
    gain = float(weights @ returns / weights.sum() - returns.mean())
    if gain == 0.0:
        return 1.0
    if gain > 0.0:  # the worst case weighs the lowest returns up
        weights, returns = weights[::-1], returns[::-1]
    low, high = 1.0, LARGEST
    for _ in range(40):
        middle = (low + high) / 2.0
        if (_extreme(weights, returns, middle, upper=gain < 0.0) - float(returns.mean())) * gain > 0.0:
            low = middle
        else:
            high = middle
    return high


def _extreme(weights: np.ndarray, returns: np.ndarray, factor: float, *, upper: bool) -> float:
    """The extreme self-normalised mean: small factors first, in the order given, then large ones."""
    small, large = weights / factor, weights * factor
    zero = np.zeros(1)
    mass = np.concatenate([zero, np.cumsum(small)]) + np.concatenate([np.cumsum(large[::-1])[::-1], zero])
    total = np.concatenate([zero, np.cumsum(small * returns)]) + np.concatenate(
        [np.cumsum((large * returns)[::-1])[::-1], zero]
    )
    means = total / mass
    return float(means.max() if upper else means.min())
