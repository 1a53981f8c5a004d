"""Which actions did a log never take in like states, where no propensity says that they had a chance?

An estimated probability is never 0: of a rule that leaves nothing to chance it is a few per cent on both sides of each
threshold, and weights made of it vouch for actions that never could be. So likeness is tested. Out of fold, an action
is *untried* at a decision where no decision in its leaf of a few pure classification trees took it (nor, where those
are too coarse for the rule, one of the nearest decisions). Decisions that took an action which was untried there say
what chance such actions have: with a deterministic rule a few in a log of any length, by leaves that end a little off;
with a rule that explores, as many as it explores. Where that chance is shown to be below a hundredth, the log knows
nothing of them.

References:
    Breiman (1996), Bagging predictors (several trees: an edge that one puts a little off counts as tried); Athey &
    Imbens (2016), Recursive partitioning for heterogeneous causal effects (leaves are judged by other rows than those
    that made them).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from envs.behavior import estimate_behavior, state_counts, unit_folds
from envs.dataset import Dataset
from envs.decision_tree import DecisionTree
from envs.encoding.features import StandardFeatures
from envs.logistic import fit_logistic, logistic_probabilities

CHANCE = 0.01
"""Largest chance of all the actions together that are untried at a decision."""
LEVEL = 0.05
FOLDS = 5
NEAREST = 5
MAXIMUM_ROWS = 4000
"""Decisions that trees are grown on and neighbours are sought among; at twice as many likeness is tested."""
CHUNK = 500
BY = (False, True)
"""Likeness that is tried in turn: that of trees, and with neighbours as well."""


def behavior_probabilities(dataset: Dataset, *, believed: bool) -> np.ndarray:
    """The estimated probability of each action at each decision, float64 (N, A), 0 where it is untried.

    Args:
        dataset: the log.
        believed: whether propensities that it has can be true; those then stand as they were logged.

    Raises:
        DataError: fewer than two units.
    """
    found = estimate_behavior(dataset)
    untried = untried_actions(dataset)
    every, taken = np.arange(len(dataset)), dataset.actions
    known = np.flatnonzero(np.isfinite(dataset.propensities) & believed)
    if untried is not None:
        untried[untried[every, taken]] = True  # likeness errs there, and what was taken is all that is known
        untried[every, taken] = False
        untried[known] = False
        found = np.where(untried, 0.0, found)
        found /= found.sum(axis=1, keepdims=True)
    if len(known):
        logged, stated = dataset.propensities[known], dataset.action_probabilities[known]
        rest = np.maximum(1.0 - found[known, taken[known]], 1e-12)
        found[known] *= ((1.0 - logged) / rest)[:, None]
        found[known] = np.where(np.isfinite(stated), stated, found[known])
        found[known, taken[known]] = logged
    return np.asarray(found)


def untried_actions(dataset: Dataset) -> np.ndarray | None:
    """Allowed actions that are untried at each decision, bool (N, A); ``None`` where they may have had a chance.

    Raises:
        DataError: fewer than two units.
    """
    every = np.arange(len(dataset))
    if dataset.specification.observation.kind == "int":  # names of states: only the same is alike
        found = _without(dataset, every, state_counts(dataset, folds=FOLDS))
        return found if _hardly_taken(found, dataset.actions) else None
    tested = every[:: -(-len(dataset) // (2 * MAXIMUM_ROWS))]
    actions = dataset.actions[tested]
    candidates = np.zeros((2, len(tested), len(dataset.specification.actions)), dtype=bool)
    for own, untried in _by_fold(dataset, tested, BY):
        candidates[:, own] = untried
        if (candidates[:, np.arange(len(tested)), actions].sum(axis=1) >= CHANCE * len(tested)).all():
            return None  # whatever the other folds say
    for near, candidate in zip(BY, candidates, strict=True):
        if _hardly_taken(candidate, actions):
            if len(tested) == len(every):
                return candidate
            whole = np.zeros((len(every), candidate.shape[1]), dtype=bool)
            for own, (untried,) in _by_fold(dataset, every, (near,)):
                whole[own] = untried
            return whole
    return None


def _hardly_taken(untried: np.ndarray, actions: np.ndarray) -> bool:
    """Whether decisions at which something is untried (n, A) took it so rarely that its chance is below the least.

    One-sided exact binomial test.
    """
    count = int(untried.any(axis=1).sum())
    hits = int(untried[np.arange(len(actions)), actions].sum())
    if hits >= CHANCE * count:
        return False
    terms = (
        math.lgamma(count + 1)
        - math.lgamma(k + 1)
        - math.lgamma(count - k + 1)
        + k * math.log(CHANCE)
        + (count - k) * math.log1p(-CHANCE)
        for k in range(hits + 1)
    )
    return sum(map(math.exp, terms)) <= LEVEL


def _without(dataset: Dataset, chosen: np.ndarray, likes: np.ndarray) -> np.ndarray:
    """Allowed actions that none of the like decisions (n, A) took, bool (n, A); none where nothing is alike."""
    allowed = dataset.allowed[dataset.rows[chosen]]
    return np.asarray(allowed & (likes == 0) & likes.any(axis=1, keepdims=True))


def _by_fold(dataset: Dataset, chosen: np.ndarray, by: tuple[bool, ...]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each fold, positions (n,) of its decisions among the chosen, and what is untried there, bool (len(by), n, A).

    Each ``by`` trees, or (true) by trees and neighbours.
    """
    fold = unit_folds(dataset.units, FOLDS)[dataset.episode_index]
    rows, allowed = dataset.observations[dataset.rows], dataset.allowed[dataset.rows]
    choices = allowed.shape[1]
    for number in np.unique(fold):
        fitted = np.flatnonzero(fold != number)
        fitted = fitted[:: -(-len(fitted) // MAXIMUM_ROWS)]
        own = np.flatnonzero(fold[chosen] == number)
        asked, actions = chosen[own], dataset.actions[fitted]
        standard = StandardFeatures.fit(rows[fitted], dataset.specification.observation)
        features, here = standard.features(rows[fitted]), standard.features(rows[asked])
        weights = fit_logistic(features, actions, allowed[fitted])
        splits = _split_by(rows[fitted], allowed[fitted], features, weights)
        reached = _split_by(rows[asked], allowed[asked], here, weights)
        likes = np.zeros((len(own), choices))
        for other in np.unique(fold[fitted]):
            part = fold[fitted] != other
            if part.any():
                likes += DecisionTree.fit(splits[part], actions[part], choices).leaf_counts(reached)
        taken, near = np.eye(choices)[actions], np.zeros_like(likes)
        for start in range(0, len(own) if any(by) else 0, CHUNK):
            near[start : start + CHUNK] = taken[_nearest(here[start : start + CHUNK], features)].sum(axis=1)
        yield own, np.stack([_without(dataset, asked, likes + near if each else likes) for each in by])


def _split_by(rows: np.ndarray, allowed: np.ndarray, features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """What a tree may split: raw fields, masks, and how far a logistic model is from each action, for slanted rules."""
    logs = np.log(np.maximum(logistic_probabilities(features, weights, allowed), 1e-300))
    two = np.sort(logs, axis=1)[:, -2:]
    margins = logs - np.where(logs == two[:, 1:], two[:, :1], two[:, 1:])
    return np.hstack([np.where(np.isnan(rows), np.finfo(np.float64).max / 2, rows), allowed, margins])


def _nearest(here: np.ndarray, features: np.ndarray) -> np.ndarray:
    """The nearest rows of ``features`` (N, F) to each of ``here`` (n, F), int64 (n, 5 at most)."""
    distances = (features**2).sum(axis=1) - 2.0 * here @ features.T
    count = min(NEAREST, distances.shape[1])
    return np.asarray(np.argpartition(distances, count - 1, axis=1)[:, :count])
