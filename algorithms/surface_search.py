"""The best decision on a response surface, inside the region of its data: by gradient ascent or by evolution."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from algorithms.data_region import Reach
from algorithms.evolution_strategies import make_strategy
from algorithms.response_surface import ResponseSurface

METHODS = ("gradient", "evolutionary")
STARTS = 8
FIRST_STEP = 0.25
"""Of the ascent, in standard deviations of the decisions."""
SMALLEST_STEP = 1e-4
"""A search whose steps are smaller has ended."""
OUTSIDE = 1e-3
"""What a squared unit of distance outside the region costs a candidate, so that the search comes back."""


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """maximise m(x) − κ se(x) over the decisions of one group in one context.

    Attributes:
        surface: of the objective.
        reach: what may be decided.
        context: standardised, float64 (c,).
        group: index.
        pessimism: κ.
    """

    surface: ResponseSurface
    reach: Reach
    context: np.ndarray
    group: int
    pessimism: float

    def values(self, decisions: np.ndarray) -> np.ndarray:
        """Values (m,) at decisions (m, k)."""
        mean, error = self.surface.predict(*self._at(decisions))
        return mean - self.pessimism * error

    def evaluate(self, decisions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values (m,) and gradients (m, k) at decisions (m, k)."""
        values, gradients = self.surface.lower_bound(*self._at(decisions), self.pessimism)
        return values, gradients[:, len(self.context) :]

    def _at(self, decisions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points = np.hstack([np.broadcast_to(self.context, (len(decisions), len(self.context))), decisions])
        return points, np.full(len(decisions), self.group)


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """What a search found.

    Attributes:
        decision: float64 (k,), standardised.
        value: of the objective's lower bound.
        trace: best value before the search and after each iteration, float64 (iterations + 1,).
    """

    decision: np.ndarray
    value: float
    trace: np.ndarray


def solve(problem: Problem, method: str, iterations: int, seed: int) -> Solution:
    """Search from the best logged decisions in reach.

    Args:
        problem: what to maximise.
        method: ``gradient`` or ``evolutionary``.
        iterations: steps of the ascent, or generations, at most.
        seed: of the evolution.
    """
    values = problem.values(problem.reach.centres)
    order = np.argsort(-values, kind="stable")
    best = problem.reach.centres[order[0]]
    if not len(best):  # nothing but the group to decide
        return Solution(best, float(values[order[0]]), np.full(iterations + 1, values[order[0]]))
    if method == "gradient":
        return _ascend(problem, problem.reach.centres[order[:STARTS]], iterations)
    return _evolve(problem, best, float(values[order[0]]), iterations, seed)


def _ascend(problem: Problem, decisions: np.ndarray, iterations: int) -> Solution:
    """Projected gradient ascent from several starts; a step that gains nothing is halved, another grows."""
    values, gradients = problem.evaluate(decisions)
    steps = np.full(len(decisions), FIRST_STEP)
    trace = [float(values.max())]
    for _ in range(iterations):
        if steps.max() < SMALLEST_STEP:
            break
        length = np.sqrt((gradients**2).sum(axis=1, keepdims=True))
        direction = np.divide(gradients, length, out=np.zeros_like(gradients), where=length > 0.0)
        tried = problem.reach.project(decisions + steps[:, None] * direction)
        found, slopes = problem.evaluate(tried)
        better = found > values
        decisions = np.where(better[:, None], tried, decisions)
        gradients = np.where(better[:, None], slopes, gradients)
        values = np.where(better, found, values)
        steps *= np.where(better, 1.5, 0.5)
        trace.append(float(values.max()))
    best = int(values.argmax())
    return Solution(decisions[best], float(values[best]), _whole(trace, iterations))


def _evolve(problem: Problem, best: np.ndarray, value: float, iterations: int, seed: int) -> Solution:
    """CMA-ES whose candidates are pulled into the region before they are valued."""
    population = 4 + int(3 * math.log(len(best))) if len(best) > 1 else 4
    strategy = make_strategy("cma", best, sigma=FIRST_STEP, population=population, seed=seed)
    trace = [value]
    for _ in range(iterations):
        if strategy.sigma < SMALLEST_STEP:
            break
        asked = strategy.ask()
        inside = problem.reach.project(asked)
        values = problem.values(inside)
        strategy.tell(values - OUTSIDE * ((asked - inside) ** 2).sum(axis=1))
        if values.max() > value:
            best, value = inside[int(values.argmax())], float(values.max())
        trace.append(value)
    return Solution(best, value, _whole(trace, iterations))


def _whole(trace: list[float], iterations: int) -> np.ndarray:
    """The trace of all iterations, of which those after the end change nothing."""
    return np.array(trace + trace[-1:] * (iterations + 1 - len(trace)))
