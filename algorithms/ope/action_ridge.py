"""Ridge regression of many targets, action by action."""

from __future__ import annotations

import numpy as np

from envs.errors import DataError


class ActionRidge:
    """Ridge regression per action on W columns, the first an intercept, shrunk to one regression over all actions.

    w_a = β + β_a: β over all rows (its intercept unpenalised, penalty λ), β_a on what remains of the action's
    rows (penalty μ). A rare action thus takes the value of its state, never zero.

    Args:
        grams: φᵀ φ of each action's rows, float64 (..., A, W, W).
        ridge: λ > 0.
        apart: μ > 0, what it costs an action to differ from the others; λ by default.
    """

    def __init__(self, grams: np.ndarray, ridge: float, apart: float | None = None) -> None:
        identity = np.eye(grams.shape[-1])
        free = ridge * identity
        free[0, 0] = 0.0
        self.grams = grams
        self.inverses = _inverse(grams + (ridge if apart is None else apart) * identity)
        self.pooled_inverse = _inverse(grams.sum(axis=-3) + free)

    def solve(self, sides: np.ndarray) -> np.ndarray:
        """w of k targets, float64 (..., A, W, k), from φᵀ y of each action's rows, (..., A, W, k)."""
        pooled = (self.pooled_inverse @ sides.sum(axis=-3))[..., None, :, :]
        solved: np.ndarray = pooled + self.inverses @ (sides - self.grams @ pooled)
        return solved


def penalty_apart(grams: np.ndarray, sides: np.ndarray, squares: float, count: int, ridge: float) -> float:
    """μ of the smallest generalised cross-validation score among λ, 10 λ, 100 λ and 1,000 λ; the largest of equals.

        GCV(μ) = RSS(μ) / (n - Σ_a tr((G_a + μ I)⁻¹ G_a))²

    Many actions of little difference ask for a large one, an action that turns the rule around for a small one.

    Args:
        grams: G_a, float64 (A, W, W).
        sides: φᵀ y of each action's rows, float64 (A, W).
        squares: yᵀ y over all rows.
        count: n, the number of rows.
        ridge: λ.

    Reference: Golub, Heath & Wahba (1979), Generalized cross-validation as a method for choosing a good ridge
    parameter.
    """
    pooled = (ActionRidge(grams, ridge).pooled_inverse @ sides.sum(axis=0)[:, None])[:, 0]
    left = sides - grams @ pooled
    residual = squares - 2.0 * pooled @ sides.sum(axis=0) + pooled @ grams.sum(axis=0) @ pooled
    values, vectors = np.linalg.eigh(grams)
    values, along = np.maximum(values, 0.0), (vectors.swapaxes(-1, -2) @ left[..., None])[..., 0]
    scores = []
    for penalty in (candidates := ridge * 10.0 ** np.arange(4)):
        shrunk = 1.0 / (values + penalty)
        error = residual - (along**2 * shrunk * (2.0 - values * shrunk)).sum()
        freedom = count - (values * shrunk).sum()
        scores.append(max(error, 0.0) / freedom**2 if freedom > 0.0 else np.inf)
    best = np.flatnonzero(np.array(scores) <= min(scores) * (1.0 + 1e-9))
    return float(candidates[best[-1]])


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
