"""A policy let loose in a batch of offline episodes: what PPO learns from, and what a search values a policy by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

ActionProbabilities = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Raw rows (n, D) and allowed actions, bool (n, A), to probabilities (n, A)."""


@dataclass(frozen=True, slots=True, eq=False)
class Rollouts:
    """T steps of n environments.

    Attributes:
        rows: float64 (T + 1, n, D), raw rows; row t + 1 is what step t led to, an end's last observation included.
        allowed: bool (T + 1, n, A).
        clock: int64 (T + 1, n), decisions of the episode so far.
        actions: int64 (T, n).
        probabilities: float64 (T, n), with which the action was drawn.
        rewards: float64 (T, n).
        terminated: bool (T, n).
        truncated: bool (T, n).
        kept: bool (T, n), false where the step only began the next episode, and nothing can be learned from it.
        first: bool (T, n), steps of each environment's first episode.
    """

    rows: np.ndarray
    allowed: np.ndarray
    clock: np.ndarray
    actions: np.ndarray
    probabilities: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    kept: np.ndarray
    first: np.ndarray

    @property
    def ended(self) -> np.ndarray:
        """Steps after which another episode begins, or that are the last at hand, bool (T, n)."""
        ended = self.terminated | self.truncated
        ended[-1] = True
        return ended

    def returns(self, discount: float = 1.0, values: np.ndarray | None = None) -> np.ndarray:
        """Σ γᵗ r_t of each environment's first episode, as far as it was played, float64 (n,).

        First episodes alone: those that also end within T steps are the shorter ones.

        Args:
            discount: γ.
            values: what follows each row, float64 (T + 1, n); counted where an episode was truncated.
        """
        paid = np.where(self.first, self.rewards, 0.0)
        if values is not None:
            paid = paid + np.where(self.first & self.truncated, discount * values[1:], 0.0)
        return np.asarray((paid * discount ** np.arange(len(paid))[:, None]).sum(axis=0))


def rollout(
    environment: Any,
    policy: ActionProbabilities,
    random: np.random.Generator,
    steps: int,
    *,
    starts: str = "first",
    first_only: bool = False,
) -> Rollouts:
    """Play ``steps`` steps of every environment of a vector, from a reset.

    Everything random comes from ``random``: the environment is reset with a seed drawn from it. The same
    state of ``random`` gives the same rollouts whatever the environment did before.

    Args:
        environment: an offline vector environment with ``AutoresetMode.NEXT_STEP`` whose ``info`` holds
            ``rows`` and ``action_mask``.
        policy: what acts; it is asked about allowed actions alone.
        random: source of everything.
        steps: T.
        starts: ``first`` (logged first rows) or ``any`` (any logged row).
        first_only: stop once every first episode has ended.
    """
    _, info = environment.reset(seed=int(random.integers(2**31)), options={"starts": starts})
    count = environment.num_envs
    rows, allowed, clock = [info["rows"].copy()], [info["action_mask"].astype(bool)], [np.zeros(count, dtype=np.int64)]
    columns: list[tuple[np.ndarray, ...]] = []
    beginning, first = np.zeros(count, dtype=bool), np.ones(count, dtype=bool)
    for _ in range(steps):
        probabilities = policy(rows[-1], allowed[-1])
        actions = draw_actions(probabilities, random.random(count))
        _, rewards, terminated, truncated, info = environment.step(actions)
        rows.append(info["rows"].copy())
        allowed.append(info["action_mask"].astype(bool))
        clock.append(np.where(beginning, 0, clock[-1] + 1))
        chosen = probabilities[np.arange(count), actions]
        columns.append(
            (actions, chosen, np.asarray(rewards, dtype=np.float64), terminated, truncated, ~beginning, first)
        )
        beginning = np.asarray(terminated | truncated, dtype=bool)
        first = first & ~beginning
        if first_only and not first.any():
            break
    return Rollouts(np.stack(rows), np.stack(allowed), np.stack(clock), *map(np.stack, zip(*columns, strict=True)))


def draw_actions(probabilities: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """One action a row, int64 (n,), by uniform numbers (n,) in [0, 1); never one of probability zero.

    Args:
        probabilities: float64 (n, A), with a positive sum in each row.
        uniforms: float64 (n,).
    """
    cumulative = np.cumsum(probabilities, axis=1)
    below = uniforms[:, None] * cumulative[:, -1:] < cumulative
    # Rounding may leave a level at the very end: the last action that is possible takes it.
    last = probabilities.shape[1] - 1 - (probabilities[:, ::-1] > 0.0).argmax(axis=1)
    return np.where(below.any(axis=1), below.argmax(axis=1), last)
