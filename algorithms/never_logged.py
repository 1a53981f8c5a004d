"""Actions that the log never took: nothing is known that would speak for them, so no policy takes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from envs.dataset import Dataset

NEVER = -1e9
"""Score of an action that was never logged; where no other is allowed, the scores decide among them."""


def logged_actions(dataset: Dataset) -> np.ndarray:
    """Which declared actions were taken at least once, bool (A,)."""
    return np.bincount(dataset.actions, minlength=len(dataset.specification.actions)) > 0


def without_never_logged(
    weights: Sequence[tuple[np.ndarray, np.ndarray]], dataset: Dataset
) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """The network of pairs W, b whose last bias is lower by :data:`NEVER` at actions that were never logged."""
    *others, (weight, bias) = weights
    return (*others, (weight, bias + np.where(logged_actions(dataset), 0.0, NEVER)))
