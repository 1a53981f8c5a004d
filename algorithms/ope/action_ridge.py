"""Ridge regression of many targets, action by action."""

from __future__ import annotations

import numpy as np

from envs.errors import DataError


class ActionRidge:
    """Ridge regression per action on W columns, the first an intercept, shrunk to one regression over all actions.

    w_a = β + β_a: β over all rows (its intercept unpenalised), β_a on what remains of the action's rows; both
    with penalty λ. A rare action thus takes the value of its state, never zero.

    Args:
        grams: φᵀ φ of each action's rows, float64 (..., A, W, W).
        ridge: λ > 0.
    """

    def __init__(self, grams: np.ndarray, ridge: float) -> None:
        penalty = ridge * np.eye(grams.shape[-1])
        free = penalty.copy()
        free[0, 0] = 0.0
        self.grams = grams
        self.inverses = _inverse(grams + penalty)
        self.pooled_inverse = _inverse(grams.sum(axis=-3) + free)

    def solve(self, sides: np.ndarray) -> np.ndarray:
        """w of k targets, float64 (..., A, W, k), from φᵀ y of each action's rows, (..., A, W, k)."""
        pooled = (self.pooled_inverse @ sides.sum(axis=-3))[..., None, :, :]
        solved: np.ndarray = pooled + self.inverses @ (sides - self.grams @ pooled)
        return solved


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverses of symmetric positive definite matrices (..., W, W) by their Cholesky factors."""
    try:
        if not np.isfinite(matrix).all():
            raise np.linalg.LinAlgError
        root = np.linalg.inv(np.linalg.cholesky(matrix))
    except np.linalg.LinAlgError:
        raise DataError(
            "the features are collinear or not finite",
            where="ridge regression",
            remedy="raise ridge, or check the encoder",
        ) from None
    inverse: np.ndarray = root.swapaxes(-1, -2) @ root
    return inverse
