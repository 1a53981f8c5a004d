"""Truth beside estimate, which only a testbed can know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from algorithms.policy import Policy
from envs.testbeds.rollout import Truth, truth_of
from envs.testbeds.testbed import Testbed

UNKNOWN = Truth(float("nan"), float("nan"))


@dataclass(frozen=True, slots=True)
class RevealRow:
    """A policy's estimate beside its truth.

    Attributes:
        policy: what it is.
        estimate: estimated value, with its interval; NaN where none was made.
        lower: lower end.
        upper: upper end.
        evidence: ``log``, ``model`` or empty.
        pool: true value on what is logged, of which the intervals speak.
        pool_error: its standard error.
        unseen: true value on what is never logged; NaN where the testbed has no such thing.
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
        return asdict(self)


def reveal_row(
    testbed: Testbed,
    label: str,
    policy: Policy | Callable[[np.ndarray], np.ndarray],
    estimate: tuple[float, float, float] | None,
    evidence: str,
) -> RevealRow:
    """A policy's estimate with its true values: the only place that asks the simulator."""

    def probabilities(rows: np.ndarray) -> np.ndarray:
        if not isinstance(policy, Policy):
            return policy(rows)
        base = testbed.rule_probabilities(rows) if policy.needs_base else None
        return policy.probabilities(rows, allowed=testbed.allowed_of(rows), base=base)

    pool = truth_of(testbed.returns(probabilities))
    unseen = truth_of(testbed.unseen_returns(probabilities)) if testbed.unseen_returns else UNKNOWN
    value, lower, upper = estimate or (float("nan"),) * 3
    return RevealRow(label, value, lower, upper, evidence, pool.value, pool.error, unseen.value, unseen.error)
