"""The behaviour policy where it was not logged: estimated from counts or by logistic regression.

Always cross-fitted: the probabilities of a row come from other units than its own, because a model
that has seen the row's action believes in it, and a weight of 1 / that belief is then too small.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from envs.dataset import Dataset
from envs.encoding.codec import Discretizer
from envs.encoding.features import StandardFeatures
from envs.encoding.kmeans import KMeansStates
from envs.encoding.states import IntegerStates
from envs.errors import DataError
from envs.logistic import fit_logistic, logistic_probabilities
from envs.observation import ObservationSpecification

METHODS = ("auto", "counts", "logistic")
# Weight, in decisions, of the overall action frequencies in a state's own.
PRIOR_STRENGTH = 2.0
MAXIMUM_ROWS = 8000


def estimate_behavior(
    dataset: Dataset, *, method: str = "auto", folds: int = 5, encoder: Discretizer | None = None
) -> np.ndarray:
    """Probability of each action at each decision under the policy that wrote the log.

    ``counts`` are frequencies in a discrete state, smoothed towards the overall frequencies;
    ``logistic`` is a multinomial logistic regression on scaled features; ``auto`` is, of the two, the
    one with the larger held-out likelihood (counts for integer observations).

    Args:
        dataset: the log.
        method: ``auto``, ``counts`` or ``logistic``.
        folds: units are dealt to so many folds (fewer where there are fewer units).
        encoder: states for the counts; fitted in each fold by default.

    Returns:
        float64 (N, A), rows summing to 1, 0 where an action was not allowed.

    Raises:
        DataError: fewer than two units, or an unknown method.
    """
    if method not in METHODS:
        raise DataError(f"{method!r} is no behaviour estimate", remedy=f"use one of {', '.join(METHODS)}")
    if method == "auto" and dataset.specification.observation.kind == "int":
        method = "counts"
    found = []
    if method in ("auto", "counts"):
        found.append(_smoothed(dataset, *_out_of_fold_counts(dataset, folds, encoder)))
    if method in ("auto", "logistic"):
        found.append(_logistic(dataset, folds))
    rows = np.arange(len(dataset))
    return max(found, key=lambda estimate: float(np.log(np.maximum(estimate[rows, dataset.actions], 1e-12)).mean()))


def state_counts(dataset: Dataset, *, folds: int = 5, encoder: Discretizer | None = None) -> np.ndarray:
    """How often other units took each action in the decision's state, float64 (N, A).

    Args:
        dataset: the log.
        folds: units are dealt to so many folds.
        encoder: the states; fitted in each fold by default.

    Raises:
        DataError: fewer than two units.
    """
    return _out_of_fold_counts(dataset, folds, encoder)[0]


def default_states(rows: np.ndarray, observation: ObservationSpecification, *, decisions: int) -> Discretizer:
    """States fit for counting: the integers themselves, or so many centroids as 50 decisions each allow."""
    if observation.kind == "int":
        return IntegerStates.fit(rows, observation)
    count = int(np.clip(decisions // 50, 4, 64))
    return KMeansStates.fit(rows, observation, count=count, iterations=10, sample=4000)


def unit_folds(units: np.ndarray, folds: int) -> np.ndarray:
    """The fold of each episode, int64 (E,): units in the order of their hash, dealt round.

    Raises:
        DataError: fewer than two units.
    """
    names, position = np.unique(units, return_inverse=True)
    if len(names) < 2:
        raise DataError(f"{len(names)} independent unit is too few to cross-fit", remedy="log more units")
    order = sorted(range(len(names)), key=lambda index: hashlib.sha256(str(names[index]).encode()).digest())
    dealt = np.empty(len(names), dtype=np.int64)
    dealt[order] = np.arange(len(names)) % min(folds, len(names))
    return dealt[position]


def _held_out(dataset: Dataset, folds: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each fold the decisions of other folds and of its own, bool (N,) each."""
    fold = unit_folds(dataset.units, folds)[dataset.episode_index]
    for number in range(int(fold.max()) + 1):
        yield fold != number, fold == number


def _out_of_fold_counts(dataset: Dataset, folds: int, encoder: Discretizer | None) -> tuple[np.ndarray, np.ndarray]:
    """Counts of each row's state (N, A), and of all states together (N, A), in the other folds."""
    rows, choices = dataset.observations[dataset.rows], len(dataset.specification.actions)
    counts, overall = np.zeros((len(dataset), choices)), np.zeros((len(dataset), choices))
    for others, own in _held_out(dataset, folds):
        states = encoder or default_states(rows[others], dataset.specification.observation, decisions=int(others.sum()))
        code, wanted = states.states(rows[others]), states.states(rows[own])
        table = np.zeros((states.count + 1, choices))  # the last row is the unseen state
        seen = code >= 0
        np.add.at(table, (code[seen], dataset.actions[others][seen]), 1.0)
        counts[own] = table[np.where(wanted >= 0, wanted, states.count)]
        overall[own] = np.bincount(dataset.actions[others], minlength=choices)
    return counts, overall


def _smoothed(dataset: Dataset, counts: np.ndarray, overall: np.ndarray) -> np.ndarray:
    prior = (overall + 0.5) / (overall + 0.5).sum(axis=1, keepdims=True)
    weights = np.where(dataset.allowed[dataset.rows], counts + PRIOR_STRENGTH * prior, 0.0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _logistic(dataset: Dataset, folds: int) -> np.ndarray:
    rows, allowed = dataset.observations[dataset.rows], dataset.allowed[dataset.rows]
    out = np.empty((len(dataset), allowed.shape[1]))
    for others, own in _held_out(dataset, folds):
        chosen = np.flatnonzero(others)
        # More rows than this no longer change the weights, only the time.
        chosen = chosen[:: -(-len(chosen) // MAXIMUM_ROWS)]
        encoder = StandardFeatures.fit(rows[chosen], dataset.specification.observation)
        weights = fit_logistic(encoder.features(rows[chosen]), dataset.actions[chosen], allowed[chosen])
        out[own] = logistic_probabilities(encoder.features(rows[own]), weights, allowed[own])
    return out
