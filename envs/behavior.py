"""The behaviour policy where it was not logged: estimated from counts or by logistic regression, calibrated.

Always cross-fitted: the probabilities of a row come from other units than its own, because a model
that has seen the row's action believes in it, and a weight of 1 / that belief is then too small. So
does its calibration: the map for a fold is fitted on predictions, for the other folds, of models that
have seen neither.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from envs.calibration import CalibrationError, calibrated, calibration_error
from envs.dataset import Dataset
from envs.encoding.codec import Discretizer
from envs.encoding.features import StandardFeatures
from envs.encoding.kmeans import KMeansStates
from envs.encoding.states import IntegerStates
from envs.errors import DataError
from envs.logistic import fit_logistic, logistic_probabilities
from envs.observation import ObservationSpecification

METHODS = ("auto", "counts", "logistic")
CALIBRATIONS = ("auto", "none", "isotonic", "platt")
# Weight, in decisions, of the overall action frequencies in a state's own.
PRIOR_STRENGTH = 2.0
MAXIMUM_ROWS = 8000


@dataclass(frozen=True, slots=True, eq=False)
class BehaviorEstimate:
    """An estimated behaviour policy and what is known of its quality, all of it out of fold.

    Attributes:
        probabilities: float64 (N, A), rows summing to 1, 0 where an action was not allowed.
        method: ``counts`` or ``logistic``.
        calibration: ``none``, ``isotonic`` or ``platt``; several with ``/`` where folds chose differently.
        folds: number of folds that the units were dealt to.
        log_likelihood: mean log probability of the logged actions.
        error: how far the probabilities are from coming true.
        raw_error: the same before calibration.
    """

    probabilities: np.ndarray
    method: str
    calibration: str
    folds: int
    log_likelihood: float
    error: CalibrationError
    raw_error: CalibrationError

    def propensities(self, dataset: Dataset) -> np.ndarray:
        """Estimated probability of each logged action, float64 (N,)."""
        return np.asarray(self.probabilities[np.arange(len(dataset)), dataset.actions])

    @property
    def label(self) -> str:
        """What must stand beside every number that rests on it."""
        how = self.method if self.calibration == "none" else f"{self.method}, calibrated by {self.calibration}"
        return (
            f"propensities are estimated ({how}, {self.folds} folds; calibration error {self.error.error:.3f}, "
            f"by chance {self.error.by_chance:.3f}), not logged"
        )


def estimate_behavior(
    dataset: Dataset,
    *,
    method: str = "auto",
    folds: int = 5,
    encoder: Discretizer | None = None,
    calibration: str = "auto",
) -> np.ndarray:
    """Probability of each action at each decision under the policy that wrote the log, float64 (N, A).

    The probabilities of :func:`behavior_estimate`; arguments and errors as there.
    """
    return behavior_estimate(
        dataset, method=method, folds=folds, encoder=encoder, calibration=calibration
    ).probabilities


def behavior_estimate(
    dataset: Dataset,
    *,
    method: str = "auto",
    folds: int = 5,
    encoder: Discretizer | None = None,
    calibration: str = "auto",
) -> BehaviorEstimate:
    """The policy that wrote the log, with the quality of its estimate.

    ``counts`` are frequencies in a discrete state, smoothed towards the overall frequencies;
    ``logistic`` is a multinomial logistic regression on scaled features; ``auto`` is, of the two, the
    one with the larger held-out likelihood (counts for integer observations). Calibration maps each
    action's probability so that it comes true; ``auto`` is, fold by fold, what is likeliest in the others.

    Args:
        dataset: the log.
        method: ``auto``, ``counts`` or ``logistic``.
        folds: units are dealt to so many folds (fewer where there are fewer units).
        encoder: states for the counts; fitted in each fold by default.
        calibration: ``auto``, ``none``, ``isotonic`` or ``platt``; needs three folds, else none is made.

    Raises:
        DataError: fewer than two units, or an unknown method or calibration.
    """
    if method not in METHODS:
        raise DataError(f"{method!r} is no behaviour estimate", remedy=f"use one of {', '.join(METHODS)}")
    if calibration not in CALIBRATIONS:
        raise DataError(f"{calibration!r} is no calibration", remedy=f"use one of {', '.join(CALIBRATIONS)}")
    if method == "auto" and dataset.specification.observation.kind == "int":
        method = "counts"
    fold = unit_folds(dataset.units, folds)[dataset.episode_index]
    found = {}
    for name in METHODS[1:] if method == "auto" else (method,):
        found[name] = np.empty((len(dataset), len(dataset.specification.actions)))
        for number in range(int(fold.max()) + 1):
            found[name][fold == number] = _predict(name, dataset, fold != number, fold == number, encoder)
    # By what they are before calibration: a wrong model made to come true on average stays wrong in each state.
    chosen = max(found, key=lambda name: _likelihood(found[name], dataset.actions))
    return _estimate(chosen, calibration, found[chosen], dataset, fold, encoder)


def state_counts(dataset: Dataset, *, folds: int = 5, encoder: Discretizer | None = None) -> np.ndarray:
    """How often other units took each action in the decision's state, float64 (N, A).

    Args:
        dataset: the log.
        folds: units are dealt to so many folds.
        encoder: the states; fitted in each fold by default.

    Raises:
        DataError: fewer than two units.
    """
    return _out_of_fold_counts(dataset, folds, encoder)


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


def _out_of_fold_counts(dataset: Dataset, folds: int, encoder: Discretizer | None) -> np.ndarray:
    """Counts of each row's state in the other folds, (N, A)."""
    counts = np.zeros((len(dataset), len(dataset.specification.actions)))
    for others, own in _held_out(dataset, folds):
        counts[own] = _counted(dataset, others, own, encoder)
    return counts


def _counted(dataset: Dataset, fitted: np.ndarray, applied: np.ndarray, encoder: Discretizer | None) -> np.ndarray:
    """How often the fitted decisions took each action in the applied decisions' states, (n, A)."""
    rows, choices = dataset.observations[dataset.rows], len(dataset.specification.actions)
    states = encoder or default_states(rows[fitted], dataset.specification.observation, decisions=int(fitted.sum()))
    code, wanted = states.states(rows[fitted]), states.states(rows[applied])
    table = np.zeros((states.count + 1, choices))  # the last row is the unseen state
    seen = code >= 0
    np.add.at(table, (code[seen], dataset.actions[fitted][seen]), 1.0)
    return np.asarray(table[np.where(wanted >= 0, wanted, states.count)])


def _predict(
    method: str, dataset: Dataset, fitted: np.ndarray, applied: np.ndarray, encoder: Discretizer | None
) -> np.ndarray:
    """Probabilities at the applied decisions of a model of the fitted ones, (n, A)."""
    allowed = dataset.allowed[dataset.rows]
    if method == "counts":
        counts = _counted(dataset, fitted, applied, encoder)
        overall = np.bincount(dataset.actions[fitted], minlength=allowed.shape[1]) + 0.5
        weights = np.where(allowed[applied], counts + PRIOR_STRENGTH * overall / overall.sum(), 0.0)
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))
    rows = dataset.observations[dataset.rows]
    chosen = np.flatnonzero(fitted)
    # More rows than this no longer change the weights, only the time.
    chosen = chosen[:: -(-len(chosen) // MAXIMUM_ROWS)]
    features = StandardFeatures.fit(rows[chosen], dataset.specification.observation)
    weights = fit_logistic(features.features(rows[chosen]), dataset.actions[chosen], allowed[chosen])
    return logistic_probabilities(features.features(rows[applied]), weights, allowed[applied])


def _estimate(
    method: str,
    calibration: str,
    raw: np.ndarray,
    dataset: Dataset,
    fold: np.ndarray,
    encoder: Discretizer | None,
) -> BehaviorEstimate:
    count = int(fold.max()) + 1
    probabilities, kinds = raw, ["none"]
    if count >= 3 and calibration != "none":
        probabilities, kinds = raw.copy(), []
        for number, inner in enumerate(_without_two(method, dataset, fold, encoder)):
            own, others = fold == number, fold != number
            known, actions = inner[others], dataset.actions[others]
            kind = _best_calibration(known, actions, fold[others]) if calibration == "auto" else calibration
            kinds.append(kind)
            if kind != "none":
                probabilities[own] = calibrated(known, actions, raw[own], kind=kind)
    return BehaviorEstimate(
        probabilities,
        method,
        "/".join(sorted(set(kinds))),
        count,
        _likelihood(probabilities, dataset.actions),
        calibration_error(probabilities, dataset.actions),
        calibration_error(raw, dataset.actions),
    )


def _best_calibration(known: np.ndarray, actions: np.ndarray, fold: np.ndarray) -> str:
    """The kind that, fitted on one half of these folds, makes the other half's actions likeliest."""
    half = np.isin(fold, np.unique(fold)[::2])
    if half.all():
        return "none"
    likelihoods = {"none": _likelihood(known[~half], actions[~half])}
    for kind in CALIBRATIONS[2:]:
        mapped = calibrated(known[half], actions[half], known[~half], kind=kind)
        likelihoods[kind] = _likelihood(mapped, actions[~half])
    return max(likelihoods, key=lambda kind: likelihoods[kind])


def _without_two(method: str, dataset: Dataset, fold: np.ndarray, encoder: Discretizer | None) -> list[np.ndarray]:
    """For each fold k: probabilities (N, A) at every other fold's rows, from models that saw neither it nor k."""
    count = int(fold.max()) + 1
    inner = [np.zeros((len(dataset), len(dataset.specification.actions))) for _ in range(count)]
    for first in range(count):
        for second in range(first + 1, count):
            both = (fold == first) | (fold == second)
            predicted = _predict(method, dataset, ~both, both, encoder)
            inner[first][fold == second] = predicted[fold[both] == second]
            inner[second][fold == first] = predicted[fold[both] == first]
    return inner


def _likelihood(probabilities: np.ndarray, actions: np.ndarray) -> float:
    return float(np.log(np.maximum(probabilities[np.arange(len(actions)), actions], 1e-12)).mean())
