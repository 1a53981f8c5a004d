"""What the log does not say about an integer state, completed from its nearest neighbours.

In the spirit of DAC-MDPs (Shrestha et al. 2021): for every pair of a declared state and an action that
was never logged, the K nearest integer codes where the action was logged vote on where it leads (as an
offset of the code) and on its reward. This is model evidence, never log evidence: pairs that were logged
keep their own rows, and states that were logged choose among logged actions only.
"""

from __future__ import annotations

import numpy as np

from algorithms.tabular_solver import Transitions
from envs.usual_reward import usual_reward

PENALTY = 3.0
"""Reward taken off a completed pair, in units of :func:`usual_reward`: what is imagined is worth less."""


def nearest(sorted_codes: np.ndarray, codes: np.ndarray, count: int) -> np.ndarray:
    """Positions in ``sorted_codes`` of the ``count`` nearest of each code, int64 (U, K); the lower of equals first.

    In one dimension the K nearest lie among the K to the left and the K to the right.
    """
    count = min(count, len(sorted_codes))
    start = np.searchsorted(sorted_codes, codes)
    window = start[:, None] + np.arange(-count, count)
    inside = (window >= 0) & (window < len(sorted_codes))
    window = np.clip(window, 0, len(sorted_codes) - 1)
    distance = np.where(inside, np.abs(sorted_codes[window] - codes[:, None]), np.inf)
    order = np.argsort(distance, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(window, order, axis=1)


def modal(cells: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """The most frequent value of each cell (the smallest of equals), int64 (size,); 0 for an empty cell."""
    pairs, frequency = np.unique(np.stack([cells, values]), axis=1, return_counts=True)
    out = np.zeros(size, dtype=np.int64)
    # Written in the order of rising frequency (then falling value), so that the last one written wins.
    order = np.lexsort((-pairs[1], frequency))
    out[pairs[0, order]] = pairs[1, order]
    return out


def majority(votes: np.ndarray) -> np.ndarray:
    """The most frequent of each row's votes (the smallest of equals), (U, K) -> (U,)."""
    frequency = (votes[:, :, None] == votes[:, None, :]).sum(axis=2)
    winners = np.where(frequency == frequency.max(axis=1, keepdims=True), votes, np.iinfo(np.int64).max)
    return np.asarray(winners.min(axis=1))


def complete(transitions: Transitions, codes: np.ndarray, neighbours: int) -> Transitions:
    """The transitions with one imagined row for every pair that has none.

    Args:
        transitions: the log over the declared states; not anchored.
        codes: int64 (Z,), the declared integer of each state, ascending.
        neighbours: K.

    Returns:
        Transitions in which an action that was logged anywhere is known everywhere. A completed pair never
        terminates, and one that would leave the declared codes stays where it is.
    """
    actions = transitions.action_count
    size = transitions.state_count * actions
    rows = transitions.sums()
    mean_reward = (transitions.sums(transitions.rewards) / np.maximum(rows, 1.0)).ravel()
    following = modal(transitions.cells, transitions.next_states, size)
    penalty = PENALTY * usual_reward(transitions.rewards)
    cells, rewards, nexts = [], [], []
    for action in range(actions):
        seen, unseen = np.flatnonzero(rows[:, action] > 0), np.flatnonzero(rows[:, action] == 0)
        if not len(seen) or not len(unseen):
            continue
        chosen = seen[nearest(codes[seen], codes[unseen], neighbours)]
        offset = majority(codes[following[chosen * actions + action]] - codes[chosen])
        target = codes[unseen] + offset
        position = np.clip(np.searchsorted(codes, target), 0, len(codes) - 1)
        cells.append(unseen * actions + action)
        rewards.append(np.median(mean_reward[chosen * actions + action], axis=1) - penalty)
        nexts.append(np.where(codes[position] == target, position, unseen))
    if not cells:
        return transitions
    added = sum(map(len, cells))
    logged = len(transitions.cells)
    return Transitions(
        cells=np.concatenate([transitions.cells, *cells]),
        rewards=np.concatenate([transitions.rewards, *rewards]),
        next_states=np.concatenate([transitions.next_states, *nexts]),
        terminated=np.concatenate([transitions.terminated, np.zeros(added, dtype=bool)]),
        state_count=transitions.state_count,
        action_count=actions,
        next_allowed=None
        if transitions.next_allowed is None
        else np.concatenate([transitions.next_allowed, np.ones((added, actions), dtype=bool)]),
        imagined=np.arange(logged + added) >= logged,
    )
