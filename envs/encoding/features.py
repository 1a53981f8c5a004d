"""Real features of raw rows: scaled numbers, categories and tags by indicators, places on a circle, what is missing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.encoding.circle import DAY, WEEK, phase, sine
from envs.encoding.reading import damaged, index, number, numbers
from envs.errors import DataError
from envs.observation import MOST_TAGS, ObservationSpecification

# An integer observation is a name, not a quantity; beyond this many names it is read as a quantity.
MAXIMUM_NAMES = 1024
# Scaled values end here: one absurd measurement must not steer a network.
CLIP = 10.0
# Half of a normal distribution lies within ±0.6745 of its centre.
INTERQUARTILE = 1.3489795003921634
# More categories than this share indicators, by a hash of their names.
MAXIMUM_CATEGORIES = 64


@dataclass(frozen=True, slots=True, eq=False)
class FeatureColumn:
    """What becomes of one raw column.

    Attributes:
        index: the raw column.
        optional: whether a missing indicator is added (and a missing value is read as the centre).
        center: subtracted from numbers.
        scale: numbers are divided by it.
        names: raw values that get an indicator each, with one more for any other; ``None`` for numbers.
        periods: lengths of the circles on which a number has its place: a sine and a cosine for each.
        tags: number of declared tags; each gets an indicator, with one more for any other.
        buckets: which of the shared indicators each category (by its raw value) has; one more is for any other.
    """

    index: int
    optional: bool
    center: float = 0.0
    scale: float = 1.0
    names: np.ndarray | None = None
    periods: tuple[float, ...] = ()
    tags: int = 0
    buckets: np.ndarray | None = None

    @property
    def size(self) -> int:
        """Number of features."""
        own = 2 * len(self.periods) or (self.tags and self.tags + 1) or 1
        if self.names is not None:
            own = len(self.names) + 1
        elif self.buckets is not None:
            own = MAXIMUM_CATEGORIES + 1
        return own + self.optional

    def write(self, values: np.ndarray, out: np.ndarray) -> None:
        """Fills ``out`` (N, size) from raw ``values`` (N,)."""
        missing = np.isnan(values)
        if self.periods or self.tags or self.buckets is not None:
            own = self._placed(values) if self.periods else self._flagged(np.where(missing, 0.0, values))
            own[missing] = 0.0 if self.optional else np.nan
            out[:, : own.shape[1]] = own
        elif self.names is None:
            with np.errstate(over="ignore"):  # what is too large for a number is cut too
                scaled = np.clip((values - self.center) / self.scale, -CLIP, CLIP)
            out[:, 0] = np.where(missing, 0.0, scaled) if self.optional else scaled
        else:
            hits = values[:, None] == self.names[None, :]
            out[:, : len(self.names)] = hits
            out[:, len(self.names)] = ~hits.any(axis=1) & ~missing
            if not self.optional:
                out[missing, :] = np.nan
        if self.optional:
            out[:, -1] = missing

    def _placed(self, values: np.ndarray) -> np.ndarray:
        turns = [phase(values, period) for period in self.periods]
        return np.stack([wave for turn in turns for wave in (sine(turn), sine(turn + 0.25))], axis=1)

    def _flagged(self, values: np.ndarray) -> np.ndarray:
        codes = values.astype(np.int64)
        if self.buckets is None:
            return (codes[:, None] >> np.arange(self.tags + 1) & 1).astype(np.float64)
        known = (codes >= 0) & (codes < len(self.buckets))
        shared = np.where(known, self.buckets[np.where(known, codes, 0)], MAXIMUM_CATEGORIES)
        return (shared[:, None] == np.arange(MAXIMUM_CATEGORIES + 1)).astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class StandardFeatures:
    """Numbers less their median over their normal-consistent interquartile range, cut at ±10; booleans
    as 0 and 1; an indicator for each category and one for "none of them"; an indicator for a missing
    optional value.

    A row that lacks a required value (an unknown end) has NaN features.

    Attributes:
        columns: what becomes of each raw column.
    """

    columns: tuple[FeatureColumn, ...]

    @classmethod
    def fit(cls, rows: np.ndarray, observation: ObservationSpecification) -> StandardFeatures:
        """Centres and scales of train's raw rows.

        Args:
            rows: float64 (N, D), train only; NaN is passed over.
            observation: the declaration of the columns.

        Raises:
            DataError: no row.
        """
        if not len(rows) or np.isnan(rows).all():
            raise DataError("no row to fit features on", remedy="log more decisions")
        columns = []
        for position, declared in enumerate(observation.fields):
            values = rows[:, position]
            values = np.sort(values[np.isfinite(values)])  # sorted: sums do not depend on the rows' order
            if declared.type == "time" or declared.period:
                periods = (DAY, WEEK) if not declared.period else (declared.period,)
                columns.append(FeatureColumn(position, declared.optional, periods=periods))
            elif declared.type == "tags":
                columns.append(FeatureColumn(position, declared.optional, tags=len(declared.categories)))
            elif declared.type == "category" and len(declared.categories) > MAXIMUM_CATEGORIES:
                columns.append(FeatureColumn(position, declared.optional, buckets=hashed(declared.categories)))
            elif declared.type == "category":
                names = np.arange(len(declared.categories), dtype=np.float64)
                columns.append(FeatureColumn(position, declared.optional, names=names))
            elif observation.kind == "int" and len(distinct := np.unique(values)) <= MAXIMUM_NAMES:
                columns.append(FeatureColumn(position, declared.optional, names=distinct))
            elif declared.type == "boolean" or not len(values):
                columns.append(FeatureColumn(position, declared.optional))
            else:
                columns.append(FeatureColumn(position, declared.optional, float(np.median(values)), _scale(values)))
        return cls(tuple(columns))

    @property
    def size(self) -> int:
        """Number of features, F."""
        return sum(column.size for column in self.columns)

    def features(self, rows: np.ndarray) -> np.ndarray:
        """Features of raw rows (N, D), float64 (N, F)."""
        out = np.empty((len(rows), self.size))
        start = 0
        for column in self.columns:
            column.write(rows[:, column.index], out[:, start : start + column.size])
            start += column.size
        return out

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        columns = []
        for column in self.columns:
            entry: dict[str, Any] = {"index": column.index, "optional": column.optional}
            if column.periods:
                entry["periods"] = list(column.periods)
            elif column.tags:
                entry["tags"] = column.tags
            elif column.buckets is not None:
                entry["buckets"] = column.buckets.tolist()
            elif column.names is None:
                entry |= {"center": column.center, "scale": column.scale}
            else:
                entry["names"] = column.names.tolist()
            columns.append(entry)
        return {"kind": "StandardFeatures", "columns": columns}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StandardFeatures:
        """The inverse of :meth:`to_json`.

        Raises:
            ArtefactError: the JSON describes no such encoder.
        """
        kind = "StandardFeatures"
        entries = data.get("columns")
        if not isinstance(entries, list) or not entries or not all(isinstance(entry, Mapping) for entry in entries):
            raise damaged(kind, "columns is not a list of columns")
        columns = []
        for entry in entries:
            position, optional = index(kind, entry, "index"), entry.get("optional") is True
            if "periods" in entry:
                periods = numbers(kind, entry, "periods")
                if not len(periods) or (periods <= 0.0).any():
                    raise damaged(kind, "periods are not above 0")
                columns.append(FeatureColumn(position, optional, periods=tuple(periods.tolist())))
                continue
            if "tags" in entry:
                tags = index(kind, entry, "tags")
                if not 0 < tags <= MOST_TAGS:
                    raise damaged(kind, "tags is not a number of tags")
                columns.append(FeatureColumn(position, optional, tags=tags))
                continue
            if "buckets" in entry:
                buckets = numbers(kind, entry, "buckets")
                if not len(buckets) or not np.isin(buckets, np.arange(MAXIMUM_CATEGORIES)).all():
                    raise damaged(kind, "buckets are not numbers of indicators")
                columns.append(FeatureColumn(position, optional, buckets=buckets.astype(np.int64)))
                continue
            if "names" in entry:
                columns.append(FeatureColumn(position, optional, names=numbers(kind, entry, "names")))
                continue
            center, scale = number(kind, entry, "center"), number(kind, entry, "scale")
            if scale <= 0.0:
                raise damaged(kind, "scale is not above 0")
            columns.append(FeatureColumn(position, optional, center, scale))
        return cls(tuple(columns))


def hashed(categories: Sequence[str]) -> np.ndarray:
    """The shared indicator of each category, int64 (C,): the same in every process and for ever."""
    digests = (hashlib.sha256(name.encode()).digest() for name in categories)
    return np.array([int.from_bytes(digest[:8], "big") % MAXIMUM_CATEGORIES for digest in digests], dtype=np.int64)


def _scale(values: np.ndarray) -> float:
    """Interquartile range as a standard deviation; the standard deviation itself where half the values agree."""
    low, high = np.quantile(values, [0.25, 0.75])
    rounding = 1e-12 * float(np.abs(values).max())
    for scale in ((high - low) / INTERQUARTILE, float(np.std(values))):
        if np.isfinite(scale) and scale > rounding:
            return float(scale)
    return 1.0
