"""How much the policy that wrote a log explored, by its own propensities."""

from __future__ import annotations

import math

import numpy as np

from envs.card.propensities import possible_probabilities
from envs.dataset import Dataset


def exploration_share(dataset: Dataset) -> float:
    """The mean share of a decision that is uniform over its allowed actions: Σ |A| min_a p(a) / N.

    Of a rule with a uniform floor ε this is ε. Where only the taken action's propensity p is known, the others share
    1 - p evenly, which is exact where the rule is deterministic.

    Args:
        dataset: the log.

    Returns:
        In [0, 1]; NaN where no decision with a choice has a propensity.
    """
    allowed = dataset.allowed[dataset.rows]
    choices = allowed.sum(axis=1)
    every = np.where(allowed, dataset.action_probabilities, math.inf).min(axis=1, initial=math.inf)
    alone = np.where(allowed, possible_probabilities(dataset), math.inf).min(axis=1, initial=math.inf)
    least = np.where(np.isfinite(every), every, alone)
    known = (np.isfinite(every) | np.isfinite(dataset.propensities)) & (choices > 1)
    return float((choices * least)[known].mean()) if known.any() else math.nan
