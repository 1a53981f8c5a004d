"""Masks, exploration floor and draws, once for batches (arrays) and once for one decision (lists).

One decision is a handful of numbers, for which Python lists are several times faster than numpy.
Both forms do the same operations in the same order; a test compares them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from envs.errors import RecordError


class UniformSource(Protocol):
    """Whatever draws uniform numbers: ``random.Random`` or ``numpy.random.Generator``."""

    def random(self) -> float:
        """A uniform number in [0, 1)."""
        ...


def no_action_left() -> RecordError:
    """The error of a decision in which nothing is allowed."""
    return RecordError(
        "no action is allowed", field="allowed_actions", remedy="allow at least one of the declared actions"
    )


def allowed_mask(allowed: np.ndarray | None, rows: int, actions: int) -> np.ndarray:
    """The mask as bool (N, A); all actions where ``allowed`` is ``None``; (A,) is repeated.

    Raises:
        RecordError: a wrong shape, or a row in which no action is allowed.
    """
    if allowed is None:
        return np.ones((rows, actions), dtype=bool)
    mask = np.asarray(allowed, dtype=bool)
    if mask.ndim == 1 and len(mask) == actions:
        mask = np.broadcast_to(mask, (rows, actions))
    if mask.shape != (rows, actions):
        raise RecordError(
            f"the mask has shape {mask.shape}", field="allowed_actions", remedy=f"give a mask of ({rows}, {actions})"
        )
    if not mask.any(axis=1).all():
        raise no_action_left()
    return mask


def restrict(probabilities: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Probabilities given that the action is allowed; uniform where none of the mass is. NaN rows stay NaN.

    Args:
        probabilities: float64 (N, A).
        allowed: bool (N, A), at least one true in each row.
    """
    if allowed.all():
        return probabilities
    kept = np.where(allowed, probabilities, 0.0)
    kept[np.isnan(probabilities).any(axis=1)] = np.nan
    total = kept.sum(axis=1, keepdims=True)
    # Rows that lose nothing stay as they are, bit for bit.
    total[(kept == probabilities).all(axis=1) & (total[:, 0] > 0.0)] = 1.0
    uniform = allowed / allowed.sum(axis=1, keepdims=True)
    return np.divide(kept, total, out=uniform, where=total != 0.0)


def add_floor(probabilities: np.ndarray, allowed: np.ndarray, explore: float) -> np.ndarray:
    """(1 − e) p + e / |allowed| on the allowed actions, float64 (N, A)."""
    if explore == 0.0:
        return probabilities
    return (1.0 - explore) * probabilities + explore * allowed / allowed.sum(axis=1, keepdims=True)


def restrict_row(probabilities: list[float], allowed: Sequence[bool] | None) -> list[float]:
    """:func:`restrict` for one decision; ``None`` allows everything."""
    if allowed is None:
        return probabilities
    kept = [p if ok else 0.0 for p, ok in zip(probabilities, allowed, strict=True)]
    total = sum(kept)
    if total > 0.0:
        return kept if kept == probabilities else [p / total for p in kept]
    share = 1.0 / sum(allowed)
    return [share if ok else 0.0 for ok in allowed]


def add_floor_row(probabilities: list[float], allowed: Sequence[bool] | None, explore: float) -> list[float]:
    """:func:`add_floor` for one decision; ``None`` allows everything."""
    if explore == 0.0:
        return probabilities
    keep = 1.0 - explore
    if allowed is None:
        share = explore / len(probabilities)
        return [keep * p + share for p in probabilities]
    share = explore / sum(allowed)
    return [keep * p + share if ok else 0.0 for p, ok in zip(probabilities, allowed, strict=True)]


def draw(probabilities: list[float], random: UniformSource) -> int:
    """An index drawn with exactly these probabilities; never one of probability zero."""
    level = random.random()
    cumulative = 0.0
    chosen = -1
    for index, probability in enumerate(probabilities):
        if probability > 0.0:
            chosen = index
            cumulative += probability
            if level < cumulative:
                break
    return chosen
