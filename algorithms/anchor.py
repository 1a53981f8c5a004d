"""The policy that an improvement is anchored to, at every row of a dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from algorithms.policy import Policy
from envs.dataset import Dataset
from envs.errors import ArtefactError


def base_probabilities(dataset: Dataset, champion: str | Path | None) -> np.ndarray:
    """Probabilities of the base without its floor, float64 (N + E, A); NaN rows where it is not known.

    Args:
        dataset: the log, which carries the bare rule's probabilities at every row.
        champion: artefact file of a policy over that rule; ``None`` means the rule itself.

    Raises:
        ArtefactError: the file is missing, corrupt or of another agent.
    """
    root = np.asarray(dataset.root_probabilities)
    if champion is None:
        return root
    path = Path(champion)
    try:
        policy = Policy.from_bytes(path.read_bytes(), where=str(path))
    except OSError:
        raise ArtefactError("cannot be read", where=str(path), remedy="give the champion's artefact file") from None
    specification = dataset.specification
    if policy.agent != specification.name or policy.actions != specification.actions:
        raise ArtefactError(
            f"is of agent {policy.agent}", where=str(path), remedy=f"give an artefact of agent {specification.name}"
        )
    known = ~np.isnan(dataset.observations).all(axis=1)
    out = np.full(root.shape, np.nan)
    out[known] = policy.probabilities(
        dataset.observations[known], allowed=dataset.allowed[known], base=root[known], floor=False
    )
    return out


def fill_by_state(base: np.ndarray, states: np.ndarray, state_count: int) -> np.ndarray:
    """Rows of NaN take the mean base of their state; a state without any known base keeps NaN.

    Args:
        base: float64 (M, A).
        states: int64 (M,), -1 where unknown.
        state_count: Z.
    """
    unknown = np.isnan(base).any(axis=1)
    if not unknown.any():
        return base
    usable = ~unknown & (states >= 0)
    sums = np.stack(
        [np.bincount(states[usable], base[usable, action], state_count) for action in range(base.shape[1])], axis=1
    )
    counts = np.bincount(states[usable], minlength=state_count)[:, None]
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    out = base.copy()
    out[unknown] = np.where((states[unknown] >= 0)[:, None], means[np.maximum(states[unknown], 0)], np.nan)
    return out
