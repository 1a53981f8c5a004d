"""Returns of many policies at once in a model of a log, all in the same luck."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from algorithms.anchor import base_probabilities
from algorithms.policy.mixing import restrict
from envs.dataset import Dataset
from envs.encoding import StandardFeatures
from envs.errors import DataError
from envs.offline.nearest_neighbour_model import NearestNeighbourModel


@dataclass(frozen=True, slots=True, eq=False)
class Situations:
    """What policies decide on.

    Attributes:
        features: float64 (..., F).
        allowed: bool (..., A).
        base: cumulative probabilities of what is improved, float64 (..., A); ``None`` where nothing is.
    """

    features: np.ndarray
    allowed: np.ndarray
    base: np.ndarray | None

    def folded(self, shape: tuple[int, ...]) -> Situations:
        """The same with another shape of its first axes."""
        base = None if self.base is None else self.base.reshape(*shape, -1)
        return Situations(self.features.reshape(*shape, -1), self.allowed.reshape(*shape, -1), base)


Choose = Callable[[Situations, np.ndarray], np.ndarray]
"""Situations (P, n, ...) and uniform numbers (n,) to actions int64 (P, n), policy p in its row p."""


class Simulation(Protocol):
    """The same n episodes for each of P policies, whose states are of its own making.

    Decisions are numbered p · n + j, policy by policy; what a policy draws is drawn for all of them alike.
    """

    horizon: int
    discount: float

    def start(self, random: np.random.Generator, episodes: int, policies: int) -> Any:
        """First states of n · P decisions."""
        ...

    def situations(self, states: Any) -> Situations:
        """What is to be decided on, first axis n · P."""
        ...

    def step(
        self, states: Any, actions: np.ndarray, random: np.random.Generator, policies: int
    ) -> tuple[np.ndarray, Any, np.ndarray]:
        """Rewards float64 (n · P,), next states, and terminations bool (n · P,)."""
        ...


def known_base(dataset: Dataset, champion: str | Path | None) -> np.ndarray:
    """Probabilities of the base at every row, float64 (N + E, A); NaN rows where it is not known.

    Raises:
        DataError: it is not known anywhere.
    """
    base = base_probabilities(dataset, champion).copy()
    if np.isnan(base).any(axis=1).all():
        raise DataError(
            "the policy to improve is not known at any decision",
            where=f"agent {dataset.specification.name}",
            remedy='declare rule = "module:function", record through Agent, or use policy="linear"',
        )
    return base


class NearestNeighbourSimulation:
    """A nearest-neighbour model as a simulation, whose states are rows of the dataset.

    Args:
        dataset: the log.
        model: of this log.
        encoder: of the features.
        relative: whether policies improve a base.
        champion: artefact file of that base; ``None`` means the bare rule.

    Raises:
        DataError: the base is needed and not known anywhere.
    """

    def __init__(
        self,
        dataset: Dataset,
        model: NearestNeighbourModel,
        encoder: StandardFeatures,
        *,
        relative: bool,
        champion: str | Path | None,
    ) -> None:
        self.model, self.horizon, self.discount = model, model.horizon, model.discount
        self._features = encoder.features(dataset.observations)
        self._features[~np.isfinite(self._features).all(axis=1)] = 0.0  # rows that the model never leads to
        self._base: np.ndarray | None = None
        if relative:
            base = known_base(dataset, champion)
            unknown = np.isnan(base).any(axis=1)
            base[unknown] = base[~unknown].mean(axis=0)
            self._base = np.cumsum(restrict(base, model.mask), axis=1)

    def start(self, random: np.random.Generator, episodes: int, policies: int) -> np.ndarray:
        """Logged first rows, int64 (n · P,)."""
        return np.tile(self.model.start(random.random(episodes)), policies)

    def situations(self, states: np.ndarray) -> Situations:
        """Features, mask and base of rows."""
        base = None if self._base is None else self._base[states]
        return Situations(self._features[states], self.model.mask[states], base)

    def step(
        self, states: np.ndarray, actions: np.ndarray, random: np.random.Generator, policies: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A drawn neighbour's reward, next row and end."""
        return self.model.step(states, actions, np.tile(random.random(len(states) // policies), policies))


def draw(cumulative: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """Indices drawn by uniform numbers (...,) from cumulative weights (..., A); never one of weight zero."""
    total = cumulative[..., -1:]
    # Rounding may lift a level to the total, beyond the last positive weight.
    levels = np.minimum(uniforms[..., None] * total, np.nextafter(total, 0.0))
    return np.asarray((cumulative <= levels).sum(axis=-1))


def population_returns(
    simulation: Simulation, choose: Choose, policies: int, episodes: int, random: np.random.Generator
) -> np.ndarray:
    """Returns of each policy in each of the same episodes, float64 (P, n).

    Episode j starts in the same state for all policies, and where two of them meet in a state and take the
    same action they go on to the same one (common random numbers: a difference between policies is their own).

    Args:
        simulation: whose episodes are played, to its horizon and with its discount.
        choose: what all policies do.
        policies: P.
        episodes: n.
        random: source of everything; what it draws does not depend on P.
    """
    states = simulation.start(random, episodes, policies)
    shape = (policies, episodes)
    returns, going, weight = np.zeros(shape), np.ones(shape, dtype=bool), 1.0
    for _ in range(simulation.horizon):
        actions = choose(simulation.situations(states).folded(shape), random.random(episodes))
        rewards, states, ended = simulation.step(states, actions.ravel(), random, policies)
        returns += weight * np.where(going, rewards.reshape(shape), 0.0)
        going &= ~ended.reshape(shape)
        weight *= simulation.discount
        if not going.any():
            break
    return returns
