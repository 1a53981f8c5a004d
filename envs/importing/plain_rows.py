"""Rows that are plain, checked column by column: many times as fast as one after another.

Rows of the same fields are put into columns, and each column is checked as a whole. What passes is exactly what
the checks of :class:`~envs.record.DecisionRecord` and :class:`~envs.validation.Validator` would have passed, and
gives the same text. Whatever is not plain (a null, a missing name, a value to be rounded, an error) is left to
them, and so is every message.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from envs.choice import PROBABILITY_TOLERANCE
from envs.errors import RecordError
from envs.importing.plain_columns import (
    CHECKS,
    NAMES,
    NotPlainError,
    array_of,
    compact,
    kinds_of,
    parts_of,
    plain_texts,
    require,
    require_in_range,
    require_small,
    texts_of,
    values_of,
)
from envs.importing.rows import ReadColumns, ReadRows, SourceRow
from envs.journal.columns import Column, Objects, Same, listed
from envs.journal.decision_columns import DecisionColumns
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

    Attributes:
        specification: the declaration.
        present: the names of the fields that were met.
    """

    def __init__(self, specification: AgentSpecification, present: set[str]) -> None:
        self.present = present
        self._agent = specification.name
        self._validator = Validator(specification)
        self.specification = specification
        self._fields = {field.name: field for field in specification.observation.fields}
        self._actions = frozenset(specification.actions)
        self._names = frozenset(map(str, specification.actions))
        self._action_kinds = {type(action) for action in specification.actions}

    def checked(self, rows: Sequence[SourceRow]) -> DecisionColumns | list[JournalRow | None]:
        """All rows as columns, or for each what will be written of it, ``None`` where it is not plain."""
        out: list[JournalRow | None] = [None] * len(rows)
        for positions, columns in _of_one_shape(rows):
            if len(positions) >= FEWEST and PLAIN.issuperset(columns) and "event_id" in columns:
                shape = list(columns)
                try:
                    decisions = self._decisions(columns, len(positions))
                except (NotPlainError, RecordError, UnfitValueError, OverflowError):
                    continue
                self.present.update(shape)
                if len(positions) == len(out):
                    return decisions
                for position, line in zip(positions, decisions.rows(), strict=True):
                    out[position] = line
        return out

    def _decisions(self, columns: dict[str, Column], count: int) -> DecisionColumns:
        require({"action", "observation"} <= columns.keys())
        for name, column in columns.items():
            check = CHECKS.get(name)
            if check is not None:
                columns[name] = check(column)
        require("agent" not in columns or all(agent == self._agent for agent in values_of(columns["agent"])))
        self._place(columns)
        kinds = kinds_of(columns["action"])
        require(kinds <= self._action_kinds and kinds <= {str, int})
        require(self._actions.issuperset(values_of(columns["action"])))
        for name in ("observation", "next_observation"):
            if name in columns:
                columns[name] = self._observed(columns[name])
        if "action_probabilities" in columns:
            self._distributed(columns)
        self._rewarded(columns, count)
        columns["agent"] = Same(self._agent)
        for name, value in DEFAULTS.items():
            columns.setdefault(name, Same(value))
        return DecisionColumns(count, {name: columns[name] for name in FIELD_NAMES if name in columns})

    def _place(self, columns: dict[str, Any]) -> None:
        if "episode_id" not in columns:
            require("step" not in columns or not np.any(columns["step"]))
            columns["episode_id"] = columns["event_id"]
            columns.setdefault("step", Same(0))
        require("step" in columns)

    def _observed(self, column: Column) -> Column:
        kind, fields = self.specification.observation.kind, self.specification.observation.fields
        if kind == "int":
            require(kinds_of(column) == {int})
            numbers = array_of(column, int)
            require_in_range(fields[0], numbers)
            return numbers
        if kind == "vector":
            lists = values_of(column)
            require(set(map(type, lists)) == {list} and set(map(len, lists)) == {len(fields)})
            flat = list(chain.from_iterable(lists))
            require(set(map(type, flat)) <= {float, int} and all(field.type == "number" for field in fields))
            matrix = np.array(flat, dtype=np.float64).reshape(len(lists), len(fields))
            for index, field in enumerate(fields):
                require_in_range(field, matrix[:, index])
            return matrix
        found = parts_of(column)
        require(self._fields.keys() == set(found.names))
        fitting = zip(found.names, found.parts, strict=True)
        return Objects(found.names, tuple(self._observed_field(self._fields[name], part) for name, part in fitting))

    def _observed_field(self, field: ObservationField, column: Column) -> Column:
        kinds = kinds_of(column)
        if field.type == "category":
            plain_texts(texts_of(column))
            return column
        if field.type == "boolean":
            require(kinds == {bool})
            return array_of(column, bool)
        require(kinds == {int} if field.type == "integer" else kinds <= {int, float})
        numbers = compact(column, kinds)
        require_small(numbers, kinds)
        require_in_range(field, array_of(numbers, float))
        return numbers

    def _distributed(self, columns: dict[str, Any]) -> None:
        names, parts = (found := parts_of(columns["action_probabilities"])).names, found.parts
        require(self._names.issuperset(names) and all(kinds_of(part) == {float} for part in parts))
        matrix = np.stack([array_of(part, float) for part in parts])
        columns["action_probabilities"] = Objects(names, tuple(matrix))
        require(bool(((matrix >= 0.0) & (matrix <= 1.0)).all()))
        require(float(np.abs(matrix.sum(axis=0) - 1.0).max()) <= 0.99 * PROBABILITY_TOLERANCE)
        place = {name: index for index, name in enumerate(names)}
        places = {action: place.get(str(action), -1) for action in self._actions}
        actions = values_of(columns["action"])
        taken = np.fromiter(map(places.__getitem__, actions), dtype=np.int64, count=len(actions))
        require(int(taken.min()) >= 0)
        chosen = matrix[taken, np.arange(len(taken))]
        require(bool((chosen > 0.0).all()))
        if "propensity" not in columns:
            columns["propensity"] = chosen
        else:
            given = columns["propensity"]
            require(bool((np.abs(given - chosen) <= 0.99 * PROBABILITY_TOLERANCE * chosen).all()))

    def _rewarded(self, columns: dict[str, Any], count: int) -> None:
        validator, outcome = self._validator, columns.get("outcome")
        if outcome is not None and validator.reads_outcomes:
            for row in listed(outcome, count):
                validator.check_outcome_of(None, row)
        if "reward" in columns:
            rewards = columns["reward"]
            validator.check_outcome_of(float(rewards.min()), None)
            validator.check_outcome_of(float(rewards.max()), None)


def _of_one_shape(rows: Sequence[SourceRow]) -> Iterator[tuple[Sequence[int], dict[str, Column]]]:
    """The rows that could be read by their fields: places, and columns."""
    if isinstance(rows, ReadColumns):
        yield range(len(rows)), dict(rows.columns)
        return
    if isinstance(rows, ReadRows) and len(found := set(map(tuple, rows.contents))) == 1:
        yield range(len(rows)), _columns(found.pop(), rows.contents)
        return
    shapes: dict[tuple[str, ...], list[int]] = {}
    contents: list[Any] = []
    for position, row in enumerate(rows):
        contents.append(row.content)
        if row.rejected is None:
            shapes.setdefault(tuple(row.content), []).append(position)
    for shape, places in shapes.items():
        yield places, _columns(shape, [dict(contents[place]) for place in places])


def _columns(shape: Sequence[str], contents: Sequence[dict[str, Any]]) -> dict[str, Column]:
    return dict(zip(shape, zip(*map(dict.values, contents), strict=True), strict=True))
