"""Where two policies disagree, and the policy that follows one of them in a region only."""

from __future__ import annotations

import numpy as np


def total_variation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """½ Σ_a |π₁(a|s) - π₂(a|s)| at each state, float64 (N,).

    It is the smallest share of decisions in which draws from the two must differ, and 0 for equal policies.

    Args:
        first: float64 (N, A).
        second: float64 (N, A).
    """
    return 0.5 * np.abs(first - second).sum(axis=1)


def most_probable_agrees(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Whether the most probable action (the first of equals) is the same, bool (N,)."""
    return first.argmax(axis=1) == second.argmax(axis=1)


def followed_in(region: np.ndarray, policy: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """The policy inside a region and the other one outside, float64 (N, A).

    Its value less the other's is what the disagreement in that region earns by itself.

    Args:
        region: bool (N,).
        policy: float64 (N, A), followed where ``region``.
        otherwise: float64 (N, A), followed elsewhere.
    """
    return np.where(region[:, None], policy, otherwise)
