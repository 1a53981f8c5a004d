"""How far a log reaches: the weights of the reference policy, ½ behaviour + ½ modal logged action."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from envs.behavior import state_counts
from envs.dataset import EMBARGO, FINAL, Dataset

# Of two counts the smaller is as good as the larger within so many standard errors of their difference.
TIE = 2.0
# A gate of 80 % power sees δ where δ √n / σ is at least this (t test, one finalist).
POWER = 2.5


@dataclass(frozen=True, slots=True)
class Overlap:
    """Figures of the reference policy's trajectory weights.

    Attributes:
        units: independent units, those under embargo left out.
        final_units: units of the final split.
        effective: Kish effective number of units, (Σw)² / Σw².
        largest_share: the largest unit's share of all weight.
        mean_return: mean return of the log to the horizon, per episode.
        deviation: standard deviation, per unit, of the reference policy's gain (self-normalised weights).
        detectable: smallest gain, relative to the mean return, that the final units show; NaN if none.
        weights: float64, weight of each episode that is in a split.
        returns: float64, its return.
    """

    units: int
    final_units: int
    effective: float
    largest_share: float
    mean_return: float
    deviation: float
    detectable: float
    weights: np.ndarray
    returns: np.ndarray

    @property
    def fraction(self) -> float:
        """Effective number of units over their number."""
        return self.effective / self.units if self.units else 0.0


def modal_actions(dataset: Dataset) -> np.ndarray:
    """The most usual action of each decision's state as a distribution (N, A), split evenly over ties.

    Where the row's action probabilities are logged it is their largest. Elsewhere it is the action that
    other units took most often in the state; actions whose counts differ by less than two standard errors
    are tied, so that a uniform log has no modal action by chance.
    """
    allowed = dataset.allowed[dataset.rows]
    known = np.isfinite(dataset.action_probabilities).all(axis=1)
    tied = np.zeros(allowed.shape, dtype=bool)
    probabilities = np.where(allowed[known], dataset.action_probabilities[known], -1.0)
    tied[known] = probabilities >= probabilities.max(axis=1, keepdims=True) - 1e-9
    if not known.all():
        counts = np.where(allowed, state_counts(dataset), -1.0)[~known]
        top = counts.max(axis=1, keepdims=True)
        tied[~known] = (counts >= 0.0) & (top - counts <= TIE * np.sqrt(top + np.maximum(counts, 0.0)))
    return tied / tied.sum(axis=1, keepdims=True)


def reference_ratios(dataset: Dataset, propensities: np.ndarray, modal: np.ndarray) -> np.ndarray:
    """Reference over behaviour probability of each logged action, float64 (N,)."""
    taken = modal[np.arange(len(dataset)), dataset.actions]
    return np.asarray(0.5 + 0.5 * taken / propensities)


def episode_returns(dataset: Dataset) -> np.ndarray:
    """Discounted return of each episode to the horizon, float64 (E,)."""
    steps, specification = dataset.steps, dataset.specification
    counted = np.where(steps < specification.horizon, specification.discount**steps * dataset.rewards, 0.0)
    return np.add.reduceat(counted, dataset.offsets[:-1]) if len(dataset) else np.zeros(0)


def measure_overlap(dataset: Dataset, ratios: np.ndarray) -> Overlap:
    """The figures of given per-decision ratios, to the declared horizon.

    Args:
        dataset: the log.
        ratios: target over behaviour probability of each logged action, float64 (N,), above 0.
    """
    logarithms = np.where(dataset.steps < dataset.specification.horizon, np.log(ratios), 0.0)
    kept = dataset.splits != EMBARGO
    total = np.add.reduceat(logarithms, dataset.offsets[:-1])[kept]
    weights = np.exp(total - total.max(initial=0.0))  # only relative weights matter below
    returns = episode_returns(dataset)[kept]
    names, position = np.unique(dataset.units[kept], return_inverse=True)
    by_unit = np.bincount(position, weights=weights)
    squares = float((by_unit**2).sum())
    mean = float(returns.mean())
    centered = weights / weights.mean() * (returns - float(weights @ returns) / float(weights.sum())) - (returns - mean)
    per_unit = np.bincount(position, weights=centered) / (len(returns) / len(names))
    final_units = len(np.unique(dataset.units[dataset.splits == FINAL]))
    deviation = float(per_unit.std())
    scale = abs(mean) * math.sqrt(final_units)
    return Overlap(
        units=len(names),
        final_units=final_units,
        effective=float(by_unit.sum()) ** 2 / squares,
        largest_share=float(by_unit.max() / by_unit.sum()),
        mean_return=mean,
        deviation=deviation,
        # Where the reference policy is the behaviour policy there is no difference to measure.
        detectable=POWER * deviation / scale if scale > 0.0 and deviation > 0.0 else math.nan,
        weights=weights,
        returns=returns,
    )
