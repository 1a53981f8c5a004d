"""The maximum-likelihood decision process of a log over discrete states, pessimistic where the log is thin.

Its law in cell (z, a) is a uniform draw of one of the cell's logged transitions, reward and successor
together. A pair seen fewer than ``minimum_count`` times leads to an absorbing state HALT that pays the
worst reward at every step (MOReL, Kidambi et al. 2020). HALT is state Z.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.dataset import Dataset
from envs.errors import DataError
from envs.transitions import discrete_transitions


@dataclass(frozen=True, slots=True, eq=False)
class EmpiricalModel:
    """Transitions sorted by cell, state · A + action.

    Attributes:
        state_count: Z, without HALT.
        action_count: A.
        firsts: int64 (Z · A,), position of each cell's first transition.
        counts: int64 (Z · A,), transitions of each cell.
        rewards: float64 (N,).
        next_states: int64 (N,).
        terminated: bool (N,).
        starts: int64 (E,), first state of each logged episode.
        minimum_count: rows below which a pair leads to HALT.
        worst_reward: what HALT pays at every step.
        horizon: decisions after which an episode is truncated.
        discount: the declared discount.
    """

    state_count: int
    action_count: int
    firsts: np.ndarray
    counts: np.ndarray
    rewards: np.ndarray
    next_states: np.ndarray
    terminated: np.ndarray
    starts: np.ndarray
    minimum_count: int
    worst_reward: float
    horizon: int
    discount: float

    @property
    def halt(self) -> int:
        """The index of HALT."""
        return self.state_count

    @property
    def known(self) -> np.ndarray:
        """Pairs seen often enough, bool (Z + 1, A); none in HALT."""
        known = (self.counts >= self.minimum_count).reshape(self.state_count, self.action_count)
        return np.vstack([known, np.zeros((1, self.action_count), dtype=bool)])

    def start(self, uniforms: np.ndarray) -> np.ndarray:
        """First states drawn from the logged ones, int64 (n,), by uniform numbers (n,)."""
        return np.asarray(self.starts[(uniforms * len(self.starts)).astype(np.int64)])

    def step(
        self, states: np.ndarray, actions: np.ndarray, uniforms: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rewards float64, next states int64 and terminations bool, each (n,), by uniform numbers (n,)."""
        known = states < self.state_count
        cells = np.where(known, states * self.action_count + actions, 0)
        known &= self.counts[cells] >= self.minimum_count
        chosen = np.where(known, self.firsts[cells] + (uniforms * self.counts[cells]).astype(np.int64), 0)
        return (
            np.where(known, self.rewards[chosen], self.worst_reward),
            np.where(known, self.next_states[chosen], self.halt),
            known & self.terminated[chosen],
        )

    def action_values(self, next_values: np.ndarray, discount: float) -> np.ndarray:
        """Exact one-step look-ahead Q (Z + 1, A) of state values (Z + 1,)."""
        cells = np.repeat(np.arange(len(self.counts)), self.counts)
        targets = self.rewards + discount * np.where(self.terminated, 0.0, next_values[self.next_states])
        means = np.bincount(cells, targets, len(self.counts)) / np.maximum(self.counts, 1)
        halted = self.worst_reward + discount * next_values[self.halt]
        table = np.vstack([means.reshape(self.state_count, self.action_count), np.zeros((1, self.action_count))])
        return np.where(self.known, table, halted)

    def evaluate(self, policy: np.ndarray, *, horizon: int | None = None, discount: float | None = None) -> np.ndarray:
        """Exact expected return from each state, float64 (Z + 1,), by backward induction over the horizon.

        Args:
            policy: probabilities (Z, A) or (Z + 1, A).
            horizon: number of decisions; the declared one by default.
            discount: discount per decision; the declared one by default.
        """
        gamma = self.discount if discount is None else discount
        if len(policy) == self.state_count:
            policy = np.vstack([policy, np.full((1, self.action_count), 1.0 / self.action_count)])
        values = np.zeros(self.state_count + 1)
        for _ in range(self.horizon if horizon is None else horizon):
            values = (policy * self.action_values(values, gamma)).sum(axis=1)
        return values

    def optimise(self, *, horizon: int | None = None, discount: float | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The best policy inside the model by decisions left, (H, Z + 1) int64, and its values (Z + 1,).

        ``policy[0]`` decides with H decisions left. Its value inside is optimistic about itself; what it
        is worth outside must be tested elsewhere.
        """
        gamma = self.discount if discount is None else discount
        values = np.zeros(self.state_count + 1)
        policy = []
        for _ in range(self.horizon if horizon is None else horizon):
            table = self.action_values(values, gamma)
            policy.append(table.argmax(axis=1))
            values = table.max(axis=1)
        return np.array(policy[::-1]), values

    def start_value(self, values: np.ndarray) -> float:
        """Mean of state values over the logged first states."""
        return float(values[self.starts].mean())


def build_model(
    dataset: Dataset,
    encoder: Any,
    *,
    minimum_count: int = 1,
    worst_reward: float | None = None,
    horizon: int | None = None,
) -> EmpiricalModel:
    """The empirical model of a dataset under an encoder of discrete states.

    Args:
        dataset: the log.
        encoder: anything with ``states(rows)`` and ``count``.
        minimum_count: at least 1.
        worst_reward: what HALT pays; the declared smallest reward by default, else the smallest logged one.
        horizon: the declared one by default.

    Raises:
        DataError: no transition can be learned, or a first observation is unknown to the encoder.
    """
    where = f"agent {dataset.specification.name}"
    if minimum_count < 1:
        raise DataError(f"minimum_count is {minimum_count}", where=where, remedy="give 1 or more")
    data = discrete_transitions(dataset, encoder)
    if not len(data.states):
        raise DataError("no decision has a known next observation", where=where, remedy="log next observations")
    starts = encoder.states(dataset.observations[dataset.rows[dataset.offsets[:-1]]])
    if (starts < 0).any():
        raise DataError("an episode starts in a state unknown to the encoder", where=where, remedy="fit it on this log")
    actions = len(dataset.specification.actions)
    cells = data.states * actions + data.actions
    order = np.argsort(cells, kind="stable")
    counts = np.bincount(cells, minlength=encoder.count * actions).astype(np.int64)
    declared = dataset.specification.reward_range
    worst = declared[0] if declared is not None else float(dataset.rewards.min())
    worst = worst if worst_reward is None else worst_reward
    if not math.isfinite(worst):
        raise DataError("the worst reward is not finite", where=where, remedy="declare reward_range")
    return EmpiricalModel(
        state_count=encoder.count,
        action_count=actions,
        firsts=np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64),
        counts=counts,
        rewards=data.rewards[order],
        next_states=data.next_states[order],
        terminated=data.terminated[order],
        starts=starts,
        minimum_count=minimum_count,
        worst_reward=float(worst),
        horizon=dataset.specification.horizon if horizon is None else horizon,
        discount=dataset.specification.discount,
    )
