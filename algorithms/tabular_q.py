"""Tabular Q-learning on a log, as an RLlib algorithm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ray.rllib.algorithms.algorithm import Algorithm

from algorithms.completion import complete
from algorithms.net_free import NOT_PROVIDED, NetFreeAlgorithm, NetFreeConfig, given
from algorithms.policy.components import Component, ImprovementMap, ProbabilityTable
from algorithms.tabular_data import anchor, declared_states, halves, tabular_transitions, training_discount
from algorithms.tabular_solver import Transitions
from algorithms.tabular_sweep import Settings, Solution, begin, conclude, sweep
from envs.discretization import DISCRETIZERS, default_discretizer, fit_discretizer
from envs.encoding import encoder_from_json
from envs.errors import DataError
from envs.usual_reward import usual_reward

COMPLETIONS = ("none", "nearest")
CONVERGED = 1e-8
"""A sweep that changes no Q by more than this share of the largest Q has converged."""


class TabularQConfig(NetFreeConfig):
    """Configuration of :class:`TabularQ`.

    The sweep, over all rows of each cell (z, a), z the discrete state:

        Q(z, a) ← mean [ r + γ (1 − terminated) V' ]
        anchored (SPIBB, Laroche et al. 2019, with a standard error in place of its count):
            V' = Σ_b base'(b) Q(z', M[z', b]),   M[z, b] = argmax_a Q(z, a) − Q(z, b) − κ √(se²(z, a) + se²(z, b))
            where that is positive, else b
        else: V' = Q(z', argmax_a Q(z', a) − κ se(z', a)) over the actions seen often enough
        expected: V' becomes (1 − e) V' + e mean_b Q(z', b), e the exploration floor

    Attributes:
        discretizer: ``integer``, ``grid`` or ``kmeans``; ``None`` chooses by the declared observation.
        fields: names of the fields that are discretised; ``None`` for all.
        resolution: bins a field (grid) or number of states (kmeans).
        anchored: improve the champion (else the agent's bare rule) instead of learning a policy of its own.
        pessimism: κ, in standard errors.
        minimum_count: logged rows that an action needs in a state before it may be preferred there.
        discount: γ of the training; ``None``: see :func:`training_discount`.
        sweeps_per_iteration: sweeps of one ``train()``; fewer once converged.
        freeze_after: sweeps after which the policy no longer changes, so that Q must converge.
        double: choose on one half of the units and value on the other (double Q-learning, van Hasselt 2010).
        expected: value the policy with the agent's exploration floor, as it will act (expected Sarsa, van
            Seijen et al. 2009), instead of without.
        completion: ``nearest`` gives integer states and actions that were never logged a model of their
            nearest neighbours (:mod:`algorithms.completion`). It has no effect on an anchored policy, which
            leaves what was never logged to its base.
        neighbours: K of the completion.
        temperature: softmax temperature in states that were never logged, in units of the usual reward
            (its median size).
    """

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class or TabularQ)
        self.discretizer: str | None = None
        self.fields: tuple[str, ...] | None = None
        self.resolution: int = 6
        self.anchored: bool = True
        self.pessimism: float = 1.0
        self.minimum_count: int = 1
        self.discount: float | None = None
        self.sweeps_per_iteration: int = 100
        self.freeze_after: int = 300
        self.double: bool = False
        self.expected: bool = True
        self.completion: str = "none"
        self.neighbours: int = 3
        self.temperature: float = 6.0

    def training(
        self,
        *,
        discretizer: str | None = NOT_PROVIDED,
        fields: Sequence[str] | None = NOT_PROVIDED,
        resolution: int = NOT_PROVIDED,
        anchored: bool = NOT_PROVIDED,
        pessimism: float = NOT_PROVIDED,
        minimum_count: int = NOT_PROVIDED,
        discount: float | None = NOT_PROVIDED,
        sweeps_per_iteration: int = NOT_PROVIDED,
        freeze_after: int = NOT_PROVIDED,
        double: bool = NOT_PROVIDED,
        expected: bool = NOT_PROVIDED,
        completion: str = NOT_PROVIDED,
        neighbours: int = NOT_PROVIDED,
        temperature: float = NOT_PROVIDED,
        **kwargs: Any,
    ) -> TabularQConfig:
        """Set hyperparameters; see the attributes."""
        super().training(**kwargs)
        own = {name: value for name, value in locals().items() if name in self.own_settings()}
        for name, value in given(**own).items():
            setattr(self, name, tuple(value) if name == "fields" and value is not None else value)
        return self

    def validate(self) -> None:
        """Check the configuration.

        Raises:
            SpecificationError: a setting out of its range; names it.
        """
        super().validate()
        for name, known in (("discretizer", (None, *DISCRETIZERS)), ("completion", COMPLETIONS)):
            value = getattr(self, name)
            self.require(value in known, f"{name} is {value!r}", f"use one of {', '.join(map(str, known))}")
        for name in ("resolution", "sweeps_per_iteration", "minimum_count", "neighbours", "freeze_after"):
            self.require(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}", "give 1 or more")
        self.require(self.pessimism >= 0.0, f"pessimism is {self.pessimism}", "give 0 or more standard errors")
        self.require(self.temperature > 0.0, f"temperature is {self.temperature}", "give more than 0")
        discounted = self.discount is None or 0.0 <= self.discount < 1.0
        self.require(discounted, f"discount is {self.discount}", "give a number in [0, 1)")


class TabularQ(NetFreeAlgorithm):
    """Q-learning over discrete states in whole sweeps of the log; see :class:`TabularQConfig`.

    Metrics: ``residual`` (largest change of Q in the last sweep), ``converged`` (1 once that is rounding and
    the policy is stable), ``sweeps``, ``states``, ``uncertain_states`` (that spread instead of choosing),
    ``moved_share`` (of the logged decisions whose action the policy would leave), ``model_value`` (mean Q of the
    policy at the logged decisions; optimistic, for monitoring only).
    """

    progress_metric = "residual"
    curve_metric = "model_value"
    config: TabularQConfig

    @classmethod
    def get_default_config(cls) -> TabularQConfig:
        """The configuration class's defaults."""
        return TabularQConfig(cls)

    def build(self) -> None:
        """Discretise the log, and find the base at every next observation."""
        config, specification = self.config, self.data.specification
        self.completed = config.completion == "nearest" and not config.anchored
        self.encoder = self._fit_encoder()
        self.settings = Settings(
            discount=training_discount(specification, config.discount),
            anchored=config.anchored,
            pessimism=config.pessimism,
            minimum_count=config.minimum_count,
            floor=specification.explore if config.expected else 0.0,
            temperature=config.temperature * usual_reward(self.data.rewards) if self.completed else None,
        )
        self.parts = self._parts()
        self.solution = begin(self.parts, self.settings)
        self.sweeps = 0

    def _fit_encoder(self) -> Any:
        config, observation = self.config, self.data.specification.observation
        kind = config.discretizer or default_discretizer(observation)
        if self.completed:
            return declared_states(kind, observation)
        rows, seed = self.data.observations, config.seed or 0
        return fit_discretizer(kind, rows, observation, resolution=config.resolution, fields=config.fields, seed=seed)

    def _parts(self) -> list[Transitions]:
        base = anchor(self.data, self.config.champion, self.encoder) if self.config.anchored else None
        part, decisions = tabular_transitions(self.data, self.encoder, base, self.settings.discount)
        parts = list(halves(part, self.data, decisions)) if self.config.double else [part]
        if not self.completed:
            return parts
        return [complete(each, self.encoder.values, self.config.neighbours) for each in parts]

    def learn(self) -> dict[str, float]:
        """Sweep until this iteration's budget is spent or nothing changes any more."""
        for _ in range(self.config.sweeps_per_iteration):
            frozen = self.sweeps >= self.config.freeze_after
            self.solution = sweep(self.parts, self.settings, self.solution, frozen)
            self.sweeps += 1
            if self._converged():
                break
        values, policy, uncertain = conclude(self.parts, self.settings, self.solution)
        logged = np.concatenate([part.cells[part.logged] for part in self.parts])
        state, action = np.divmod(logged, values.shape[1])
        if self.config.anchored:
            moved = float((policy[state, action] != action).mean())
            value = float(values[state, policy[state, action]].mean())
        else:
            moved = float(1.0 - policy[state, action].mean())
            value = float((policy * values).sum(axis=1)[state].mean())
        return {
            "residual": self.solution.residual,
            "converged": float(self._converged()),
            "sweeps": float(self.sweeps),
            "states": float(self.encoder.count),
            "uncertain_states": float(uncertain.sum()),
            "moved_share": moved,
            "model_value": value,
        }

    def _converged(self) -> bool:
        scale = 1.0 + float(np.abs(self.solution.values).max())
        stable = self.solution.changes == 0 or self.settings.temperature is not None
        return stable and self.solution.residual <= CONVERGED * scale

    def model_state(self) -> dict[str, Any]:
        """Encoder, Q, errors and policies of each half, and how far the sweeps are."""
        return {
            "encoder": self.encoder.to_json(),
            "values": self.solution.values.copy(),
            "errors": self.solution.errors.copy(),
            "policies": self.solution.policies.copy(),
            "residual": self.solution.residual,
            "changes": self.solution.changes,
            "sweeps": self.sweeps,
        }

    def set_model_state(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`model_state` gave."""
        self.encoder = encoder_from_json(state["encoder"])
        self.parts = self._parts()
        self.solution = Solution(
            state["values"], state["errors"], state["policies"], float(state["residual"]), int(state["changes"])
        )
        self.sweeps = int(state["sweeps"])

    def action_values(self) -> np.ndarray:
        """Q, float64 (Z, A), of all parts together; states are those of :attr:`encoder`."""
        return conclude(self.parts, self.settings, self.solution)[0]

    def unseen_distribution(self) -> np.ndarray:
        """What an unanchored policy does in a state that the encoder does not know: the log's action frequencies."""
        frequencies = sum(part.counts.sum(axis=0) for part in self.parts)
        return np.asarray(frequencies / frequencies.sum())

    def export_component(self) -> Component:
        """An improvement map where anchored, else a table of probabilities."""
        _, policy, uncertain = conclude(self.parts, self.settings, self.solution)
        if self.config.anchored:
            return ImprovementMap(self.encoder, policy.astype(np.int32))
        return ProbabilityTable(self.encoder, policy, self.unseen_distribution(), uncertain)

    def probabilities(
        self, rows: np.ndarray, *, allowed: np.ndarray | None = None, base: np.ndarray | None = None
    ) -> np.ndarray:
        """Probabilities (N, A) of the learned layer, without floor.

        Raises:
            DataError: anchored, and no base is given.
        """
        _, policy, _ = conclude(self.parts, self.settings, self.solution)
        states, actions = self.encoder.states(rows), policy.shape[1]
        mask = np.ones((len(rows), actions), dtype=bool) if allowed is None else np.asarray(allowed, dtype=bool)
        if self.config.anchored:
            if base is None:
                raise DataError("the base's probabilities are missing", where="TabularQ", remedy="give base (N, A)")
            targets = np.where(states[:, None] >= 0, policy[states], np.arange(actions))
            targets = np.where(np.take_along_axis(mask, targets, axis=1), targets, np.arange(actions))
            return np.asarray(np.einsum("nb,nba->na", base, np.eye(actions)[targets]))
        chosen = np.where(states[:, None] >= 0, policy[states], self.unseen_distribution())
        chosen = chosen * mask
        total = chosen.sum(axis=1, keepdims=True)
        return np.where(total > 0, chosen / np.where(total > 0, total, 1.0), mask / mask.sum(axis=1, keepdims=True))
