"""What an open question still needs: decisions, time and exploration, and how it is told."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import stats

from algorithms.ope.overlap import OverlapRule
from envs.counting import counted
from tune_configs.gate.request import Needs, Planning
from tune_configs.gate.scarcity import ScarceAction

LARGEST_EXPLORATION = 0.5
FIRST_EXPLORATION = 0.1


def needs_for_units(units: float | None, planning: Planning, explore: float | None) -> Needs:
    """The needs for so many new units of ``final``."""
    if units is None or not math.isfinite(units):
        return Needs(None, None, explore)
    fresh = math.ceil(max(units, 1.0) / planning.final_share)
    seconds = fresh / planning.units_per_second if planning.units_per_second else None
    return Needs(math.ceil(fresh * planning.decisions_per_unit), seconds, explore)


def more_exploration(planning: Planning) -> float | None:
    """Twice the present exploration, at most one half: the weights' variance falls as 1 / exploration.

    ``None`` where the present exploration is not known, or is as large already.
    """
    if planning.explore is None or planning.explore >= LARGEST_EXPLORATION:
        return None
    return min(2.0 * planning.explore, LARGEST_EXPLORATION) if planning.explore > 0 else FIRST_EXPLORATION


def needs_for_overlap(effective: float, units: int, rule: OverlapRule, planning: Planning) -> Needs:
    """What brings a finalist to the smallest overlap.

    Where the fraction suffices, more units do. Where it does not, only exploration helps: the log of
    the effective fraction is about proportional to 1 / exploration, because each step's excess
    variance of the weights is, so ε' = ε ln(f) / ln(f_min).
    """
    fraction = effective / units if units else 0.0
    if fraction >= rule.minimum_fraction and fraction > 0:
        return needs_for_units(rule.minimum_units / fraction - units, planning, None)
    if units == 0:
        return needs_for_units(rule.minimum_units, planning, None)
    if planning.explore is None or planning.explore >= LARGEST_EXPLORATION:
        return Needs()
    if planning.explore <= 0 or fraction <= 0 or not 0 < rule.minimum_fraction < 1:
        return Needs(None, None, more_exploration(planning))
    wanted = planning.explore * math.log(fraction) / math.log(rule.minimum_fraction)
    return Needs(None, None, min(wanted, LARGEST_EXPLORATION))


def units_until_look(effective: float, units: int, rule: OverlapRule) -> float:
    """Unread final units that a look needs: as many as have the smallest effective number at the present overlap."""
    fraction = effective / units if units else 1.0
    return rule.minimum_units / max(fraction, rule.minimum_fraction, 1e-3)


@dataclass(frozen=True, slots=True)
class OverlapOdds:
    """What the chance follows from that new units have enough effective ones.

    Attributes:
        effective: number of the units at hand.
        units: n, at hand.
        error: relative standard error of ``effective``, times √n.
        minimum: effective units that are enough.
    """

    effective: float
    units: int
    error: float
    minimum: float

    @property
    def fewest(self) -> float:
        """New units of which, at the present overlap, just enough are effective."""
        return self.minimum * self.units / self.effective

    def chance(self, units: float) -> float:
        """Probability that so many new units have enough, whose overlap is another one than was seen."""
        if self.minimum <= 0.0:
            return 1.0
        margin, error = math.log(units / self.fewest), self.error * math.sqrt(1.0 / self.units + 1.0 / units)
        return float(stats.norm.cdf(margin / error)) if error > 0.0 else float(margin >= 0.0)


def settling(needs: Needs, scarce: ScarceAction | None, looks: int, until_look: int | None) -> str:
    """What would settle it, such as ``needs ~14,000 decisions (34 h at your rate), or explore=0.03 on failover;
    final split: 1 look spent, fresh after 4,200 new decisions``.

    Args:
        needs: decisions, time and exploration.
        scarce: the action that the exploration is for.
        looks: spent so far, this one included.
        until_look: new decisions until a further look has enough final units; ``None`` where they are there.
    """
    wants = []
    if needs.decisions is not None:
        rate = "" if needs.seconds is None else f" ({duration(needs.seconds)} at your rate)"
        wants.append(f"~{about(needs.decisions):,} decisions{rate}")
    if needs.explore is not None:
        wants.append(f"explore={needs.explore:.2g}" + (f" on {scarce.action}" if scarce else ""))
    spent = f"{counted(looks, 'look') if looks else 'no looks'} spent"
    fresh = "" if until_look is None else f", fresh after {about(until_look):,} new decisions"
    return "; ".join([*(["needs " + ", or ".join(wants)] if wants else []), f"final split: {spent}{fresh}"])


def about(count: int) -> int:
    """A count rounded up to two figures: what is planned is not known better."""
    step: int = 10 ** max(len(str(count)) - 2, 0)
    return -(-count // step) * step


def duration(seconds: float) -> str:
    """A time for people: minutes, hours up to three days, then days."""
    hours = seconds / 3600.0
    if hours < 1.0:
        return f"{max(seconds / 60.0, 1.0):.0f} min"
    if hours < 10.0:
        return f"{hours:.1f} h"
    return f"{hours:.0f} h" if hours < 72.0 else f"{hours / 24.0:,.0f} days"
