"""Real features of raw rows: robustly scaled numbers, one-hot categories, missing indicators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.encoding.reading import damaged, index, number, numbers
from envs.errors import DataError
from envs.observation import ObservationSpecification

# An integer observation is a name, not a quantity; beyond this many names it is read as a quantity.
MAXIMUM_NAMES = 1024
# Scaled values end here: one absurd measurement must not steer a network.
CLIP = 10.0
# Half of a normal distribution lies within ±0.6745 of its centre.
INTERQUARTILE = 1.3489795003921634


@dataclass(frozen=True, slots=True, eq=False)
class FeatureColumn:
    """What becomes of one raw column.

    Attributes:
        index: the raw column.
        optional: whether a missing indicator is added (and a missing value is read as the centre).
        center: subtracted from numbers.
        scale: numbers are divided by it.
        names: raw values that get an indicator each, with one more for any other; ``None`` for numbers.
    """

    index: int
    optional: bool
    center: float = 0.0
    scale: float = 1.0
    names: np.ndarray | None = None

    @property
    def size(self) -> int:
        """Number of features."""
        return (1 if self.names is None else len(self.names) + 1) + self.optional

    def write(self, values: np.ndarray, out: np.ndarray) -> None:
        """Fills ``out`` (N, size) from raw ``values`` (N,)."""
        missing = np.isnan(values)
        if self.names is None:
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
            if declared.type == "category":
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
            if column.names is None:
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
            if "names" in entry:
                columns.append(FeatureColumn(position, optional, names=numbers(kind, entry, "names")))
                continue
            center, scale = number(kind, entry, "center"), number(kind, entry, "scale")
            if scale <= 0.0:
                raise damaged(kind, "scale is not above 0")
            columns.append(FeatureColumn(position, optional, center, scale))
        return cls(tuple(columns))


def _scale(values: np.ndarray) -> float:
    """Interquartile range as a standard deviation; the standard deviation itself where half the values agree."""
    low, high = np.quantile(values, [0.25, 0.75])
    rounding = 1e-12 * float(np.abs(values).max())
    for scale in ((high - low) / INTERQUARTILE, float(np.std(values))):
        if np.isfinite(scale) and scale > rounding:
            return float(scale)
    return 1.0
