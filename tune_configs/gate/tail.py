"""The tail condition: has the log seen enough of the worst for a mean and its spread to be trusted?

A t-test knows nothing of what it has not seen: with a rare catastrophe it promotes 47 to 73 % of
worse policies. So the asymptotic leg alone promotes only where the catastrophe was seen often
enough under the candidate, or, where none is declared, where no single unit rules the spread and where the
declared bounds leave no room for one: a range of 100 standard deviations says that the worst was never seen.

A unit rules the spread by its share of the sum of squares (Lindeberg's condition). 15 standard deviations are a
tenth of 2,250 units; kept fixed for more, the condition would fail for nearly every long log of weighted costs:
measured power over 12 decisions .15 of 6,000 units and .03 of 12,000, against .87 and 1 by a tenth.

The returns' deviation is that without the ten units that lie farthest out, as many as a declared class must be seen
in: one catastrophe in 450 units made it ten times as large, and with it a range of 284 deviations one of 40.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

MINIMUM_WORST_UNITS = 10
LARGEST_DIFFERENCE, LARGEST_SHARE = 15.0, 0.1
"""How far out a unit may lie, in standard deviations, or what share of the sum of squares it may carry; the looser."""
LARGEST_RETURN_RANGE = 50.0
REMEDY = "(declare its worst_class)"
ROUNDING = 1e-12
ALL_ALIKE = f"all but at most {MINIMUM_WORST_UNITS} units have the same return {REMEDY}"


@dataclass(frozen=True, slots=True, eq=False)
class TailEvidence:
    """What the tail condition looks at.

    Attributes:
        returns: float64 (n,), logged return of each unit.
        worst: bool (n,), units with an outcome in the declared worst class; ``None`` where the
            agent declares none.
        weights: float64 (K, n), the finalists' whole-trajectory weights; read where ``worst`` is given.
        declared: width of the declared range of the return, 0 where none is declared.
    """

    returns: np.ndarray
    worst: np.ndarray | None = None
    weights: np.ndarray | None = None
    declared: float = 0.0


def tail_failure(evidence: TailEvidence, differences: np.ndarray, finalist: int) -> str:
    """Why the tail condition fails for a finalist, or an empty string.

    Args:
        evidence: of the tested units.
        differences: float64 (n,), the finalist's paired differences.
        finalist: its row in ``evidence.weights``.
    """
    if evidence.worst is not None:
        if evidence.weights is None:
            return "the worst class is declared, but no weights say how often the finalist meets it"
        seen = worst_units(evidence, finalist)
        if seen < MINIMUM_WORST_UNITS:
            return f"the worst class was seen in {seen} units that the finalist would meet, needs {MINIMUM_WORST_UNITS}"
        return ""
    deviation = float(np.std(differences, ddof=1))
    largest = float(np.max(np.abs(differences - np.mean(differences))))
    allowed = largest_difference(len(differences))
    if largest > allowed * deviation:
        out = f"one unit lies {largest / deviation:.0f} standard deviations out"
        return f"{out}, allowed are {allowed:.0f} {REMEDY}"
    spread = float(np.std(without_farthest(by_distance(evidence.returns), MINIMUM_WORST_UNITS), ddof=1))
    reach = float(np.ptp(evidence.returns))
    if reach > 0.0 and spread <= ROUNDING * reach:
        return ALL_ALIKE
    if reach > LARGEST_RETURN_RANGE * spread:
        span = f"the returns span {reach / spread:.0f} standard deviations"
        return f"{span}, allowed are {LARGEST_RETURN_RANGE:.0f} {REMEDY}"
    if evidence.declared > LARGEST_RETURN_RANGE * spread > 0.0:
        return (
            f"the declared returns span {evidence.declared / spread:.0f} standard deviations of the logged ones, "
            f"allowed are {LARGEST_RETURN_RANGE:.0f}: what was never seen could undo the gain {REMEDY}"
        )
    return ""


def largest_difference(units: float) -> float:
    """How many standard deviations out one of so many units may lie."""
    return max(LARGEST_DIFFERENCE, math.sqrt(LARGEST_SHARE * units))


def without_farthest(returns: np.ndarray, farthest: int) -> np.ndarray:
    """Of returns in the order of :func:`by_distance` all but so many of the farthest; at least two are left."""
    return returns[: max(len(returns) - farthest, 2)]


def by_distance(returns: np.ndarray) -> np.ndarray:
    """The returns (n,) in the order of their distance from the median."""
    return np.asarray(returns[np.argsort(np.abs(returns - np.median(returns)), kind="stable")])


def worst_units(evidence: TailEvidence, finalist: int) -> int:
    """Units of the declared worst class with a weight above half the mean weight; 0 without class or weights."""
    if evidence.worst is None or evidence.weights is None:
        return 0
    weights = evidence.weights[finalist]
    return int(np.sum(np.asarray(evidence.worst, dtype=bool) & (weights > 0.5 * weights.mean())))
