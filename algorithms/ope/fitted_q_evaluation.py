"""Fitted Q evaluation, indexed by the steps to go, for many policies at once.

    Q̂_h(s, a) = regression of r + γ (1 - terminated) V̂_{h-1}(s') on (s, a),   Q̂_0 = 0
    V̂_h(s)    = Σ_a π(a|s) Q̂_h(s, a)

The dynamics are taken as stationary, so every row serves every h. A termination ends all reward;
a truncation does not, its row bootstraps like any other. A row whose next observation is unknown is
left out, unless it terminated. Q̂_h is clipped to what h rewards of the declared range can sum to.

References:
    Le, Voloshin & Yue (2019), Batch policy learning under constraints, algorithm 3; Ernst, Geurts & Wehenkel (2005).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from algorithms.ope.state_action_models import Bounds, StateActionModel, Transitions
from envs.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class QFunctions:
    """Q̂_1 … Q̂_H of P policies.

    Attributes:
        model: the class of functions, holding the rows.
        coefficients: one array per h = 1 … H, policies first.
        bounds: what Q̂_h is clipped to, per h.
    """

    model: StateActionModel
    coefficients: tuple[np.ndarray, ...]
    bounds: tuple[Bounds, ...]

    def evaluate(
        self, rows: np.ndarray, steps_to_go: np.ndarray, actions: np.ndarray, probabilities: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Q̂ of the given actions and V̂ at the named rows.

        Args:
            rows: int64 (m,), indices into the model's rows.
            steps_to_go: int64 (m,), h of each row, 0 … H; both values are 0 at h = 0.
            actions: int64 (m,).
            probabilities: float64 (P, m, A), the policies at these rows.

        Returns:
            q (P, m) and v (P, m), float64.
        """
        q = np.zeros((len(probabilities), len(rows)))
        v = np.zeros_like(q)
        for h in np.unique(steps_to_go[steps_to_go > 0]):
            index = np.flatnonzero(steps_to_go == h)
            q[:, index], v[:, index] = evaluate_at(
                self.model, self.coefficients[h - 1], self.bounds[h - 1], rows[index], actions[index],
                probabilities[:, index],
            )  # fmt: skip
        return q, v


def evaluate_at(
    model: StateActionModel,
    coefficients: np.ndarray,
    bounds: Bounds,
    rows: np.ndarray,
    actions: np.ndarray,
    probabilities: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Q̂_h of the given actions and V̂_h at the named rows for one h: two arrays (P, m)."""
    values = model.values(coefficients, rows, bounds)
    return values[:, np.arange(len(rows)), actions], np.einsum("pma,pma->pm", values, probabilities)


def sweep(
    model: StateActionModel,
    transitions: Transitions,
    probabilities: np.ndarray,
    *,
    horizon: int,
    discount: float,
    reward_range: tuple[float, float] | None,
) -> Iterator[tuple[int, np.ndarray, Bounds]]:
    """Yield (h, coefficients of Q̂_h, bounds of Q̂_h) for h = 1 … H, keeping only the last in memory."""
    if len(transitions.rows) == 0:
        raise DataError("no transition to fit on", where="fitted Q evaluation", remedy="give it more episodes")
    regression = model.regression(transitions, probabilities, discount)
    previous: np.ndarray | None = None
    bounds: Bounds = None
    for h in range(1, horizon + 1):
        previous = regression.backup(previous, bounds)
        bounds = return_bounds(reward_range, h, discount)
        yield h, previous, bounds


def fit_q(
    model: StateActionModel,
    *,
    rows: np.ndarray,
    actions: np.ndarray,
    rewards: np.ndarray,
    terminated: np.ndarray,
    next_rows: np.ndarray,
    next_valid: np.ndarray,
    probabilities: np.ndarray,
    horizon: int,
    discount: float = 1.0,
    reward_range: tuple[float, float] | None = None,
) -> QFunctions:
    """Fit Q̂_1 … Q̂_H of P policies on n transitions.

    Args:
        model: representation of all M rows.
        rows: int64 (n,), row of each observation.
        actions: int64 (n,).
        rewards: float64 (n,).
        terminated: bool (n,).
        next_rows: int64 (n,), row of each next observation.
        next_valid: bool (n,), whether the next observation is known.
        probabilities: float64 (P, M, A), the policies at all rows.
        horizon: H.
        discount: γ.
        reward_range: declared smallest and largest reward, or ``None``: no clipping.

    Raises:
        DataError: no usable transition.
    """
    transitions = usable_transitions(rows, actions, rewards, terminated, next_rows, next_valid)
    steps = list(
        sweep(model, transitions, probabilities, horizon=horizon, discount=discount, reward_range=reward_range)
    )
    return QFunctions(model, tuple(step[1] for step in steps), tuple(step[2] for step in steps))


def usable_transitions(
    rows: np.ndarray,
    actions: np.ndarray,
    rewards: np.ndarray,
    terminated: np.ndarray,
    next_rows: np.ndarray,
    next_valid: np.ndarray,
) -> Transitions:
    """The transitions that can be regressed on: next observation known, or terminated."""
    keep = np.asarray(terminated, dtype=bool) | np.asarray(next_valid, dtype=bool)
    return Transitions(rows[keep], next_rows[keep], actions[keep], rewards[keep], ~terminated[keep])


def return_bounds(reward_range: tuple[float, float] | None, steps: int, discount: float) -> Bounds:
    """Smallest and largest discounted sum of one to ``steps`` rewards: an episode may end after any of them."""
    if reward_range is None:
        return None
    low, high = reward_range
    total = float(np.sum(discount ** np.arange(steps)))
    return min(low, low * total), max(high, high * total)
