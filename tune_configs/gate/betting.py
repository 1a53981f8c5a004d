"""Leg 3: bets against "no better", valid at any number of units and under any rare catastrophe.

    E_k = Π_i (1 + λ_k (D_ik - δ)),   λ_k = min(√(2 ln(K/α) / n) / σ̂_select, .9 / (c + δ))

With D ≥ -c and c exact, E_k is a product of non-negative factors of mean at most 1 under the null,
so P(E_k ≥ K/α) ≤ α/K by Markov's inequality. λ is frozen before the tested units are read.

References:
    Waudby-Smith & Ramdas (2023), Estimating means of bounded random variables by betting, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from algorithms.ope.trajectories import Trajectories
from algorithms.ope.unseen_rest import least_returns
from envs.errors import DataError

_SLACK = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class BoundedDifferences:
    """Differences of K finalists that are bounded from below, for the finite-sample leg.

    Attributes:
        differences: float64 (K, n), unbiased for the finalists' gains, unit by unit.
        bounds: float64 (K,), c with D ≥ -c for every possible outcome; declared, never estimated.
        select_deviations: float64 (K,), σ̂ of the same difference on ``select``.
    """

    differences: np.ndarray
    bounds: np.ndarray
    select_deviations: np.ndarray

    def __post_init__(self) -> None:
        lowest = self.differences.min(axis=1, initial=np.inf)
        broken = np.flatnonzero(lowest < -self.bounds - _SLACK * np.maximum(np.abs(self.bounds), 1.0))
        if len(broken):
            raise DataError(
                f"finalist {broken[0]}: difference {lowest[broken[0]]:g} below its bound {-self.bounds[broken[0]]:g}",
                where="gate, finite-sample leg",
                remedy="declare the true reward range and floors, or leave the leg out",
            )


@dataclass(frozen=True, slots=True, eq=False)
class Bets:
    """Outcome of the finite-sample leg.

    Attributes:
        log_evidence: ln E_k, float64 (K,).
        threshold: ln(K/α).
        rejected: bool (K,).
    """

    log_evidence: np.ndarray
    threshold: float
    rejected: np.ndarray


def bet(bounded: BoundedDifferences, null: float, level: float) -> Bets:
    """Test E D_k ≤ ``null`` for all k with family-wise error at most ``level``, for every n.

    Raises:
        DataError: no unit.
    """
    count, units = bounded.differences.shape
    if units == 0:
        raise DataError("no unit to bet on", where="gate, finite-sample leg", remedy="log more units")
    threshold = float(np.log(count / level))
    stake = bet_sizes(bounded.select_deviations, bounded.bounds, null, units, count, level)
    # Rounding must not turn a loss at the bound into a debt: the smallest factor is .1 by construction.
    factors = np.maximum(stake[:, None] * (bounded.differences - null), -0.9)
    log_evidence = np.log1p(factors).sum(axis=1)
    return Bets(log_evidence, threshold, log_evidence >= threshold)


def betting_lower_bounds(bounded: BoundedDifferences, level: float) -> np.ndarray:
    """Simultaneous lower bounds of the gains, float64 (K,): the largest null that :func:`bet` rejects; -c if none.

    The evidence falls as the null rises, so the bound is found by bisection.
    """
    count = len(bounded.bounds)
    bounds = np.empty(count)
    for k in range(count):
        alone = BoundedDifferences(
            bounded.differences[k : k + 1], bounded.bounds[k : k + 1], bounded.select_deviations[k : k + 1]
        )
        below, above = -float(bounded.bounds[k]), float(alone.differences.mean())
        for _ in range(50):
            middle = 0.5 * (below + above)
            if bet(alone, middle, level / count).rejected[0]:
                below = middle
            else:
                above = middle
        bounds[k] = below
    return bounds


def bet_sizes(
    select_deviations: np.ndarray, bounds: np.ndarray, null: float, units: int, count: int, level: float
) -> np.ndarray:
    """λ of each finalist, float64 (K,): from ``select`` and declared bounds alone."""
    room = np.asarray(bounds, dtype=np.float64) + null
    if np.any(room <= 0):
        raise DataError(
            f"the null {null:g} lies below every possible difference",
            where="gate, finite-sample leg",
            remedy="raise minimum_gain",
        )
    wish = np.sqrt(2.0 * np.log(count / level) / units) / np.maximum(select_deviations, 1e-300)
    return np.minimum(wish, 0.9 / room)


def single_decision_difference(
    candidate: Trajectories, champion: Trajectories, reward_range: tuple[float, float], largest_weight: float
) -> tuple[np.ndarray, float]:
    """(w_π - w_champion)(r - r_min) of each decision and its bound c, at H = 1.

    Args:
        candidate: one decision per episode, under the candidate's ratios.
        champion: the same under the champion's.
        reward_range: declared smallest and largest reward.
        largest_weight: largest ratio of the champion that the policies' floors allow.

    Returns:
        float64 (E,), unbiased for the gain decision by decision, and c = range × largest weight.

    Raises:
        DataError: the horizon is not 1, or an outcome or weight leaves what was declared.
    """
    if candidate.horizon != 1:
        raise DataError(f"horizon {candidate.horizon}, this difference needs 1", where="gate", remedy="leave it out")
    low, high = reward_range
    reward = _within(candidate.rewards[:, 0], low, high, "reward")
    weight = _within(champion.weights, 0.0, largest_weight, "weight of the champion")
    return (candidate.weights - weight) * (reward - low), (high - low) * largest_weight


def logger_difference(candidate: Trajectories, return_range: tuple[float, float]) -> tuple[np.ndarray, float]:
    """(w - 1)(G - G_min) of each episode and its bound c, where the champion itself wrote the log.

    Args:
        candidate: the episodes under the candidate's ratios.
        return_range: smallest and largest possible return, from the declared reward range.

    Returns:
        float64 (E,), unbiased for the gain episode by episode, below it where an episode was cut; and c = range of G.
    """
    low, high = return_range
    returns = _within(least_returns(candidate), low, high, "return")
    return (candidate.weights - 1.0) * (returns - low), high - low


def _within(values: np.ndarray, low: float, high: float, what: str) -> np.ndarray:
    slack = _SLACK * max(abs(low), abs(high), 1.0)
    if len(values) and (values.min() < low - slack or values.max() > high + slack):
        worst = values.min() if values.min() < low - slack else values.max()
        raise DataError(
            f"a {what} of {worst:g} leaves [{low:g}, {high:g}]",
            where="gate, finite-sample leg",
            remedy="declare what is possible, or leave the leg out",
        )
    return np.clip(values, low, high)
