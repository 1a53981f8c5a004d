"""How many final units promote a gain, by the whole rule: the test as it is made, and the tail condition.

    P(promote | N) = P(T_N > z) P(tail condition | N)

The first factor is read from logs resampled from the units at hand, with mean, spread and skewness as the
test takes them. A plan from σ alone forgets that the skewness which the test corrects for is an estimate, of
which only what speaks against a gain counts: for weights over 12 decisions it promised 80 % where the test finds
71 %. σ itself is taken one standard error above its estimate: a log that missed the worst looks easy. The
second factor may stay small however many units there are, so that no N is enough.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from tune_configs.gate.asymptotic import joint_spread, straighten
from tune_configs.gate.budget import needed_units
from tune_configs.gate.tail_odds import TailOdds

POWER = 0.8
LARGEST_RESAMPLE = 500
"""Tested units of a resampled log."""
STEP, STEPS = 1.02, 450
"""The plan is searched for upwards from the fewest units, to 7,000 times them."""


@dataclass(frozen=True, slots=True, eq=False)
class Replicates:
    """What B resampled logs would show, in the standard deviation of all units.

    Attributes:
        errors: float64 (B,), of the mean, times √n.
        deviations: float64 (B,), σ̂ as the test takes it.
        skewness: float64 (B,), as the test estimates it.
        size: units of each.
        overall: skewness of all units.
        uncertainty: standard error of the deviation of all units, relative.
    """

    errors: np.ndarray
    deviations: np.ndarray
    skewness: np.ndarray
    size: int
    overall: float
    uncertainty: float


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
    own, deviations, skewness = joint_spread(drawn[:, :size], drawn[:, size:])
    errors = drawn[:, :size].mean(axis=1)
    errors = (errors - errors.mean()) / max(float(errors.std()), 1e-12)  # known to be 0 and 1 without the noise of B
    uncertainty = float(deviations.std()) * np.sqrt(drawn.shape[1] / len(together))
    deviations = np.where(own > 0, deviations, 1.0)  # a log of one repeated unit tells nothing of the spread
    overall = float(np.mean(standardised * np.square(standardised)))
    return Replicates(errors, deviations, skewness, size, overall, uncertainty)


def shown(replicates: Replicates, ratio: float, units: float, critical: float, largest_skewness: float) -> float:
    """Share of logs of so many units whose statistic exceeds ``critical``.

    Args:
        replicates: the logs.
        ratio: the gain in standard deviations.
        units: of each log.
        critical: value of the test.
        largest_skewness: what the test takes at most, at most 0.
    """
    noise = min(np.sqrt(replicates.size / units), 1.0)  # spread and skewness are known better from more
    deviations = 1.0 + noise * (replicates.deviations - 1.0)
    skewness = replicates.overall + noise * (replicates.skewness - replicates.overall)
    skewness = np.minimum(skewness, largest_skewness)
    found = np.maximum(ratio + replicates.errors / np.sqrt(units), -1.0) / deviations
    statistics = np.sqrt(units) * straighten(found, skewness, units)
    return float(np.mean((found > 0) & (statistics > critical)))


@dataclass(frozen=True, slots=True)
class Plan:
    """What an open question takes.

    Attributes:
        units: fewest new final units that promote in 8 of 10 cases; ``None`` where no number does.
        limit: why no number does, or empty.
        explorable: whether exploration helps.
    """

    units: int | None
    limit: str = ""
    explorable: bool = True


def plan(
    tested: np.ndarray,
    reference: np.ndarray,
    odds: TailOdds,
    *,
    deviation: float,
    effect: float,
    level: float,
    resamples: int,
    skewness: float = 0.0,
    seed: int = 0,
) -> Plan:
    """The fewest units in which ``effect`` is promoted with probability .8 at ``level``, or why there are none.

    Args:
        tested: float64 (n,), the finalist's paired differences.
        reference: float64 (m,), of units that are not tested; may be empty.
        odds: of the tail condition.
        deviation: σ̂ of the test.
        effect: δ > 0, distance of the gain from the null.
        level: of the leg, divided by the number of finalists.
        resamples: B ≥ 1.
        skewness: of the decoupled differences, which the test takes where it is the smaller one.
        seed: of the draws.
    """
    fewest = max(needed_units(deviation, effect, level, POWER), 2)
    if not deviation > 0.0:
        return Plan(fewest)
    replicates = resampled(tested, reference, max(min(fewest, len(tested), LARGEST_RESAMPLE), 2), resamples, seed)
    ratio = effect / (deviation * (1.0 + replicates.uncertainty))
    critical, units = float(stats.t.isf(level, fewest - 1)), float(fewest)
    for _ in range(STEPS):
        condition = odds.chance(units)
        if condition >= POWER:
            found = shown(replicates, ratio, units, critical, min(skewness, 0.0))
            if found * condition >= POWER:
                return Plan(int(np.ceil(units)))
        units *= STEP
    return Plan(None, odds.limit(fewest), not odds.out_of_range(fewest))
