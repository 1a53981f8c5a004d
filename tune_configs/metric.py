"""The one number that Tune maximises: how much better than the champion a policy is on ``select``, cautiously.

It is the lower bound of the paired difference. Where the log does not reach the policy there is no such
bound, and the number is the smallest difference that there could be, so that a trial has it from its first
report on and no model's word competes with the log's.
"""

from __future__ import annotations

import numpy as np

from envs.dataset import Dataset
from tune_configs.judge import Judgement

METRIC = "lower_bound"
"""Its name in a trial's reports."""


def smallest_difference(dataset: Dataset) -> float:
    """The difference between the smallest and the largest return that the declaration allows; below 0.

    A return counts between one decision and the horizon. Where no ``reward_range`` is declared, the smallest and the
    largest reward of ``dataset`` stand for it.
    """
    specification = dataset.specification
    declared = specification.reward_range
    low, high = declared or (float(dataset.rewards.min()), float(dataset.rewards.max()))
    total = float((specification.discount ** np.arange(specification.horizon)).sum())
    return min(low, low * total) - max(high, high * total)


def flat_metric(judgement: Judgement, smallest: float) -> float:
    """The lower bound, never below ``smallest``, which a refusal scores."""
    lower = judgement.gain.lower if judgement.gain.usable else smallest
    return max(lower, smallest) if np.isfinite(lower) else smallest
