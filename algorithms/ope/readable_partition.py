"""A few regions of the state space, each a short sentence about fields: where policies differ, and how.

A regression tree with several outputs: each region is a box whose states have nearly the same target
(such as the difference of two policies' action probabilities). It is grown best first, the split that
explains most next, until there are as many regions as a reader can hold.

References:
    Breiman, Friedman, Olshen & Stone (1984), Classification and Regression Trees, chapter 8; De'ath (2002),
    Multivariate regression trees, for several outputs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from envs.errors import DataError
from envs.observation import ObservationField, ObservationSpecification

REGIONS = 6
SMALLEST = 0.03
"""Smallest share of the states that makes a region."""
WORTH = 0.01
"""A split that explains a smaller share of the targets' variance makes nothing clearer."""
THRESHOLDS = 32
ROWS = 20_000


@dataclass(frozen=True, slots=True)
class Condition:
    """What a region demands of one field.

    Attributes:
        column: the field's position in the raw row.
        low: the value is above it; a value that is not known counts as above everything.
        high: the value is at most it.
        category: the value is this category, ``None`` for a field that has none or is not asked for one.
        excluded: categories that the value is not.
    """

    column: int
    low: float = -np.inf
    high: float = np.inf
    category: int | None = None
    excluded: tuple[int, ...] = ()

    def holds(self, rows: np.ndarray) -> np.ndarray:
        """Whether it holds at raw rows (N, D), bool (N,)."""
        values = rows[:, self.column]
        values = np.where(np.isnan(values), np.inf, values)
        if self.category is not None:
            return values == self.category
        return (values > self.low) & (values <= self.high) & ~np.isin(values, self.excluded)

    def words(self, field: ObservationField) -> str:
        """The condition as a reader reads it."""
        if self.category is not None:
            return f"{field.name} {field.categories[self.category]}"
        if self.excluded:
            return f"{field.name} not {' or '.join(field.categories[code] for code in self.excluded)}"
        known = " or unknown" if field.optional and self.high == np.inf else ""
        if field.type == "boolean":
            return f"{field.name}{known}" if self.low >= 0.0 else f"not {field.name}"
        if self.low == -np.inf:
            return f"{field.name} ≤ {_written(self.high)}"
        if self.high == np.inf:
            return f"{field.name} > {_written(self.low)}{known}"
        if field.type == "integer":
            least, most = int(self.low) + 1, int(self.high)
            return f"{field.name} = {least}" if least == most else f"{field.name} {least} to {most}"
        return f"{_written(self.low)} < {field.name} ≤ {_written(self.high)}"


@dataclass(frozen=True, slots=True)
class Region:
    """A box of states: all its conditions hold. Without one it is everywhere."""

    conditions: tuple[Condition, ...] = ()

    def holds(self, rows: np.ndarray) -> np.ndarray:
        """Whether raw rows (N, D) lie in it, bool (N,)."""
        inside = np.ones(len(rows), dtype=bool)
        for condition in self.conditions:
            inside &= condition.holds(rows)
        return inside

    def name(self, observation: ObservationSpecification) -> str:
        """The region as a reader reads it."""
        fields = observation.fields
        return ", ".join(each.words(fields[each.column]) for each in self.conditions) or "all states"

    def narrowed(self, split: Condition) -> Region:
        """The part of the region in which the condition holds as well."""
        conditions = {each.column: each for each in self.conditions}
        own = conditions.get(split.column, Condition(split.column))
        conditions[split.column] = replace(
            own,
            low=max(own.low, split.low),
            high=min(own.high, split.high),
            category=own.category if split.category is None else split.category,
            excluded=() if split.category is not None else own.excluded + split.excluded,
        )
        return Region(tuple(conditions[column] for column in sorted(conditions)))


@dataclass(frozen=True, slots=True, eq=False)
class _Split:
    """The best split of a leaf: what it explains, and the two conditions that it makes."""

    worth: float
    inside: Condition
    outside: Condition


def readable_partition(
    rows: np.ndarray,
    observation: ObservationSpecification,
    targets: np.ndarray,
    *,
    count: int = REGIONS,
    smallest: float = SMALLEST,
    seed: int = 0,
) -> tuple[Region, ...]:
    """Regions that tell states with different targets apart; every row lies in exactly one.

    Args:
        rows: float64 (N, D), raw rows.
        observation: the declaration of the columns.
        targets: float64 (N, M), what should be nearly constant within a region.
        count: most regions.
        smallest: smallest share of the rows in one.
        seed: of the sub-sample, where there are more rows than 20,000.

    Raises:
        DataError: no row.
    """
    if not len(rows):
        raise DataError("no state to divide", where="readable_partition", remedy="log more decisions")
    if len(rows) > ROWS:
        kept = np.sort(np.random.default_rng(seed).choice(len(rows), ROWS, replace=False))
        rows, targets = rows[kept], targets[kept]
    total = float(((targets - targets.mean(axis=0)) ** 2).sum())
    least = max(int(np.ceil(smallest * len(rows))), 1)

    def best(region: Region) -> _Split | None:
        inside = region.holds(rows)
        return _best_split(rows[inside], observation, targets[inside], least, WORTH * total)

    leaves: dict[Region, _Split | None] = {Region(): best(Region())}
    while len(leaves) < count:
        splits = {region: split for region, split in leaves.items() if split is not None}
        if not splits:
            break
        chosen = max(splits, key=lambda region: splits[region].worth)
        del leaves[chosen]
        for part in (chosen.narrowed(splits[chosen].inside), chosen.narrowed(splits[chosen].outside)):
            leaves[part] = best(part)
    return tuple(leaves)


def region_of(regions: tuple[Region, ...], rows: np.ndarray) -> np.ndarray:
    """Index of the region of each raw row (N, D), int64 (N,)."""
    return np.argmax(np.stack([region.holds(rows) for region in regions]), axis=0)


def _best_split(
    rows: np.ndarray, observation: ObservationSpecification, targets: np.ndarray, least: int, enough: float
) -> _Split | None:
    found: _Split | None = None
    centred = targets - targets.mean(axis=0)
    for column, field in enumerate(observation.fields):
        values = np.where(np.isnan(rows[:, column]), np.inf, rows[:, column])
        if field.type == "category":
            candidates = [
                (values == code, Condition(column, category=code), Condition(column, excluded=(code,)))
                for code in range(len(field.categories))
            ]
        else:
            candidates = [
                (values <= edge, Condition(column, high=edge), Condition(column, low=edge)) for edge in _edges(values)
            ]
        for inside, yes, no in candidates:
            size = int(inside.sum())
            if not least <= size <= len(rows) - least:
                continue
            # With targets centred, what a split explains is n_in |mean_in|² + n_out |mean_out|².
            part = centred[inside].sum(axis=0)
            worth = float(part @ part) * (1.0 / size + 1.0 / (len(rows) - size))
            if worth > enough and (found is None or worth > found.worth):
                found = _Split(worth, yes, no)
    return found


def _edges(values: np.ndarray) -> list[float]:
    """Values to split at: quantiles in so few digits that they can be read."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return []
    quantiles = np.quantile(finite, np.linspace(0.0, 1.0, THRESHOLDS + 2)[1:-1], method="lower")
    whole = bool((finite == np.floor(finite)).all())
    return sorted({float(edge) if whole else float(f"{edge:.3g}") for edge in quantiles})


def _written(edge: float) -> str:
    """An edge with all its digits, which are few."""
    return f"{edge:.0f}" if edge == np.floor(edge) and abs(edge) < 1e15 else f"{edge:g}"
