"""Which actions were never tried in whole regions of the observation, though they were allowed?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from envs.card.blocks import LEVEL
from envs.card.findings import Finding
from envs.card.propensities import possible_probabilities
from envs.dataset import Dataset
from envs.observation import ObservationField

LEAST_SHARE = 0.1
"""Of the decisions in which the action was allowed, so many must lie in the region."""
IMPOSSIBLE = 1e-3
FLOOR = 0.03
"""Probability that is taken for an explored action's least where no propensity says it."""
SMALLEST_FLOOR = 0.003
MOST_REGIONS = 3


@dataclass(frozen=True, slots=True)
class _Region:
    """Where an action was never taken: an interval of a field, and its share of the decisions that allow it."""

    action: int
    field: ObservationField
    low: float
    high: float
    outermost: tuple[bool, bool]
    share: float


def untried_regions(dataset: Dataset) -> list[Finding]:
    """The largest such region of each action that was taken elsewhere; none where the rule left nothing to chance.

    Where all probabilities are logged, an action that had none is enough. Elsewhere a region is reported where the
    smallest propensity that the action had, or may have had, would have shown it with near certainty; without
    propensities decisions count once for each unit, since a unit may have stayed with one action.
    """
    actions, rows = dataset.specification.actions, dataset.observations[dataset.rows]
    allowed = dataset.allowed[dataset.rows]
    fields = dataset.specification.observation.fields
    found = []
    for action in np.flatnonzero(np.bincount(dataset.actions, minlength=len(actions))):
        usable = np.flatnonzero(allowed[:, action])
        possible, floor, weights = _possible(dataset, int(action), usable)
        if possible.all():
            continue
        regions = [
            region
            for declared, values in zip(fields, rows[usable].T, strict=True)
            if (region := _largest(declared, values, possible, weights, int(action), len(fields) * len(actions), floor))
        ]
        if regions:
            found.append(max(regions, key=lambda region: region.share))
    found.sort(key=lambda region: -region.share)
    return [_finding(region, actions[region.action]) for region in found[:MOST_REGIONS]]


def _possible(dataset: Dataset, action: int, usable: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """Where the action could happen (n,), the probability that it would have had (1: known), and rows' weights (n,)."""
    if np.isfinite(dataset.action_probabilities).all():
        possible = dataset.action_probabilities[usable, action] >= IMPOSSIBLE
        return possible, 1.0, np.ones(len(usable))
    taken = dataset.actions[usable] == action
    if np.isfinite(dataset.propensities).all():
        # Of a rare action that was drawn nowhere else only what the others' propensities leave says how rare it is.
        chances = possible_probabilities(dataset)[usable, action]
        floor = float(np.clip(chances[chances > 0.0].min(initial=1.0), SMALLEST_FLOOR, 0.5))
        return taken, floor, np.ones(len(usable))
    _, unit, sizes = np.unique(dataset.units[dataset.episode_index[usable]], return_inverse=True, return_counts=True)
    return taken, FLOOR, 1.0 / sizes[unit]


def _largest(
    declared: ObservationField,
    values: np.ndarray,
    possible: np.ndarray,
    weights: np.ndarray,
    action: int,
    searches: int,
    floor: float,
) -> _Region | None:
    """The longest interval of a field without the action, if chance does not explain it."""
    known = ~np.isnan(values)
    distinct, place = np.unique(values[known], return_inverse=True)
    if len(distinct) < 2:
        return None
    hit = np.bincount(place, weights=possible[known], minlength=len(distinct)) > 0
    rows = np.bincount(place, minlength=len(distinct))
    if declared.type in ("category", "boolean"):
        starts = np.flatnonzero(~hit)
        ends = starts + 1
    else:
        edge = np.diff(np.concatenate([[False], ~hit, [False]]).astype(np.int8))
        starts, ends = np.flatnonzero(edge == 1), np.flatnonzero(edge == -1)
    if not len(starts):
        return None
    total = np.concatenate([[0], np.cumsum(rows)])
    counts = total[ends] - total[starts]
    best = int(counts.argmax())
    start, end, share = int(starts[best]), int(ends[best]), float(counts[best] / len(values))
    heavy = np.bincount(place, weights=weights[known], minlength=len(distinct))[start:end].sum()
    # Any run of decisions could have been the longest: the chance of one counts as often as runs can begin.
    chance = 0.0 if floor >= 1.0 else searches * len(distinct) * math.exp(heavy * math.log1p(-floor))
    if share < LEAST_SHARE or chance >= LEVEL:
        return None
    return _Region(
        action, declared, float(distinct[start]), float(distinct[end - 1]), (start == 0, end == len(distinct)), share
    )


def _finding(region: _Region, action: object) -> Finding:
    name, (first, last) = region.field.name, region.outermost
    if region.field.type in ("category", "boolean"):
        where = f"{name} is {region.field.decode(region.low)}"
    elif first:
        where = f"{name} is at most {region.high:.4g}"
    elif last:
        where = f"{name} is at least {region.low:.4g}"
    else:
        where = f"{name} is between {region.low:.4g} and {region.high:.4g}"
    return Finding(
        "untried_region",
        "warning",
        f"{action} was never tried where {where} ({100 * region.share:.0f} % of the decisions that allowed it)",
        "nothing is known about it there, and a policy that takes it there cannot be valued",
        "explore it there too, or forbid it there by allowed_actions",
    )
