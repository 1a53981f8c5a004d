"""States of integers and states of quantile cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.encoding.circle import DAY, phase
from envs.encoding.reading import damaged, index, integers, numbers
from envs.errors import DataError
from envs.observation import ObservationSpecification

MAXIMUM_CODE = 2**62


@dataclass(frozen=True, slots=True, eq=False)
class IntegerStates:
    """Each integer that train has seen is a state; any other is unseen.

    Attributes:
        values: int64 (Z,), increasing.
    """

    values: np.ndarray

    @classmethod
    def fit(cls, rows: np.ndarray, observation: ObservationSpecification | None = None) -> IntegerStates:
        """The integers in train's raw rows, (N, 1)."""
        column = rows[:, 0]
        return cls(np.unique(column[np.isfinite(column)]).astype(np.int64))

    @property
    def count(self) -> int:
        """Number of states, Z."""
        return len(self.values)

    def states(self, rows: np.ndarray) -> np.ndarray:
        """States of raw rows (N, 1), int64 (N,), -1 for an integer that train has not seen."""
        return _positions(self.values, rows[:, 0])

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"kind": "IntegerStates", "values": self.values.tolist()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> IntegerStates:
        """The inverse of :meth:`to_json`.

        Raises:
            ArtefactError: the JSON describes no such encoder.
        """
        return cls(integers("IntegerStates", data, "values"))


@dataclass(frozen=True, slots=True, eq=False)
class QuantileGrid:
    """Each field is cut at train's quantiles; a state is a cell of the grid that train has seen.

    A category (and "not a declared category") is a bin of its own, so is a missing optional value. Of a time the
    hour of the day is cut, of a number with a period its place in it.
    The cell's code is the mixed-radix number of its bins.

    Attributes:
        fields: columns of the raw row that are cut.
        edges: for each of them its cut points, float64, increasing; bin b holds edges[b-1] <= x < edges[b].
        optional: for each of them whether a missing value is a bin rather than an unseen state.
        cells: int64 (Z,), codes of the cells that train has seen, increasing.
        periods: for each of them the period in which its place is cut, 0 for the value itself.
    """

    fields: tuple[int, ...]
    edges: tuple[np.ndarray, ...]
    optional: tuple[bool, ...]
    cells: np.ndarray
    periods: tuple[float, ...] = ()

    @classmethod
    def fit(
        cls,
        rows: np.ndarray,
        observation: ObservationSpecification,
        *,
        bins: int = 6,
        fields: Sequence[int] | None = None,
    ) -> QuantileGrid:
        """Cuts at the ``bins``-quantiles of train's raw rows.

        Args:
            rows: float64 (N, D), train only; rows of unknown ends (NaN) are passed over.
            observation: the declaration of the columns.
            bins: number of bins of a numeric field, at least 1.
            fields: columns to cut; all by default.

        Raises:
            DataError: no row, or more cells than can be numbered.
        """
        chosen = tuple(range(observation.size)) if fields is None else tuple(fields)
        edges, optional, periods = [], [], []
        for column in chosen:
            declared, period = observation.fields[column], 0.0
            if declared.type == "category":
                cuts = np.arange(len(declared.categories)) - 0.5
            elif declared.type == "boolean":
                cuts = np.array([0.5])
            else:
                period = DAY if declared.type == "time" else declared.period or 0.0
                values = rows[:, column]
                cuts = _cuts(phase(values, period) if period else values, bins)
            edges.append(cuts)
            periods.append(period)
            optional.append(declared.optional)
        whole = tuple(periods) if any(periods) else ()
        empty = cls(chosen, tuple(edges), tuple(optional), np.empty(0, dtype=np.int64), whole)
        if float(np.prod([float(size) for size in empty._radices()])) >= MAXIMUM_CODE:
            problem = f"a grid of {bins} bins on {len(chosen)} fields has too many cells"
            raise DataError(problem, remedy="use fewer bins or fields")
        codes = empty._codes(rows)
        cells = np.unique(codes[codes >= 0])
        if len(cells) == 0:
            raise DataError("no row to fit a grid on", remedy="log more decisions")
        return cls(chosen, tuple(edges), tuple(optional), cells, whole)

    @property
    def count(self) -> int:
        """Number of states, Z."""
        return len(self.cells)

    def states(self, rows: np.ndarray) -> np.ndarray:
        """States of raw rows (N, D), int64 (N,), -1 for a cell that train has not seen."""
        return _positions(self.cells, self._codes(rows))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "kind": "QuantileGrid",
            "fields": list(self.fields),
            "edges": [cuts.tolist() for cuts in self.edges],
            "optional": list(self.optional),
            "cells": self.cells.tolist(),
            **({"periods": list(self.periods)} if self.periods else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> QuantileGrid:
        """The inverse of :meth:`to_json`.

        Raises:
            ArtefactError: the JSON describes no such encoder.
        """
        kind = "QuantileGrid"
        lists = [data.get(key) for key in ("fields", "edges", "optional")]
        if not all(isinstance(item, list) and len(item) == len(lists[0] or ()) for item in lists):
            raise damaged(kind, "fields, edges and optional are not lists of one length")
        fields = tuple(index(kind, {"fields": column}, "fields") for column in data["fields"])
        edges = tuple(numbers(kind, {"edges": cuts}, "edges") for cuts in data["edges"])
        if any((np.diff(cuts) <= 0).any() for cuts in edges):
            raise damaged(kind, "edges are not increasing")
        periods = tuple(numbers(kind, data, "periods").tolist()) if "periods" in data else ()
        if periods and (len(periods) != len(fields) or min(periods) < 0.0):
            raise damaged(kind, "periods are not one for each field")
        optional = tuple(bool(item) for item in data["optional"])
        return cls(fields, edges, optional, integers(kind, data, "cells"), periods)

    def _radices(self) -> list[int]:
        return [len(cuts) + 2 for cuts in self.edges]  # len + 1 bins, and one for a missing value

    def _codes(self, rows: np.ndarray) -> np.ndarray:
        code = np.zeros(len(rows), dtype=np.int64)
        seen = np.ones(len(rows), dtype=bool)
        periods = self.periods or (0.0,) * len(self.fields)
        columns = zip(self.fields, self.edges, self.optional, self._radices(), periods, strict=True)
        for column, cuts, optional, radix, period in columns:
            values = phase(rows[:, column], period) if period else rows[:, column]
            missing = np.isnan(values)
            bins = np.searchsorted(cuts, values, side="right")
            bins[missing] = radix - 1
            if not optional:
                seen &= ~missing
            code = code * radix + bins
        return np.where(seen, code, -1)


def _positions(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Position of each wanted value in the increasing ``values``, -1 where it is none of them."""
    if len(values) == 0:
        return np.full(len(wanted), -1, dtype=np.int64)
    position = np.minimum(np.searchsorted(values, wanted), len(values) - 1)
    return np.where(values[position] == wanted, position, -1).astype(np.int64)


def _cuts(column: np.ndarray, bins: int) -> np.ndarray:
    """Cut points half-way between neighbouring values, so that no value lies on a cut.

    Values that many rows share (a queue of 0) stay together, and apart from their neighbours.
    """
    known = np.sort(column[np.isfinite(column)])
    distinct = np.unique(known)
    if len(distinct) < 2 or bins < 2:
        return np.empty(0)
    middles = distinct[:-1] / 2 + distinct[1:] / 2
    if len(distinct) <= bins:
        return np.unique(middles)
    wanted = known[(len(known) * np.arange(1, bins)) // bins]
    before = np.maximum(np.searchsorted(distinct, wanted) - 1, 0)
    return np.unique(middles[before])
