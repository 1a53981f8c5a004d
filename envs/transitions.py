"""The rows of a dataset from which a transition can be learned, with discrete states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.dataset import Dataset


@dataclass(frozen=True, slots=True, eq=False)
class DiscreteTransitions:
    """N' ≤ N learnable transitions.

    Attributes:
        decisions: int64 (N',), which decisions of the dataset they are.
        states: int64 (N',), in [0, Z).
        actions: int64 (N',).
        rewards: float64 (N',).
        next_states: int64 (N',), in [0, Z); the own state where terminated without a known end.
        terminated: bool (N',), nothing follows: no bootstrap.
    """

    decisions: np.ndarray
    states: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    next_states: np.ndarray
    terminated: np.ndarray


def discrete_transitions(dataset: Dataset, encoder: Any) -> DiscreteTransitions:
    """The learnable transitions of a dataset.

    A truncated decision is a transition like any other (it bootstraps); one whose next observation is not
    known is left out, unless it terminated. An agent with a horizon of one decision has no next: every
    row of it is an end. Both ends at once count as terminated.

    Args:
        dataset: the log.
        encoder: anything with ``states(rows) -> int64`` (−1 for a row that it does not know).
    """
    states = encoder.states(dataset.observations)
    own, following = states[dataset.rows], states[dataset.rows + 1]
    ended = dataset.terminated | (dataset.specification.horizon == 1)
    next_known = dataset.next_known & (following >= 0)
    chosen = np.flatnonzero((own >= 0) & (ended | next_known))
    return DiscreteTransitions(
        decisions=chosen,
        states=own[chosen],
        actions=dataset.actions[chosen],
        rewards=dataset.rewards[chosen],
        next_states=np.where(next_known, following, own)[chosen],
        terminated=ended[chosen],
    )
