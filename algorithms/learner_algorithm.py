"""Algorithms whose model is one RLlib torch learner in this process: no learner group, no environment runners."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from operator import attrgetter
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from ray.rllib.core import DEFAULT_MODULE_ID

from algorithms.net_free import NetFreeAlgorithm, NetFreeConfig
from algorithms.policy.network import ACTIVATIONS
from algorithms.steps_learner import StepsLearner
from envs.adam import one_thread
from envs.encoding import StandardFeatures, encoder_from_json


def alias(name: str) -> Any:
    """A setting that is another name of RLlib's setting ``name``."""
    return property(attrgetter(name), lambda config, value: setattr(config, name, value))


class LearnerConfig(NetFreeConfig):
    """Configuration of a :class:`LearnerAlgorithm`; to be inherited together with RLlib's own.

    ``class DQNConfig(LearnerConfig, ray.rllib.algorithms.dqn.DQNConfig)`` has all of RLlib's settings. Where one
    of ours means the same as one of RLlib's, both names read and set the same value; a dictionary of the
    configuration holds RLlib's name.

    Attributes:
        hidden: sizes of the hidden layers; at least one.
        activation: ``tanh`` or ``relu``.
        learning_rate: Adam's step size (RLlib's ``lr``).
    """

    hidden: tuple[int, ...]
    activation: str

    def __init__(self, algo_class: Any = None) -> None:
        super().__init__(algo_class)
        self.hidden = (64, 64)
        self.activation = "tanh"

    learning_rate = alias("lr")

    def get_default_rl_module_spec(self) -> Any:
        """RLlib's module of the algorithm."""
        return super(NetFreeConfig, self).get_default_rl_module_spec()

    def get_default_learner_class(self) -> Any:
        """RLlib's learner of the algorithm; a subclass gives one that is a :class:`StepsLearner`."""
        return super(NetFreeConfig, self).get_default_learner_class()

    def module_settings(self) -> dict[str, Any]:
        """RLlib's ``model_config`` of these settings."""
        return {"fcnet_hiddens": list(self.hidden), "fcnet_activation": self.activation}

    def validate(self) -> None:
        """Check the configuration.

        Raises:
            SpecificationError: a setting out of its range; names it.
        """
        super().validate()
        fits = len(self.hidden) >= 1 and all(size >= 1 for size in self.hidden)
        self.require(fits, f"hidden is {self.hidden}", "give sizes of 1 or more")
        known = ", ".join(ACTIVATIONS)
        self.require(self.activation in ACTIVATIONS, f"activation is {self.activation!r}", f"use one of {known}")
        rate = self.learning_rate
        fits = not isinstance(rate, (int, float)) or 0.0 < rate < np.inf
        self.require(fits, f"learning_rate is {rate}", "give more than 0")


class LearnerAlgorithm(NetFreeAlgorithm):
    """An algorithm that trains one RLlib module by one RLlib learner, which lives in this process.

    Attributes:
        encoder: raw rows to the module's inputs.
        learner: RLlib's learner, one torch thread wide.
    """

    config: LearnerConfig
    learner: StepsLearner
    encoder: StandardFeatures

    def build(self) -> None:
        """Fit the encoder on the rows of the decisions, and make the learner with weights from :attr:`random`."""
        self.encoder = StandardFeatures.fit(self.data.observations[self.data.rows], self.data.specification.observation)
        self.prepare()
        self.learner = self.build_learner()

    def prepare(self) -> None:
        """What is needed between encoder and learner."""

    def build_learner(self) -> StepsLearner:
        """A learner with new weights; leaves the global random numbers as they are."""
        config = self.learner_config()
        spaces: Any = (
            gym.spaces.Box(-np.inf, np.inf, (self.encoder.size,), np.float32),
            gym.spaces.Discrete(len(self.data.specification.actions)),
        )
        with torch.random.fork_rng(devices=[]), one_thread():
            torch.manual_seed(int(self.random.integers(2**63)))
            learner = config.build_learner(spaces={DEFAULT_MODULE_ID: spaces})
        assert isinstance(learner, StepsLearner)
        return learner

    def learner_config(self) -> Any:
        """The configuration that the learner is built from: ours with what is resolved at run time."""
        config: Any = self.config.copy(copy_frozen=False)
        config.seed = None  # a seeded learner would seed the whole process
        given: Any = config._model_config
        given = given if isinstance(given, dict) else dataclasses.asdict(given)
        config.rl_module(model_config=config.module_settings() | given)
        return config

    @property
    def module(self) -> Any:
        """RLlib's module."""
        return self.learner.only

    def inputs(self, rows: np.ndarray) -> torch.Tensor:
        """Raw rows (N, D) as the module's inputs, float32 (N, F)."""
        return torch.from_numpy(self.encoder.features(rows).astype(np.float32))

    def take_steps(self, batches: Iterable[dict[str, Any]]) -> dict[str, float]:
        """The learner's, in one thread."""
        with one_thread():
            return self.learner.take_steps(batches)

    def model_state(self) -> dict[str, Any]:
        """Encoder, and the learner's weights, moments and counter."""
        return {"encoder": self.encoder.to_json(), "learner": self.learner.plain_state()}

    def set_model_state(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`model_state` gave."""
        self.encoder = encoder_from_json(state["encoder"])
        self.learner.set_plain_state(state["learner"])
