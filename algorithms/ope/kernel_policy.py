"""A deterministic policy of numbers, smoothed by a kernel: a policy that a log of a density can speak for.

    π_h(a | x) = Π_d K((a_d - τ_d(x)) / h_d) / (h_d [F(u⁺_d) - F(u⁻_d)]),   K(u) = ¾ (1 - u²) on [-1, 1]

F is K's distribution function and u⁻, u⁺ the allowed range seen from τ, so that π_h is a density on the
allowed box whatever τ is: at a boundary nothing of it falls outside.

Reference: Kallus & Zhou (2018), Policy evaluation and optimization with continuous treatments, section 3, and
4.2 on boundaries. There the kernel is a device of estimation; here it is a policy that can be served.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from envs.errors import DataError

NODES = 7
"""Of a Gauss-Legendre rule in each dimension: exact for values that are polynomials of degree 11 or less."""


class ContinuousPolicy(Protocol):
    """A density over actions of numbers at each of N decisions."""

    def log_density(self, actions: np.ndarray) -> np.ndarray:
        """Log density of one action per decision, (N, D) to float64 (N,); -inf where it is never taken."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class KernelPolicy:
    """The smoothed policy at N decisions.

    Attributes:
        centers: τ, float64 (N, D), inside the allowed box.
        bandwidths: h, float64 (D,), in the units of the action.
        low: float64 (D,), smallest allowed action; -inf where there is none.
        high: float64 (D,), largest allowed action.

    Raises:
        DataError: a center outside the box, or a bandwidth that is not above 0.
    """

    centers: np.ndarray
    bandwidths: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def __post_init__(self) -> None:
        outside = int(np.sum(np.any((self.centers < self.low) | (self.centers > self.high), axis=1)))
        if outside or not np.isfinite(self.centers).all():
            raise DataError(
                f"the policy acts outside the allowed range in {outside} of {len(self.centers)} decisions",
                where="KernelPolicy",
                remedy="clip it to the limits that hold when it is served",
            )
        if not np.all(self.bandwidths > 0):
            raise DataError(f"bandwidths {self.bandwidths}", where="KernelPolicy", remedy="give positive ones")

    def log_density(self, actions: np.ndarray) -> np.ndarray:
        """See :class:`ContinuousPolicy`.

        Raises:
            DataError: the actions are not of as many decisions and numbers as the policy.
        """
        if actions.shape != self.centers.shape:
            raise DataError(
                f"the policy acts in {self.centers.shape}, the log in {actions.shape}",
                where="KernelPolicy",
                remedy="give one row of numbers for each decision",
            )
        u = (actions - self.centers) / self.bandwidths
        lower, upper = self._range()
        inside = np.all((np.abs(u) < 1.0) & (actions >= self.low) & (actions <= self.high), axis=1)
        mass = self.bandwidths * (_distribution(upper) - _distribution(lower))
        with np.errstate(divide="ignore", invalid="ignore"):
            each = np.log(0.75 * (1.0 - np.square(u)) / mass)
        return np.where(inside, each.sum(axis=1), -np.inf)

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        """One action per decision, float64 (N, D)."""
        lower, upper = (_distribution(edge) for edge in self._range())
        p = lower + rng.random(self.centers.shape) * (upper - lower)
        # The root of the cubic F(u) = p that lies in [-1, 1].
        return self.centers + self.bandwidths * 2.0 * np.sin(np.arcsin(np.clip(2.0 * p - 1.0, -1.0, 1.0)) / 3.0)

    def quadrature(self, nodes: int = NODES) -> tuple[np.ndarray, np.ndarray]:
        """Actions (N, nodes^D, D) and weights (N, nodes^D), of sum 1, whose weighted mean is the policy's."""
        lower, upper = self._range()
        points, weights = np.polynomial.legendre.leggauss(nodes)
        half = 0.5 * (upper - lower)
        u = (0.5 * (upper + lower))[..., None] + half[..., None] * points
        mass = half[..., None] * weights * 0.75 * (1.0 - np.square(u))
        mass /= mass.sum(axis=2, keepdims=True)
        values = self.centers[..., None] + self.bandwidths[:, None] * u
        count, dimensions = self.centers.shape
        index = np.indices((nodes,) * dimensions).reshape(dimensions, -1)
        actions = np.stack([values[:, d, index[d]] for d in range(dimensions)], axis=2)
        product = np.ones((count, index.shape[1]))
        for d in range(dimensions):
            product = product * mass[:, d, index[d]]
        return actions, product

    def _range(self) -> tuple[np.ndarray, np.ndarray]:
        """u⁻ and u⁺, float64 (N, D) each."""
        lower = np.maximum((self.low - self.centers) / self.bandwidths, -1.0)
        upper = np.minimum((self.high - self.centers) / self.bandwidths, 1.0)
        return lower, upper


def _distribution(u: np.ndarray) -> np.ndarray:
    """F(u) of the Epanechnikov kernel, u in [-1, 1]."""
    found: np.ndarray = (2.0 + 3.0 * u - u**3) / 4.0
    return found
