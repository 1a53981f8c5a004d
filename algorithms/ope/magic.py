"""MAGIC: the mixture of j-step doubly robust returns that has the least estimated squared error.

    g_j = (1/E) Σ_i V̂(s_i0) + Σ_{t≤j} γᵗ Σ_i u_it δ_it,   j = -1, 0, … H-1
    x   = argmin over the simplex of xᵀ (Ω̂ + b̂ b̂ᵀ) x,   v̂ = Σ_j x_j g_j

g_{-1} is the direct method and g_{H-1} the weighted doubly robust estimate (whose notation this is). Ω̂ is the
covariance of the g_j, and b̂_j the distance of g_j to a confidence interval of g_{H-1}.

Reference: Thomas & Brunskill (2016), Data-efficient off-policy policy evaluation for reinforcement learning.
Here Ω̂ is of the delta method's influences, which know that the weights are normalised, and the
confidence interval is studentised over them instead of a bootstrap; both are deterministic.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import nnls

from algorithms.ope.estimate import Estimate
from algorithms.ope.intervals import student_t, unit_values
from algorithms.ope.overlap import WEIGHTED_RULE, OverlapRule
from algorithms.ope.trajectories import Trajectories
from algorithms.ope.weighted_doubly_robust import step_corrections, weighted_doubly_robust

BIAS_CONFIDENCE = 0.9
"""Of the interval of g_{H-1} to which biases are measured."""


def simplex_minimum(matrix: np.ndarray) -> np.ndarray:
    """The x ≥ 0 (n,), Σ x = 1, of least xᵀ A x, for a positive semi-definite A (n, n); exact, by active sets.

    With A = Bᵀ B, the least ‖B z‖² + (1ᵀ z - 1)² over z ≥ 0 is, along z = s x, at s = 1 / (1 + xᵀ A x)
    with the value xᵀ A x / (1 + xᵀ A x): its direction is x, and it is non-negative least squares
    (Lawson & Hanson 1974, chapter 23).
    """
    scale = float(np.min(np.diag(matrix))) or 1.0
    values, vectors = np.linalg.eigh(matrix / scale)
    root = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
    size = len(matrix)
    found, _ = nnls(np.vstack([root, np.ones(size)]), np.append(np.zeros(size), 1.0))
    mixture: np.ndarray = found / found.sum()
    return mixture


def j_step_returns(trajectories: Trajectories) -> np.ndarray | None:
    """Contributions to g_{-1} … g_{H-1}, float64 (E, H + 1): their means are the g_j; ``None`` without overlap.

    Raises:
        DataError: the trajectories carry no model values.
    """
    found = step_corrections(trajectories, "magic")
    if found is None or trajectories.v_values is None:
        return None
    steps, influence = found
    added = np.cumsum(steps + influence, axis=1)
    return trajectories.v_values[:, :1] + np.concatenate([np.zeros((len(added), 1)), added], axis=1)


def magic_mixture(returns: np.ndarray, units: np.ndarray | None) -> np.ndarray:
    """x of the contributions (E, H + 1) to the g_j, float64 (H + 1,)."""
    by_unit = np.stack([unit_values(column, units) for column in returns.T], axis=1)
    count = len(by_unit)
    if count < 2:
        return np.eye(returns.shape[1])[-1]
    centred = by_unit - by_unit.mean(axis=0)
    covariance = centred.T @ centred / (count - 1) / count
    whole = student_t(by_unit[:, -1], BIAS_CONFIDENCE)
    means = by_unit.mean(axis=0)
    bias = means - np.clip(means, whole.lower, whole.upper)
    return simplex_minimum(covariance + np.outer(bias, bias))


def magic(
    trajectories: Trajectories,
    confidence: float = 0.95,
    *,
    force: bool = False,
    overlap: OverlapRule = WEIGHTED_RULE,
    units: np.ndarray | None = None,
) -> Estimate:
    """The MAGIC value of a policy.

    A mixture near the model is far more certain than it is right: Student-t over the mixture covers 10 to 20 %
    where the model is 30 % off. So the interval is that of g_{H-1}, drawn out to the value where it lies outside.

    Args:
        trajectories: with ``q_values`` and ``v_values`` fitted on other episodes.
        confidence: coverage of the two-sided interval of g_{H-1}.
        force: give the numbers although the overlap is refused; the reason stays.
        overlap: smallest overlap that is answered.
        units: independent unit of each episode (E,), ``None`` where it is the episode.

    Raises:
        DataError: the trajectories carry no model values.
    """
    returns = j_step_returns(trajectories)
    whole = weighted_doubly_robust(trajectories, confidence, force=force, overlap=overlap, units=units)
    if returns is None:
        return replace(whole, estimator="magic")
    mixture = magic_mixture(returns, units)
    value = float(returns.mean(axis=0) @ mixture) if np.isfinite(whole.value) else whole.value
    return replace(
        whole,
        value=value,
        lower=min(whole.lower, value),
        upper=max(whole.upper, value),
        estimator="magic",
        diagnostics={**whole.diagnostics, "model_share": float(mixture[0])},
    )
