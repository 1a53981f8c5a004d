"""Truth beside estimate, which only a testbed can know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from algorithms.policy import Policy
from envs.testbeds import scaling


@dataclass(frozen=True, slots=True)
class RevealRow:
    """A policy's estimate beside its truth.

    Attributes:
        policy: what it is.
        estimate: estimated value, with its interval; NaN where none was made.
        lower: lower end.
        upper: upper end.
        evidence: ``log``, ``model`` or empty.
        pool: true value on the logged days, of which the intervals speak.
        pool_error: its standard error.
        unseen: true value on the days that were never logged.
        unseen_error: its standard error.
    """

    policy: str
    estimate: float
    lower: float
    upper: float
    evidence: str
    pool: float
    pool_error: float
    unseen: float
    unseen_error: float

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {name: getattr(self, name) for name in self.__slots__}


def reveal_row(
    label: str,
    policy: Policy | Callable[[np.ndarray], np.ndarray],
    estimate: tuple[float, float, float] | None,
    evidence: str,
) -> RevealRow:
    """A policy's estimate with its true values: the only place that asks the simulator."""

    def probabilities(rows: np.ndarray) -> np.ndarray:
        if isinstance(policy, Policy):
            return policy.probabilities(rows, base=scaling.rule_probabilities(rows) if policy.needs_base else None)
        return policy(rows)

    pool = scaling.truth_of(scaling.true_returns(probabilities, logged=True))
    unseen = scaling.truth_of(scaling.true_returns(probabilities, logged=False))
    value, lower, upper = estimate or (float("nan"),) * 3
    return RevealRow(label, value, lower, upper, evidence, pool.value, pool.error, unseen.value, unseen.error)
