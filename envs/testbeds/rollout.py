"""A policy let loose on a testbed: what the newer testbeds share, and the only way to their truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

Probabilities = Callable[[np.ndarray], np.ndarray]
"""Raw rows (E, D) to action probabilities (E, A)."""


class World(Protocol):
    """E episodes stepped together, one decision of all of them at a time.

    Attributes:
        active: bool (E,), episodes that have not terminated; the others ignore what is done to them.
    """

    active: np.ndarray

    def observe(self) -> np.ndarray:
        """Raw observation rows, float64 (E, D)."""
        ...

    def allowed(self) -> np.ndarray:
        """Actions possible now, bool (E, A)."""
        ...

    def step(self, actions: np.ndarray) -> dict[str, np.ndarray]:
        """Applies one action index per episode; returns the outcome columns, (E,) each."""
        ...


def restricted(probabilities: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Probabilities (E, A) on the allowed actions alone; uniform over them where nothing is left."""
    kept = probabilities * allowed
    total = kept.sum(axis=1, keepdims=True)
    uniform = allowed / allowed.sum(axis=1, keepdims=True)
    return np.divide(kept, total, out=uniform, where=total > 0)


def explored(
    probabilities: Probabilities, explore: float, allowed: Callable[[np.ndarray], np.ndarray]
) -> Probabilities:
    """The policy with a share ``explore`` of its decisions uniform over the allowed actions of a row."""

    def mixed(rows: np.ndarray) -> np.ndarray:
        mask = allowed(rows)
        return (1.0 - explore) * restricted(probabilities(rows), mask) + explore * mask / mask.sum(1, keepdims=True)

    return mixed


def draw_actions(probabilities: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One action index per row of probabilities (E, A), int64 (E,)."""
    cumulative = np.cumsum(probabilities, axis=1)
    drawn = rng.random(len(cumulative))[:, None] * cumulative[:, -1:]
    return np.asarray((drawn >= cumulative).sum(axis=1))


def simulated_returns(
    world: World,
    probabilities: Probabilities,
    reward_of: Callable[[Mapping[str, np.ndarray]], np.ndarray],
    *,
    horizon: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Undiscounted returns of a world's episodes under a policy, float64 (E,).

    The world and the actions draw from generators of their own, so that two policies meet the same episodes.
    """
    returns = np.zeros(len(world.active))
    for _ in range(horizon):
        active = world.active.copy()
        actions = draw_actions(restricted(probabilities(world.observe()), world.allowed()), rng)
        returns += np.where(active, reward_of(world.step(actions)), 0.0)
    return returns


@dataclass(frozen=True, slots=True)
class Truth:
    """A policy's true value: mean return and its standard error over simulated episodes."""

    value: float
    error: float


def truth_of(returns: np.ndarray) -> Truth:
    """Mean and standard error of simulated returns."""
    return Truth(float(returns.mean()), float(returns.std(ddof=1) / np.sqrt(len(returns))))
