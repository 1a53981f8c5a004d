"""Two ways to replay a log as if it were an environment (Mandel et al. 2016).

A *source* hands out episodes of one pass over the log; a cursor is one running episode. Both sources
shuffle at :meth:`restart` and use every logged piece at most once, so that returns are independent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from envs.dataset import Dataset
from envs.errors import DataError
from envs.transitions import discrete_transitions

TargetPolicy = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Raw rows (T, D) and allowed actions (T, A) to probabilities (T, A)."""


@dataclass(slots=True)
class Cursor:
    """One running episode: its row in the dataset's (N + E) arrays, and what is known of its acceptance."""

    row: int
    decision: int = -1
    end: int = -1
    left: int = 0
    accepted: bool = True
    chance: float = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one step gave: the next row is the cursor's."""

    reward: float
    terminated: bool
    truncated: bool
    logged_action: int
    exhausted: bool


class Source(Protocol):
    """What hands out episodes and steps them."""

    def restart(self, random: np.random.Generator) -> None:
        """Shuffle, and begin the log anew."""
        ...

    def begin(self, random: np.random.Generator) -> Cursor | None:
        """A new episode, or ``None`` when the log is exhausted."""
        ...

    def advance(self, cursor: Cursor, action: int) -> Outcome:
        """Move the cursor by one decision."""
        ...


class EpisodeReplay:
    """Per-episode rejection sampling with a fixed bound M: unbiased with finite data, for any observation.

    An episode is accepted with probability Π π(a|x) / μ(a|x) / M; accepted episodes then have exactly the
    law that π has in the real environment. M must not depend on the episode, and must be at least the
    largest weight: M = (1 / smallest propensity)^H is always valid, and a policy near the logger's
    needs far less.

    With ``policy`` the episodes that it rejects are skipped unseen. Without, the actor's own actions decide:
    an episode stays accepted while every action is the logged one (which happens with probability Π π), and
    a coin takes it with probability 1 / (M Π μ); whoever evaluates keeps only episodes that end accepted.
    """

    def __init__(self, dataset: Dataset, policy: TargetPolicy | None = None, bound: float | None = None) -> None:
        where = f"agent {dataset.specification.name}"
        if not np.isfinite(dataset.propensities).all():
            raise DataError("a propensity is missing", where=where, remedy="log propensities, or use mode='queues'")
        self._data = dataset
        self._rows = dataset.rows
        self._policy = policy
        smallest = float(dataset.propensities.min())
        longest = max(int(dataset.lengths.max()), 1)
        self.log_bound = -longest * math.log(smallest) if bound is None else math.log(bound)
        self._order = np.arange(dataset.episode_count)
        self._position = 0

    def restart(self, random: np.random.Generator) -> None:
        """Shuffle the episodes, and begin the log anew."""
        self._order = random.permutation(self._data.episode_count)
        self._position = 0

    def acceptance(self, episode: int) -> float:
        """Probability that the episode is accepted (without a policy: given that every action matches).

        Raises:
            DataError: the bound is smaller than the episode's weight; names the bound that is needed.
        """
        data, span = self._data, slice(self._data.offsets[episode], self._data.offsets[episode + 1])
        logged = data.propensities[span]
        if self._policy is None:
            log_weight = -float(np.log(logged).sum())
        else:
            rows = self._rows[span]
            target = self._policy(data.observations[rows], data.allowed[rows])
            chosen = target[np.arange(len(rows)), data.actions[span]]
            if (chosen <= 0.0).any():
                return 0.0
            log_weight = float((np.log(chosen) - np.log(logged)).sum())
        if log_weight > self.log_bound + 1e-9:
            weight = f"{math.exp(log_weight):.6g}"
            raise DataError(
                f"episode {episode} has weight {weight}, above the bound {math.exp(self.log_bound):.6g}",
                where=f"agent {data.specification.name}",
                remedy=f"give a bound of at least {weight}",
            )
        return math.exp(min(log_weight - self.log_bound, 0.0))

    def begin(self, random: np.random.Generator) -> Cursor | None:
        """The next episode (with a policy: the next that it accepts), or ``None`` when the log is exhausted."""
        while self._position < len(self._order):
            episode = int(self._order[self._position])
            self._position += 1
            taken = random.random() < self.acceptance(episode)
            if self._policy is not None and not taken:
                continue
            first, end = int(self._data.offsets[episode]), int(self._data.offsets[episode + 1])
            return Cursor(row=first + episode, decision=first, end=end, chance=float(taken))
        return None

    def advance(self, cursor: Cursor, action: int) -> Outcome:
        """Replay one logged decision; an action that differs from the logged one rejects the episode."""
        data, index = self._data, cursor.decision
        logged = int(data.actions[index])
        cursor.decision += 1
        last = cursor.decision == cursor.end
        if self._policy is None:
            cursor.accepted &= action == logged and (not last or cursor.chance > 0.0)
        terminated = bool(data.terminated[index]) or data.specification.horizon == 1
        if not last or data.end_known[cursor.row - index]:
            cursor.row += 1
        return Outcome(
            reward=float(data.rewards[index]),
            terminated=last and terminated,
            truncated=last and not terminated,
            logged_action=logged,
            exhausted=last and self._position == len(self._order),
        )


class QueueReplay:
    """Per-state queues: a step takes the next unused logged transition of (state, action). Discrete states only.

    Every transition has the right law, but a run ends where a queue is empty, which favours short
    and common paths: with few episodes the mean return is biased.
    """

    def __init__(self, dataset: Dataset, encoder: Any) -> None:
        self._data = dataset
        self._rows, self._next_known = dataset.rows, dataset.next_known
        self._states = encoder.states(dataset.observations)
        transitions = discrete_transitions(dataset, encoder)
        self._actions = len(dataset.specification.actions)
        self._decisions = transitions.decisions
        self._cells = transitions.states * self._actions + transitions.actions
        self._ended = np.zeros(len(dataset), dtype=bool)
        self._ended[transitions.decisions] = transitions.terminated
        self._firsts = self._rows[dataset.offsets[:-1]]
        size = encoder.count * self._actions
        self._ends = np.cumsum(np.bincount(self._cells, minlength=size))
        self._queue = self._decisions
        self._heads = np.zeros(size, dtype=np.int64)
        self._starts = self._firsts
        self._position = 0
        self._stopped = False

    def restart(self, random: np.random.Generator) -> None:
        """Shuffle first states and queues, and fill them again."""
        self._starts = random.permutation(self._firsts)
        order = random.permutation(len(self._decisions))
        order = order[np.argsort(self._cells[order], kind="stable")]
        self._queue = self._decisions[order]
        self._heads = np.concatenate([[0], self._ends[:-1]])
        self._position = 0
        self._stopped = False

    def begin(self, random: np.random.Generator) -> Cursor | None:
        """An episode from the next unused first state, or ``None`` once a queue or the first states ran out."""
        if self._stopped or self._position == len(self._starts):
            return None
        self._position += 1
        return Cursor(row=int(self._starts[self._position - 1]), left=self._data.specification.horizon)

    def advance(self, cursor: Cursor, action: int) -> Outcome:
        """The next transition of the queue; an empty one truncates the episode and exhausts the log."""
        state = int(self._states[cursor.row])
        cell = state * self._actions + action
        if state < 0 or self._heads[cell] == self._ends[cell]:
            self._stopped = True
            cursor.accepted = False
            return Outcome(0.0, False, True, -1, True)
        index = int(self._queue[self._heads[cell]])
        self._heads[cell] += 1
        cursor.row = int(self._rows[index] + self._next_known[index])
        cursor.left -= 1
        terminated = bool(self._ended[index])
        return Outcome(
            reward=float(self._data.rewards[index]),
            terminated=terminated,
            truncated=not terminated and cursor.left <= 0,
            logged_action=action,
            exhausted=(terminated or cursor.left <= 0) and self._position == len(self._starts),
        )
