"""What an open question still needs: decisions, time and exploration."""

from __future__ import annotations

import math

from algorithms.ope.overlap import OverlapRule
from tune_configs.gate.request import Needs, Planning

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
    """Twice the present exploration, at most one half: the weights' variance falls as 1 / exploration."""
    if planning.explore is None:
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
    if planning.explore is None:
        return Needs()
    if planning.explore <= 0 or fraction <= 0 or not 0 < rule.minimum_fraction < 1:
        return Needs(None, None, more_exploration(planning))
    wanted = planning.explore * math.log(fraction) / math.log(rule.minimum_fraction)
    return Needs(None, None, min(wanted, LARGEST_EXPLORATION))
