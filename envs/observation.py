"""The declared shape of an observation and its raw numeric row.

An observation is an integer, an array of numbers, or an object of named fields. Whatever it is,
it has one raw row of float64 that every encoder reads: numbers as they are, booleans as 0 and 1,
categories as their index in the declared list (-1 for a category that was not declared).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.errors import RecordError

Observation = int | Sequence[float] | Mapping[str, Any]
FIELD_TYPES = ("number", "integer", "boolean", "category")
OBSERVATION_KINDS = ("int", "vector", "object")


@dataclass(frozen=True, slots=True)
class ObservationField:
    """One column of the raw row.

    Attributes:
        name: the field's name; nested objects are joined by dots.
        type: ``number``, ``integer``, ``boolean`` or ``category``.
        low: smallest legal value, or ``None``.
        high: largest legal value, or ``None``.
        unit: free text for the reader, such as ``s`` or ``requests/min``.
        categories: the declared values of a ``category`` field.
        optional: whether the field may be absent (its raw value is then NaN).
    """

    name: str
    type: str = "number"
    low: float | None = None
    high: float | None = None
    unit: str = ""
    categories: tuple[str, ...] = ()
    optional: bool = False

    def encode(self, value: Any) -> float:
        """The raw float64 of ``value``.

        Raises:
            RecordError: wrong type, NaN, infinite or out of the declared range.
        """
        where = f"observation.{self.name}"
        if value is None:
            if self.optional:
                return math.nan
            raise RecordError("is missing", field=where, remedy="give it, or declare it optional")
        if self.type == "category":
            text = str(value)
            return float(self.categories.index(text)) if text in self.categories else -1.0
        if self.type == "boolean":
            if value in (0, 1):
                return float(value)
            raise RecordError(f"{value!r} is not a boolean", field=where, remedy="give true or false")
        if isinstance(value, (bool, str)) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise RecordError(f"{value!r} is not a number", field=where, remedy=f"give a {self.type}")
        number = float(value)
        if not math.isfinite(number):
            raise RecordError(f"{number} is not finite", field=where, remedy="give a finite number")
        if self.type == "integer" and number != math.floor(number):
            raise RecordError(f"{number} is not an integer", field=where, remedy="declare it a number")
        if (self.low is not None and number < self.low) or (self.high is not None and number > self.high):
            raise RecordError(
                f"{number:g} is outside the declared range [{self.low}, {self.high}]",
                field=where,
                remedy="correct the row, or widen the range in retrainer.toml",
            )
        return number

    def decode(self, raw: float) -> Any:
        """The value that a rule would have seen for this raw number."""
        if math.isnan(raw):
            return None
        if self.type == "category":
            return self.categories[int(raw)] if raw >= 0 else None
        if self.type == "boolean":
            return bool(raw)
        return int(raw) if self.type == "integer" else float(raw)


@dataclass(frozen=True, slots=True)
class ObservationSpecification:
    """The declared observation: its kind and its fields in the order of the raw row."""

    kind: str
    fields: tuple[ObservationField, ...]

    @property
    def size(self) -> int:
        """Number of raw columns, D."""
        return len(self.fields)

    @property
    def names(self) -> tuple[str, ...]:
        """Field names in the order of the raw row."""
        return tuple(field.name for field in self.fields)

    def row(self, observation: Any) -> np.ndarray:
        """The raw row, float64 of shape (D,).

        Raises:
            RecordError: the observation does not fit the declaration; names the field.
        """
        values = self._values(observation)
        return np.array([field.encode(value) for field, value in zip(self.fields, values, strict=True)])

    def rows(self, observations: Sequence[Any]) -> np.ndarray:
        """The raw rows of several observations, float64 of shape (N, D)."""
        out = np.empty((len(observations), self.size))
        for index, observation in enumerate(observations):
            out[index] = self.row(observation)
        return out

    def value(self, row: np.ndarray) -> Any:
        """The observation that a raw row of shape (D,) stands for: what a rule is called with."""
        values = [field.decode(float(raw)) for field, raw in zip(self.fields, row, strict=True)]
        if self.kind == "int":
            return values[0]
        if self.kind == "vector":
            return values
        return unflatten(dict(zip(self.names, values, strict=True)))

    def _values(self, observation: Any) -> list[Any]:
        if self.kind == "int":
            if isinstance(observation, (bool, str, Mapping)) or np.ndim(observation) != 0:
                raise RecordError(
                    f"{observation!r} is not an integer", field="observation", remedy="this agent observes an integer"
                )
            return [observation]
        if self.kind == "vector":
            if isinstance(observation, (str, Mapping)) or np.ndim(observation) != 1 or len(observation) != self.size:
                shape = "an object" if isinstance(observation, Mapping) else f"shape {np.shape(observation)}"
                raise RecordError(
                    f"has {shape}, declared is a vector of {self.size} numbers",
                    field="observation",
                    remedy="give as many numbers as declared",
                )
            return list(observation)
        if not isinstance(observation, Mapping):
            raise RecordError(
                f"{type(observation).__name__} is not an object", field="observation", remedy="give named fields"
            )
        flat = flatten(observation)
        unknown = sorted(set(flat) - set(self.names))
        if unknown:
            raise RecordError(
                "is not a declared field",
                field=f"observation.{unknown[0]}",
                remedy="declare it in retrainer.toml, or move it to metadata",
            )
        return [flat.get(name) for name in self.names]


def flatten(observation: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested objects as one level of dotted names."""
    flat: dict[str, Any] = {}
    for name, value in observation.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of :func:`flatten`."""
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *parents, leaf = name.split(".")
        level = nested
        for parent in parents:
            level = level.setdefault(parent, {})
        level[leaf] = value
    return nested
