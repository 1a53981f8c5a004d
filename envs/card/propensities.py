"""Are the logged propensities those of the policy that acted?"""

from __future__ import annotations

import math

import numpy as np

from envs.behavior import state_counts
from envs.dataset import Dataset

# A cell enters the test where other units took the action so often: support, judged without looking.
MINIMUM_COUNT = 5
# Below this relative difference a residual is no contradiction, however many rows make it significant.
NEGLIGIBLE = 0.05


def martingale_residual(dataset: Dataset) -> float:
    """The largest standardised residual |z| over the actions; NaN where nothing can be tested.

    Under the policy that acted, what happened less what was likely is a martingale difference, whatever
    the observations, however sticky the log. With the probabilities of all actions the residual of a' is
    Σ (1{a = a'} - p(a')) over the root of Σ p(a') (1 - p(a')). With the taken action's propensity alone
    it is Σ (1{a = a'} / p - 1), over rows where a' was allowed and other units took it in the same state
    (elsewhere it may have had no probability at all), over the root of its sum of squares: the harmonic
    mean test of Li, Kim & Zitouni (2015), "Toward predicting the outcome of an A/B experiment for search
    relevance", as used by Lefortier et al. (2016), "Large-scale validation of counterfactual learning
    methods". This second form counts only where the sum is 5 % off.

    Args:
        dataset: the log.
    """
    known = np.isfinite(dataset.action_probabilities).all(axis=1)
    taken = np.eye(len(dataset.specification.actions))[dataset.actions]
    if known.mean() >= 0.5:
        probabilities = dataset.action_probabilities[known]
        variance = (probabilities * (1.0 - probabilities)).sum(axis=0)
        total = (taken[known] - probabilities).sum(axis=0)
        # An action with probability 0 or 1 throughout has neither variance nor residual.
        return float(np.max(np.abs(total) / np.sqrt(np.maximum(variance, 1e-6))))
    rows = np.isfinite(dataset.propensities)
    if not rows.any() or len(np.unique(dataset.units)) < 2:
        return math.nan
    testable = rows[:, None] & dataset.allowed[dataset.rows] & (state_counts(dataset) >= MINIMUM_COUNT)
    largest = 0.0
    for action in range(taken.shape[1]):
        chosen = testable[:, action]
        if chosen.sum() < 50:
            continue
        residual = taken[chosen, action] / dataset.propensities[chosen] - 1.0
        if abs(float(residual.mean())) >= NEGLIGIBLE:
            largest = max(largest, abs(float(residual.sum())) / math.sqrt(float((residual**2).sum())))
    return largest


def contradictions(dataset: Dataset) -> int:
    """Rows whose propensity is not the probability that they give to the action taken."""
    rows = np.arange(len(dataset))
    stated = dataset.action_probabilities[rows, dataset.actions]
    both = np.isfinite(stated) & np.isfinite(dataset.propensities)
    return int((np.abs(stated - dataset.propensities)[both] > 1e-3 * np.maximum(stated[both], 1e-3)).sum())
