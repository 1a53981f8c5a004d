"""Columns: the values of many rows one after another.

A column is a list, an array of numbers or truth values (a matrix for observations that are vectors), one value that
all rows have (:class:`Same`), or the columns of objects that all have the same names in the same order
(:class:`Objects`).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Same:
    """A column whose rows all have one value: a text, a number or a truth value."""

    value: Any


@dataclass(frozen=True, slots=True)
class Objects:
    """A column of objects: their names, and a column of values for each."""

    names: tuple[str, ...]
    parts: tuple[Any, ...]


Column = Sequence[Any] | np.ndarray | Same | Objects


def objects_of(values: Sequence[dict[str, Any]]) -> Objects | None:
    """Objects as columns; ``None`` where they have not all the same names in the same order, or none."""
    names = tuple(values[0])
    if not names or set(map(len, values)) != {len(names)}:
        return None
    if list(chain.from_iterable(values)) != [*names] * len(values):
        return None
    return Objects(names, tuple(zip(*map(dict.values, values), strict=True)))


def kinds_in(values: Sequence[Any]) -> set[type]:
    """The types of values, faster where there is only one."""
    first = type(values[0]) if values else None
    return {first} if first and list(map(type, values)).count(first) == len(values) else set(map(type, values))


def floats(values: Sequence[float]) -> np.ndarray:
    """Numbers as float64 (n,), in a quarter of the time that numpy takes to find out what they are."""
    return np.frombuffer(struct.pack(f"{len(values)}d", *values))


def listed(column: Column, count: int) -> list[Any]:
    """The values of a column."""
    if isinstance(column, Same):
        return [column.value] * count
    if isinstance(column, Objects):
        parts = [listed(part, count) for part in column.parts]
        return list(map(dict, map(zip, repeat(column.names), zip(*parts, strict=True))))
    return column.tolist() if isinstance(column, np.ndarray) else list(column)
