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
from envs.observation import ObservationField
from envs.record import MODES
from envs.values import CONTROL, LARGEST_INTEGER, MAXIMUM_NAME

NAMES = ("event_id", "tenant", "episode_id", "policy_version", "experiment_arm")


class NotPlainError(Exception):
    """A value that is left to the checks of single rows."""


def require(condition: bool) -> None:
    """Go on only where a condition holds."""
    if not condition:
        raise NotPlainError


def _named(column: Sequence[Any]) -> Sequence[Any]:
    require(set(map(type, column)) == {str})
    require(min(map(len, column)) > 0 and max(map(len, column)) <= MAXIMUM_NAME)
    require(CONTROL.search(plain_texts(column)) is None)
    return column


def plain_texts(column: Sequence[str]) -> str:
    """Texts of ASCII characters, joined."""
    joined = "".join(column)
    require(joined.isascii())
    return joined


def _moments(column: Sequence[Any]) -> Sequence[Any]:
    """Moments as they are stored already; others are rewritten, each different one once."""
    kinds = set(map(type, column))
    if kinds == {datetime}:
        return list(map(values.timestamp, column))
    require(kinds == {str})
    different = set(column)
    if set(map(len, different)) == {20} and _dates(different):
        return column
    known = {text: values.timestamp(text) for text in different}
    return [known[text] for text in column]


def _dates(column: Iterable[str]) -> bool:
    for text in column:
        if text[10] != "T" or text[19] != "Z" or not text.isascii() or text[7] != "-" or text[16] != ":":
            return False
        try:
            datetime.fromisoformat(text)
        except ValueError:
            return False
    return True


def _steps(column: Sequence[Any]) -> Sequence[Any]:
    require(set(map(type, column)) == {int} and min(column) >= 0 and max(column) < LARGEST_INTEGER)
    return column


def _numbers(column: Sequence[Any]) -> Sequence[Any]:
    kinds = set(map(type, column))
    require(kinds <= {int, float})
    converted = list(map(float, column)) if int in kinds else column
    require(math.isfinite(math.fsum(map(abs, converted))) if len(converted) else True)
    return converted


def _propensities(column: Sequence[Any]) -> Sequence[Any]:
    converted = _numbers(column)
    require(min(converted) > 0.0 and max(converted) <= 1.0)
    return converted


def _booleans(column: Sequence[Any]) -> Sequence[Any]:
    require(set(map(type, column)) == {bool})
    return column


def _modes(column: Sequence[Any]) -> Sequence[Any]:
    require(set(map(type, column)) == {str} and set(column) <= set(MODES))
    return column


def _flat_objects(column: Sequence[Any]) -> Sequence[Any]:
    """Objects of the same names, of numbers, booleans and texts."""
    names, parts = parts_of(column)
    plain_texts(names)
    for part in parts:
        kinds = set(map(type, part))
        require(kinds <= {int, float, bool, str})
        if str in kinds:
            require(kinds == {str})
            plain_texts(part)
        else:
            require_small(part, kinds)
            require(bool(np.isfinite(np.array(part, dtype=np.float64)).all()))
    return column


def parts_of(column: Sequence[Any]) -> tuple[tuple[str, ...], list[Sequence[Any]]]:
    """The names of objects that all have the same in the same order, and the columns under them."""
    require(set(map(type, column)) == {dict})
    shapes = set(map(tuple, column))
    require(len(shapes) == 1)
    (names,) = shapes
    require(0 < len(names) <= MAXIMUM_NAME and set(map(type, names)) == {str})
    return names, list(zip(*map(dict.values, column), strict=True))


def require_small(column: Sequence[Any], kinds: set[type]) -> None:
    """Integers of 64 bits, where there are some among the kinds."""
    if int in kinds:
        require(min(column) >= -LARGEST_INTEGER and max(column) < LARGEST_INTEGER)


def require_in_range(field: ObservationField, column: np.ndarray) -> None:
    """Finite numbers in a field's declared range, float64 (n,) or int64 (n,)."""
    low, high = float(column.min()), float(column.max())  # NaN is the smallest and the largest
    require(math.isfinite(low) and math.isfinite(high))
    require((field.low is None or low >= field.low) and (field.high is None or high <= field.high))


CHECKS: dict[str, Callable[[Sequence[Any]], Sequence[Any]]] = {
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
