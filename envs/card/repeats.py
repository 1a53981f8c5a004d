"""Steps that were recorded twice under different names, and steps in another order than they happened."""

from __future__ import annotations

import numpy as np

from envs.card.findings import Finding
from envs.dataset import Dataset

LEAST_SHARE = 0.01
LEAST_EPISODES = 5
"""Of each kind: a clock that is set back once or a single resend touches fewer."""
DISTINCT = 0.9
"""Share of episodes that must be unlike all others for copies to be no coincidence."""


def repeated_episodes(dataset: Dataset, once: Dataset) -> Finding | None:
    """Whole episodes that are there again under another name: the same moments, observations, actions and rewards.

    Where observations are few and no clock was read equal episodes are no wonder, and nothing is said.
    """
    copies = dataset.episode_count - once.episode_count
    if not copies:
        return None
    return Finding(
        "repeated_episodes",
        "error",
        f"{copies:,} of {dataset.episode_count:,} episodes repeat another one word for word under another episode_id",
        "they count as evidence twice, and a copy of what was trained on may judge it",
        "exclude the second import (retrainer log exclude), and give records an event_id",
    )


def without_copies(dataset: Dataset) -> Dataset:
    """The first of each of the episodes that are copies of each other; the log itself where none are."""
    few = dataset.specification.observation.kind == "int" and not _clocked(dataset)
    if few or not dataset.episode_count:
        return dataset
    moments = np.nan_to_num(dataset.timestamps)
    seen = dataset.observations[dataset.rows]
    content = _hashed(np.column_stack([moments, seen, dataset.actions, dataset.rewards]))
    situation = _hashed(np.column_stack([moments, seen]))
    firsts = np.unique(_of_episodes(dataset, content), return_index=True)[1]
    copies = dataset.episode_count - len(firsts)
    if copies < max(LEAST_EPISODES, LEAST_SHARE * dataset.episode_count):
        return dataset
    kept = dataset.select_episodes(np.sort(firsts))
    alone = len(np.unique(situation)) / max(len(kept), 1)
    return dataset if alone < DISTINCT else kept


def repeated_steps(dataset: Dataset) -> Finding | None:
    """Decisions that repeat the one before in the same episode, at the same moment."""
    if not len(dataset) or not _clocked(dataset):
        return None
    now = np.column_stack([dataset.timestamps, dataset.observations[dataset.rows], dataset.actions, dataset.rewards])
    same = (now[1:] == now[:-1]) | (np.isnan(now[1:]) & np.isnan(now[:-1]))
    again = same.all(axis=1) & (dataset.steps[1:] > 0)
    episodes = len(np.unique(dataset.episode_index[1:][again]))
    if not again.any() or episodes < max(LEAST_EPISODES, LEAST_SHARE * dataset.episode_count):
        return None
    return Finding(
        "repeated_steps",
        _severity(dataset),
        f"{int(again.sum()):,} decisions in {episodes:,} episodes repeat the one before, at the same moment",
        "rewards are counted twice, and episodes are longer than they were",
        "record each decision once, or give a resent record the event_id that it had",
    )


def shuffled_steps(dataset: Dataset) -> Finding | None:
    """Episodes whose later steps have earlier timestamps."""
    if not len(dataset):
        return None
    moments = dataset.timestamps
    back = (moments[1:] < moments[:-1]) & (dataset.steps[1:] > 0)
    episodes = len(np.unique(dataset.episode_index[1:][back]))
    if episodes < max(LEAST_EPISODES, LEAST_SHARE * dataset.episode_count):
        return None
    return Finding(
        "shuffled_steps",
        _severity(dataset),
        f"in {episodes:,} of {dataset.episode_count:,} episodes a later step has an earlier timestamp",
        "what followed what is not known, so that next observations and returns are those of other decisions",
        "number the steps in the order in which they happened, from 0",
    )


def _severity(dataset: Dataset) -> str:
    """An error where what follows counts."""
    return "error" if dataset.specification.horizon > 1 else "warning"


def _clocked(dataset: Dataset) -> bool:
    return bool(np.isfinite(dataset.timestamps).all())


def _hashed(values: np.ndarray) -> np.ndarray:
    """A number for each row that equal rows share, uint64 (N,)."""
    bits = np.ascontiguousarray(values + 0.0, dtype=np.float64).view(np.uint64)
    factors = np.random.default_rng(0).integers(1, 2**63, size=bits.shape[1], dtype=np.uint64) | np.uint64(1)
    mixed = (bits ^ (bits >> np.uint64(29))) * factors
    return np.asarray((mixed ^ (mixed >> np.uint64(32))).sum(axis=1, dtype=np.uint64))


def _of_episodes(dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    """A number for each episode that those of equal content in equal order share, uint64 (E,)."""
    turns = np.random.default_rng(1).integers(1, 2**63, size=int(dataset.lengths.max()), dtype=np.uint64)
    mixed = (rows ^ turns[dataset.steps]) * (turns[dataset.steps] | np.uint64(1))
    return np.asarray(np.add.reduceat(mixed, dataset.offsets[:-1]))
