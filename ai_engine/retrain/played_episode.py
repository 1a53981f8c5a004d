"""An episode as it is handed to a trainer that learns on-policy, checked column by column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ai_engine.retrain.tabular_inputs import whole_index
from envs.errors import RecordError


@dataclass(frozen=True, slots=True, eq=False)
class PlayedEpisode:
    """n decisions of one or more episodes, without their states.

    Attributes:
        actions: int64 (n,).
        rewards: float64 (n,).
        dones: bool (n,).
        allowed: bool (n, A), or ``None`` where everything is.
        propensities: float64 (n,), or ``None`` where they are not given.
    """

    actions: np.ndarray
    rewards: np.ndarray
    dones: np.ndarray
    allowed: np.ndarray | None
    propensities: np.ndarray | None


def read_episode(
    actions: Any, rewards: Any, dones: Any, allowed: Any, propensities: Any, action_size: int
) -> PlayedEpisode:
    """The columns as arrays.

    Raises:
        RecordError: a column has another length than the actions, or a value does not fit; names it.
    """
    count = len(actions)
    chosen = np.array([whole_index(action, "actions", action_size) for action in actions], dtype=np.int64)
    paid, mask, known = _numbers(rewards, "rewards", count), None, None
    if not np.isfinite(paid).all():
        raise RecordError("holds numbers that are not finite", field="rewards", remedy="give finite numbers")
    if allowed is not None:
        mask = read_mask(allowed, count, action_size)
        if not mask[np.arange(count), chosen].all():
            raise RecordError("holds one that was not allowed", field="actions", remedy="mask before drawing")
    if propensities is not None:
        known = _numbers(propensities, "propensities", count)
        if not ((known > 0.0) & (known <= 1.0)).all():
            raise RecordError("are not in (0, 1]", field="propensities", remedy="give the probability of each action")
    return PlayedEpisode(chosen, paid, _numbers(dones, "dones", count) != 0.0, mask, known)


def read_mask(allowed: Any, count: int, action_size: int) -> np.ndarray:
    """A mask, bool (n, A).

    Raises:
        RecordError: another shape, or a row in which nothing is allowed.
    """
    mask = np.asarray(allowed, dtype=bool)
    if mask.shape != (count, action_size) or not mask.any(axis=1).all():
        problem = f"is no mask of {count} decisions and {action_size} actions"
        raise RecordError(problem, field="allowed", remedy="allow at least one action in each")
    return mask


def _numbers(values: Any, field: str, count: int) -> np.ndarray:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise RecordError("are not numbers", field=field, remedy="give one number a decision") from None
    if array.shape != (count,):
        raise RecordError(f"has shape {array.shape}", field=field, remedy=f"give one for each of {count} decisions")
    return array
