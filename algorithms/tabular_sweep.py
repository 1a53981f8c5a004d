"""Sweeps of tabular Q-learning, alone or on two halves: pure functions from one solution to the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from algorithms.tabular_solver import (
    Transitions,
    cell_values,
    greedy_table,
    improvement_moves,
    squared_errors,
    targets_of,
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a sweep needs to know besides the log; see :class:`algorithms.tabular_q.TabularQConfig`."""

    discount: float
    anchored: bool
    pessimism: float = 0.0
    minimum_count: float = 1.0
    floor: float = 0.0
    temperature: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """Where the sweeps have come to; one entry of the first axis for each half of the log.

    Attributes:
        values: Q, float64 (halves, Z, A).
        errors: squared standard errors, float64 (halves, Z, A).
        policies: moves int64 or probabilities float64, (halves, Z, A).
        residual: largest change of Q in the last sweep.
        changes: entries of the policies that the last sweep changed.
    """

    values: np.ndarray
    errors: np.ndarray
    policies: np.ndarray
    residual: float = float("inf")
    changes: int = 0


def choose(settings: Settings, values: np.ndarray, errors: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The policy by the settings: moves (Z, A) where anchored, else probabilities (Z, A)."""
    if settings.anchored:
        return improvement_moves(values, errors, counts, settings.pessimism, settings.minimum_count)
    return greedy_table(values, errors, counts, settings.pessimism, settings.minimum_count, settings.temperature)[0]


def begin(parts: list[Transitions], settings: Settings) -> Solution:
    """Q = 0 and the policy that changes nothing (anchored) or is uniform."""
    states, actions = parts[0].state_count, parts[0].action_count
    shape = (len(parts), states, actions)
    policies = np.broadcast_to(np.arange(actions), shape) if settings.anchored else np.full(shape, 1.0 / actions)
    return Solution(np.zeros(shape), np.full(shape, np.inf), policies.copy())


def sweep(parts: list[Transitions], settings: Settings, solution: Solution, frozen: bool = False) -> Solution:
    """Back up every row once, then choose the policy anew unless it is frozen.

    With two parts (double Q-learning, van Hasselt 2010) a part's policy is chosen on its own rows and
    valued by the other part's Q, which does not share its noise.
    """
    values, errors, policies = (np.empty_like(array) for array in (solution.values, solution.errors, solution.policies))
    for index, part in enumerate(parts):
        judge = solution.values[(index + 1) % len(parts)]
        targets = targets_of(part, judge, solution.policies[index], settings.discount, settings.floor)
        rows = part.sums()
        values[index] = cell_values(part, targets, rows)
        errors[index] = squared_errors(part, targets, values[index], rows)
        policies[index] = (
            solution.policies[index] if frozen else choose(settings, values[index], errors[index], part.counts)
        )
    return Solution(
        values=values,
        errors=errors,
        policies=policies,
        residual=float(np.abs(values - solution.values).max()),
        changes=int((policies != solution.policies).sum()),
    )


def conclude(
    parts: list[Transitions], settings: Settings, solution: Solution
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Q (Z, A), the policy (Z, A) and the uncertain states (Z,) of all parts together, cells weighted by their rows."""
    counts = np.stack([part.counts for part in parts])
    rows = np.stack([part.sums() for part in parts])
    total = rows.sum(axis=0)
    share = np.where(total > 0, rows / np.maximum(total, 1.0), 1.0 / len(parts))
    values = (share * solution.values).sum(axis=0)
    errors = (share**2 * np.where(rows > 0, solution.errors, 0.0)).sum(axis=0)
    errors = np.where(total > 0, errors, np.inf)
    _, uncertain = greedy_table(values, errors, counts.sum(axis=0), settings.pessimism, settings.minimum_count)
    if len(parts) == 1:
        return values, solution.policies[0], uncertain
    return values, choose(settings, values, errors, counts.sum(axis=0)), uncertain
