"""The declared shape of an observation and its raw numeric row.

An observation is an integer, an array of numbers, or an object of named fields. Whatever it is,
it has one raw row of float64 that every encoder reads: numbers as they are, booleans as 0 and 1,
categories as their index in the declared list (-1 for a category that was not declared), times as
seconds since the epoch, and a list of tags as the sum of 2^index over its tags (2^n, where n are
declared, stands for any that were not). The numbers of a list are fields of their own: ``loads.0``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from envs.errors import RecordError

Observation = int | Sequence[float] | Mapping[str, Any]
FIELD_TYPES = ("number", "integer", "boolean", "category", "tags", "time")
MOST_TAGS = 51
"""So many tags, and the one for all others, have a sum that float64 holds exactly."""
OBSERVATION_KINDS = ("int", "vector", "object")


@dataclass(frozen=True, slots=True)
class ObservationField:
    """One column of the raw row.

    Attributes:
        name: the field's name; nested objects are joined by dots.
        type: ``number``, ``integer``, ``boolean``, ``category``, ``tags`` or ``time``.
        low: smallest legal value, or ``None``.
        high: largest legal value, or ``None``.
        unit: free text for the reader, such as ``s`` or ``requests/min``.
        categories: the declared values of a ``category`` or ``tags`` field.
        optional: whether the field may be absent (its raw value is then NaN).
        period: after so much a number is as at its beginning, such as 24 for an hour of the day; ``None`` for others.
    """

    name: str
    type: str = "number"
    low: float | None = None
    high: float | None = None
    unit: str = ""
    categories: tuple[str, ...] = ()
    optional: bool = False
    period: float | None = None

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
            text = self.category(value)
            return float(self.categories.index(text)) if text in self.categories else -1.0
        if self.type == "boolean":
            if value in (0, 1):
                return float(value)
            raise RecordError(f"{value!r} is not a boolean", field=where, remedy="give true or false")
        if self.type == "tags":
            return self._tagged(value, where)
        if self.type == "time" and isinstance(value, str):
            value = _seconds(value, where)
        if isinstance(value, (bool, str)) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise RecordError(f"{value!r} is not a number", field=where, remedy=f"give a {self.type}")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise RecordError(f"{number} is not finite", field=where, remedy="give a finite number")
        if self.type == "integer" and number != math.floor(number):
            raise RecordError(f"{number} is not an integer", field=where, remedy="declare it a number")
        if (self.low is not None and number < self.low) or (self.high is not None and number > self.high):
            raise RecordError(
                f"{number:g} is outside the declared range, {self._range()}",
                field=where,
                remedy="correct the row, or widen the range in retrainer.toml",
            )
        return number

    def category(self, value: Any) -> str:
        """The name of a category or tag: 1 and 1.0 are one value, and JSON and Parquet disagree about its spelling."""
        text = str(value)
        is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
        if text not in self.categories and is_number and value == value // 1:
            return next((name for name in (str(int(value)), str(float(value))) if name in self.categories), text)
        return text

    def _range(self) -> str:
        if self.low is None or self.high is None:
            return f"at most {self.high:.15g}" if self.low is None else f"at least {self.low:.15g}"
        return f"[{self.low:.15g}, {self.high:.15g}]"

    def decode(self, raw: float) -> Any:
        """The value that a rule would have seen for this raw number."""
        if math.isnan(raw):
            return None
        if self.type == "category":
            return self.categories[int(raw)] if raw >= 0 else None
        if self.type == "boolean":
            return bool(raw)
        if self.type == "tags":
            return [name for index, name in enumerate(self.categories) if int(raw) >> index & 1]
        if self.type == "time":
            return datetime.fromtimestamp(raw, UTC).isoformat()
        return int(raw) if self.type == "integer" else float(raw)

    def _tagged(self, value: Any, where: str) -> float:
        if isinstance(value, (str, Mapping)) or not isinstance(value, (Sequence, Set)):
            raise RecordError(f"{value!r} is not a list of tags", field=where, remedy="give a list of names")
        places = {name: index for index, name in enumerate(self.categories)}
        bits = 0
        for item in value:
            bits |= 1 << places.get(self.category(item), len(places))
        return float(bits)


@dataclass(frozen=True, slots=True)
class ObservationSpecification:
    """The declared observation: its kind and its fields in the order of the raw row.

    Attributes:
        kind: ``int``, ``vector`` or ``object``.
        fields: those that an observation has, then those of the ones before it (see :func:`with_history`).
        history: how many observations and actions before it are part of the row.
    """

    kind: str
    fields: tuple[ObservationField, ...]
    history: int = 0

    @property
    def size(self) -> int:
        """Number of raw columns, D."""
        return len(self.fields)

    @property
    def names(self) -> tuple[str, ...]:
        """Field names in the order of the raw row."""
        return tuple(field.name for field in self.fields)

    @property
    def own(self) -> tuple[ObservationField, ...]:
        """The fields of an observation itself."""
        return self.fields[: (self.size - self.history) // (1 + self.history)]

    def row(self, observation: Any) -> np.ndarray:
        """The raw row, float64 of shape (D,); the part of what was before is NaN, as at a first decision.

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
        own = self.own
        values = [field.decode(float(raw)) for field, raw in zip(own, row[: len(own)], strict=True)]
        if self.kind == "int":
            return values[0]
        if self.kind == "vector":
            return values
        return _with_lists(unflatten({field.name: value for field, value in zip(own, values, strict=True)}))

    def listed(self, flat: Mapping[str, Any]) -> dict[str, Any]:
        """Dotted names with each list that is no declared field as its items: ``loads`` as ``loads.0``, ``loads.1``."""
        out: dict[str, Any] = {}
        for name, value in flat.items():
            if isinstance(value, (list, tuple)) and name not in self.names:
                out.update({f"{name}.{index}": item for index, item in enumerate(value)})
            else:
                out[name] = value
        return out

    def _values(self, observation: Any) -> list[Any]:
        if self.kind == "int":
            if isinstance(observation, (bool, str, Mapping)) or np.ndim(observation) != 0:
                raise RecordError(
                    f"{observation!r} is not an integer", field="observation", remedy="this agent observes an integer"
                )
            return [observation]
        if self.kind == "vector":
            own = len(self.own)
            if isinstance(observation, (str, Mapping)) or np.ndim(observation) != 1 or len(observation) != own:
                shape = "an object" if isinstance(observation, Mapping) else f"shape {np.shape(observation)}"
                raise RecordError(
                    f"has {shape}, declared is a vector of {own} numbers",
                    field="observation",
                    remedy="give as many numbers as declared",
                )
            return [*observation, *[None] * (self.size - own)]
        if not isinstance(observation, Mapping):
            raise RecordError(
                f"{type(observation).__name__} is not an object", field="observation", remedy="give named fields"
            )
        flat = self.listed(flatten(observation))
        unknown = sorted(set(flat) - {field.name for field in self.own})
        if unknown:
            raise RecordError(
                "is not a declared field",
                field=f"observation.{unknown[0]}",
                remedy="declare it in retrainer.toml, or move it to metadata",
            )
        return [flat.get(name) for name in self.names]


def with_history(
    observation: ObservationSpecification, actions: Sequence[Any], history: int
) -> ObservationSpecification:
    """The observation whose row also holds the ``history`` observations and actions before it.

    ``load@1`` is the load one decision ago and ``action@1`` what was done then; both are missing at an episode's
    beginning.
    """
    fields = list(observation.fields)
    for lag in range(1, history + 1):
        fields += [replace(field, name=f"{field.name}@{lag}", optional=True) for field in observation.fields]
        fields.append(ObservationField(f"action@{lag}", "category", categories=tuple(map(str, actions)), optional=True))
    return ObservationSpecification(observation.kind, tuple(fields), history)


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


def _with_lists(value: Any) -> Any:
    """Objects whose names are 0 to n - 1 as the lists that they were."""
    if not isinstance(value, dict):
        return value
    items = {name: _with_lists(item) for name, item in value.items()}
    if items and list(items) == [str(index) for index in range(len(items))]:
        return list(items.values())
    return items


def _seconds(text: str, where: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RecordError(f"{text!r} is not a time", field=where, remedy="give RFC 3339 with a zone") from None
    if moment.tzinfo is None:
        raise RecordError(f"{text!r} has no zone", field=where, remedy="add one, such as Z")
    return moment.timestamp()
