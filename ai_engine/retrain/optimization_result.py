"""What the optimization trainer gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from algorithms.policy.provenance import plain_json
from envs.specification import Action


@dataclass(frozen=True, slots=True)
class Expected:
    """An expected value.

    Attributes:
        value: it.
        lower: end of its interval at 95 %.
        upper: the other end.
        standard_error: of it.
    """

    value: float
    lower: float
    upper: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to do at a load, or why nothing is recommended.

    Attributes:
        cpu_usage: the load it is for.
        memory_usage: the load it is for.
        scaling_action: what to do; ``None`` where the load is too far from all measured rows.
        resource_allocation: what to allocate, by name; empty where there is no action.
        objective: expected; ``None`` where there is no action, as the next two.
        cost: expected, in the unit of the rows.
        response_time: expected, in the unit of the rows.
        refused: whether nothing beyond the measured rows is recommended; an action that is given all the same is
            that of the best measured row.
        reason: why, one sentence; empty where not refused.
        distance: from the load to the nearest measured one, in standard deviations of the measured loads.
        rows: measured rows of the action.
    """

    cpu_usage: float
    memory_usage: float
    scaling_action: Action | None
    resource_allocation: Mapping[str, float]
    objective: Expected | None
    cost: Expected | None
    response_time: Expected | None
    refused: bool
    reason: str
    distance: float
    rows: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        plain: dict[str, Any] = plain_json(asdict(self))
        return plain

    def to_text(self) -> str:
        """One sentence."""
        if self.scaling_action is None or self.cost is None:
            return f"Nothing is recommended: {self.reason}."
        amounts = ", ".join(f"{name} {value:.4g}" for name, value in self.resource_allocation.items())
        what = f"{self.scaling_action}{f' with {amounts}' if amounts else ''} (expected cost {self.cost.value:.4g})"
        return f"Nothing beyond {what} is recommended: {self.reason}." if self.refused else f"Do {what}."


@dataclass(frozen=True, slots=True)
class OptimizationStatistics:
    """What training did.

    Attributes:
        method: ``gradient`` or ``evolutionary``.
        iterations: steps of the ascent, or generations.
        rows: measured rows that were learned from.
        contexts: loads that were optimised for, each standing for the rows around it.
        refused_contexts: those among them where nothing beyond the measured rows is recommended.
        supported_actions: scaling actions with enough rows.
        objective: mean over the rows of the objective's lower bound (expected value less ``pessimism`` standard
            errors) at the best decisions so far, before the first iteration and after each; never falls.
        loss: less the last of them: what training makes small.
        improvement: expected gain of the recommendations over what was done in the rows, mean over the rows.
        uncertainty: mean standard error of the objective at the recommendations.
        r2: share of the objective's variance that is explained in rows that the surface has not seen; ``None``
            where there are too few rows.
        coverage: share of such rows inside their 95 % intervals; ``None`` where there are too few.
    """

    method: str
    iterations: int
    rows: int
    contexts: int
    refused_contexts: int
    supported_actions: tuple[Action, ...]
    objective: tuple[float, ...]
    loss: float
    improvement: float
    uncertainty: float
    r2: float | None
    coverage: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        plain: dict[str, Any] = plain_json(asdict(self))
        return plain
