"""What fitted Q evaluation regresses with, and the simplest of it: a table of states.

A model holds the representation of all M rows of a dataset once; fits and evaluations name rows by
index, so that folds and policies share it. Every regression is linear in its targets, so P policies
are solved at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from algorithms.ope.row_features import BLOCK
from envs.errors import DataError

Bounds = tuple[float, float] | None


@dataclass(frozen=True, slots=True, eq=False)
class Transitions:
    """n logged transitions for a regression.

    Attributes:
        rows: int64 (n,), row of the observation.
        next_rows: int64 (n,), row of the next observation; read only where ``continues``.
        actions: int64 (n,).
        rewards: float64 (n,).
        continues: bool (n,), False after a termination: nothing is earned from there on.
    """

    rows: np.ndarray
    next_rows: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    continues: np.ndarray


class Regression(Protocol):
    """One fold's regression, with everything precomputed that does not depend on the targets."""

    def backup(self, previous: np.ndarray | None, bounds: Bounds) -> np.ndarray:
        """Coefficients of Q̂_h from those of Q̂_{h-1} (``None``: zero), clipped to ``bounds`` where used."""
        ...


class StateActionModel(Protocol):
    """A class of functions of (row, action)."""

    def regression(self, transitions: Transitions, probabilities: np.ndarray, discount: float) -> Regression:
        """Prepare the regression of r + γ V̂(s') for policies ``probabilities`` (P, M, A)."""
        ...

    def values(self, coefficients: np.ndarray, rows: np.ndarray, bounds: Bounds) -> np.ndarray:
        """Q̂ of every action at the named rows, float64 (P, m, A)."""
        ...


class TabularModel:
    """One number per (state, action), shrunk to the state's mean and that to the mean of all.

    With κ = ``shrinkage`` imagined rows: m_s = (Σ_{s} y + κ ȳ) / (n_s + κ), and
    Q̂(s, a) = (Σ_{sa} y + κ m_s) / (n_sa + κ). At κ = 0 only empty cells take m_s, empty states ȳ.

    Args:
        states: int64 (M,), -1 for a row that no state holds (all of those share one state).
        count: number of states.
        actions: number of actions, A.
        shrinkage: κ ≥ 0.
    """

    def __init__(self, states: np.ndarray, count: int, actions: int, *, shrinkage: float = 1.0) -> None:
        states = np.asarray(states, dtype=np.int64)
        if states.max(initial=-1) >= count:
            raise DataError(f"state {states.max()} of {count}", where="TabularModel", remedy="encode with one encoder")
        self.states = np.where(states < 0, count, states)
        self.state_count = count + 1
        self.actions = actions
        self.shrinkage = float(shrinkage)

    def regression(self, transitions: Transitions, probabilities: np.ndarray, discount: float) -> Regression:
        """See :class:`StateActionModel`."""
        return _TabularRegression(self, transitions, probabilities, discount)

    def values(self, coefficients: np.ndarray, rows: np.ndarray, bounds: Bounds) -> np.ndarray:
        """See :class:`StateActionModel`."""
        return clip_values(coefficients[:, self.states[rows]], bounds)


class _TabularRegression:
    """Sums over distinct (state, action, next state), weighted by each policy's next probabilities.

    A sweep then costs the number of distinct transitions, not of rows, and stays exact where a
    policy's probabilities differ between rows of one state.
    """

    def __init__(
        self, model: TabularModel, transitions: Transitions, probabilities: np.ndarray, discount: float
    ) -> None:
        self.model, self.policies = model, len(probabilities)
        shape = (model.state_count, model.actions)
        cell = model.states[transitions.rows] * model.actions + transitions.actions
        self.cell_counts = np.bincount(cell, minlength=shape[0] * shape[1]).astype(np.float64).reshape(shape)
        self.reward_sums = np.bincount(cell, weights=transitions.rewards, minlength=shape[0] * shape[1]).reshape(shape)
        going = np.flatnonzero(transitions.continues)
        key = cell[going] * model.state_count + model.states[transitions.next_rows[going]]
        order = np.argsort(key, kind="stable")
        key = key[order]
        starts = np.flatnonzero(np.diff(key, prepend=-1))
        self.next_states = key[starts] % model.state_count
        self.cells, self.cell_starts = np.unique(key[starts] // model.state_count, return_index=True)
        self.weights = np.zeros((self.policies, len(starts), model.actions))
        for start in range(0, len(order), BLOCK):
            rows = transitions.next_rows[going[order[start : start + BLOCK]]]
            first = np.searchsorted(starts, start, side="right") - 1
            last = np.searchsorted(starts, start + len(rows))
            inside = np.maximum(starts[first:last] - start, 0)
            self.weights[:, first:last] += discount * np.add.reduceat(probabilities[:, rows], inside, axis=1)

    def backup(self, previous: np.ndarray | None, bounds: Bounds) -> np.ndarray:
        sums = np.broadcast_to(self.reward_sums, (self.policies, *self.reward_sums.shape)).copy()
        if previous is not None and len(self.next_states):
            clipped = clip_values(previous, bounds)
            following = np.einsum("pua,pua->pu", self.weights, np.take(clipped, self.next_states, axis=1))
            flat = sums.reshape(self.policies, -1)
            flat[:, self.cells] += np.add.reduceat(following, self.cell_starts, axis=1)
        kappa, counts = self.model.shrinkage, self.cell_counts
        state_counts, total = counts.sum(axis=1), counts.sum()
        overall = sums.sum(axis=(1, 2)) / max(total, 1.0)
        state_means = _divide(sums.sum(axis=2) + kappa * overall[:, None], state_counts + kappa, overall[:, None])
        return _divide(sums + kappa * state_means[:, :, None], counts + kappa, state_means[:, :, None])


def clip_values(values: np.ndarray, bounds: Bounds) -> np.ndarray:
    """The values within ``bounds``, or as they are."""
    return values if bounds is None else np.clip(values, *bounds)


def _divide(numerator: np.ndarray, denominator: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    filled = np.broadcast_to(denominator > 0, numerator.shape)
    return np.where(filled, numerator / np.where(denominator > 0, denominator, 1.0), otherwise)
