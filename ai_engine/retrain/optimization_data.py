"""What the optimization trainer learns from: measured performance, and what counts as good."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

import numpy as np

from envs.errors import RecordError, SpecificationError
from envs.specification import Action

OUTCOMES: Mapping[str, float] = MappingProxyType(
    {
        "optimal": 1.0,
        "success": 1.0,
        "good": 0.9,
        "acceptable": 0.7,
        "suboptimal": 0.5,
        "degraded": 0.3,
        "poor": 0.2,
        "failed": 0.0,
        "failure": 0.0,
    }
)
"""What the labels of an outcome are worth, in [0, 1]."""
CONTEXT = ("cpu_usage", "memory_usage")


@dataclass(frozen=True, slots=True)
class Objective:
    """What is maximised: w_o · outcome − w_c · cost / usual cost − w_r · slowness.

    The usual cost is the median of the measured ones, so that its unit does not matter. Slowness is the share
    by which the response time exceeds its target, max(0, t − T) / T, or t over the median where there is none.

    Attributes:
        outcome: w_o, what the best outcome is worth over the worst.
        cost: w_c, what the usual cost is worth.
        response_time: w_r, what twice the target (or the usual response time) is worth.
        response_time_target: T, in the unit of the response times.
    """

    outcome: float = 1.0
    cost: float = 1.0
    response_time: float = 1.0
    response_time_target: float | None = None

    def __post_init__(self) -> None:
        weights = (self.outcome, self.cost, self.response_time)
        if not all(math.isfinite(weight) and weight >= 0.0 for weight in weights) or not any(weights):
            raise SpecificationError(
                f"the weights are {weights}", where="Objective", remedy="give 0 or more, and one above 0"
            )
        target = self.response_time_target
        if target is not None and not (math.isfinite(target) and target > 0.0):
            raise SpecificationError(
                f"response_time_target is {target}", where="Objective", remedy="give more than 0, or None"
            )

    @property
    def scale(self) -> float:
        """How far good and bad rows may usually lie apart."""
        return self.outcome + self.cost + self.response_time

    def values(self, outcomes: np.ndarray, costs: np.ndarray, response_times: np.ndarray) -> np.ndarray:
        """The objective of measured rows, float64 (n,)."""
        target = self.response_time_target
        slowness = response_times / _usual(response_times)
        if target is not None:
            slowness = np.maximum(response_times - target, 0.0) / target
        return self.outcome * outcomes - self.cost * costs / _usual(costs) - self.response_time * slowness


def _usual(values: np.ndarray) -> float:
    return float(np.median(values)) or float(values.mean()) or 1.0


@dataclass(frozen=True, slots=True)
class PerformanceRecord:
    """One measured row.

    Attributes:
        cpu_usage: load when the action was taken.
        memory_usage: load when the action was taken.
        cost: paid since, 0 or more.
        response_time: measured since, 0 or more.
        scaling_action: taken.
        allocation: what was allocated, in the order of the names.
        outcome: worth, in [0, 1].
    """

    cpu_usage: float
    memory_usage: float
    cost: float
    response_time: float
    scaling_action: Action
    allocation: tuple[float, ...]
    outcome: float


class PerformanceData:
    """The last ``capacity`` rows; the first one fixes the names of the allocation.

    Attributes:
        names: of the allocation, sorted.
        actions: scaling actions in the order of their first row.
        records: the rows, the oldest first.
    """

    def __init__(self, capacity: int, outcomes: Mapping[str, float]) -> None:
        self.outcomes = outcomes
        self.names: tuple[str, ...] | None = None
        self.actions: tuple[Action, ...] = ()
        self.records: deque[PerformanceRecord] = deque(maxlen=capacity)

    def __len__(self) -> int:
        return len(self.records)

    def add(self, allocation: Mapping[str, float], outcome: str | float, scaling_action: Action, **load: float) -> None:
        """Check one row and keep it.

        Raises:
            RecordError: a value is no number or out of its range, or a name is unknown; names the field.
        """
        if not isinstance(allocation, Mapping) or not all(isinstance(name, str) for name in allocation):
            raise RecordError(
                f"{allocation!r:.60} is no object", field="resource_allocation", remedy='give {"cpu": 0.8, ...}'
            )
        names = tuple(sorted(allocation))
        if self.names is not None and names != self.names:
            raise RecordError(
                f"has {', '.join(names) or 'nothing'}",
                field="resource_allocation",
                remedy=f"the first row had {', '.join(self.names) or 'nothing'}",
            )
        if not isinstance(scaling_action, (str, int)) or isinstance(scaling_action, bool) or scaling_action == "":
            raise RecordError(f"{scaling_action!r:.60} is no action", field="scaling_action", remedy="give a name")
        numbers = {name: _number(value, name, least=0.0) for name, value in load.items()}
        amounts = tuple(_number(allocation[name], f"resource_allocation.{name}") for name in names)
        worth = self._worth(outcome)
        self.names = names
        if scaling_action not in self.actions:
            self.actions = (*self.actions, scaling_action)
        self.records.append(
            PerformanceRecord(**numbers, scaling_action=scaling_action, allocation=amounts, outcome=worth)
        )

    def _worth(self, outcome: str | float) -> float:
        if isinstance(outcome, str):
            if outcome not in self.outcomes:
                raise RecordError(
                    f"{outcome!r} is no known label",
                    field="outcome",
                    remedy=f"use {', '.join(self.outcomes)}, or a number in [0, 1]",
                )
            return float(self.outcomes[outcome])
        worth = _number(outcome, "outcome", least=0.0)
        if worth > 1.0:
            raise RecordError(f"{worth:g} is above 1", field="outcome", remedy="give a label, or a number in [0, 1]")
        return worth

    def column(self, name: str) -> np.ndarray:
        """One of the numbers of all rows, float64 (n,)."""
        return np.array([getattr(record, name) for record in self.records], dtype=np.float64)

    def points(self) -> np.ndarray:
        """Load and allocation of all rows, float64 (n, 2 + k)."""
        rows = [(record.cpu_usage, record.memory_usage, *record.allocation) for record in self.records]
        return np.array(rows, dtype=np.float64)

    def groups(self) -> np.ndarray:
        """Index of the scaling action of all rows, int64 (n,)."""
        position = {action: index for index, action in enumerate(self.actions)}
        return np.array([position[record.scaling_action] for record in self.records], dtype=np.int64)

    def table(self) -> np.ndarray:
        """All rows as numbers, float64 (n, 6 + k): for storage."""
        loads = [self.column(column.name) for column in fields(PerformanceRecord) if column.type == "float"]
        allocation = self.points()[:, len(CONTEXT) :]
        return np.column_stack([*loads, self.groups(), allocation])

    @classmethod
    def of(
        cls, table: np.ndarray, names: tuple[str, ...], actions: tuple[Action, ...], capacity: int, outcomes: Any
    ) -> PerformanceData:
        """The data that :meth:`table` gave."""
        data = cls(capacity, outcomes)
        data.names, data.actions = names, actions
        for row in table.tolist():
            cpu, memory, cost, time, worth, action, *amounts = row
            data.records.append(PerformanceRecord(cpu, memory, cost, time, actions[int(action)], tuple(amounts), worth))
        return data


def _number(value: Any, field: str, *, least: float | None = None) -> float:
    if isinstance(value, (bool, str)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise RecordError(f"{value!r:.60} is not a number", field=field, remedy="give a finite number")
    number = float(value)
    if not math.isfinite(number):
        raise RecordError(f"{number} is not finite", field=field, remedy="give a finite number")
    if least is not None and number < least:
        raise RecordError(f"{number:g} is below {least:g}", field=field, remedy=f"give {least:g} or more")
    return number
