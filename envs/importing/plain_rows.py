"""Rows that are plain, checked column by column: many times as fast as one after another.

Rows of the same fields are put into columns, and each column is checked as a whole. What passes is exactly what
the checks of :class:`~envs.record.DecisionRecord` and :class:`~envs.validation.Validator` would have passed, and
gives the same text. Whatever is not plain (a null, a missing name, a value to be rounded, an error) is left to
them, and so is every message.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import chain, repeat
from typing import Any

import numpy as np

from envs.choice import PROBABILITY_TOLERANCE
from envs.errors import RecordError
from envs.importing.plain_columns import (
    CHECKS,
    NAMES,
    NotPlainError,
    parts_of,
    plain_texts,
    require,
    require_in_range,
    require_small,
)
from envs.importing.rows import ReadRows, SourceRow
from envs.journal.row_texts import row_texts
from envs.journal.rows import JournalRow
from envs.observation import ObservationField
from envs.record import FIELD_NAMES
from envs.specification import AgentSpecification
from envs.validation import Validator
from envs.values import UnfitValueError

PLAIN = frozenset(
    {*NAMES, "agent", "step", "timestamp", "observation", "action", "propensity", "action_probabilities", "reward",
     "outcome", "next_observation", "terminated", "truncated", "mode", "metadata"}
)  # fmt: skip
DEFAULTS = {"tenant": "default", "terminated": False, "truncated": False, "mode": "logging"}
FEWEST = 4  # rows of the same fields; fewer are not worth it


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
        for shape, positions, contents in _of_one_shape(rows):
            if len(positions) >= FEWEST and PLAIN.issuperset(shape) and "event_id" in shape:
                try:
                    written = self._written(shape, contents)
                except (NotPlainError, RecordError, UnfitValueError, OverflowError):
                    continue
                self._present.update(shape)
                if len(written) == len(out):
                    return list(written)
                for position, line in zip(positions, written, strict=True):
                    out[position] = line
        return out

    def _written(self, shape: Sequence[str], contents: Sequence[dict[str, Any]]) -> list[JournalRow]:
        columns: dict[str, Any] = dict(zip(shape, zip(*map(dict.values, contents), strict=True), strict=True))
        require({"action", "observation"} <= columns.keys())
        for name, column in columns.items():
            check = CHECKS.get(name)
            if check is not None:
                columns[name] = check(column)
        require("agent" not in columns or all(agent == self._agent for agent in columns["agent"]))
        self._place(columns)
        kinds = set(map(type, columns["action"]))
        require(kinds <= self._action_kinds and kinds <= {str, int} and self._actions.issuperset(columns["action"]))
        for name in ("observation", "next_observation"):
            if name in columns:
                columns[name] = self._observed(columns[name])
        if "action_probabilities" in columns:
            self._distributed(columns)
        self._rewarded(columns)
        return self._lines(columns, len(contents))

    def _place(self, columns: dict[str, Any]) -> None:
        if "episode_id" not in columns:
            require("step" not in columns or not any(columns["step"]))
            columns["episode_id"] = columns["event_id"]
            columns.setdefault("step", repeat(0))
        require("step" in columns)

    def _observed(self, column: Sequence[Any]) -> Sequence[Any]:
        kinds, kind = set(map(type, column)), self._specification.observation.kind
        fields = self._specification.observation.fields
        if kind == "int":
            require(kinds == {int})
            require_small(column, kinds)
            require_in_range(fields[0], np.array(column))
        elif kind == "vector":
            require(kinds == {list} and set(map(len, column)) == {len(fields)})
            flat = list(chain.from_iterable(column))
            inner = set(map(type, flat))
            require(inner <= {float, int} and all(field.type == "number" for field in fields))
            matrix = np.array(flat, dtype=np.float64).reshape(len(column), len(fields))
            for index, field in enumerate(fields):
                require_in_range(field, matrix[:, index])
            return matrix.tolist() if int in inner else column
        else:
            names, parts = parts_of(column)
            require(self._fields.keys() == set(names))
            for name, part in zip(names, parts, strict=True):
                self._observed_field(self._fields[name], part)
        return column

    def _observed_field(self, field: ObservationField, column: Sequence[Any]) -> None:
        kinds = set(map(type, column))
        if field.type == "category":
            require(kinds == {str})
            plain_texts(column)
        elif field.type == "boolean":
            require(kinds == {bool})
        else:
            require(kinds == {int} if field.type == "integer" else kinds <= {int, float})
            require_small(column, kinds)
            require_in_range(field, np.array(column, dtype=np.float64))

    def _distributed(self, columns: dict[str, Any]) -> None:
        names, parts = parts_of(columns["action_probabilities"])
        require(self._names.issuperset(names) and all(set(map(type, part)) == {float} for part in parts))
        matrix = np.array(parts)
        require(bool(((matrix >= 0.0) & (matrix <= 1.0)).all()))
        require(float(np.abs(matrix.sum(axis=0) - 1.0).max()) <= 0.99 * PROBABILITY_TOLERANCE)
        place = {name: index for index, name in enumerate(names)}
        taken = [place.get(str(action), -1) for action in columns["action"]]
        require(min(taken) >= 0)
        chosen = matrix[taken, np.arange(len(taken))]
        require(bool((chosen > 0.0).all()))
        if "propensity" not in columns:
            columns["propensity"] = chosen.tolist()
        else:
            given = np.array(columns["propensity"])
            require(bool((np.abs(given - chosen) <= 0.99 * PROBABILITY_TOLERANCE * chosen).all()))

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
        written = row_texts({name: _times(columns[name], count) for name in names})
        kept = (_times(columns[name], count) for name in ("tenant", "episode_id", "step"))
        shadow = [int(mode == "shadow") for mode in _times(columns["mode"], count)]
        texts = map(bytes.decode, written)
        checksums = map(zlib.crc32, written)
        events, agents = columns["event_id"], repeat(self._agent)
        return list(map(JournalRow, events, repeat(None), agents, *kept, shadow, checksums, texts))


def _of_one_shape(rows: Sequence[SourceRow]) -> list[tuple[tuple[str, ...], Sequence[int], list[dict[str, Any]]]]:
    """The rows that could be read by their fields: those, places, and contents."""
    if isinstance(rows, ReadRows) and len(found := set(map(tuple, rows.contents))) == 1:
        return [(found.pop(), range(len(rows)), list(rows.contents))]
    shapes: dict[tuple[str, ...], list[int]] = {}
    contents: list[Any] = []
    for position, row in enumerate(rows):
        contents.append(row.content)
        if row.rejected is None:
            shapes.setdefault(tuple(row.content), []).append(position)
    return [(shape, places, [dict(contents[place]) for place in places]) for shape, places in shapes.items()]


def _times(column: Any, count: int) -> Sequence[Any]:
    return list(repeat(next(column), count)) if isinstance(column, repeat) else column
