"""A log as one Arrow table: a typed column for every field that its records have."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from envs.canonical import EXACT_INTEGER
from envs.log.exclusions import Exclusion, covered
from envs.log.rows import leaves
from envs.observation import flatten
from envs.outcome import JoinedRecord

if TYPE_CHECKING:
    import pandas

NUMBERS = {b"retrainer": b"numbers"}
"""Metadata of a column of JSON that are numbers: floats, and integers beyond 2^53 beside them."""
PARTS = ("observation", "next_observation", "outcome", "metadata")
PLAIN = {
    "event_id": pa.string(),
    "tenant": pa.string(),
    "episode_id": pa.string(),
    "step": pa.int64(),
    "timestamp": pa.timestamp("us", "UTC"),
    "action": None,
    "propensity": pa.float64(),
    "reward": pa.float64(),
    "terminated": pa.bool_(),
    "truncated": pa.bool_(),
    "executed_action": None,
    "policy_version": pa.string(),
    "experiment_arm": pa.string(),
    "mode": pa.string(),
}


def to_arrow(decisions: Iterable[JoinedRecord], exclusions: Sequence[Exclusion]) -> pa.Table:
    """The decisions, one a row.

    Nested fields are joined by dots behind ``observation.``, ``next_observation.``, ``outcome.`` and
    ``metadata.``; the probability of each action stands under ``probability.``. A field of numbers, of
    truth values or of texts has that type; any other is JSON, that of numbers too of which no type holds all
    (:data:`NUMBERS`). ``position`` is the place in the log, and ``excluded`` says that no dataset uses the row:
    its episode has a decision in an excluded range.
    """
    columns: dict[str, list[Any]] = {name: [] for name in ("position", *PLAIN)}
    seconds: list[float] = []
    sequences: list[int] = []
    for count, joined in enumerate(decisions):
        record = joined.record
        row: dict[str, Any] = {"position": joined.position, **{name: getattr(record, name) for name in PLAIN}}
        row["timestamp"] = None if record.timestamp is None else datetime.fromisoformat(record.timestamp)
        for part in PARTS:
            row.update(_fields(part, getattr(record, part)))
        row.update(_fields("probability", record.action_probabilities))
        row.update(_fields("allowed_actions", json.dumps(record.allowed_actions) if record.allowed_actions else None))
        for name in row.keys() - columns.keys():
            columns[name] = [None] * count
        for name, values in columns.items():
            values.append(row.get(name))
        seconds.append(record.seconds)
        sequences.append(joined.sequence)
    arrays = {name: _array(values, PLAIN.get(name)) for name, values in columns.items()}
    arrays["position"] = pa.array(columns["position"], pa.int64())
    places = np.array(columns["position"], dtype=np.int64), np.array(seconds), np.array(sequences, dtype=np.int64)
    episodes = list(zip(columns["tenant"], columns["episode_id"], strict=True))
    inside = covered(exclusions, *places)
    # A shadow decision is of no episode that a dataset has, so it takes none out of it.
    real = np.array([mode != "shadow" for mode in columns["mode"]], dtype=bool)
    hit = {episodes[row] for row in np.flatnonzero(inside & real)}
    left_out = [episode in hit or alone for episode, alone in zip(episodes, inside.tolist(), strict=True)]
    arrays["excluded"] = pa.array(left_out, pa.bool_())
    first = ["position", *PLAIN]
    names = (*first, *sorted(arrays.keys() - set(first)))
    fields = [
        pa.field(
            name, arrays[name].type, metadata=NUMBERS if _are_numbers(columns.get(name, []), arrays[name]) else None
        )
        for name in names
    ]
    return pa.table([arrays[name] for name in names], schema=pa.schema(fields))


def to_pandas(table: pa.Table) -> pandas.DataFrame:
    """What :func:`to_arrow` gives as a data frame in which no number is another.

    A field of numbers that Arrow has no type for is of Python's own (dtype ``object``); of integers beyond 2^53 that
    are absent somewhere it is ``Int64``, as a float would round them.
    """
    frame = table.to_pandas()
    for field in table.schema:
        column = table[field.name]
        if field.metadata == NUMBERS:
            numbers = [None if text is None else json.loads(text) for text in column.to_pylist()]
            frame[field.name] = type(frame[field.name])(numbers, index=frame.index, dtype=object)
        elif pa.types.is_int64(field.type) and column.null_count and not all(map(_exact, column.to_pylist())):
            frame[field.name] = type(frame[field.name])(column.to_pylist(), index=frame.index, dtype="Int64")
    return frame


def _fields(part: str, value: Any) -> dict[str, Any]:
    """Values by the name of their column."""
    if value is None:
        return {}
    if isinstance(value, Mapping):
        flat = flatten(value)
        if len(flat) != leaves(value):  # two ways to write one name
            return {part: json.dumps(value)}
        return {f"{part}.{name}": item for name, item in flat.items()}
    return {part: value}


def _array(values: list[Any], kind: pa.DataType | None) -> pa.Array:
    if kind is not None:
        return pa.array(values, kind)
    kinds = {type(value) for value in values if value is not None}
    if not kinds:
        return pa.nulls(len(values))
    if kinds == {int, float} and all(map(_exact, values)):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    if kinds <= {int, float, bool, str} and len(kinds) == 1:
        return pa.array(values)
    if kinds == {list} and all(_exact(item, nothing=False) for value in values if value is not None for item in value):
        return pa.array(values, pa.list_(pa.float64()))
    return pa.array([None if value is None else json.dumps(value) for value in values], pa.string())


def _are_numbers(values: list[Any], array: pa.Array) -> bool:
    """Whether a column is JSON only because no type holds all of its numbers."""
    kinds = {type(value) for value in values if value is not None}
    return pa.types.is_string(array.type) and bool(kinds) and kinds <= {int, float}


def _exact(value: Any, *, nothing: bool = True) -> bool:
    """Whether a float says the same number; nothing at all will do where it may be absent."""
    if value is None:
        return nothing
    return type(value) is float or (type(value) is int and abs(value) <= EXACT_INTEGER)
