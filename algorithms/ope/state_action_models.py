"""Models of Q̂(s, a) that fitted Q evaluation regresses with: a table of states, or ridge on features.

A model holds the representation of all M rows of a dataset once; fits and evaluations name rows by
index, so that folds and policies share it. Every regression is linear in its targets, so P policies
are solved at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from envs.errors import DataError

Bounds = tuple[float, float] | None
_CHUNK = 4096


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
        return _clip(coefficients[:, self.states[rows]], bounds)


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
        next_rows = transitions.next_rows[going]
        key = cell[going] * model.state_count + model.states[next_rows]
        order = np.argsort(key, kind="stable")
        distinct, starts = np.unique(key[order], return_index=True)
        self.next_states = distinct % model.state_count
        if len(going):
            self.weights = discount * np.add.reduceat(probabilities[:, next_rows[order]], starts, axis=1)
            self.cells, self.cell_starts = np.unique(distinct // model.state_count, return_index=True)

    def backup(self, previous: np.ndarray | None, bounds: Bounds) -> np.ndarray:
        sums = np.broadcast_to(self.reward_sums, (self.policies, *self.reward_sums.shape)).copy()
        if previous is not None and len(self.next_states):
            clipped = _clip(previous, bounds)
            following = np.einsum("pua,pua->pu", self.weights, np.take(clipped, self.next_states, axis=1))
            flat = sums.reshape(self.policies, -1)
            flat[:, self.cells] += np.add.reduceat(following, self.cell_starts, axis=1)
        kappa, counts = self.model.shrinkage, self.cell_counts
        state_counts, total = counts.sum(axis=1), counts.sum()
        overall = sums.sum(axis=(1, 2)) / max(total, 1.0)
        state_means = _divide(sums.sum(axis=2) + kappa * overall[:, None], state_counts + kappa, overall[:, None])
        return _divide(sums + kappa * state_means[:, :, None], counts + kappa, state_means[:, :, None])


class LinearModel:
    """Ridge regression on features, per action, shrunk to one regression over all actions.

    Q̂(s, a) = β_0 + φ(s)·(β + β_a): β_0 and β over all rows (the intercept unpenalised), β_a on what
    remains of the action's rows; both with penalty λ = ``ridge``. A rare action thus takes the value
    of its state, never zero.

    Args:
        features: float64 (M, F) of like scale; an intercept is added.
        actions: number of actions, A.
        ridge: λ > 0.
    """

    def __init__(self, features: np.ndarray, actions: int, *, ridge: float = 1.0) -> None:
        features = np.asarray(features, dtype=np.float64)
        self.features = np.concatenate([np.ones((len(features), 1)), features], axis=1)
        self.actions = actions
        self.ridge = float(ridge)

    def regression(self, transitions: Transitions, probabilities: np.ndarray, discount: float) -> Regression:
        """See :class:`StateActionModel`."""
        return _LinearRegression(self, transitions, probabilities, discount)

    def values(self, coefficients: np.ndarray, rows: np.ndarray, bounds: Bounds) -> np.ndarray:
        """See :class:`StateActionModel`."""
        flat = coefficients.reshape(-1, coefficients.shape[2])
        predicted = self.features[rows] @ flat.T
        shaped = _clip(predicted, bounds).reshape(len(rows), len(coefficients), self.actions)
        return np.ascontiguousarray(shaped.transpose(1, 0, 2))


class _LinearRegression:
    """Gram matrices of every action's block, inverted once; each sweep is two products with the features."""

    def __init__(
        self, model: LinearModel, transitions: Transitions, probabilities: np.ndarray, discount: float
    ) -> None:
        self.model, self.policies, self.discount = model, len(probabilities), discount
        order = np.argsort(transitions.actions, kind="stable")
        self.features = model.features[transitions.rows[order]]
        self.rewards = transitions.rewards[order]
        self.edges = np.searchsorted(transitions.actions[order], np.arange(model.actions + 1))
        self.going = np.flatnonzero(transitions.continues[order])
        next_rows = transitions.next_rows[order][self.going]
        self.next_features = model.features[next_rows]
        self.next_probabilities = np.ascontiguousarray(probabilities[:, next_rows].transpose(1, 0, 2))
        width = self.features.shape[1]
        penalty = model.ridge * np.eye(width)
        blocks = [self.features[start:stop] for start, stop in zip(self.edges[:-1], self.edges[1:], strict=True)]
        self.grams = np.stack([block.T @ block for block in blocks])
        self.inverses = np.stack([_inverse(gram + penalty) for gram in self.grams])
        free = penalty.copy()
        free[0, 0] = 0.0
        self.pooled_inverse = _inverse(self.grams.sum(axis=0) + free)

    def backup(self, previous: np.ndarray | None, bounds: Bounds) -> np.ndarray:
        targets = np.repeat(self.rewards[:, None], self.policies, axis=1)
        if previous is not None:
            flat = np.ascontiguousarray(previous.reshape(-1, previous.shape[2]).T)
            for start in range(0, len(self.going), _CHUNK):
                chunk = slice(start, start + _CHUNK)
                predicted = self.next_features[chunk] @ flat
                if bounds is not None:
                    np.clip(predicted, *bounds, out=predicted)
                shaped = predicted.reshape(-1, self.policies, self.model.actions)
                following = np.einsum("npa,npa->np", shaped, self.next_probabilities[chunk])
                targets[self.going[chunk]] += self.discount * following
        sides = np.stack(
            [
                self.features[start:stop].T @ targets[start:stop]
                for start, stop in zip(self.edges[:-1], self.edges[1:], strict=True)
            ]
        )
        pooled = self.pooled_inverse @ sides.sum(axis=0)
        own = self.inverses @ (sides - self.grams @ pooled)
        return np.ascontiguousarray((pooled + own).transpose(2, 0, 1))


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a symmetric positive definite matrix by its Cholesky factor, float64 (F, F)."""
    try:
        root = np.linalg.inv(np.linalg.cholesky(matrix))
    except np.linalg.LinAlgError:
        raise DataError(
            "the features are collinear or not finite", where="LinearModel", remedy="raise ridge, or check the encoder"
        ) from None
    inverse: np.ndarray = root.T @ root
    return inverse


def _divide(numerator: np.ndarray, denominator: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    filled = np.broadcast_to(denominator > 0, numerator.shape)
    return np.where(filled, numerator / np.where(denominator > 0, denominator, 1.0), otherwise)


def _clip(values: np.ndarray, bounds: Bounds) -> np.ndarray:
    return values if bounds is None else np.clip(values, *bounds)
