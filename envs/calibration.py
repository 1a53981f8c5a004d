"""Probabilities made to come true: isotonic or Platt, action by action, and how far they are from it.

References:
    Platt (1999), Probabilistic outputs for support vector machines; Zadrozny & Elkan (2002), Transforming
    classifier scores into accurate multiclass probability estimates (isotonic, one against the rest,
    normalised); Ayer et al. (1955), pooling of adjacent violators; Nixon et al. (2019), Measuring
    calibration in deep learning (adaptive, class-wise error).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.errors import DataError
from envs.logistic import fit_logistic, logistic_probabilities

KINDS = ("isotonic", "platt")
POINTS = 1000
"""More distinct probabilities than this are first averaged in bins of equal number."""
STRENGTH = 2.0
"""Weight, in decisions, of the uncalibrated probability in a step's frequency."""
ENDS = 10
"""Hits in the lowest step and misses in the highest: a step without a hit would be a probability of nearly 0, and
the weight of the first hit that does occur there enormous."""


@dataclass(frozen=True, slots=True)
class CalibrationError:
    """How far predicted probabilities are from the frequencies of what they predict.

    Attributes:
        error: mean over actions of Σ_bins (n_b / N) |mean probability - frequency|, bins of equal number.
        by_chance: what a perfectly calibrated estimate would show with as many decisions.
    """

    error: float
    by_chance: float


def calibrated(
    known: np.ndarray, actions: np.ndarray, probabilities: np.ndarray, *, kind: str = "isotonic"
) -> np.ndarray:
    """Probabilities mapped so that those of the known decisions come true.

    Args:
        known: float64 (n, A), out-of-fold probabilities of decisions whose action is known; 0 where an
            action was not allowed.
        actions: int64 (n,), those actions.
        probabilities: float64 (m, A), of the same model class at other decisions; 0 where not allowed.
        kind: ``isotonic`` or ``platt``.

    Returns:
        float64 (m, A), rows summing to 1, above 0 exactly where ``probabilities`` are.

    Raises:
        DataError: an unknown kind.
    """
    if kind not in KINDS:
        raise DataError(f"{kind!r} is no calibration", remedy=f"use one of {', '.join(KINDS)}")
    apply = isotonic if kind == "isotonic" else platt
    out = np.zeros_like(probabilities)
    for action in range(probabilities.shape[1]):
        given, wanted = known[:, action] > 0.0, probabilities[:, action] > 0.0
        scores, hits = known[given, action], actions[given] == action
        new = probabilities[wanted, action]
        # Without both outcomes there is nothing to learn.
        out[wanted, action] = apply(scores, hits, new) if hits.any() and not hits.all() else new
    return out / out.sum(axis=1, keepdims=True)


def isotonic(scores: np.ndarray, hits: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The increasing step function nearest to the hits in squares, at ``new``, less sure where it is short.

    A step of n decisions with frequency f gives (n f + 2 p) / (n + 2) to an uncalibrated p.

    Args:
        scores: float64 (n,).
        hits: bool (n,).
        new: float64 (m,), in (0, 1).
    """
    levels, sizes, edges = _with_ends(*pool_adjacent_violators(scores, hits))
    block = np.searchsorted(edges, new)
    return (sizes[block] * levels[block] + STRENGTH * new) / (sizes[block] + STRENGTH)


def pool_adjacent_violators(scores: np.ndarray, hits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Isotonic regression of ``hits`` on ``scores``: levels and sizes of the B steps, and B - 1 edges between them.

    Args:
        scores: float64 (n,), n ≥ 1.
        hits: bool or float64 (n,).
    """
    order = np.argsort(scores, kind="stable")
    x, y = np.asarray(scores, dtype=np.float64)[order], np.asarray(hits, dtype=np.float64)[order]
    starts = np.flatnonzero(np.concatenate([[True], np.diff(x) > 0.0]))
    if len(starts) > POINTS:
        starts = np.unique(starts[np.searchsorted(starts, np.arange(POINTS) * len(x) // POINTS, side="right") - 1])
    ends = np.append(starts[1:], len(x)) - 1
    sums, counts = np.add.reduceat(y, starts), (ends - starts + 1).astype(np.float64)
    levels: list[float] = []
    sizes: list[float] = []
    points: list[int] = []
    for index in range(len(starts)):
        level, size, first = sums[index] / counts[index], counts[index], index
        while levels and levels[-1] >= level:
            level = (level * size + levels[-1] * sizes[-1]) / (size + sizes[-1])
            size += sizes.pop()
            levels.pop()
            first = points.pop()
        levels.append(level)
        sizes.append(size)
        points.append(first)
    later = np.array(points[1:], dtype=np.int64)
    return np.array(levels), np.array(sizes), 0.5 * (x[starts[later]] + x[ends[later - 1]])


def _with_ends(levels: np.ndarray, sizes: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The steps with the lowest and the highest widened until they have :data:`ENDS` hits and misses."""
    hits, misses = np.cumsum(levels * sizes), np.cumsum(((1.0 - levels) * sizes)[::-1])
    low = int(np.searchsorted(hits, ENDS - 1e-9)) + 1
    high = len(levels) - int(np.searchsorted(misses, ENDS - 1e-9)) - 1
    if low >= high:
        return np.array([float(levels @ sizes / sizes.sum())]), np.array([sizes.sum()]), np.empty(0)
    starts = np.concatenate([[0], np.arange(low, high + 1)])
    grouped = np.add.reduceat(sizes, starts)
    return np.add.reduceat(levels * sizes, starts) / grouped, grouped, edges[starts[1:] - 1]


def platt(scores: np.ndarray, hits: np.ndarray, new: np.ndarray) -> np.ndarray:
    """σ(a · logit(p) + b), fitted to the hits, at ``new``. Arguments as :func:`isotonic`."""
    both = np.ones((len(scores), 2), dtype=bool)
    weights = fit_logistic(_logit(scores)[:, None], hits.astype(np.int64), both, ridge=1e-2)
    return logistic_probabilities(_logit(new)[:, None], weights, np.ones((len(new), 2), dtype=bool))[:, 1]


def calibration_error(probabilities: np.ndarray, actions: np.ndarray, *, bins: int = 10) -> CalibrationError:
    """The expected calibration error of action probabilities, mean over the actions.

    It is never 0 on finite data: compare ``error`` with ``by_chance``, which takes decisions as
    independent given the probabilities.

    Args:
        probabilities: float64 (N, A).
        actions: int64 (N,).
        bins: of equal number, per action.
    """
    count, choices = probabilities.shape
    errors, chance = np.zeros(choices), np.zeros(choices)
    edges = np.unique(np.arange(min(bins, count)) * count // bins)
    for action in range(choices):
        order = np.argsort(probabilities[:, action], kind="stable")
        p, hit = probabilities[order, action], (actions[order] == action).astype(np.float64)
        errors[action] = np.abs(np.add.reduceat(p - hit, edges)).sum() / count
        chance[action] = np.sqrt(2.0 / np.pi * np.add.reduceat(p * (1.0 - p), edges)).sum() / count
    return CalibrationError(float(errors.mean()), float(chance.mean()))


def _logit(probabilities: np.ndarray) -> np.ndarray:
    clipped = np.clip(probabilities, 1e-9, 1.0 - 1e-9)
    return np.asarray(np.log(clipped / (1.0 - clipped)))
