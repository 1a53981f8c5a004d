"""A quadratic response surface over numbers and one category, with its uncertainty (Box & Wilson 1951).

    y = φ(z, g)ᵀ β + ε,   φ = 1, z, z², z_i z_j, and for each group g an offset and slopes of chosen columns
    ε ~ N(0, σ²),   β_j | σ² ~ N(0, σ² / λ),   σ² ~ inverse gamma

The posterior is conjugate and exact (Gelman et al. 2013, section 14.8), and it is averaged over the two
λ (of the shared terms and of the groups) by their marginal likelihood, so that few rows do not look certain.
A quadratic has an optimum, needs few rows, and has exact gradients; what it cannot follow becomes noise, and
widens the intervals.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats

LAMBDAS = 10.0 ** np.arange(-4.0, 3.5, 0.5)
"""Prior precisions of effects, in units of the noise; the groups' are every other one."""
INTERCEPT = 1e-6
"""Prior precision of the intercept."""
NOISE_WEIGHT, NOISE = 0.5, 0.2
"""Prior of σ²: shape, and the standard deviation it stands for in units of that of y."""
CONSTANT = 1e-9
"""Spread, relative to the largest value, below which a column is constant."""


def standardization(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations (1 where constant) of columns, float64 (d,) each."""
    scale = points.std(axis=0)
    constant = scale <= CONSTANT * np.abs(points).max(axis=0, initial=0.0)
    return points.mean(axis=0), np.where(constant, 1.0, scale)


@cache
def _pairs(columns: int) -> tuple[np.ndarray, np.ndarray]:
    return np.triu_indices(columns)


@dataclass(frozen=True, slots=True)
class Basis:
    """φ of standardised points (m, d) and groups (m,).

    Attributes:
        columns: d.
        groups: number of groups, G; terms of groups only where there are two or more.
        slopes: the first so many columns have slopes of their own in each group.
    """

    columns: int
    groups: int
    slopes: int

    @property
    def shared(self) -> int:
        """Number of terms of the shared surface, intercept included."""
        return 1 + self.columns + self.columns * (self.columns + 1) // 2

    @property
    def size(self) -> int:
        """Number of terms, p."""
        return self.shared + (self.groups * (1 + self.slopes) if self.groups > 1 else 0)

    def features(self, points: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """float64 (m, p)."""
        first, second = _pairs(self.columns)
        parts = [np.ones((len(points), 1)), points, points[:, first] * points[:, second]]
        if self.groups > 1:
            own = np.eye(self.groups)[groups]
            parts += [own, *(own * points[:, [column]] for column in range(self.slopes))]
        return np.hstack(parts)

    def derivatives(self, points: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """∂φ / ∂z, float64 (m, p, d)."""
        out = np.zeros((len(points), self.size, self.columns))
        index = np.arange(self.columns)
        out[:, 1 + index, index] = 1.0
        first, second = _pairs(self.columns)
        term = 1 + self.columns + np.arange(len(first))
        out[:, term, first] += points[:, second]
        out[:, term, second] += points[:, first]
        if self.groups > 1:
            for column in range(self.slopes):
                begin = self.shared + self.groups * (1 + column)
                out[np.arange(len(points)), begin + groups, column] = 1.0
        return out


@dataclass(frozen=True, slots=True, eq=False)
class ResponseSurface:
    """The posterior of a fitted surface.

    Attributes:
        basis: φ.
        coefficients: posterior mean of β, float64 (p,).
        covariance: its squared scale, float64 (p, p).
        noise: squared scale of ε.
        degrees: degrees of freedom of the Student-t distributions.
    """

    basis: Basis
    coefficients: np.ndarray
    covariance: np.ndarray
    noise: float
    degrees: float

    def predict(self, points: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Expected responses and their standard errors, float64 (m,) each, at standardised points (m, d)."""
        features = self.basis.features(points, groups)
        return features @ self.coefficients, self._errors(features)

    def _errors(self, features: np.ndarray) -> np.ndarray:
        return np.sqrt(np.maximum((features @ self.covariance * features).sum(axis=1), 0.0))

    def lower_bound(self, points: np.ndarray, groups: np.ndarray, pessimism: float) -> tuple[np.ndarray, np.ndarray]:
        """Expected response less ``pessimism`` standard errors, float64 (m,), and its gradient, float64 (m, d)."""
        features = self.basis.features(points, groups)
        spread = features @ self.covariance
        errors = np.sqrt(np.maximum((spread * features).sum(axis=1), 0.0))
        weights = self.coefficients - pessimism * spread / np.maximum(errors, 1e-300)[:, None]
        gradient = (weights[:, None, :] @ self.basis.derivatives(points, groups))[:, 0]
        return features @ self.coefficients - pessimism * errors, gradient

    def quantile(self, level: float) -> float:
        """Half-width, in standard errors, of a two-sided interval of this level."""
        return float(stats.t.ppf(0.5 + 0.5 * level, self.degrees))

    def measurement_errors(self, errors: np.ndarray) -> np.ndarray:
        """Standard errors of a single new measurement, noise included."""
        return np.sqrt(errors**2 + self.noise)


def fit_surface(
    points: np.ndarray, groups: np.ndarray, responses: np.ndarray, basis: Basis, unit: float | None = None
) -> ResponseSurface:
    """The posterior from n ≥ 1 rows.

    Args:
        points: standardised, float64 (n, d).
        groups: int64 (n,), in [0, G).
        responses: y, float64 (n,), in any unit.
        basis: φ.
        unit: how far responses may usually lie apart, for rows that are all alike; their size by default.
    """
    centre, spread = float(responses.mean()), float(responses.std())
    if spread <= CONSTANT * abs(centre):
        spread = unit or abs(centre) or 1.0
    y = (responses - centre) / spread
    features = basis.features(points, groups)
    gram, moment, square = features.T @ features, features.T @ y, float(y @ y)
    shape = NOISE_WEIGHT + 0.5 * len(y)
    prior_rate = NOISE_WEIGHT * NOISE**2
    own = LAMBDAS[::2] if basis.groups > 1 else LAMBDAS[:1]
    evidence, means, inverses, rates = [], [], [], []
    for shared in LAMBDAS:
        for group in own:
            prior = np.full(basis.size, shared)
            prior[0], prior[basis.shared :] = INTERCEPT, group
            precision = gram + np.diag(prior)
            inverse = np.linalg.inv(precision)
            mean = inverse @ moment
            rate = prior_rate + 0.5 * max(square - float(moment @ mean), 0.0)
            determinant = np.linalg.slogdet(precision)[1]
            evidence.append(0.5 * (np.log(prior).sum() - determinant) - shape * np.log(rate))
            means.append(mean)
            inverses.append(inverse)
            rates.append(rate / shape)
    weights = np.exp(np.array(evidence) - max(evidence))
    weights /= weights.sum()
    noise, stacked = np.array(rates), np.array(means)
    mean = weights @ stacked
    covariance = np.einsum("k,kpq->pq", weights * noise, np.array(inverses))
    covariance += np.einsum("k,kp,kq->pq", weights, stacked - mean, stacked - mean)
    coefficients = spread * mean
    coefficients[0] += centre
    covariance = spread**2 * 0.5 * (covariance + covariance.T)
    return ResponseSurface(basis, coefficients, covariance, spread**2 * float(weights @ noise), 2.0 * shape)


def held_out(
    points: np.ndarray, groups: np.ndarray, responses: np.ndarray, basis: Basis, *, folds: int = 5, level: float = 0.95
) -> tuple[float, float]:
    """Explained variance R² of rows that a fit has not seen, and the share of them inside their intervals.

    Args:
        points: standardised, float64 (n, d).
        groups: int64 (n,).
        responses: float64 (n,), n ≥ ``folds``.
        basis: φ.
        folds: rows are dealt to so many folds by turns of a fixed shuffle.
        level: of the intervals, of single measurements.

    Returns:
        Both numbers; R² is 0 where the responses are all alike.
    """
    fold = np.random.default_rng(0).permutation(len(responses)) % folds
    errors, centred, inside = np.zeros(len(responses)), np.zeros(len(responses)), np.zeros(len(responses), dtype=bool)
    for part in range(folds):
        out = fold == part
        surface = fit_surface(points[~out], groups[~out], responses[~out], basis)
        mean, error = surface.predict(points[out], groups[out])
        errors[out] = responses[out] - mean
        centred[out] = responses[out] - responses[~out].mean()
        inside[out] = np.abs(errors[out]) <= surface.quantile(level) * surface.measurement_errors(error)
    total = float((centred**2).sum())
    return (1.0 - float((errors**2).sum()) / total if total > 0.0 else 0.0), float(inside.mean())
