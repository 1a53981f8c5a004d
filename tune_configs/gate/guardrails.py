"""Guardrails: the finalist may not be worse than a margin on any of several measures.

All must hold at once, so each is tested at the full level (intersection-union).

Reference: Berger (1982), Multiparameter hypothesis testing and acceptance sampling, theorem 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from algorithms.ope.intervals import student_t
from envs.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class Guardrail:
    """One measure that must not get worse.

    Attributes:
        name: for the reason.
        differences: float64 (K, n), each finalist's paired differences in this measure, larger is better.
        margin: loss that is tolerated, ≥ 0.
    """

    name: str
    differences: np.ndarray
    margin: float


def non_inferior(differences: np.ndarray, margin: float, level: float) -> bool:
    """Whether E D > -margin at the one-sided ``level`` (Student-t), for differences (n,)."""
    if margin < 0:
        raise DataError(f"margin {margin}", where="guardrail", remedy="give the tolerated loss as a positive number")
    interval = student_t(differences, 0.95)
    if not np.isfinite(interval.standard_error):
        return False
    if interval.standard_error == 0:
        return interval.value > -margin
    return bool((interval.value + margin) / interval.standard_error > stats.t.isf(level, len(differences) - 1))


def failed_guardrails(guardrails: tuple[Guardrail, ...], finalist: int, level: float) -> tuple[str, ...]:
    """Names of the measures on which non-inferiority is not shown; the finalist passes if there is none."""
    return tuple(
        guardrail.name
        for guardrail in guardrails
        if not non_inferior(guardrail.differences[finalist], guardrail.margin, level)
    )
