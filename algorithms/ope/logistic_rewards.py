"""Two-valued rewards of single decisions: logistic regression per action, shrunk to one over all actions.

    Q̂(s, a) = low + (high - low) σ(φ(s)·(β + β_a))

β and the β_a minimise the negative log-likelihood + λ/2 |β|² + μ/2 Σ_a |β_a|², the first column an intercept that
is free in β. The same is fitted with those columns of φ alone that do not bend, and with φ·(β + β_a) for the value
itself, by squares. Of these three and the μ of :data:`APART` the pair is chosen whose fits to two thirds of the rows
have the least squared error on the third left out; none of that reads a row that was not fitted on. Many actions of few
rows each cannot tell their bends from luck: where logits are nearly lines, lines predict better. Rewards that follow
from the state without luck ask for the linear link.

References: Stone (1974), Cross-validatory choice and assessment of statistical predictions; Evgeniou & Pontil (2004),
Regularized multi-task learning, for coefficients that are shrunk to what they share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from algorithms.ope.row_features import KEPT
from algorithms.ope.state_action_models import Bounds, Transitions
from envs.logistic import minimize

APART = (1e4, 1e3, 1e2, 1e1, 1.0, 0.1)
"""What it may cost an action to differ from the others, in λ; the first of equals is chosen."""
HELD_OUT = 3
CHOSEN_BY = 20_000
"""Link and μ are chosen on so many rows at most, evenly spaced: the best penalty on a sum does not grow with them."""
ITERATIONS = 50


@dataclass(frozen=True, slots=True, eq=False)
class Rewarded:
    """Decisions in the order of their actions.

    Attributes:
        features: float64 (n, W), the first column 1.
        edges: int64 (A + 1,), where each action's decisions begin.
        high: float64 (n,), 1 where the reward was the higher of the two, else 0.
    """

    features: np.ndarray
    edges: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, actions: np.ndarray, high: np.ndarray, choices: int) -> Rewarded:
        """Decisions in any order, of actions int64 (n,) below ``choices``."""
        order = np.argsort(actions, kind="stable")
        return cls(features[order], np.searchsorted(actions[order], np.arange(choices + 1)), high[order])

    def scores(self, weights: np.ndarray) -> np.ndarray:
        """φ·w_a of every decision, float64 (n,), of weights (A, W)."""
        return np.concatenate([self.features[part] @ each for part, each in zip(self._parts(), weights, strict=True)])

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Σ φ y of each action, float64 (A, W), of values (n,)."""
        return np.stack([values[part] @ self.features[part] for part in self._parts()])

    def _parts(self) -> list[slice]:
        return [slice(start, stop) for start, stop in zip(self.edges[:-1], self.edges[1:], strict=True)]


class LogisticRegression:
    """The regression of one fold: the same for all policies and all steps to go.

    Args:
        weights: of :func:`logistic_weights`, float64 (A, W + 2).
        policies: P.
    """

    def __init__(self, weights: np.ndarray, policies: int) -> None:
        self.coefficients = np.repeat(weights[None], policies, axis=0)

    def backup(self, previous: np.ndarray | None, bounds: Bounds) -> np.ndarray:
        """See :class:`~algorithms.ope.state_action_models.Regression`; nothing goes on that could be added."""
        return self.coefficients


def logistic_weights(
    basis: Callable[[np.ndarray], np.ndarray],
    transitions: Transitions,
    *,
    actions: int,
    ridge: float,
    straight: np.ndarray | None = None,
) -> np.ndarray | None:
    """β + β_a and after them the two rewards, float64 (A, W + 2); ``None`` where the linear link predicts as well.

    Args:
        basis: from rows, int64 (m,), to φ, float64 (m, W).
        transitions: :func:`two_valued` ones; at most as many as can be kept are read, evenly spaced.
        actions: A.
        ridge: λ.
        straight: bool (W,), the columns that do not bend; all by default.
    """
    width = basis(transitions.rows[:1]).shape[1]
    use = _spaced(len(transitions.rows), KEPT // (8 * width))
    low, high = float(transitions.rewards.min()), float(transitions.rewards.max())
    features, taken = basis(transitions.rows[use]), transitions.actions[use]
    was_high = (transitions.rewards[use] == high).astype(np.float64)
    few = _spaced(len(use), CHOSEN_BY)
    errors = held_out_errors(features[few], taken[few], was_high[few], actions, ridge)
    columns, chosen = np.ones(width, dtype=bool), errors["logistic"]
    if straight is not None and not straight.all():
        lines = held_out_errors(features[few][:, straight], taken[few], was_high[few], actions, ridge, ("logistic",))
        if lines["logistic"].min() <= chosen.min():
            features, columns, chosen = features[:, straight], straight, lines["logistic"]
    if errors["linear"].min() <= chosen.min():
        return None
    weights = np.zeros((actions, width + 2))
    apart = ridge * APART[int(np.argmin(chosen))]
    weights[:, :width][:, columns] = fit(Rewarded.of(features, taken, was_high, actions), ridge, apart, "logistic")
    weights[:, width:] = low, high
    return weights


def two_valued(transitions: Transitions) -> bool:
    """Whether every transition is an end and the rewards take exactly two values."""
    rewards = transitions.rewards
    if not len(rewards) or transitions.continues.any() or (low := rewards.min()) == (high := rewards.max()):
        return False
    return bool(((rewards == low) | (rewards == high)).all())


def held_out_errors(
    features: np.ndarray,
    actions: np.ndarray,
    high: np.ndarray,
    choices: int,
    ridge: float,
    links: tuple[Link, ...] = ("linear", "logistic"),
) -> dict[Link, np.ndarray]:
    """Squared error on held-out thirds under each of :data:`APART`, float64 (K,), by link.

    The thirds are runs of rows, so that decisions logged together, which may be alike, are left out together.

    Args:
        features: float64 (n, W), in the order of the log.
        actions: int64 (n,).
        high: float64 (n,), 0 or 1.
        choices: A.
        ridge: λ.
        links: those that are tried.
    """
    third = np.arange(len(high)) * HELD_OUT // max(len(high), 1)
    errors: dict[Link, np.ndarray] = {link: np.zeros(len(APART)) for link in links}
    for held in range(HELD_OUT):
        if not (out := third == held).any():
            continue
        seen, unseen = (Rewarded.of(features[part], actions[part], high[part], choices) for part in (~out, out))
        for link in links:
            for index, apart in enumerate(APART):
                left = unseen.high - MEANS[link](unseen.scores(fit(seen, ridge, ridge * apart, link)))
                errors[link][index] += left @ left
    return errors


def fit(rewarded: Rewarded, ridge: float, apart: float, link: Link) -> np.ndarray:
    """β + β_a of every action, float64 (A, W), after at most :data:`ITERATIONS` of L-BFGS."""
    count, choices, high, mean = len(rewarded.high), len(rewarded.edges) - 1, rewarded.high, MEANS[link]
    penalties = np.full((1 + choices, rewarded.features.shape[1]), apart / count)
    penalties[0] = ridge / count
    penalties[0, 0] = 1e-6  # only so that the optimum is one point

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        both = flat.reshape(penalties.shape)
        scores = rewarded.scores(both[0] + both[1:])
        # Both are canonical links: the slope of either loss is the predicted mean minus what was seen.
        losses = np.logaddexp(0.0, scores) - high * scores if link == "logistic" else 0.5 * (scores - high) ** 2
        slopes = rewarded.sums((mean(scores) - high) / count)
        gradient = np.concatenate([slopes.sum(axis=0, keepdims=True), slopes]) + penalties * both
        return float(losses.mean() + 0.5 * (penalties * both**2).sum()), gradient.ravel()

    both = minimize(objective, np.zeros(penalties.size), iterations=ITERATIONS).reshape(penalties.shape)
    weights: np.ndarray = both[0] + both[1:]
    return weights


def probability(scores: np.ndarray) -> np.ndarray:
    """σ of scores, without overflow."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * scores))


def _spaced(count: int, most: int) -> np.ndarray:
    """Of so many rows, all where they are few, else ``most`` of them, evenly spaced, at least one; int64."""
    return np.linspace(0, count - 1, min(count, max(most, 1))).round().astype(np.int64)


Link = Literal["linear", "logistic"]
MEANS: dict[Link, Callable[[np.ndarray], np.ndarray]] = {"linear": np.asarray, "logistic": probability}
"""The expected reward of a score, on the scale on which the two rewards are 0 and 1."""
