"""Policies of linear scores, decided for a whole population at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from algorithms.never_logged import NEVER
from algorithms.population_returns import Choose, Situations, draw

POLICIES = ("residual", "linear")


@dataclass(frozen=True, slots=True, eq=False)
class LinearScores:
    """Scores x W + b of the actions that were logged; the parameters are W and b, row by row.

    Attributes:
        feature_count: F.
        logged: bool (A,).
        relative: whether the mass of the base's action moves to the best score where that is better by more
            than :attr:`THRESHOLD`, instead of following the scores alone.
        temperature: of absolute policies: of the softmax; 0 takes the best score.
    """

    feature_count: int
    logged: np.ndarray
    relative: bool
    temperature: float
    THRESHOLD: ClassVar[float] = 1.0

    @property
    def size(self) -> int:
        """Number of parameters."""
        return (self.feature_count + 1) * int(self.logged.sum())

    def weights(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """W float64 (..., F, A) and b float64 (..., A) of parameters (..., n)."""
        shape = (*parameters.shape[:-1], self.feature_count + 1)
        full = np.zeros((*shape, len(self.logged)))
        full[..., self.logged] = parameters.reshape(*shape, -1)
        full[..., -1, ~self.logged] = NEVER
        return full[..., :-1, :], full[..., -1, :]

    def parameters(self, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
        """The parameters (n,) of W (F, A) and b (A,)."""
        return np.asarray(np.vstack([weight, bias])[:, self.logged], dtype=np.float64).ravel()

    def chooser(self, parameters: np.ndarray) -> Choose:
        """What policies of parameters (P, n) do."""
        weight, bias = self.weights(parameters)

        def choose(situations: Situations, uniforms: np.ndarray) -> np.ndarray:
            scores = np.where(situations.allowed, situations.features @ weight + bias[:, None, :], -np.inf)
            best = scores.argmax(axis=-1)
            if not self.relative and self.temperature == 0.0:
                return np.asarray(best)
            largest = np.take_along_axis(scores, best[..., None], axis=-1)
            if not self.relative:
                return draw(np.cumsum(np.exp((scores - largest) / self.temperature), axis=-1), uniforms)
            assert situations.base is not None
            chosen = draw(situations.base, uniforms)
            gain = largest - np.take_along_axis(scores, chosen[..., None], axis=-1)
            return np.where(gain[..., 0] > self.THRESHOLD, best, chosen)

        return choose

    def probabilities(
        self, parameters: np.ndarray, features: np.ndarray, allowed: np.ndarray, base: np.ndarray | None
    ) -> np.ndarray:
        """The same as probabilities (N, A) of one policy, of parameters (n,).

        Args:
            parameters: float64 (n,).
            features: float64 (N, F); rows of NaN keep the base, or give NaN.
            allowed: bool (N, A).
            base: float64 (N, A), of relative policies.
        """
        weight, bias = self.weights(parameters)
        scores = np.where(allowed, features @ weight + bias, -np.inf)
        greedy = np.eye(scores.shape[1])[scores.argmax(axis=1)]
        best = scores.max(axis=1, keepdims=True)
        if self.relative:
            assert base is not None
            moved = np.where(best - (features @ weight + bias) > self.THRESHOLD, base, 0.0)
            return np.asarray(base - moved + greedy * moved.sum(axis=1, keepdims=True))
        if self.temperature > 0.0:
            greedy = np.exp((scores - best) / self.temperature)
            greedy /= greedy.sum(axis=1, keepdims=True)
        greedy[np.isnan(features).any(axis=1)] = np.nan
        return greedy
