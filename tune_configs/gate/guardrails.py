"""Guardrails: the finalist may not be worse than a margin on any of several measures.

All must hold at once, so each is tested at the full level (intersection-union), by the test of the
asymptotic leg: costs and latencies are skewed, which Student's t does not know.

Reference: Berger (1982), Multiparameter hypothesis testing and acceptance sampling, theorem 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from envs.errors import DataError
from tune_configs.gate.asymptotic import step_down


@dataclass(frozen=True, slots=True, eq=False)
class Guardrail:
    """One measure that must not get worse.

    Attributes:
        name: for the reason.
        differences: float64 (K, n), each finalist's paired differences in this measure, larger is better.
        margin: loss that is tolerated, ≥ 0.
        reference: float64 (K, m), the same on units that are not tested.
        direction: which of the measure is better, ``higher`` or ``lower``; only for how it is told.
        decoupled: float64 (K, l), the same with weights and residuals of different units.
    """

    name: str
    differences: np.ndarray
    margin: float
    reference: np.ndarray | None = None
    direction: str = "higher"
    decoupled: np.ndarray | None = None

    def __post_init__(self) -> None:
        if not self.margin >= 0:
            raise DataError(
                f"margin {self.margin}",
                where=f"guardrail {self.name}",
                remedy="give the tolerated loss as a positive number",
            )


@dataclass(frozen=True, slots=True)
class GuardrailOutcome:
    """What was found of one guardrail for one finalist, in the measure's own unit.

    Attributes:
        name: the guardrail.
        change: mean paired change of the measure from champion to finalist.
        bound: the worst change that the level leaves, one-sided; NaN where it was not tested.
        margin: tolerated change for the worse, ≥ 0.
        direction: which is better, ``lower`` or ``higher``.
        verdict: ``held`` (no worse than the margin), ``broken`` (surely worse than it) or ``open``.
    """

    name: str
    change: float
    bound: float
    margin: float
    direction: str
    verdict: str


HELD, BROKEN, OPEN = "held", "broken", "open"


def guardrail_outcome(guardrail: Guardrail, finalist: int, level: float, *, reached: bool = True) -> GuardrailOutcome:
    """Test E D > -margin at the one-sided ``level``, and where that fails E D < -margin at the same.

    Args:
        guardrail: the measure.
        finalist: its row in the differences.
        level: one-sided.
        reached: whether the log reaches the finalist; where it does not the question stays open.
    """
    differences = guardrail.differences[finalist : finalist + 1]
    sign = -1.0 if guardrail.direction == "lower" else 1.0
    mean, bound, verdict = float(differences.mean()) if differences.size else math.nan, math.nan, OPEN
    if reached and differences.shape[1] > 1:
        if np.ptp(differences) == 0.0:
            bound = mean
            verdict = HELD if mean > -guardrail.margin else OPEN
        else:
            reference, decoupled = (
                None if others is None else others[finalist : finalist + 1]
                for others in (guardrail.reference, guardrail.decoupled)
            )
            test = step_down(differences, -guardrail.margin, level, reference=reference, decoupled=decoupled)
            bound = float(test.lower[0])
            worse = bool(test.upper[0] < -guardrail.margin)
            verdict = HELD if bool(test.rejected[0]) else BROKEN if worse else OPEN
    return GuardrailOutcome(guardrail.name, sign * mean, sign * bound, guardrail.margin, guardrail.direction, verdict)


def guardrail_outcomes(
    guardrails: tuple[Guardrail, ...], finalist: int, level: float, *, reached: bool = True
) -> tuple[GuardrailOutcome, ...]:
    """All guardrails of one finalist; it passes if every one is held."""
    return tuple(guardrail_outcome(guardrail, finalist, level, reached=reached) for guardrail in guardrails)
