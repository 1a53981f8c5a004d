"""The update of tabular Q-learning: pure functions on arrays, on the backup of :mod:`algorithms.tabular_solver`.

    δ = r + γ (1 − done) max_a' Q(s', a') − Q(s, a),   Q(s, a) ← Q(s, a) + α δ        (Watkins & Dayan 1992)

Shapes: n experiences, Z states, A actions.
"""

from __future__ import annotations

import numpy as np

from algorithms.tabular_solver import Transitions, targets_of


def temporal_differences(
    values: np.ndarray,
    states: np.ndarray,
    actions: np.ndarray,
    rewards: np.ndarray,
    next_states: np.ndarray,
    dones: np.ndarray,
    discount: float,
    possible: np.ndarray | None = None,
) -> np.ndarray:
    """δ of each experience, float64 (n,).

    Args:
        values: Q, float64 (Z, A).
        states: int64 (n,).
        actions: int64 (n,).
        rewards: float64 (n,).
        next_states: int64 (n,), anything in [0, Z) where done.
        dones: bool (n,).
        discount: γ in [0, 1].
        possible: bool (Z, A), actions that the maximum may take; a state without any is worth 0.
    """
    following = values[next_states]
    count, actions_each = following.shape
    choice = following if possible is None else np.where(possible[next_states], following, -np.inf)
    greedy = np.eye(actions_each)[choice.argmax(axis=1)]
    if possible is not None:
        greedy[~possible[next_states].any(axis=1)] = 0.0
    # The rows' own next states stand for themselves, so that the cost does not grow with Z.
    own = np.arange(count)
    transitions = Transitions(states * actions_each + actions, rewards, own, dones, count, actions_each)
    return np.asarray(targets_of(transitions, following, greedy, discount) - values[states, actions])


def steps_towards(
    cells: np.ndarray, errors: np.ndarray, learning_rate: float, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """What one step towards a batch's targets adds to Q.

    k experiences of one pair (s, a) move it by 1 − (1 − α)^k of their mean error, as k single steps
    towards their mean target would: the size of the batch changes no step size, and no α ≤ 1 overshoots.

    Args:
        cells: int64 (n,), s · A + a.
        errors: δ, float64 (n,).
        learning_rate: α in (0, 1].
        weights: importance weights float64 (n,) in [0, 1], each multiplying its error.

    Returns:
        The distinct cells, int64 (m,), increasing, and what each is moved by, float64 (m,).
    """
    distinct, group, sizes = np.unique(cells, return_inverse=True, return_counts=True)
    pulls = np.bincount(group.ravel(), errors if weights is None else weights * errors, len(distinct)) / sizes
    share = np.where(sizes == 1, learning_rate, 1.0 - (1.0 - learning_rate) ** sizes)
    return distinct, share * pulls
