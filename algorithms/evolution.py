"""Evolution: policies of few parameters, searched for the largest return in a model of the log, for RLlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ray.rllib.algorithms.algorithm import Algorithm

from algorithms.evolution_policies import POLICIES, LinearScores
from algorithms.evolution_strategies import STRATEGIES, make_strategy
from algorithms.learned_simulation import LearnedSimulation
from algorithms.net_free import NOT_PROVIDED, NetFreeAlgorithm, NetFreeConfig, given
from algorithms.never_logged import logged_actions
from algorithms.policy.advantage_network import AdvantageNetwork
from algorithms.policy.components import Component
from algorithms.policy.mixing import restrict
from algorithms.policy.network import Network
from algorithms.population_returns import NearestNeighbourSimulation, Simulation, population_returns
from algorithms.warm_start import cloned_network
from envs.encoding import StandardFeatures
from envs.errors import DataError, SpecificationError
from envs.offline.learned_model import fit_model
from envs.offline.nearest_neighbour_model import build_neighbours

ENVIRONMENTS = ("learned_model", "nearest_neighbour")
"""Models that are searched in."""
EVALUATION_EPISODES = 1000
"""Of the centre of the search after an iteration; always the same ones, so that iterations compare."""
CLONE_UPDATES = 1000
DISAGREEMENT = 0.2
"""Cost of a learned model's disagreement where nothing is said."""


class EvolutionConfig(NetFreeConfig):
    """Configuration of :class:`Evolution`.

    The fitness of parameters is the mean return of their policy over episodes of a model of the log, from logged
    first rows to the horizon. All candidates of a generation meet the same episodes, the next generation others.

    Attributes:
        policy: ``residual`` improves the champion (else the agent's bare rule): the mass of its action moves to
            the action of the best linear score where that is better by more than 1; all scores begin at 0, which
            is the base itself. ``linear`` follows linear scores alone and begins at a clone of the log.
        strategy: ``openai`` (any number of parameters) or ``cma`` (the fewer the better).
        fields: observation fields that scores are made of; ``None`` for all.
        population: candidates of a generation; even for ``openai``.
        sigma: standard deviation of the first candidates, in units of the scores of standard features.
        learning_rate: of ``openai``: Adam's step.
        generations_per_iteration: generations of one ``train()``.
        episodes: of each candidate in a generation.
        environment_kind: ``learned_model`` (smooth, and good for small logs) or ``nearest_neighbour`` (several times
            faster, and wants many rows); set as ``environment`` (RLlib keeps that attribute's name).
        neighbours: K of ``nearest_neighbour``.
        cost: pessimism of the model, in units of the usual reward: of its disagreement (0.2 by default) or of
            distance (0 by default: rare actions are far from most rows, and even a small cost keeps them from
            ever being tried).
        temperature: of ``linear``: of the softmax; 0 takes the best score.
        subspace: largest number of parameters to search by ``cma``; where there are more, a random subspace of
            so many dimensions is searched (Li et al. 2018).
    """

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class or Evolution)
        self.policy: str = "residual"
        self.strategy: str = "openai"
        self.fields: tuple[str, ...] | None = None
        self.population: int = 32
        self.sigma: float = 0.5
        self.learning_rate: float = 0.1
        self.generations_per_iteration: int = 10
        self.episodes: int = 64
        self.environment_kind: str = "learned_model"
        self.neighbours: int = 5
        self.cost: float | None = None
        self.temperature: float = 0.0
        self.subspace: int = 100

    def training(
        self,
        *,
        policy: str = NOT_PROVIDED,
        strategy: str = NOT_PROVIDED,
        fields: Sequence[str] | None = NOT_PROVIDED,
        population: int = NOT_PROVIDED,
        sigma: float = NOT_PROVIDED,
        learning_rate: float = NOT_PROVIDED,
        generations_per_iteration: int = NOT_PROVIDED,
        episodes: int = NOT_PROVIDED,
        environment: str = NOT_PROVIDED,
        neighbours: int = NOT_PROVIDED,
        cost: float | None = NOT_PROVIDED,
        temperature: float = NOT_PROVIDED,
        subspace: int = NOT_PROVIDED,
        **kwargs: Any,
    ) -> EvolutionConfig:
        """Set hyperparameters; see the attributes."""
        own = {name: value for name, value in locals().items() if name in self.own_settings()}
        super().training(**kwargs)
        for name, value in given(**own).items():
            attribute = "environment_kind" if name == "environment" else name
            setattr(self, attribute, tuple(value) if name == "fields" and value is not None else value)
        return self

    def setting(self, name: str) -> Any:
        """The value of one of :meth:`own_settings`."""
        return self.environment_kind if name == "environment" else super().setting(name)

    def validate(self) -> None:
        """Check the configuration.

        Raises:
            SpecificationError: a setting out of its range; names it.
        """
        super().validate()
        for name, known in (("policy", POLICIES), ("strategy", STRATEGIES), ("environment", ENVIRONMENTS)):
            value = self.setting(name)
            self.require(value in known, f"{name} is {value!r}", f"use one of {', '.join(known)}")
        for name in ("generations_per_iteration", "episodes", "neighbours", "subspace"):
            self.require(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}", "give 1 or more")
        for name in ("cost", "temperature"):
            self.require((getattr(self, name) or 0.0) >= 0.0, f"{name} is {getattr(self, name)}", "give 0 or more")
        self.require(self.fields != (), "fields is empty", "name at least one, or give None")
        self._strategy(np.zeros(1))

    def _strategy(self, start: np.ndarray) -> Any:
        """The strategy of these settings, at its first generation."""
        return make_strategy(
            self.strategy,
            start,
            sigma=self.sigma,
            population=self.population,
            seed=self.seed or 0,
            learning_rate=self.learning_rate,
        )


class Evolution(NetFreeAlgorithm):
    """Searches policy parameters in a model of the log; see :class:`EvolutionConfig`.

    Metrics: ``model_return`` (in the model, of the best centre of the search so far; optimistic, for monitoring
    only), ``loss`` (less of it), ``initial_loss`` (that of the start), ``mean_fitness`` (of the last generation's
    candidates), ``sigma``, ``generation``, ``parameters``.
    """

    progress_metric = "loss"
    curve_metric = "model_return"
    config: EvolutionConfig

    @classmethod
    def get_default_config(cls) -> EvolutionConfig:
        """The configuration class's defaults."""
        return EvolutionConfig(cls)

    def build(self) -> None:
        """Fit the features and the model, and begin at the base or at a clone."""
        observation = self.data.specification.observation
        fitted = StandardFeatures.fit(self.data.observations[self.data.rows], observation)
        wanted = self.config.fields or observation.names
        unknown = sorted(set(wanted) - set(observation.names))
        if unknown:
            raise SpecificationError(
                f"{unknown[0]!r} is no field", where="fields", remedy=f"use {', '.join(observation.names)}"
            )
        chosen = {observation.names.index(name) for name in wanted}
        self.encoder = StandardFeatures(tuple(column for column in fitted.columns if column.index in chosen))
        relative = self.config.policy == "residual"
        self.scores = LinearScores(self.encoder.size, logged_actions(self.data), relative, self.config.temperature)
        self.simulation = self._simulation(relative)
        self.start = self._clone() if self.config.policy == "linear" else np.zeros(self.scores.size)
        directions = self._directions()
        dimensions = len(self.start) if directions is None else len(directions)
        self.strategy = self.config._strategy(np.zeros(dimensions))
        self.best = self.start.copy()
        self.best_return = self.initial_return = self._evaluate(self.start)

    def _simulation(self, relative: bool) -> Simulation:
        config, seed = self.config, self.config.seed or 0
        if config.environment_kind == "learned_model":
            learned = fit_model(self.data, cost=DISAGREEMENT if config.cost is None else config.cost, seed=seed)
            return LearnedSimulation(self.data, learned, self.encoder, relative=relative, champion=config.champion)
        model = build_neighbours(self.data, neighbours=config.neighbours, cost=config.cost or 0.0, seed=seed)
        return NearestNeighbourSimulation(self.data, model, self.encoder, relative=relative, champion=config.champion)

    def _clone(self) -> np.ndarray:
        """Parameters of a linear clone of the log."""
        ((weight, bias),) = cloned_network(
            self.data, self.encoder, self.random, hidden=(), activation="tanh", updates=CLONE_UPDATES
        )
        return self.scores.parameters(weight, bias)

    def _directions(self) -> np.ndarray | None:
        """Orthonormal directions (m, n) of the subspace that is searched; ``None`` for the whole space."""
        config, size = self.config, self.scores.size
        if config.strategy != "cma" or size <= config.subspace:
            return None
        random = np.random.default_rng([config.seed or 0, size])
        return np.linalg.qr(random.standard_normal((size, config.subspace)))[0].T

    def _parameters(self, asked: np.ndarray) -> np.ndarray:
        """Parameters (P, n) of what the strategy speaks of."""
        directions = self._directions()
        return self.start + (asked if directions is None else asked @ directions)

    def _returns(self, parameters: np.ndarray, episodes: int, random: np.random.Generator) -> np.ndarray:
        choose = self.scores.chooser(parameters)
        return population_returns(self.simulation, choose, len(parameters), episodes, random).mean(axis=1)

    def _evaluate(self, parameters: np.ndarray) -> float:
        random = np.random.default_rng([self.config.seed or 0, EVALUATION_EPISODES])
        return float(self._returns(parameters[None], EVALUATION_EPISODES, random)[0])

    def learn(self) -> dict[str, float]:
        """Some generations, and an evaluation of where they led."""
        for _ in range(self.config.generations_per_iteration):
            episodes = np.random.default_rng(self.random.integers(2**63))
            fitness = self._returns(self._parameters(self.strategy.ask()), self.config.episodes, episodes)
            self.strategy.tell(fitness)
        (centre,) = self._parameters(self.strategy.mean[None])
        value = self._evaluate(centre)
        if value > self.best_return:
            self.best, self.best_return = centre, value
        return {
            "model_return": self.best_return,
            "loss": -self.best_return,
            "initial_loss": -self.initial_return,
            "mean_fitness": float(fitness.mean()),
            "sigma": self.strategy.sigma,
            "generation": float(self.strategy.generation),
            "parameters": float(len(self.strategy.mean)),
        }

    def model_state(self) -> dict[str, Any]:
        """Start and best parameters with their returns, and the strategy; all else follows from the data."""
        return {
            "start": self.start.copy(),
            "best": self.best.copy(),
            "best_return": self.best_return,
            "initial_return": self.initial_return,
            "strategy": self.strategy.state(),
        }

    def set_model_state(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`model_state` gave."""
        self.start, self.best = state["start"], state["best"]
        self.best_return, self.initial_return = float(state["best_return"]), float(state["initial_return"])
        self.strategy.set_state(state["strategy"])

    def export_component(self) -> Component:
        """Linear scores as a network that is followed, or that improves what is below it."""
        network = Network(self.encoder, (self.scores.weights(self.best),), temperature=self.config.temperature)
        return AdvantageNetwork(network, LinearScores.THRESHOLD) if self.scores.relative else network

    def probabilities(
        self, rows: np.ndarray, *, allowed: np.ndarray | None = None, base: np.ndarray | None = None
    ) -> np.ndarray:
        """Probabilities (N, A) of the learned layer, without floor.

        Raises:
            DataError: the policy is ``residual``, and no base is given.
        """
        if self.scores.relative and base is None:
            raise DataError("the base's probabilities are missing", where="Evolution", remedy="give base (N, A)")
        mask = np.ones((len(rows), len(self.scores.logged)), bool) if allowed is None else np.asarray(allowed, bool)
        found = self.scores.probabilities(self.best, self.encoder.features(rows), mask, base)
        return restrict(found, mask)
