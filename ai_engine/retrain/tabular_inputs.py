"""What a table accepts as a state and as an action."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from envs.errors import RecordError


def state_index(value: Any, field: str, count: int) -> int:
    """The state of an integer or of a one-hot vector of ``count`` numbers.

    Raises:
        RecordError: it is neither; names the field.
    """
    array = _numbers(value, field)
    if array.shape == (count,) and (array[array != 0] == 1).all() and np.count_nonzero(array) == 1:
        return int(array.argmax())
    if array.size != 1:
        raise RecordError(
            f"has shape {array.shape} and is not one-hot",
            field=field,
            remedy=f"a table needs an integer in [0, {count}) or a one-hot vector; discretise it first",
        )
    return whole_index(array.reshape(()), field, count)


def whole_index(value: Any, field: str, count: int) -> int:
    """An integer in [0, count), whatever its numeric type.

    Raises:
        RecordError: it is none; names the field.
    """
    array = _numbers(value, field)
    if array.ndim or not 0 <= array < count or array != np.floor(array):
        shown = f"shape {array.shape}" if array.ndim else f"{array}"
        raise RecordError(f"{shown} is not an index", field=field, remedy=f"give an integer in [0, {count})")
    return int(array)


def index_columns(columns: Sequence[np.ndarray], states: int, actions: int) -> tuple[np.ndarray, ...]:
    """The five columns of a batch from any buffer, checked to be integers in the table.

    Raises:
        RecordError: a column is not; names it.
    """
    for column, field, count in (
        (columns[0], "states", states),
        (columns[1], "actions", actions),
        (columns[3], "next_states", states),
    ):
        if column.ndim != 1 or column.dtype.kind not in "iu" or column.min() < 0 or column.max() >= count:
            raise RecordError(
                f"of the buffer are not all integers in [0, {count})",
                field=field,
                remedy="share a buffer only between trainers of the same states and actions",
            )
    return tuple(columns)


def _numbers(value: Any, field: str) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "iuf":
        raise RecordError(f"{value!r:.60} is no number", field=field, remedy="give an integer or a one-hot vector")
    return array
