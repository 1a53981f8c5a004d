"""What the trainers that learn a network by hand share: checked settings, the kind of their states, their file."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np

from ai_engine.retrain.network_model import NetworkModel, States, is_discrete, read_network
from algorithms.policy.artefact import save_policy
from algorithms.policy.policy import Policy
from envs.errors import ArtefactError, DataError, SpecificationError
from envs.specification import Action

Check = tuple[str, Any, bool, str]
"""Name and value of a setting, whether it fits, and what would."""


class Networks(Protocol):
    """What a trainer learns, with the state of its optimizer."""

    @classmethod
    def begin(cls, random: np.random.Generator, inputs: int, hidden: Sequence[int], actions: int) -> Self:
        """New ones."""

    @classmethod
    def of_arrays(
        cls, arrays: Mapping[str, np.ndarray], step: int, inputs: int, hidden: Sequence[int], actions: int
    ) -> Self:
        """What :meth:`arrays` gave; raises an ``ArtefactError`` where that does not fit the sizes."""

    def arrays(self) -> dict[str, np.ndarray]:
        """All that learning goes on from, by name."""

    @property
    def step(self) -> int:
        """Optimizer steps so far."""


Learned = TypeVar("Learned", bound=Networks)


def check(where: str, *checks: Check) -> None:
    """Refuse the first setting that does not fit.

    Raises:
        SpecificationError: names it.
    """
    for name, value, fits, wanted in checks:
        if not fits:
            raise SpecificationError(f"{name} is {value!r}", where=where, remedy=f"give {wanted}")


class NetworkTrainer(Generic[Learned]):
    """The shared half of a trainer; arguments as of :class:`~ai_engine.retrain.dqn_trainer.DQNTrainer`.

    Attributes:
        algorithm: its name in files, which only a trainer of that name reads.
        networks: what it learns.
        restored: settings that a saved model brings with it.
    """

    algorithm: ClassVar[str]
    networks: type[Learned]
    restored: ClassVar[tuple[str, ...]]
    statistics: Any = None

    def __init__(
        self,
        state_size: int,
        action_size: int,
        *,
        learning_rate: float,
        discount_factor: float,
        value_scale: float,
        hidden: Sequence[int],
        center: float | Sequence[float],
        scale: float | Sequence[float],
        agent: str,
        actions: Sequence[Action] | None,
        explore: float,
        seed: int | None,
    ) -> None:
        self.actions: tuple[Action, ...] = tuple(range(action_size) if actions is None else actions)
        centers, scales = (np.atleast_1d(np.asarray(value, dtype=np.float64)) for value in (center, scale))
        check(
            self.where,
            ("state_size", state_size, state_size >= 1, "1 or more"),
            ("action_size", action_size, action_size >= 1, "1 or more"),
            ("learning_rate", learning_rate, 0.0 < learning_rate < math.inf, "more than 0"),
            ("discount_factor", discount_factor, 0.0 <= discount_factor <= 1.0, "a number in [0, 1]"),
            ("value_scale", value_scale, 0.0 < value_scale < math.inf, "more than 0"),
            ("hidden", hidden, all(size >= 1 for size in hidden), "sizes of 1 or more"),
            ("center", center, centers.size in (1, state_size), f"one number, or {state_size}"),
            (
                "scale",
                scale,
                scales.size in (1, state_size) and bool((scales > 0).all()),
                f"{state_size} numbers above 0",
            ),
            ("explore", explore, 0.0 <= explore <= 1.0, "a number in [0, 1]"),
            ("actions", actions, len(set(self.actions)) == action_size, f"{action_size} different names"),
        )
        self.state_size, self.action_size = state_size, action_size
        self.learning_rate, self.discount_factor = learning_rate, discount_factor
        self.value_scale, self.hidden = value_scale, tuple(hidden)
        self.agent, self.explore = agent, explore
        self._center, self._scale = (tuple(np.broadcast_to(each, state_size).tolist()) for each in (centers, scales))
        self._random = np.random.default_rng(seed)
        self._states: States | None = None

    @property
    def where(self) -> str:
        """What messages call it."""
        return type(self).__name__

    @property
    def updates(self) -> int:
        """Optimizer steps so far."""
        return 0 if self._states is None else self._networks.step

    def policy(self) -> Policy:
        """What is deployed, all that learning goes on from included.

        Raises:
            DataError: nothing was learned yet.
        """
        raise NotImplementedError

    def save_model(self, path: str | os.PathLike[str]) -> Path:
        """Write the policy artefact atomically, all that learning goes on from included; raises as :meth:`policy`."""
        return save_policy(self.policy(), path)

    def load_model(self, path: str | os.PathLike[str]) -> Self:
        """Go on from a file of :meth:`save_model`, exactly: networks, optimizer, settings and random numbers.

        Raises:
            ArtefactError: no such file, a damaged one, or one of another trainer or of other states or actions.
        """
        model, where = read_network(path, self.algorithm), os.fspath(path)
        if (model.states.size, model.actions) != (self.state_size, self.actions):
            raise ArtefactError(
                f"has {model.states.size} states and the actions {model.actions}",
                where=where,
                remedy=f"this trainer has {self.state_size} and {self.actions}",
            )
        random = np.random.default_rng()
        try:
            settings = {name: model.settings[name] for name in self.restored}
            hidden = tuple(int(size) for size in settings["hidden"])
            counters = {name: float(model.counters[name]) for name in (*self._counters(), "steps")}
            random.bit_generator.state = dict(model.random)
        except (KeyError, TypeError, ValueError) as error:
            raise ArtefactError(f"lacks or damages {error}", where=where, remedy="train it again") from None
        steps, inputs = int(counters.pop("steps")), model.states.encoder.size
        networks = self.networks.of_arrays(model.arrays, steps, inputs, hidden, self.action_size)
        for name, value in (*settings.items(), *((f"_{name}", value) for name, value in counters.items())):
            setattr(self, name, value)
        self.hidden, self.agent, self.explore = hidden, model.agent, model.explore
        self._states, self._networks, self._random, self.statistics = model.states, networks, random, None
        return self

    def _counters(self) -> dict[str, float]:
        """Numbers beside the optimizer's steps that learning goes on from: attributes, without their underscore."""
        return {}

    def _model(self) -> NetworkModel:
        """All that learning goes on from; raises as :meth:`policy`."""
        if self._states is None or not self.updates:
            raise DataError("has learned nothing yet", where=self.where, remedy="train it first")
        return NetworkModel(
            algorithm=self.algorithm,
            agent=self.agent,
            actions=self.actions,
            explore=self.explore,
            states=self._states,
            arrays=self._networks.arrays(),
            settings={name: getattr(self, name) for name in self.restored},
            counters={**self._counters(), "steps": self.updates},
            random=self._random.bit_generator.state,
            statistics=self.statistics.to_json() if self.statistics else {},
        )

    def _features(self, values: Any, field: str) -> np.ndarray:
        """Inputs of the networks; the first states seen decide of what kind they are, and make the networks."""
        if self._states is None:
            states = States(self.state_size, True)
            if not is_discrete(values):
                states = States(self.state_size, False, self._center, self._scale)
            features = states.features(values, field)
            self._networks = self.networks.begin(self._random, states.encoder.size, self.hidden, self.action_size)
            self._states = states
            return features
        return self._states.features(values, field)
