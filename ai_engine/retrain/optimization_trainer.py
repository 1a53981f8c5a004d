"""Optimisation of resource management from measured performance, by gradient or by evolution."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ai_engine.retrain.optimization_data import OUTCOMES, Objective, PerformanceData
from ai_engine.retrain.optimization_model import Plan, SavedModel, plan_policy, read_model
from ai_engine.retrain.optimization_plan import make_plan
from ai_engine.retrain.optimization_result import OptimizationStatistics, Recommendation
from ai_engine.retrain.optimization_surface import PerformanceSurfaces, Search
from algorithms.policy.artefact import save_policy
from algorithms.policy.policy import Policy
from algorithms.surface_search import METHODS
from envs.errors import ArtefactError, DataError, RecordError, SpecificationError
from envs.specification import Action

WHERE = "OptimizationTrainer"


class OptimizationTrainer:
    """Finds the scaling action and the resource allocation of the best objective at a load.

    Measured rows are fitted by a quadratic response surface with its uncertainty
    (:mod:`algorithms.response_surface`); :meth:`train` climbs its lower confidence bound by projected gradient
    ascent, or searches it by CMA-ES. Both stay inside the data: no further from a measured row of the same
    scaling action than measured rows are from each other, and within the measured range of each resource
    (:mod:`algorithms.data_region`). Elsewhere nothing is recommended, and the answer says so.

    ``cpu_usage`` and ``memory_usage`` are the load at which an action was taken; ``cost``, ``response_time``
    and ``outcome`` what was measured after it. Units do not matter, as long as they stay the same.

    The file of :meth:`save_model` is a policy artefact like any other, for ``ai_engine.deploy.load_policy``: from
    the load it takes the recommended scaling action, and outside the data it draws as the measured rows did. The
    recommended allocations and the rows lie in the same file, under ``provenance.training``, so that
    :meth:`load_model` goes on where :meth:`save_model` stopped.

    Args:
        use_evolutionary: whether :meth:`train` searches by evolution where it is not told how.
        objective: what is maximised.
        outcomes: what the labels of an outcome are worth, in [0, 1], instead of
            :data:`~ai_engine.retrain.optimization_data.OUTCOMES`.
        pessimism: standard errors that are taken off the expected objective before two decisions are compared.
        minimum_count: rows that a scaling action needs before it is recommended.
        resolution: bins of each load in the policy.
        agent: whose policy it is.
        explore: exploration floor of the policy, in [0, 1].
        capacity: largest number of rows; then the oldest gives way.
        seed: of the evolution.

    Attributes:
        data: the measured rows.
        statistics: of the last training.

    Raises:
        SpecificationError: a setting out of its range; names it.
    """

    def __init__(
        self,
        use_evolutionary: bool = False,
        *,
        objective: Objective | None = None,
        outcomes: Mapping[str, float] = OUTCOMES,
        pessimism: float = 1.0,
        minimum_count: int = 5,
        resolution: int = 4,
        agent: str = "optimization",
        explore: float = 0.0,
        capacity: int = 10_000,
        seed: int = 0,
    ) -> None:
        worth = all(isinstance(value, (int, float)) and 0.0 <= value <= 1.0 for value in outcomes.values())
        for name, value, fits, wanted in (
            ("outcomes", dict(outcomes), worth and outcomes, "labels with numbers in [0, 1]"),
            ("pessimism", pessimism, 0.0 <= pessimism < np.inf, "0 or more"),
            ("minimum_count", minimum_count, minimum_count >= 1, "1 or more"),
            ("resolution", resolution, 1 <= resolution <= 100, "a number from 1 to 100"),
            ("explore", explore, 0.0 <= explore <= 1.0, "a number in [0, 1]"),
            ("capacity", capacity, capacity >= 1, "1 or more"),
            ("seed", seed, seed >= 0, "0 or more"),
        ):
            if not fits:
                raise SpecificationError(f"{name} is {value!r}", where=WHERE, remedy=f"give {wanted}")
        self.use_evolutionary, self.objective, self.outcomes = (
            use_evolutionary,
            objective or Objective(),
            dict(outcomes),
        )
        self.pessimism, self.minimum_count, self.resolution = pessimism, minimum_count, resolution
        self.agent, self.explore, self.capacity, self.seed = agent, explore, capacity, seed
        self.data = PerformanceData(capacity, self.outcomes)
        self.statistics: OptimizationStatistics | None = None
        self._plan: Plan | None = None
        self._surfaces: PerformanceSurfaces | None = None

    def __len__(self) -> int:
        return len(self.data)

    def add_performance_data(
        self,
        cpu_usage: float,
        memory_usage: float,
        cost: float,
        response_time: float,
        scaling_action: Action,
        resource_allocation: Mapping[str, float],
        outcome: str | float,
    ) -> None:
        """Keep one measured row.

        Args:
            cpu_usage: load when the action was taken, 0 or more.
            memory_usage: load when the action was taken, 0 or more.
            cost: what was paid since, 0 or more.
            response_time: measured since, 0 or more.
            scaling_action: what was done, such as ``scale_up``.
            resource_allocation: amounts by name; the same names in all rows.
            outcome: a label such as ``optimal``, ``acceptable``, ``degraded`` or ``failed``, or a number in [0, 1].

        Raises:
            RecordError: a value does not fit; names the field (and the known labels).
        """
        self.data.add(
            resource_allocation,
            outcome,
            scaling_action,
            cpu_usage=cpu_usage,
            memory_usage=memory_usage,
            cost=cost,
            response_time=response_time,
        )
        self._surfaces = None

    def train(self, method: str | None = None, iterations: int = 100) -> OptimizationStatistics:
        """Fit the surface to all rows, and optimise action and allocation at the measured loads.

        With few rows it says what it can: it stays at the rows, with wide intervals.

        Args:
            method: ``gradient`` or ``evolutionary``; by default as ``use_evolutionary`` says.
            iterations: steps of the ascent, or generations.

        Raises:
            DataError: there are no rows.
            SpecificationError: an unknown method, or no whole number of at least 1.
        """
        search = self._search(method or METHODS[self.use_evolutionary], iterations)
        self._plan, self.statistics = make_plan(self.data, self._fitted(), search, self.resolution)
        return self.statistics

    def recommend(self, cpu_usage: float | None = None, memory_usage: float | None = None) -> Recommendation:
        """What to do at a load, by the method and iterations of the last training and all rows held.

        Args:
            cpu_usage: the load; the usual one of the rows by default.
            memory_usage: the load; given together with ``cpu_usage``.

        Returns:
            The action and the allocation with their estimates; ``refused`` with the reason where the load lies
            outside the measured ones, or where there are too few rows.

        Raises:
            DataError: there are no rows, or it was not trained.
            RecordError: a load is not a finite number, or one of the two is missing.
        """
        surfaces = self._fitted()
        if self._plan is None:
            raise DataError("is not trained", where=WHERE, remedy="call train() first")
        search = self._search(self._plan.statistics["method"], self._plan.statistics["iterations"])
        load = surfaces.usual_load(np.arange(len(self.data)))
        if cpu_usage is not None or memory_usage is not None:
            for name, value in (("cpu_usage", cpu_usage), ("memory_usage", memory_usage)):
                if value is None or not np.isfinite(value):
                    raise RecordError(f"is {value}", field=name, remedy="give both loads as finite numbers")
            assert cpu_usage is not None and memory_usage is not None
            load = surfaces.load(cpu_usage, memory_usage)
        return surfaces.recommend(load, search)[0]

    def _fitted(self) -> PerformanceSurfaces:
        if not len(self.data):
            raise DataError("has no performance data", where=WHERE, remedy="call add_performance_data(...) first")
        if self._surfaces is None:
            self._surfaces = PerformanceSurfaces(self.data, self.objective)
        return self._surfaces

    def _search(self, method: str, iterations: int) -> Search:
        if method not in METHODS:
            raise SpecificationError(f"method is {method!r}", where=WHERE, remedy=f"use one of {', '.join(METHODS)}")
        if isinstance(iterations, bool) or not isinstance(iterations, (int, np.integer)) or iterations < 1:
            raise SpecificationError(f"iterations is {iterations!r}", where=WHERE, remedy="give 1 or more")
        return Search(method, int(iterations), self.pessimism, self.minimum_count, self.seed)

    def policy(self) -> Policy:
        """The policy of the last training: load to scaling action.

        Raises:
            DataError: it was not trained.
        """
        if self._plan is None:
            raise DataError("is not trained", where=WHERE, remedy="call train() first")
        names = ("use_evolutionary", "outcomes", "pessimism", "minimum_count", "resolution", "capacity", "seed")
        settings = {name: getattr(self, name) for name in names} | {"objective": asdict(self.objective)}
        return plan_policy(SavedModel(self.agent, self.explore, self._plan, self.data, settings))

    def save_model(self, path: str | os.PathLike[str]) -> Path:
        """Write the policy artefact atomically, measured rows included; raises as :meth:`policy`."""
        return save_policy(self.policy(), path)

    def load_model(self, path: str | os.PathLike[str]) -> OptimizationTrainer:
        """Go on from a file of :meth:`save_model`: its rows, settings and recommendations, exactly.

        Raises:
            ArtefactError: no such file, a damaged one, or one of another trainer.
        """
        model = read_model(path)
        settings = dict(model.settings)
        try:
            objective = Objective(**settings.pop("objective"))
            restored = OptimizationTrainer(objective=objective, agent=model.agent, explore=model.explore, **settings)
            statistics = dict(model.plan.statistics)
            for name in ("objective", "supported_actions"):
                statistics[name] = tuple(statistics[name])
            restored.statistics = OptimizationStatistics(**statistics)
        except (KeyError, TypeError, SpecificationError) as error:
            raise ArtefactError(f"lacks {error}", where=os.fspath(path), remedy="train it again") from None
        restored.data, restored._plan = model.data, model.plan
        vars(self).update(vars(restored))
        return self
