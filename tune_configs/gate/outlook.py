"""How many final units promote a gain, by the whole rule: the test as it is made, and the tail condition.

    P(promote | N) = P(T_N > z) P(tail condition | N) P(overlap | N)

The first factor is read from logs resampled from the units at hand, with mean, spread and critical value as the
test takes them. It is the mean over what σ may be, whose estimate errs as that of a resampled log does; planned with σ
one standard error higher instead, .95 to 1.00 were promoted where .80 was promised. The second factor may stay small
for any practical N. The third counts where a gain is so large that few units show it: of as many as have just enough
effective ones, every second log has too few.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from algorithms.ope.studentised import CriticalValues
from tune_configs.gate.asymptotic import spread
from tune_configs.gate.budget import needed_units
from tune_configs.gate.planning import OverlapOdds
from tune_configs.gate.tail_odds import TailOdds

POWER = 0.8
LARGEST_RESAMPLE = 500
"""Tested units of a resampled log."""
DRAWS = 8_000
"""Of a planned critical value, which need not be known to the last digit."""
STEP = 1.02
FARTHEST = 20
"""How many times the units at hand a plan may ask for, unless the test alone takes more: a log of one month would take
two years, for a tail that it says nothing of. To declare a worst class, or to explore, is what helps."""


@dataclass(frozen=True, slots=True, eq=False)
class Replicates:
    """What B resampled logs would show, in the standard deviation of all units.

    Attributes:
        errors: float64 (B,), of the mean, times √n.
        deviations: float64 (B,), σ̂ as the test takes it.
        size: units of each.
        known: float64 (B,), σ̂ of logs of as many units as there are now, drawn apart from the others.
    """

    errors: np.ndarray
    deviations: np.ndarray
    size: int
    known: np.ndarray


def resampled(tested: np.ndarray, reference: np.ndarray, size: int, count: int, seed: int = 0) -> Replicates:
    """``count`` logs of ``size`` tested units, and of reference units in the same proportion as there are now.

    Args:
        tested: float64 (n,), paired differences.
        reference: float64 (m,), of other units; may be empty.
        size: n of each log.
        count: B.
        seed: of the draws.
    """
    together = np.concatenate([tested, reference])
    standardised = (together - together.mean()) / together.std()
    beside = round(size * len(reference) / len(tested))
    drawn = standardised[np.random.default_rng(seed).integers(len(standardised), size=(count, size + beside))]
    own, deviations = spread(drawn[:, :size], drawn[:, size:])
    errors = drawn[:, :size].mean(axis=1)
    errors = (errors - errors.mean()) / max(float(errors.std()), 1e-12)  # known to be 0 and 1 without the noise of B
    deviations = np.where(own > 0, deviations, 1.0)  # a log of one repeated unit tells nothing of the spread
    known = 1.0 + np.sqrt(drawn.shape[1] / len(together)) * (np.roll(deviations, 1) - 1.0)
    return Replicates(errors, deviations, size, known)


def shown(replicates: Replicates, ratio: float, units: float, critical: float) -> float:
    """Share of logs of so many units whose T exceeds ``critical``; ``ratio`` is the gain in σ̂ of the log at hand."""
    noise = min(np.sqrt(replicates.size / units), 1.0)  # the spread is known better from more
    deviations = 1.0 + noise * (replicates.deviations - 1.0)
    statistics = (np.sqrt(units) * ratio * replicates.known + replicates.errors) / deviations
    return float(np.mean(statistics > critical))


class PlannedCriticalValue:
    """What T must exceed, by the number of units.

    What it lies above Student's quantile falls with √N; this times √N is found at doublings of the fewest units
    and drawn as lines between them.

    Args:
        tested: float64 (n,), paired differences.
        reference: float64 (m,), of other units; may be empty.
        decoupled: float64 (l,), decoupled ones, or ``None``.
        level: of the test.
        fewest: units, at least 2.
        seed: of the draws.
    """

    def __init__(
        self,
        tested: np.ndarray,
        reference: np.ndarray,
        decoupled: np.ndarray | None,
        level: float,
        fewest: int,
        seed: int,
    ) -> None:
        self._populations = [np.concatenate([tested, reference])] + ([] if decoupled is None else [decoupled])
        self._beside, self._level, self._fewest, self._seed = len(reference) / len(tested), level, fewest, seed
        self._excess: dict[int, float] = {}

    def at(self, units: float) -> float:
        """For so many units, at least ``fewest``."""
        doublings = math.log2(max(units / self._fewest, 1.0))
        below = int(doublings)
        share = doublings - below
        excess = (1.0 - share) * self._knot(below) + (share * self._knot(below + 1) if share else 0.0)
        return float(stats.t.isf(self._level, units - 1)) + excess / math.sqrt(units)

    def _knot(self, doublings: int) -> float:
        if doublings not in self._excess:
            units, level = self._fewest * 2**doublings, self._level
            beside = round(self._beside * units)
            values = CriticalValues(self._populations, units, beside, level, draws=DRAWS, seed=self._seed)
            students = float(stats.t.isf(level, units - 1))
            self._excess[doublings] = (values.above(students) - students) * math.sqrt(units)
        return self._excess[doublings]


@dataclass(frozen=True, slots=True)
class Plan:
    """What an open question takes.

    Attributes:
        units: fewest new final units that promote in 8 of 10 cases; ``None`` where no practical number does.
        limit: why none does, or empty.
        explorable: whether exploration helps.
    """

    units: int | None
    limit: str = ""
    explorable: bool = True


def plan(
    tested: np.ndarray,
    reference: np.ndarray,
    odds: TailOdds,
    overlap: OverlapOdds,
    *,
    deviation: float,
    effect: float,
    level: float,
    resamples: int,
    decoupled: np.ndarray | None = None,
    seed: int = 0,
) -> Plan:
    """The fewest units in which ``effect`` is promoted with probability .8 at ``level``, or why none are enough.

    Args:
        tested: float64 (n,), the finalist's paired differences.
        reference: float64 (m,), of units that are not tested; may be empty.
        odds: of the tail condition.
        overlap: odds of enough effective units.
        deviation: σ̂ of the test.
        effect: δ > 0, distance of the gain from the null.
        level: of the leg, divided by the number of finalists.
        resamples: B ≥ 1.
        decoupled: float64 (l,), decoupled differences where the test reads them.
        seed: of the draws.
    """
    fewest = max(needed_units(deviation, effect, level, POWER), math.ceil(overlap.fewest), 2)
    if not deviation > 0.0:
        return Plan(fewest)
    replicates = resampled(tested, reference, max(min(fewest, len(tested), LARGEST_RESAMPLE), 2), resamples, seed)
    critical, units = PlannedCriticalValue(tested, reference, decoupled, level, fewest, seed), float(fewest)
    while units <= max(FARTHEST * len(tested), 2 * fewest):
        condition = odds.chance(units) * overlap.chance(units)
        if condition >= POWER:
            found = shown(replicates, effect / deviation, units, critical.at(units))
            if found * condition >= POWER:
                return Plan(int(np.ceil(units)))
        units *= STEP
    return Plan(None, odds.limit(fewest), not odds.out_of_range(fewest))
