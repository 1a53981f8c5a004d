"""What is plain in a column of values, and in columns of objects: the checks of rows, each over a whole column.

Every check raises :class:`NotPlainError` where a value is not plain; most give back the column as it is written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from envs import values
from envs.journal.columns import Column, Objects, Same, floats, kinds_in, objects_of
from envs.observation import ObservationField
from envs.record import MODES
from envs.values import CONTROL, LARGEST_INTEGER, MAXIMUM_NAME

KINDS: dict[str, type] = {"f": float, "i": int, "b": bool}  # of arrays, by their kind
NAMES = ("event_id", "tenant", "episode_id", "policy_version", "experiment_arm")


class NotPlainError(Exception):
    """A value that is left to the checks of single rows."""


def require(condition: bool) -> None:
    """Go on only where a condition holds."""
    if not condition:
        raise NotPlainError


def kinds_of(column: Column) -> set[type]:
    """The types of a column's values as they are written."""
    return {KINDS[column.dtype.kind]} if isinstance(column, np.ndarray) else kinds_in(values_of(column))


def values_of(column: Column) -> Sequence[Any]:
    """The values of a column that does not come in parts."""
    if isinstance(column, (Objects, Same)):
        raise NotPlainError
    return column.tolist() if isinstance(column, np.ndarray) else column


def texts_of(column: Column) -> Sequence[str]:
    """A column of texts."""
    texts = values_of(column)
    require(kinds_in(texts) == {str})
    return texts


def array_of(column: Column, kind: type) -> np.ndarray:
    """A column of numbers or truth values as an array."""
    if isinstance(column, np.ndarray):
        return column
    return floats(values_of(column)) if kind is float else np.array(values_of(column), dtype=kind)


def compact(column: Column, kinds: set[type]) -> Column:
    """The same values; an array where all are of one type that arrays know."""
    kind = next(iter(kinds)) if len(kinds) == 1 else None
    return array_of(column, kind) if kind in (float, int, bool) else column


def _named(column: Column) -> Column:
    texts = texts_of(column)
    sizes = set(map(len, texts))
    require(min(sizes) > 0 and max(sizes) <= MAXIMUM_NAME)
    require(CONTROL.search(plain_texts(texts)) is None)
    return texts


def plain_texts(column: Sequence[str]) -> str:
    """Texts of ASCII characters, joined."""
    joined = "".join(column)
    require(joined.isascii())
    return joined


def _moments(column: Column) -> Column:
    """Moments as they are stored already; others are rewritten, each different one once."""
    if kinds_of(column) == {datetime}:
        return list(map(values.timestamp, values_of(column)))
    texts = texts_of(column)
    different = set(texts)
    if set(map(len, different)) == {20} and _dates(different):
        return texts
    known = {text: values.timestamp(text) for text in different}
    return [known[text] for text in texts]


def _dates(column: Iterable[str]) -> bool:
    for text in column:
        if text[10] != "T" or text[19] != "Z" or not text.isascii() or text[7] != "-" or text[16] != ":":
            return False
        try:
            datetime.fromisoformat(text)
        except ValueError:
            return False
    return True


def _steps(column: Column) -> Column:
    require(kinds_of(column) == {int})
    steps = array_of(column, int)
    require(int(steps.min()) >= 0)
    return steps


def _numbers(column: Column) -> np.ndarray:
    require(kinds_of(column) <= {int, float})
    converted = array_of(column, float).astype(np.float64, copy=False)
    require(bool(np.isfinite(converted).all()))
    return converted


def _propensities(column: Column) -> np.ndarray:
    converted = _numbers(column)
    require(float(converted.min()) > 0.0 and float(converted.max()) <= 1.0)
    return converted


def _booleans(column: Column) -> np.ndarray:
    require(kinds_of(column) == {bool})
    return array_of(column, bool)


def _modes(column: Column) -> Column:
    require(set(texts_of(column)) <= set(MODES))
    return column


def _flat_objects(column: Column) -> Objects:
    """Objects of the same names, of numbers, booleans and texts."""
    found = parts_of(column)
    plain_texts(found.names)
    return Objects(found.names, tuple(map(_flat, found.parts)))


def _flat(column: Column) -> Column:
    kinds = kinds_of(column)
    require(kinds <= {int, float, bool, str})
    if str in kinds:
        plain_texts(texts_of(column))
        return column
    column = compact(column, kinds)
    require_small(column, kinds)
    require(bool(np.isfinite(array_of(column, float)).all()))
    return column


def parts_of(column: Column) -> Objects:
    """The columns of objects that all have the same names in the same order."""
    found = column if isinstance(column, Objects) else None
    if found is None:
        require(kinds_of(column) == {dict})
        found = objects_of(values_of(column))
    if found is None:
        raise NotPlainError
    require(len(found.names) <= MAXIMUM_NAME and set(map(type, found.names)) == {str})
    return found


def require_small(column: Column, kinds: set[type]) -> None:
    """Integers of 64 bits, where there are some among the kinds."""
    if int in kinds and not isinstance(column, np.ndarray):
        numbers = values_of(column)
        require(min(numbers) >= -LARGEST_INTEGER and max(numbers) < LARGEST_INTEGER)


def require_in_range(field: ObservationField, column: np.ndarray) -> None:
    """Finite numbers in a field's declared range, float64 (n,) or int64 (n,)."""
    low, high = float(column.min()), float(column.max())  # NaN is the smallest and the largest
    require(math.isfinite(low) and math.isfinite(high))
    require((field.low is None or low >= field.low) and (field.high is None or high <= field.high))


CHECKS: dict[str, Callable[[Any], Column]] = {
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
