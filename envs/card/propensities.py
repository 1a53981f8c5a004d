"""Are the logged propensities those of the policy that acted?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from statistics import NormalDist

import numpy as np

from envs.behavior import state_counts, unit_folds
from envs.dataset import Dataset

# A cell enters the test where other units took the action so often: support, judged without looking.
MINIMUM_COUNT = 5
# Effective hits needed in a test.
MINIMUM_HITS = 30
# The sum of 1 / p has a heavy tail: while its largest terms have not been drawn it is too small and looks too
# sure of it. So many terms of the largest size can fail to be drawn at the test's level (Poisson).
UNSEEN_TERMS = 8
# Below this relative difference a residual is no contradiction, however many rows make it significant.
NEGLIGIBLE = 0.05
UNIFORM = 1e-6
USUAL = 0.5
"""A propensity above this is that of the only action that can have one so large."""


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """What was drawn less what was likely, and how far chance moves it.

    Attributes:
        residuals: float64 (N, A), of mean 0 given everything before the draw; 0 where nothing is known.
        likely: probability of each action (N, A); what the taken one's leaves, evenly, where it alone is known.
        unit: what a residual changes by where its action is drawn, (N, A).
    """

    residuals: np.ndarray
    likely: np.ndarray
    unit: np.ndarray

    def variance(self, factors: np.ndarray) -> float:
        """Of the sum of the residuals times these factors (N, A), over all the draws that there could have been."""
        moved = factors * self.unit
        return float(((moved**2 * self.likely).sum(axis=1) - (moved * self.likely).sum(axis=1) ** 2).sum())


def martingale_residual(dataset: Dataset) -> float:
    """The largest standardised residual |z| over the actions; NaN where nothing can be tested.

    Under the policy that acted, what happened less what was likely is a martingale difference, whatever
    the observations, however sticky the log. The residual of a' is Σ (1{a = a'} - p(a')) over the root of
    Σ p(a') (1 - p(a')) where the probabilities of all actions are logged. With the taken action's
    propensity alone it is Σ (1{a = a'} / p - 1), over rows where a' was allowed and other units took it in
    the same state (elsewhere it may have had no probability at all), over the root of its sum of squares
    with an allowance for large terms that were not drawn: the harmonic mean test of Li, Kim & Zitouni
    (2015), "Toward predicting the outcome of an A/B experiment for search relevance", as used by Lefortier
    et al. (2016), "Large-scale validation of counterfactual learning methods". This second form counts only
    where the sum is 5 % off. What states cannot show, as they may mix situations, is told by
    :func:`_too_few_rare_draws`.

    The largest of several residuals is given as the one residual that is as rare (Šidák).

    Args:
        dataset: the log.
    """
    every = _probabilities(dataset)
    known = np.isfinite(every).all(axis=1)
    taken = np.eye(len(dataset.specification.actions))[dataset.actions]
    if known.mean() >= 0.5:
        probabilities = every[known]
        variance = (probabilities * (1.0 - probabilities)).sum(axis=0)
        total = (taken[known] - probabilities).sum(axis=0)
        # An action with probability 0 or 1 throughout has neither variance nor residual.
        return _rarity(list(np.abs(total) / np.sqrt(np.maximum(variance, 1e-6))))
    if not np.isfinite(dataset.propensities).any() or len(np.unique(dataset.units)) < 2:
        return math.nan
    return _rarity([*_harmonic_residuals(dataset, taken), *_too_few_rare_draws(dataset)])


def draw_residuals(dataset: Dataset) -> Draws | None:
    """The residuals of the draws; ``None`` where no probability is known.

    With the taken action's propensity alone a residual is 1 / p - 1 or -1 over its usual size, for actions of which
    enough was drawn, and in one half of the units: the other half says where there is support, what is enough, and
    the usual size. Whatever of that were read off the same draws, or two halves for each other, would make residuals
    that foretell each other.
    """
    every = _probabilities(dataset)
    known = np.isfinite(every).all(axis=1)
    taken = np.eye(len(dataset.specification.actions))[dataset.actions]
    if known.mean() >= 0.5:
        likely = np.where(known[:, None], every, 0.0)
        return Draws(np.where(known[:, None], taken - likely, 0.0), likely, np.ones_like(likely))
    if not np.isfinite(dataset.propensities).any() or len(np.unique(dataset.units)) < 2:
        return None
    weights = taken * np.where(np.isfinite(dataset.propensities), 1.0 / dataset.propensities, 0.0)[:, None]
    testable, read = _testable(dataset), unit_folds(dataset.units, 2)[dataset.episode_index] == 1
    other = testable & ~read[:, None]
    sums, squares = ((np.where(other, weights, 0.0) ** power).sum(axis=0) for power in (1, 2))
    enough = sums**2 >= MINIMUM_HITS * squares
    likely = possible_probabilities(dataset)
    chosen = testable & read[:, None] & enough & (sums > 0.0) & (likely > 0.0)
    size = np.where(chosen, np.sqrt(np.maximum(squares, 1.0)), np.inf)
    return Draws((weights - 1.0) / size, likely, 1.0 / (np.where(chosen, likely, 1.0) * size))


def _probabilities(dataset: Dataset) -> np.ndarray:
    """Those of all actions as they were logged, (N, A); where every draw was uniform, one tells them all."""
    allowed = dataset.allowed[dataset.rows]
    count = allowed.sum(axis=1)
    if np.abs(dataset.propensities * count - 1.0).max(initial=0.0) <= UNIFORM:
        return np.asarray(allowed / count[:, None])
    return dataset.action_probabilities


def possible_probabilities(dataset: Dataset) -> np.ndarray:
    """The taken action's propensity, and for the others what it leaves, evenly, (N, A); 0 where none is known.

    It says how rare what was not drawn may have been, and no more: an action may have had less.
    """
    rows, allowed = np.arange(len(dataset)), dataset.allowed[dataset.rows]
    known = np.nan_to_num(dataset.propensities)
    left = np.where(known > 0.0, 1.0 - known, 0.0) / np.maximum(allowed.sum(axis=1) - 1, 1)
    likely = np.where(allowed, np.maximum(left, 0.0)[:, None], 0.0)
    likely[rows, dataset.actions] = known
    return likely


def _testable(dataset: Dataset) -> np.ndarray:
    """Where an action was allowed and other units took it in the same state, bool (N, A)."""
    # One half of the units says where there is support, the other is tested there, and the other way round:
    # a row that helped to choose where it is tested would be tested where it occurred too often.
    testable = np.isfinite(dataset.propensities)[:, None] & dataset.allowed[dataset.rows]
    return np.asarray(testable & (state_counts(dataset, folds=2) >= MINIMUM_COUNT))


def _harmonic_residuals(dataset: Dataset, taken: np.ndarray) -> list[float]:
    """|z| of each action in each half of the units, where it can be tested; 0 where it is negligible."""
    half, testable = unit_folds(dataset.units, 2)[dataset.episode_index], _testable(dataset)
    likely = possible_probabilities(dataset)
    # Rare actions of which none was drawn have the largest terms of all.
    possible = (likely > 0.0) & (testable | (taken > 0.0))
    largest = np.max(possible / np.where(possible, likely, 1.0), axis=0)
    found = []
    for action, part in product(range(taken.shape[1]), range(2)):
        chosen = testable[:, action] & (half == part)
        weights = taken[chosen, action] / dataset.propensities[chosen]
        if weights.sum() ** 2 < MINIMUM_HITS * (weights**2).sum() or not weights.any():
            continue
        residual = weights - 1.0
        noticeable = abs(float(residual.mean())) >= NEGLIGIBLE
        total, variance = float(residual.sum()), float((residual**2).sum())
        if total < 0.0:
            variance += UNSEEN_TERMS * float(largest[action]) ** 2
        else:  # what was not drawn here are other actions: as many as those that were drawn leave room for
            variance = max(variance, float((weights * (weights - 1.0)).sum()))
        found.append(abs(total) / math.sqrt(variance) if noticeable else 0.0)
    return found


def _too_few_rare_draws(dataset: Dataset) -> list[float]:
    """|z| of the draws of a propensity of at most a half, where they are fewer than the others leave room for; else 0.

    Where an action with p > 1 / 2 was drawn, others had 1 - p; over p, as it is seen with that probability, this is
    their expected number, whatever the observation. Without such an action every draw counts as rare, never too few.
    A constant that was taken for a propensity is found by it. |z| is the root of the Poisson deviance, half a draw
    away, over what the variance exceeds Poisson's: where few are expected it is as rare as they are.
    """
    propensities = dataset.propensities[np.isfinite(dataset.propensities)]
    usual = propensities[propensities > USUAL]
    expected, drawn = float((1.0 / usual - 1.0).sum()), len(propensities) - len(usual) + 0.5
    if not len(usual) or drawn >= (1.0 - NEGLIGIBLE) * expected:
        return [0.0] if len(usual) else []
    excess = float(((1.0 / usual - 1.0) / usual).sum()) / expected
    deviance = 2.0 * (expected - drawn - drawn * math.log(expected / drawn))
    return [math.sqrt(deviance / excess)]


def _rarity(residuals: Sequence[float]) -> float:
    """The |z| of a single test that is as rare as the largest of these; NaN without any."""
    if not residuals:
        return math.nan
    largest = float(max(residuals))
    if largest > 8.0:  # beyond the precision of the normal tail, and of any doubt
        return largest
    normal = NormalDist()
    alone = 2.0 * normal.cdf(-largest)
    together = -math.expm1(len(residuals) * math.log1p(-alone)) if alone < 1.0 else 1.0
    return abs(normal.inv_cdf(together / 2.0))


def contradictions(dataset: Dataset) -> int:
    """Rows whose propensity is not the probability that they give to the action taken."""
    rows = np.arange(len(dataset))
    stated = dataset.action_probabilities[rows, dataset.actions]
    both = np.isfinite(stated) & np.isfinite(dataset.propensities)
    return int((np.abs(stated - dataset.propensities)[both] > 1e-3 * np.maximum(stated[both], 1e-3)).sum())
