"""What a test with the true Q finds in the same final units: the most that any model class could add."""

from __future__ import annotations

import numpy as np
from scipy import stats

from algorithms.ope.padding import pad, trajectories_from
from algorithms.ope.paired import paired_difference
from algorithms.ope.trajectories import Trajectories
from benchmarks.trust.worlds import World, on_rows
from envs.dataset import Dataset


def oracle_finds(
    world: World, tested: Dataset, candidate: np.ndarray, champion: np.ndarray, level: float
) -> bool | None:
    """Whether a one-sided t test of the doubly robust differences with the true Q finds the candidate better.

    It knows which variant is the best, spends the whole level on it, and minds no overlap.

    Args:
        world: the truth; its states are observed.
        tested: the final episodes that the gate reads.
        candidate: float64 (S, A).
        champion: float64 (S, A).
        level: of the test.

    Returns:
        ``None`` where there are fewer than two episodes.
    """
    if tested.episode_count < 2:
        return None
    differences = paired_difference(*(true_trajectories(world, tested, policy) for policy in (candidate, champion)))
    deviation = float(differences.std(ddof=1))
    if deviation <= 0.0:
        return bool(differences.mean() > 0.0)
    statistic = np.sqrt(len(differences)) * float(differences.mean()) / deviation
    return bool(statistic > stats.t.isf(level, len(differences) - 1))


def true_trajectories(world: World, dataset: Dataset, policy: np.ndarray) -> Trajectories:
    """The episodes under a policy (S, A) with the exact Q of the decisions that are left."""
    values, horizon = world.q_values(policy), world.horizon
    rows = dataset.rows
    states = pad(dataset, dataset.observations[rows, 0].astype(np.int64), horizon)
    actions = pad(dataset, dataset.actions, horizon)
    active = pad(dataset, np.ones(len(dataset), dtype=bool), horizon)
    left = horizon - np.arange(horizon)
    q = np.where(active, values[left, states, actions], 0.0)
    v = np.zeros((dataset.episode_count, horizon + 1))
    v[:, :-1] = np.where(active, (values[left, states] * policy[states]).sum(axis=2), 0.0)
    return trajectories_from(dataset, on_rows(dataset, policy[None])[0][rows], q=q, v=v)
