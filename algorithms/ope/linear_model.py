"""A linear model of Q̂(s, a): ridge on features, for all policies at once and in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from algorithms.ope.action_ridge import ActionRidge, penalty_apart
from algorithms.ope.logistic_rewards import LogisticRegression, logistic_weights, probability, two_valued
from algorithms.ope.row_features import BLOCK, KEPT, RowFeatures, row_features
from algorithms.ope.state_action_models import Bounds, Regression, Transitions, clip_values

_CHUNK = 4096


class LinearModel:
    """Ridge regression on features, per action, shrunk to one regression over all actions.

    Q̂(s, a) = φ(s)·w_a with an intercept in φ, see :class:`~algorithms.ope.action_ridge.ActionRidge`. Where every
    transition is an end, how far actions may differ is chosen by cross-validation, and where rewards then take two
    values, whether the regression is a logistic one, see :mod:`algorithms.ope.logistic_rewards`.

    Args:
        features: float64 (M, F) of like scale; an intercept is added.
        actions: number of actions, A.
        ridge: λ > 0.
        straight: bool (F,), the features that do not bend, which may do without the others; all by default.
    """

    def __init__(
        self,
        features: np.ndarray | RowFeatures,
        actions: int,
        *,
        ridge: float = 1.0,
        straight: np.ndarray | None = None,
    ) -> None:
        self.features = row_features(features)
        self.actions = actions
        self.ridge = float(ridge)
        self.straight = None if straight is None else np.concatenate([[True], straight])
        self._fitted: dict[bytes, np.ndarray | None] = {}

    def regression(self, transitions: Transitions, probabilities: np.ndarray, discount: float) -> Regression:
        """See :class:`StateActionModel`."""
        weights = self._logistic(transitions)
        if weights is not None:
            return LogisticRegression(weights, len(probabilities))
        return _LinearRegression(self, transitions, probabilities, discount)

    def values(self, coefficients: np.ndarray, rows: np.ndarray, bounds: Bounds) -> np.ndarray:
        """See :class:`StateActionModel`."""
        flat = coefficients.reshape(-1, coefficients.shape[2])
        weights, ends = np.split(flat, [1 + self.features.size], axis=1)
        predicted = self.basis(rows) @ weights.T
        if ends.size:  # of a logistic regression, the two rewards
            predicted = ends[:, 0] + (ends[:, 1] - ends[:, 0]) * probability(predicted)
        shaped = clip_values(predicted, bounds).reshape(len(rows), len(coefficients), self.actions)
        return np.ascontiguousarray(shaped.transpose(1, 0, 2))

    def _logistic(self, transitions: Transitions) -> np.ndarray | None:
        """Weights of a logistic regression where it is one; no policy is read, so a fold is fitted once for all."""
        if not two_valued(transitions):
            return None
        read = (transitions.rows, transitions.actions, transitions.rewards)
        key = b"".join(blake2b(each.tobytes()).digest() for each in read)
        if key not in self._fitted:
            self._fitted[key] = logistic_weights(
                self.basis, transitions, actions=self.actions, ridge=self.ridge, straight=self.straight
            )
        return self._fitted[key]

    def basis(self, rows: np.ndarray) -> np.ndarray:
        """φ of the named rows, float64 (m, 1 + F)."""
        found = np.empty((len(rows), 1 + self.features.size))
        found[:, 0] = 1.0
        found[:, 1:] = self.features.at(rows)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """Some transitions in the order of their actions.

    Attributes:
        features: float64 (m, W).
        rewards: float64 (m,).
        edges: int64 (A + 1,), where each action's transitions begin.
        going: int64 (m',), those that go on.
        next_features: float64 (m', W).
        next_probabilities: float64 (m', P, A).
    """

    features: np.ndarray
    rewards: np.ndarray
    edges: np.ndarray
    going: np.ndarray
    next_features: np.ndarray
    next_probabilities: np.ndarray

    def by_action(self, targets: np.ndarray) -> np.ndarray:
        """φᵀ y of each action's transitions, (A, W, k), of y (m, k)."""
        pairs = zip(self.edges[:-1], self.edges[1:], strict=True)
        return np.stack([self.features[start:stop].T @ targets[start:stop] for start, stop in pairs])


class _LinearRegression:
    """Gram matrices of every action's block, inverted once; each sweep is two products with the features."""

    def __init__(
        self, model: LinearModel, transitions: Transitions, probabilities: np.ndarray, discount: float
    ) -> None:
        self.model, self.transitions, self.discount = model, transitions, discount
        self.probabilities, self.policies = probabilities, len(probabilities)
        count, width = len(transitions.rows), 1 + model.features.size
        self.starts = range(0, count, BLOCK)
        bytes_of_all = 8 * count * (2 * width + self.policies * model.actions)
        self.kept = [self._block(start) for start in self.starts] if bytes_of_all <= KEPT else None
        grams, sides = np.zeros((model.actions, width, width)), np.zeros((model.actions, width))
        for block in self._blocks():
            grams += block.by_action(block.features)
            sides += block.by_action(block.rewards[:, None])[..., 0]
        apart = model.ridge
        if count and not transitions.continues.any():
            # Beyond one decision rewards say little of how far the actions' values are apart.
            apart = penalty_apart(grams, sides, float(transitions.rewards @ transitions.rewards), count, model.ridge)
        self.ridge = ActionRidge(grams, model.ridge, apart)

    def backup(self, previous: np.ndarray | None, bounds: Bounds) -> np.ndarray:
        sides = np.zeros((self.model.actions, 1 + self.model.features.size, self.policies))
        flat = None if previous is None else np.ascontiguousarray(previous.reshape(-1, previous.shape[2]).T)
        for block in self._blocks():
            targets = np.repeat(block.rewards[:, None], self.policies, axis=1)
            if flat is not None:
                for start in range(0, len(block.going), _CHUNK):
                    chunk = slice(start, start + _CHUNK)
                    predicted = clip_values(block.next_features[chunk] @ flat, bounds)
                    shaped = predicted.reshape(-1, self.policies, self.model.actions)
                    following = np.einsum("npa,npa->np", shaped, block.next_probabilities[chunk])
                    targets[block.going[chunk]] += self.discount * following
            sides += block.by_action(targets)
        return np.ascontiguousarray(self.ridge.solve(sides).transpose(2, 0, 1))

    def _blocks(self) -> Iterable[_Block]:
        return map(self._block, self.starts) if self.kept is None else self.kept

    def _block(self, start: int) -> _Block:
        every, inside = self.transitions, slice(start, start + BLOCK)
        order = np.argsort(every.actions[inside], kind="stable")
        going = np.flatnonzero(every.continues[inside][order])
        next_rows = every.next_rows[inside][order][going]
        return _Block(
            features=self.model.basis(every.rows[inside][order]),
            rewards=every.rewards[inside][order],
            edges=np.searchsorted(every.actions[inside][order], np.arange(self.model.actions + 1)),
            going=going,
            next_features=self.model.basis(next_rows),
            next_probabilities=np.ascontiguousarray(self.probabilities[:, next_rows].transpose(1, 0, 2)),
        )
