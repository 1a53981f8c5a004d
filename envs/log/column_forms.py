"""Columns of decisions as columns of the sealed table: what :mod:`envs.log.rows` makes of their values one by one.

What has a fast way is made as a whole; any other column is made of its single values, by the same functions as
single rows are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from envs.canonical import EXACT_INTEGER
from envs.journal.columns import Column, Objects, Same, listed
from envs.log.rows import NUMBER, NUMBERS, TEXT, TEXTS, distribution, formed

LARGEST = int(EXACT_INTEGER)  # compared as integers: the next one is equal to it as a float


def text_column(column: Column | None, count: int) -> pa.Array:
    """A column of texts."""
    if column is None:
        return pa.nulls(count, TEXT)
    return pa.repeat(pa.scalar(column.value, TEXT), count) if isinstance(column, Same) else pa.array(column, TEXT)


def number_column(column: Column | None, count: int, kind: pa.DataType = NUMBER) -> pa.Array:
    """A column of numbers or truth values."""
    if column is None:
        return pa.nulls(count, kind)
    if isinstance(column, Same):
        return pa.repeat(pa.scalar(column.value, kind), count)
    return pa.array(column if isinstance(column, np.ndarray) else listed(column, count), kind)


def written_column(column: Column | None, count: int, write: Callable[[Any], str | None]) -> pa.Array:
    """The text of each value; each different text or number is written once."""
    if column is None:
        return pa.nulls(count, TEXT)
    if isinstance(column, Same):
        return pa.repeat(pa.scalar(write(column.value), TEXT), count)
    values = listed(column, count)
    kinds = set(map(type, values))
    if kinds == {str} or kinds == {int}:
        known = {value: write(value) for value in set(values)}
        return pa.array([known[value] for value in values], TEXT)
    return pa.array(list(map(write, values)), TEXT)


def lists_of(values: pa.Array, count: int) -> pa.Array:
    """The values of so many rows, one row after the other, as a list for each."""
    ends = np.arange(count + 1, dtype=np.int32) * (len(values) // count)
    return pa.ListArray.from_arrays(pa.array(ends), values)


def distribution_columns(column: Column | None, count: int) -> tuple[pa.Array, pa.Array]:
    """Names and probabilities as of :func:`~envs.log.rows.distribution`."""
    if column is None:
        return pa.nulls(count, TEXT), pa.nulls(count, NUMBERS)
    if isinstance(column, Objects) and all(_is_numbers(part) for part in column.parts):
        names = pa.repeat(pa.scalar(json.dumps(list(column.names)), TEXT), count)
        return names, lists_of(_side_by_side(column.parts, count), count)
    if isinstance(column, np.ndarray) and column.ndim > 1:
        return pa.repeat(pa.scalar("", TEXT), count), lists_of(pa.array(column.ravel(), NUMBER), count)
    pairs = list(map(distribution, listed(column, count)))
    return pa.array([names for names, _ in pairs], TEXT), pa.array([numbers for _, numbers in pairs], NUMBERS)


def form_columns(column: Column | None, count: int) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Forms, numbers and texts as of :func:`~envs.log.rows.formed`."""
    if column is None:
        return pa.nulls(count, TEXT), pa.nulls(count, NUMBERS), pa.nulls(count, TEXTS)
    found = _whole_form(column, count)
    if found is not None:
        form, numbers, texts = found
        return pa.repeat(pa.scalar(form, TEXT), count), lists_of(numbers, count), lists_of(texts, count)
    made = [formed(column.value)] * count if isinstance(column, Same) else list(map(formed, listed(column, count)))
    forms, each_numbers, each_texts = zip(*made, strict=True)
    return pa.array(forms, TEXT), pa.array(each_numbers, NUMBERS), pa.array(each_texts, TEXTS)


def _whole_form(column: Column, count: int) -> tuple[str, pa.Array, pa.Array] | None:
    """The form of all rows, and their numbers and texts one row after the other; ``None`` where they have not one."""
    none = pa.array([], TEXT)
    if isinstance(column, np.ndarray) and column.ndim > 1 and _is_exact(column):
        return "vector", pa.array(column.ravel().astype(np.float64), NUMBER), none
    if isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype.kind == "i" and _is_exact(column):
        return "int", pa.array(column.astype(np.float64), NUMBER), none
    if not isinstance(column, Objects):
        return None
    leaves = list(_leaves(column))
    kinds = {name: _kind(part) for name, part in leaves}
    if len(kinds) < len(leaves) or "" in kinds.values():
        return None
    numbers = [part for name, part in leaves if kinds[name] in "bif"]
    texts = [listed(part, count) for name, part in leaves if kinds[name] == "s"]
    told = pa.array(list(chain.from_iterable(zip(*texts, strict=True))), TEXT) if texts else none
    return json.dumps(kinds), _side_by_side(numbers, count), told


def _leaves(objects: Objects, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, part in zip(objects.names, objects.parts, strict=True):
        if isinstance(part, Objects):
            yield from _leaves(part, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", part


def _kind(column: Column) -> str:
    """How a form names the values of a column; empty where they are not all alike."""
    if isinstance(column, Same):
        kind = type(column.value)
        exact = kind is not int or abs(column.value) <= LARGEST
        return {bool: "b", int: "i", float: "f", str: "s", type(None): "z"}.get(kind, "") if exact else ""
    if isinstance(column, np.ndarray):
        return column.dtype.kind if column.ndim == 1 and _is_exact(column) else ""
    return "s" if set(map(type, listed(column, 0))) == {str} else ""


def _is_numbers(column: Column) -> bool:
    if isinstance(column, np.ndarray):
        return column.ndim == 1
    return isinstance(column, Same) and type(column.value) in (int, float)


def _is_exact(numbers: np.ndarray) -> bool:
    """Whether float64 holds each."""
    if numbers.dtype.kind != "i":
        return numbers.dtype.kind in "fb"
    return bool((numbers <= LARGEST).all() and (numbers >= -LARGEST).all())


def _side_by_side(columns: Sequence[Any], count: int) -> pa.Array:
    """Columns of numbers as the numbers of one row after the other."""
    rows = np.empty((count, len(columns)))
    for place, column in enumerate(columns):
        rows[:, place] = column.value if isinstance(column, Same) else column
    return pa.array(rows.ravel(), NUMBER)
