"""Rows that are plain, checked column by column: many times as fast as one after another.

Rows of the same fields are put into columns, and each column is checked as a whole. What passes is exactly what
the checks of :class:`~envs.record.DecisionRecord` and :class:`~envs.validation.Validator` would have passed, and
gives the same text. Whatever is not plain (a null, a missing name, a value to be rounded, an error) is left to
them, and so is every message.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import chain, repeat
from typing import Any

import numpy as np

from envs import values
from envs.choice import PROBABILITY_TOLERANCE
from envs.errors import RecordError
from envs.importing.rows import SourceRow
from envs.journal_rows import JournalRow
from envs.observation import ObservationField
from envs.record import FIELD_NAMES, MODES, stored_json
from envs.specification import AgentSpecification
from envs.validation import Validator
from envs.values import CONTROL, LARGEST_INTEGER, MAXIMUM_NAME, UnfitValueError

NAMES = ("event_id", "tenant", "episode_id", "policy_version", "experiment_arm")
PLAIN = frozenset(
    {*NAMES, "agent", "step", "timestamp", "observation", "action", "propensity", "action_probabilities", "reward",
     "outcome", "next_observation", "terminated", "truncated", "mode", "metadata"}
)  # fmt: skip
DEFAULTS = {"tenant": "default", "terminated": False, "truncated": False, "mode": "logging"}
FEWEST = 4  # rows of the same fields; fewer are not worth it


class _NotPlainError(Exception):
    pass


class PlainChecker:
    """Checks rows of a declared agent whose files use our own names.

    Args:
        specification: the declaration.
        present: gets the names of the fields that were met.
    """

    def __init__(self, specification: AgentSpecification, present: set[str]) -> None:
        self._present = present
        self._agent = specification.name
        self._validator = Validator(specification)
        self._specification = specification
        self._fields = {field.name: field for field in specification.observation.fields}
        self._actions = frozenset(specification.actions)
        self._names = frozenset(map(str, specification.actions))
        self._action_kinds = {type(action) for action in specification.actions}

    def checked(self, rows: Sequence[SourceRow]) -> list[JournalRow | None]:
        """For each row what will be written of it, or ``None`` where it is not plain."""
        out: list[JournalRow | None] = [None] * len(rows)
        shapes: dict[tuple[str, ...], list[int]] = {}
        for position, row in enumerate(rows):
            if row.rejected is None:
                shapes.setdefault(tuple(row.content), []).append(position)
        for shape, positions in shapes.items():
            if len(positions) >= FEWEST and PLAIN.issuperset(shape) and "event_id" in shape:
                try:
                    written = self._written(shape, [rows[position].content for position in positions])
                except (_NotPlainError, RecordError, UnfitValueError, OverflowError):
                    continue
                self._present.update(shape)
                for position, line in zip(positions, written, strict=True):
                    out[position] = line
        return out

    def _written(self, shape: Sequence[str], contents: Sequence[Mapping[str, Any]]) -> list[JournalRow]:
        columns: dict[str, Any] = dict(
            zip(shape, zip(*(content.values() for content in contents), strict=True), strict=True)
        )
        _require({"action", "observation"} <= columns.keys())
        for name, column in columns.items():
            check = _CHECKS.get(name)
            if check is not None:
                columns[name] = check(column)
        _require("agent" not in columns or all(agent == self._agent for agent in columns["agent"]))
        self._place(columns)
        kinds = set(map(type, columns["action"]))
        _require(kinds <= self._action_kinds and kinds <= {str, int} and self._actions.issuperset(columns["action"]))
        for name in ("observation", "next_observation"):
            if name in columns:
                columns[name] = self._observed(columns[name])
        if "action_probabilities" in columns:
            self._distributed(columns)
        self._rewarded(columns)
        return self._lines(columns, len(contents))

    def _place(self, columns: dict[str, Any]) -> None:
        if "episode_id" not in columns:
            _require("step" not in columns or not any(columns["step"]))
            columns["episode_id"] = columns["event_id"]
            columns.setdefault("step", repeat(0))
        _require("step" in columns)

    def _observed(self, column: Sequence[Any]) -> Sequence[Any]:
        kinds, kind = set(map(type, column)), self._specification.observation.kind
        fields = self._specification.observation.fields
        if kind == "int":
            _require(kinds == {int})
            _small(column, kinds)
            _in_range(fields[0], np.array(column))
        elif kind == "vector":
            _require(kinds == {list} and set(map(len, column)) == {len(fields)})
            flat = list(chain.from_iterable(column))
            inner = set(map(type, flat))
            _require(inner <= {float, int} and all(field.type == "number" for field in fields))
            matrix = np.array(flat, dtype=np.float64).reshape(len(column), len(fields))
            for index, field in enumerate(fields):
                _in_range(field, matrix[:, index])
            return matrix.tolist() if int in inner else column
        else:
            names, parts = _parts(column)
            _require(self._fields.keys() == set(names))
            for name, part in zip(names, parts, strict=True):
                self._observed_field(self._fields[name], part)
        return column

    def _observed_field(self, field: ObservationField, column: Sequence[Any]) -> None:
        kinds = set(map(type, column))
        if field.type == "category":
            _require(kinds == {str})
            _plain_texts(column)
        elif field.type == "boolean":
            _require(kinds == {bool})
        else:
            _require(kinds == {int} if field.type == "integer" else kinds <= {int, float})
            _small(column, kinds)
            _in_range(field, np.array(column, dtype=np.float64))

    def _distributed(self, columns: dict[str, Any]) -> None:
        names, parts = _parts(columns["action_probabilities"])
        _require(self._names.issuperset(names) and all(set(map(type, part)) == {float} for part in parts))
        matrix = np.array(parts)
        _require(bool(((matrix >= 0.0) & (matrix <= 1.0)).all()))
        _require(float(np.abs(matrix.sum(axis=0) - 1.0).max()) <= 0.99 * PROBABILITY_TOLERANCE)
        place = {name: index for index, name in enumerate(names)}
        taken = [place.get(str(action), -1) for action in columns["action"]]
        _require(min(taken) >= 0)
        chosen = matrix[taken, np.arange(len(taken))]
        _require(bool((chosen > 0.0).all()))
        if "propensity" not in columns:
            columns["propensity"] = chosen.tolist()
        else:
            given = np.array(columns["propensity"])
            _require(bool((np.abs(given - chosen) <= 0.99 * PROBABILITY_TOLERANCE * chosen).all()))

    def _rewarded(self, columns: dict[str, Any]) -> None:
        validator, outcome = self._validator, columns.get("outcome")
        if outcome is not None and validator.reads_outcomes:
            for row in outcome:
                validator.check_outcome_of(None, row)
        if "reward" in columns:
            rewards = columns["reward"]
            validator.check_outcome_of(min(rewards), None)
            validator.check_outcome_of(max(rewards), None)

    def _lines(self, columns: dict[str, Any], count: int) -> list[JournalRow]:
        columns["agent"] = repeat(self._agent)
        for name, value in DEFAULTS.items():
            columns.setdefault(name, repeat(value))
        names = [name for name in FIELD_NAMES if name in columns]
        texts = [
            stored_json(dict(zip(names, row, strict=True)))
            for row in zip(*(_times(columns[name], count) for name in names), strict=True)
        ]
        shadow = [int(mode == "shadow") for mode in _times(columns["mode"], count)]
        keys = (_times(columns[name], count) for name in ("event_id", "tenant", "episode_id", "step"))
        return [
            JournalRow(event, None, self._agent, tenant, episode, step, beside, zlib.crc32(text), text.decode())
            for event, tenant, episode, step, beside, text in zip(*keys, shadow, texts, strict=True)
        ]


def _times(column: Any, count: int) -> Sequence[Any]:
    return list(repeat(next(column), count)) if isinstance(column, repeat) else column


def _require(condition: bool) -> None:
    if not condition:
        raise _NotPlainError


def _named(column: Sequence[Any]) -> Sequence[Any]:
    _require(set(map(type, column)) == {str})
    _require(min(map(len, column)) > 0 and max(map(len, column)) <= MAXIMUM_NAME)
    _require(CONTROL.search(_plain_texts(column)) is None)
    return column


def _plain_texts(column: Sequence[str]) -> str:
    joined = "".join(column)
    _require(joined.isascii())
    return joined


def _moments(column: Sequence[Any]) -> Sequence[Any]:
    """Moments as they are stored already; others are rewritten, each different one once."""
    kinds = set(map(type, column))
    if kinds == {datetime}:
        return list(map(values.timestamp, column))
    _require(kinds == {str})
    if set(map(len, column)) == {20} and _dates(column):
        return column
    known = {text: values.timestamp(text) for text in set(column)}
    return [known[text] for text in column]


def _dates(column: Sequence[str]) -> bool:
    for text in column:
        if text[10] != "T" or text[19] != "Z" or not text.isascii() or text[7] != "-" or text[16] != ":":
            return False
        try:
            datetime.fromisoformat(text)
        except ValueError:
            return False
    return True


def _steps(column: Sequence[Any]) -> Sequence[Any]:
    _require(set(map(type, column)) == {int} and min(column) >= 0 and max(column) < LARGEST_INTEGER)
    return column


def _numbers(column: Sequence[Any]) -> Sequence[Any]:
    kinds = set(map(type, column))
    _require(kinds <= {int, float})
    converted = list(map(float, column)) if int in kinds else column
    _require(math.isfinite(math.fsum(map(abs, converted))) if len(converted) else True)
    return converted


def _propensities(column: Sequence[Any]) -> Sequence[Any]:
    converted = _numbers(column)
    _require(min(converted) > 0.0 and max(converted) <= 1.0)
    return converted


def _booleans(column: Sequence[Any]) -> Sequence[Any]:
    _require(set(map(type, column)) == {bool})
    return column


def _modes(column: Sequence[Any]) -> Sequence[Any]:
    _require(set(map(type, column)) == {str} and set(column) <= set(MODES))
    return column


def _flat_objects(column: Sequence[Any]) -> Sequence[Any]:
    """Objects of the same names, of numbers, booleans and texts."""
    names, parts = _parts(column)
    _plain_texts(names)
    for part in parts:
        kinds = set(map(type, part))
        _require(kinds <= {int, float, bool, str})
        if str in kinds:
            _require(kinds == {str})
            _plain_texts(part)
        else:
            _small(part, kinds)
            _require(bool(np.isfinite(np.array(part, dtype=np.float64)).all()))
    return column


def _parts(column: Sequence[Any]) -> tuple[tuple[str, ...], list[Sequence[Any]]]:
    """The names of objects that all have the same in the same order, and the columns under them."""
    _require(set(map(type, column)) == {dict})
    shapes = set(map(tuple, column))
    _require(len(shapes) == 1)
    (names,) = shapes
    _require(0 < len(names) <= MAXIMUM_NAME and set(map(type, names)) == {str})
    return names, list(zip(*(item.values() for item in column), strict=True))


def _small(column: Sequence[Any], kinds: set[type]) -> None:
    if int in kinds:
        _require(min(column) >= -LARGEST_INTEGER and max(column) < LARGEST_INTEGER)


def _in_range(field: ObservationField, column: np.ndarray) -> None:
    low, high = float(column.min()), float(column.max())  # NaN is the smallest and the largest
    _require(math.isfinite(low) and math.isfinite(high))
    _require((field.low is None or low >= field.low) and (field.high is None or high <= field.high))


_CHECKS: dict[str, Callable[[Sequence[Any]], Sequence[Any]]] = {
    **dict.fromkeys(NAMES, _named),
    "timestamp": _moments,
    "step": _steps,
    "propensity": _propensities,
    "reward": _numbers,
    "terminated": _booleans,
    "truncated": _booleans,
    "mode": _modes,
    "outcome": _flat_objects,
    "metadata": _flat_objects,
}
