"""Response surfaces of measured performance, and recommendations that stay inside the data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ai_engine.retrain.optimization_data import CONTEXT, Objective, PerformanceData
from ai_engine.retrain.optimization_result import Expected, Recommendation
from algorithms.data_region import DataRegion
from algorithms.response_surface import Basis, ResponseSurface, fit_surface, held_out, standardization
from algorithms.surface_search import Problem, Solution, solve

LEVEL = 0.95
FOLDS, FEWEST = 5, 10
"""Folds of the held-out figures, and rows below which there are none."""


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """How recommendations are searched.

    Attributes:
        method: ``gradient`` or ``evolutionary``.
        iterations: steps, or generations.
        pessimism: standard errors that are taken off the expected objective.
        minimum_count: rows that a scaling action needs before it is recommended.
        seed: of the evolution.
    """

    method: str
    iterations: int
    pessimism: float
    minimum_count: int
    seed: int


class PerformanceSurfaces:
    """Surfaces of objective, cost and response time over load, allocation and scaling action.

    The load and the allocation have one quadratic surface for all actions; each action adds an offset and
    slopes over the load, shrunk towards none.

    Attributes:
        measured: the objective of each row, float64 (n,).
    """

    def __init__(self, data: PerformanceData, objective: Objective) -> None:
        self.actions, self.names = data.actions, data.names or ()
        raw = data.points()
        self.centre, self.scale = standardization(raw)
        self.points, self.groups = (raw - self.centre) / self.scale, data.groups()
        self.counts = np.bincount(self.groups, minlength=len(self.actions))
        costs, times = data.column("cost"), data.column("response_time")
        self.measured = objective.values(data.column("outcome"), costs, times)
        self.basis = Basis(self.points.shape[1], len(self.actions), len(CONTEXT))
        self.objective, self.cost, self.response_time = (
            fit_surface(self.points, self.groups, column, self.basis, unit)
            for column, unit in ((self.measured, objective.scale), (costs, None), (times, None))
        )
        self.region = DataRegion.of(self.points, self.groups, len(CONTEXT))

    def held_out(self) -> tuple[float | None, float | None]:
        """R² and coverage of the objective in rows that a fit has not seen."""
        if len(self.measured) < FEWEST:
            return None, None
        return held_out(self.points, self.groups, self.measured, self.basis, folds=FOLDS, level=LEVEL)

    def supported(self, minimum_count: int) -> list[int]:
        """Indices of the actions that may be recommended."""
        return [index for index, count in enumerate(self.counts) if count >= minimum_count]

    def load(self, cpu_usage: float, memory_usage: float) -> np.ndarray:
        """The standardised load, (2,)."""
        own = slice(len(CONTEXT))
        return np.asarray((np.array([cpu_usage, memory_usage]) - self.centre[own]) / self.scale[own])

    def usual_load(self, rows: np.ndarray) -> np.ndarray:
        """The load (2,) among the rows (indices) that is nearest to their mean, standardised."""
        loads = self.points[rows, : len(CONTEXT)]
        return loads[((loads - loads.mean(axis=0)) ** 2).sum(axis=1).argmin()]

    def recommend(self, load: np.ndarray, search: Search) -> tuple[Recommendation, Solution | None]:
        """The best supported action and allocation at a standardised load, with the search that found it."""
        supported = self.supported(search.minimum_count)
        if not supported:
            fewest = f"no scaling action has {search.minimum_count} measured rows"
            return self._measured(load, f"{fewest}, this is the best of {len(self.measured)}"), None
        found: list[tuple[Solution, int]] = []
        for group in supported:
            reach = self.region.reach(load, group)
            if reach is not None:
                problem = Problem(self.objective, reach, load, group, search.pessimism)
                found.append((solve(problem, search.method, search.iterations, search.seed), group))
        if not found:
            return self._nothing(load), None
        solution, group = max(found, key=lambda each: each[0].value)
        # Whatever is best in the end, the trace is that of the best so far.
        trace = np.max([each.trace for each, _ in found], axis=0)
        point = np.concatenate([load, solution.decision])
        return self._estimated(load, point, group, ""), Solution(solution.decision, solution.value, trace)

    def _nothing(self, load: np.ndarray) -> Recommendation:
        distance = self.region.distance(load)
        reason = (
            f"the load is {distance:.2g} standard deviations from the nearest measured one, "
            f"and measured rows are {self.region.radius:.2g} apart"
            if distance > self.region.radius
            else "no action with enough measured rows was taken near this load"
        )
        cpu, memory = self._raw_load(load)
        return Recommendation(cpu, memory, None, {}, None, None, None, True, reason, distance, 0)

    def _measured(self, load: np.ndarray, reason: str) -> Recommendation:
        """The best measured row in reach of a load."""
        apart = np.sqrt(((self.points[:, : len(CONTEXT)] - load) ** 2).sum(axis=1))
        near = np.flatnonzero(apart <= self.region.radius + 1e-9)
        if not len(near):
            return self._nothing(load)
        best = near[self.measured[near].argmax()]
        return self._estimated(load, self.points[best], int(self.groups[best]), reason)

    def _estimated(self, load: np.ndarray, point: np.ndarray, group: int, reason: str) -> Recommendation:
        cpu, memory = self._raw_load(load)
        amounts = (point * self.scale + self.centre)[len(CONTEXT) :]
        return Recommendation(
            cpu_usage=cpu,
            memory_usage=memory,
            scaling_action=self.actions[group],
            resource_allocation=dict(zip(self.names, amounts.tolist(), strict=True)),
            objective=_expected(self.objective, point, group),
            cost=_expected(self.cost, point, group),
            response_time=_expected(self.response_time, point, group),
            refused=bool(reason),
            reason=reason,
            distance=self.region.distance(load),
            rows=int(self.counts[group]),
        )

    def _raw_load(self, load: np.ndarray) -> tuple[float, float]:
        cpu, memory = (load * self.scale[: len(CONTEXT)] + self.centre[: len(CONTEXT)]).tolist()
        return cpu, memory


def _expected(surface: ResponseSurface, point: np.ndarray, group: int) -> Expected:
    mean, error = (float(each[0]) for each in surface.predict(point[None], np.array([group])))
    half = surface.quantile(LEVEL) * error
    return Expected(mean, mean - half, mean + half, error)
