"""What stands behind every number of a log, said beside it in the same words by every command."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ai_engine.text import ESTIMATED_PROPENSITIES
from envs.card.grade import MEANINGS
from envs.dataset import Dataset

NOTICEABLE = 0.005
"""Share of decisions that is not rounded to 0 %."""


def unsupported(dataset: Dataset, probabilities: np.ndarray) -> float:
    """Mean probability (N, A) of actions that the log says it gave none: no weight can tell what they earn."""
    mass: float = np.where(dataset.action_probabilities == 0.0, probabilities, 0.0).sum(axis=1).mean()
    return float(mass)


def provisos(grade: str, *, estimated: bool, unreached: Mapping[str, float] | None = None) -> str:
    """Sentences, each after a space; empty where the log proves what it says.

    Args:
        grade: of the log. On C an interval may come out narrow although no row took the policy's other actions.
        estimated: whether the propensities are estimated.
        unreached: what is :func:`unsupported` of each policy, by its name.
    """
    unproven = f" The log is grade {grade}: {MEANINGS[grade]}." if grade in ("C", "D") else ""
    unproven += "".join(
        f" {name} takes actions that the log gave no chance in {share:.0%} of its decisions: what they earn is a "
        "model's word."
        for name, share in (unreached or {}).items()
        if share >= NOTICEABLE
    )
    return unproven + (f" {ESTIMATED_PROPENSITIES}" if estimated else "")
