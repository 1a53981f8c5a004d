"""What ``select`` foretells of a look at ``final``, so that no look is spent on what it cannot show.

All looks of a life share one α, and a unit is read once: a look at too few effective units, or one that misses
the gain in most cases, makes every later one harder. Waiting costs time alone. Of ``final`` only the number of its
units is read here, so that the level of the look that follows is not touched.

Measured in drawn worlds with better policies within reach, ten lives of 30 cycles: a look at every cycle spent 193
looks and reached .19 of the best policy's gain; with half the power asked for first, 69 looks and .28.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from algorithms.ope.estimate import Estimate
from algorithms.ope.overlap import OverlapRule
from tune_configs.gate.budget import leg_level, needed_units, planned_power
from tune_configs.gate.planning import units_until_look
from tune_configs.recommendation import standard_error

LEAST_POWER = 0.5
"""What is asked of a look that nobody asked for by hand."""


@dataclass(frozen=True, slots=True)
class Shortage:
    """Why no look is spent now.

    Attributes:
        reason: half a sentence.
        lacking: final units that are to come first; ``None`` where no number of them helps.
    """

    reason: str
    lacking: int | None


def foreseen_shortage(
    gains: Sequence[Estimate],
    units: int,
    rule: OverlapRule,
    look: int,
    *,
    minimum_gain: float = 0.0,
    least_power: float = 0.0,
) -> Shortage | None:
    """What a look lacks, ``None`` where it has enough.

    Args:
        gains: the finalists', on ``select``.
        units: final units that no look has read.
        rule: the smallest overlap that is answered on ``final``.
        look: number of the look, from 1.
        minimum_gain: largest gain that the null allows.
        least_power: how often the look must show a gain as large as on ``select``; 0 asks for overlap alone.
    """
    told = [gain for gain in gains if gain.usable]
    reached = [units_until_look(gain.effective_sample_size, gain.units, rule) for gain in told]
    lacking = math.ceil(min(reached, default=rule.minimum_units)) - units
    if lacking > 0:
        reason = f"only {units:,} final units are newer than the last look, {lacking:,} more are needed"
        return Shortage(reason, lacking)
    level = leg_level(look) / max(len(gains), 1)
    # Deviation of a unit's difference, and the gain above what the null allows.
    spreads = [(standard_error(gain) * math.sqrt(gain.units), gain.value - minimum_gain) for gain in told]
    varying = [(deviation, effect) for deviation, effect in spreads if deviation > 0.0]
    if not varying or not least_power:
        return None
    hopeful = [each for each in varying if each[1] > 0.0]
    if not hopeful:
        return Shortage("no finalist gains more than the minimum on select, and no look is spent", None)
    power = max(planned_power(*each, units, level) for each in hopeful)
    if power >= least_power:
        return None
    lacking = max(min(needed_units(*each, level, least_power) for each in hopeful) - units, 1)
    reason = (
        f"{units:,} final units are newer than the last look, and in so many a gain as large as on select is shown in"
        f" at most {power:.0%} of cases: {lacking:,} more are needed for {least_power:.0%}, and no look is spent"
    )
    return Shortage(reason, lacking)
