"""Optimising for all measured loads: a recommendation for each cell of a grid over them."""

from __future__ import annotations

import numpy as np

from ai_engine.retrain.optimization_data import CONTEXT, PerformanceData
from ai_engine.retrain.optimization_model import OBSERVATION, Plan
from ai_engine.retrain.optimization_result import OptimizationStatistics, Recommendation
from ai_engine.retrain.optimization_surface import PerformanceSurfaces, Search
from algorithms.policy.components import ProbabilityTable
from envs.encoding.states import QuantileGrid


def load_grid(loads: np.ndarray, resolution: int) -> QuantileGrid:
    """Cells of measured loads (n, 2), raw; what lies outside the measured ranges is in none of them."""
    fitted = QuantileGrid.fit(loads, OBSERVATION, bins=resolution)
    ends = zip(loads.min(axis=0), np.nextafter(loads.max(axis=0), np.inf), fitted.edges, strict=True)
    edges = tuple(np.unique([low, *cuts, high]) for low, high, cuts in ends)
    every = np.arange(int(np.prod([len(cuts) + 2 for cuts in edges])))
    grid = QuantileGrid(fitted.fields, edges, fitted.optional, every)
    return QuantileGrid(fitted.fields, edges, fitted.optional, np.unique(grid.states(loads)))


def make_plan(
    data: PerformanceData, surfaces: PerformanceSurfaces, search: Search, resolution: int
) -> tuple[Plan, OptimizationStatistics]:
    """The recommendation of each cell, for the measured load that is most usual in it.

    Args:
        data: the rows, at least one.
        surfaces: fitted to them.
        search: how recommendations are searched.
        resolution: bins of each load.
    """
    loads = data.points()[:, : len(CONTEXT)]
    grid = load_grid(loads, resolution)
    cells = grid.states(loads)
    frequencies = surfaces.counts / len(data)
    table, uncertain = np.tile(frequencies, (grid.count, 1)), np.ones(grid.count, dtype=bool)
    done, errors = surfaces.objective.predict(surfaces.points, surfaces.groups)
    traces, gains, uncertainty = (
        np.zeros((grid.count, search.iterations + 1)),
        np.zeros(grid.count),
        np.zeros(grid.count),
    )
    recommendations: list[Recommendation] = []
    for cell in range(grid.count):
        rows = np.flatnonzero(cells == cell)
        found, solution = surfaces.recommend(surfaces.usual_load(rows), search)
        recommendations.append(found)
        if solution is None:
            traces[cell], uncertainty[cell] = (done - search.pessimism * errors)[rows].mean(), errors[rows].mean()
            continue
        assert found.scaling_action is not None and found.objective is not None
        table[cell] = np.eye(len(frequencies))[surfaces.actions.index(found.scaling_action)]
        traces[cell], gains[cell] = solution.trace, found.objective.value - done[rows].mean()
        uncertainty[cell], uncertain[cell] = found.objective.standard_error, False
    weights = np.bincount(cells, minlength=grid.count) / len(cells)
    objective = tuple(float(value) for value in weights @ traces)
    r2, coverage = surfaces.held_out()
    statistics = OptimizationStatistics(
        method=search.method,
        iterations=search.iterations,
        rows=len(data),
        contexts=grid.count,
        refused_contexts=int(uncertain.sum()),
        supported_actions=tuple(surfaces.actions[index] for index in surfaces.supported(search.minimum_count)),
        objective=objective,
        loss=-objective[-1],
        improvement=float(weights @ gains),
        uncertainty=float(weights @ uncertainty),
        r2=r2,
        coverage=coverage,
    )
    plan = Plan(
        ProbabilityTable(grid, table, frequencies, uncertain),
        surfaces.actions,
        tuple(each.to_json() for each in recommendations),
        statistics.to_json(),
    )
    return plan, statistics
