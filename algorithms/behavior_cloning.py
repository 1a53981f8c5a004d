"""Behaviour cloning: the policy that wrote the log, learned back from it, as an RLlib algorithm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ray.rllib.algorithms.algorithm import Algorithm

from algorithms.cloning_fit import (
    NetworkState,
    count_table,
    fit_network,
    initial_network,
    negative_log_likelihood,
    network_probabilities,
    temper,
)
from algorithms.net_free import NOT_PROVIDED, NetFreeAlgorithm, NetFreeConfig, given
from algorithms.never_logged import without_never_logged
from algorithms.policy.components import Component, Network, ProbabilityTable
from algorithms.policy.mixing import restrict
from envs.discretization import DISCRETIZERS, default_discretizer, fit_discretizer
from envs.encoding import StandardFeatures, encoder_from_json

MODELS = ("table", "network")


class BehaviorCloningConfig(NetFreeConfig):
    """Configuration of :class:`BehaviorCloning`.

    Minimises −(1/N) Σ ln π(a_i | x_i) over the *requested* actions of the log, no row weighing more than another.

    Attributes:
        model_kind: ``table`` (smoothed counts by discrete state) or ``network`` (softmax of a tanh network);
            set as ``model`` (RLlib keeps that attribute's name for its own).
        discretizer: of the table: ``integer``, ``grid`` or ``kmeans``; ``None`` chooses by the declaration.
        fields: of the table: names of the fields that are discretised; ``None`` for all.
        resolution: of the table: bins a field (grid) or number of states (kmeans).
        smoothing: of the table: pseudo rows of the overall action frequencies in each state.
        hidden: of the network: sizes of the hidden layers; none is a linear model.
        updates_per_iteration: of the network: Adam steps of one ``train()``.
        batch_size: of the network: rows of one step, drawn with replacement.
        learning_rate: of the network.
        weight_decay: of the network: decoupled, times the learning rate.
        temperature: 1 clones, 0 takes the modal action (the behaviour without its noise), between sharpens.
    """

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class or BehaviorCloning)
        self.model_kind: str = "network"
        self.discretizer: str | None = None
        self.fields: tuple[str, ...] | None = None
        self.resolution: int = 6
        self.smoothing: float = 1.0
        self.hidden: tuple[int, ...] = (64,)
        self.updates_per_iteration: int = 200
        self.batch_size: int = 256
        self.learning_rate: float = 0.003
        self.weight_decay: float = 0.01
        self.temperature: float = 1.0

    def training(
        self,
        *,
        model: Any = NOT_PROVIDED,
        discretizer: str | None = NOT_PROVIDED,
        fields: Sequence[str] | None = NOT_PROVIDED,
        resolution: int = NOT_PROVIDED,
        smoothing: float = NOT_PROVIDED,
        hidden: Sequence[int] = NOT_PROVIDED,
        updates_per_iteration: int = NOT_PROVIDED,
        batch_size: int = NOT_PROVIDED,
        learning_rate: float = NOT_PROVIDED,
        weight_decay: float = NOT_PROVIDED,
        temperature: float = NOT_PROVIDED,
        **kwargs: Any,
    ) -> BehaviorCloningConfig:
        """Set hyperparameters; see the attributes. A ``model`` that is a dictionary goes to RLlib's own."""
        own = {name: value for name, value in locals().items() if name in self.own_settings() and name != "model"}
        if isinstance(model, dict):
            kwargs["model"] = model
        elif model is not NOT_PROVIDED:
            self.model_kind = model
        super().training(**kwargs)
        for name, value in given(**own).items():
            setattr(self, name, tuple(value) if name in ("fields", "hidden") and value is not None else value)
        return self

    def setting(self, name: str) -> Any:
        """The value of one of :meth:`own_settings`."""
        return self.model_kind if name == "model" else super().setting(name)

    def validate(self) -> None:
        """Check the configuration.

        Raises:
            SpecificationError: a setting out of its range; names it.
        """
        super().validate()
        self.require(self.model_kind in MODELS, f"model is {self.model_kind!r}", f"use one of {', '.join(MODELS)}")
        known = (None, *DISCRETIZERS)
        self.require(self.discretizer in known, f"discretizer is {self.discretizer!r}", f"use one of {known}")
        for name in ("resolution", "updates_per_iteration", "batch_size"):
            self.require(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}", "give 1 or more")
        for name in ("smoothing", "learning_rate"):
            self.require(getattr(self, name) > 0.0, f"{name} is {getattr(self, name)}", "give more than 0")
        for name in ("weight_decay", "temperature"):
            self.require(getattr(self, name) >= 0.0, f"{name} is {getattr(self, name)}", "give 0 or more")
        self.require(all(size >= 1 for size in self.hidden), f"hidden is {self.hidden}", "give sizes of 1 or more")


class BehaviorCloning(NetFreeAlgorithm):
    """Learns the logging policy; see :class:`BehaviorCloningConfig`.

    Metrics: ``loss`` (mean −ln π of the logged actions at temperature 1, all rows), ``initial_loss`` (the same of
    the overall action frequencies, which ignore the observation), ``agreement`` (share of rows whose logged action
    is the modal one), ``updates``, ``converged`` (1 for a table, which needs one iteration).
    """

    progress_metric = "loss"
    config: BehaviorCloningConfig

    @classmethod
    def get_default_config(cls) -> BehaviorCloningConfig:
        """The configuration class's defaults."""
        return BehaviorCloningConfig(cls)

    def build(self) -> None:
        """Fit the encoder, and begin with the overall action frequencies (table) or a nearly uniform network."""
        config, data = self.config, self.data
        observation = data.specification.observation
        self.action_count = len(data.specification.actions)
        rows = data.observations[data.rows]
        self.table: np.ndarray | None = None
        self.network: NetworkState | None = None
        self.overall = np.bincount(data.actions, minlength=self.action_count) / len(data)
        self.updates = 0
        if config.model_kind == "table":
            self.encoder: Any = fit_discretizer(
                config.discretizer or default_discretizer(observation),
                rows,
                observation,
                resolution=config.resolution,
                fields=config.fields,
                seed=config.seed or 0,
            )
            self.table = np.tile(self.overall, (self.encoder.count, 1))
        else:
            self.encoder = StandardFeatures.fit(rows, observation)
            self.network = initial_network(self.random, (self.encoder.size, *config.hidden, self.action_count))
        self._encode()

    def _encode(self) -> None:
        data = self.data
        rows, allowed = data.observations[data.rows], data.allowed[data.rows]
        self._allowed = None if allowed.all() else allowed
        self._inputs = self.encoder.states(rows) if self.table is not None else self.encoder.features(rows)
        overall = np.broadcast_to(self.overall, allowed.shape)
        self._initial_loss = negative_log_likelihood(restrict(overall, allowed), data.actions)

    def learn(self) -> dict[str, float]:
        """Count (table), or take this iteration's steps (network)."""
        config, data = self.config, self.data
        if self.network is not None:
            self.network, _ = fit_network(
                self.network,
                self._inputs,
                data.actions,
                self._allowed,
                self.random,
                updates=config.updates_per_iteration,
                batch_size=config.batch_size,
                learning_rate=config.learning_rate,
                weight_decay=config.weight_decay,
            )
            self.updates += config.updates_per_iteration
        else:
            self.table, _ = count_table(
                self._inputs, data.actions, self.encoder.count, self.action_count, config.smoothing
            )
            self.updates += 1
        clone = self._clone(data.observations[data.rows], self._allowed, 1.0, self._inputs)
        return {
            "loss": negative_log_likelihood(clone, data.actions),
            "initial_loss": self._initial_loss,
            "agreement": float((clone.argmax(axis=1) == data.actions).mean()),
            "updates": float(self.updates),
            "converged": float(self.table is not None),
        }

    def _clone(
        self, rows: np.ndarray, allowed: np.ndarray | None, temperature: float, inputs: np.ndarray | None = None
    ) -> np.ndarray:
        if self.network is not None:
            features = self.encoder.features(rows) if inputs is None else inputs
            weights = without_never_logged(self.network.weights, self.data)
            return network_probabilities(weights, features, allowed, temperature)
        assert self.table is not None
        states = self.encoder.states(rows) if inputs is None else inputs
        chosen = np.where(states[:, None] >= 0, temper(self.table, temperature)[states], self.overall)
        return chosen if allowed is None else restrict(chosen, allowed)

    def model_state(self) -> dict[str, Any]:
        """Encoder, and table or network with its optimizer."""
        network = self.network
        return {
            "encoder": self.encoder.to_json(),
            "table": None if self.table is None else self.table.copy(),
            "network": None if network is None else (network.weights, network.first, network.second, network.step),
            "updates": self.updates,
        }

    def set_model_state(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`model_state` gave."""
        self.encoder = encoder_from_json(state["encoder"])
        self.table = state["table"]
        self.network = None if state["network"] is None else NetworkState(*state["network"])
        self.updates = int(state["updates"])
        self._encode()

    def export_component(self) -> Component:
        """A table of probabilities, or a network."""
        if self.network is not None:
            weights = without_never_logged(self.network.weights, self.data)
            return Network(self.encoder, weights, "tanh", float(self.config.temperature))
        assert self.table is not None
        return ProbabilityTable(self.encoder, temper(self.table, self.config.temperature), self.overall)

    def probabilities(
        self, rows: np.ndarray, *, allowed: np.ndarray | None = None, base: np.ndarray | None = None
    ) -> np.ndarray:
        """Probabilities (N, A) of the clone at the configured temperature; it stands on no base."""
        mask = None if allowed is None else np.asarray(allowed, dtype=bool)
        return self._clone(rows, mask, self.config.temperature)
