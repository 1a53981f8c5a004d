"""RLlib's recorded episodes: msgpack with NumPy arrays, unpacked without ever unpickling.

RLlib packs ``SingleAgentEpisode.get_state()`` with ``msgpack-numpy``, whose decoder unpickles arrays of objects.
Here only arrays of numbers, truth values and texts are built, and what one episode unpacks to is bounded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from envs.importing.readers import MAXIMUM_ROW
from envs.importing.row_building import missing

MAXIMUM_VALUES = 2_000_000
"""Values (entries of objects and arrays of the packed form) of one episode."""
MAXIMUM_DIMENSIONS = 8


class StateError(ValueError):
    """The packed episode is not read; the text says why."""


def unpacked(packed: bytes, source: str) -> dict[str, Any]:
    """The state of an episode, its arrays as NumPy's.

    Raises:
        StateError: not msgpack, too large, or it would need unpickling.
        MissingExtraError: msgpack is not installed.
    """
    try:
        import msgpack
    except ImportError:
        raise missing("msgpack", "reading RLlib's episodes", source) from None
    if len(packed) > MAXIMUM_ROW:
        raise StateError(f"has {len(packed):,} bytes, more than {MAXIMUM_ROW:,}")
    count = 0

    def counted(size: int) -> None:
        nonlocal count
        count += size
        if count > MAXIMUM_VALUES:
            raise StateError(f"has more than {MAXIMUM_VALUES:,} values")

    def listed(values: list[Any]) -> list[Any]:
        counted(len(values))
        return values

    def paired(pairs: list[tuple[Any, Any]]) -> Any:
        counted(len(pairs))
        found = dict(pairs)
        return _number(found) if b"nd" in found else found

    try:
        state = msgpack.unpackb(
            packed,
            raw=False,
            strict_map_key=False,
            list_hook=listed,
            object_pairs_hook=paired,
            max_ext_len=0,
            max_array_len=MAXIMUM_VALUES,
            max_map_len=MAXIMUM_VALUES,
        )
    except StateError:
        raise
    except (ValueError, TypeError, RecursionError, msgpack.exceptions.UnpackException) as error:
        raise StateError(f"is not msgpack ({str(error)[:60] or type(error).__name__})") from None
    if not isinstance(state, dict):
        raise StateError("is no episode's state")
    return state


def buffer(state: Mapping[str, Any], name: str) -> Any:
    """A buffer's entries behind its look-back, as a tree of arrays (see :mod:`envs.importing.step_values`).

    Raises:
        StateError: it is not there, or its entries do not fit together.
    """
    kept = state.get(name)
    if not isinstance(kept, dict) or "data" not in kept:
        raise StateError(f"has no {name}")
    lookback = kept.get("lookback", 0)
    if not isinstance(lookback, int) or isinstance(lookback, bool) or lookback < 0:
        raise StateError(f"{name}: {lookback!r} is no look-back")
    return _tree(kept["data"], lookback, name)


def _tree(data: Any, lookback: int, name: str, depth: int = 1) -> Any:
    if depth > 32:
        raise StateError(f"{name} is nested deeper than 32 levels")
    if isinstance(data, dict):
        return {str(part): _tree(values, lookback, name, depth + 1) for part, values in data.items()}
    if isinstance(data, np.ndarray):
        return data[lookback:]
    if not isinstance(data, list):
        raise StateError(f"{name} holds {type(data).__name__}")
    entries = data[lookback:]
    if entries and isinstance(entries[0], dict):
        names = entries[0].keys()
        if any(not isinstance(entry, dict) or entry.keys() != names for entry in entries):
            raise StateError(f"{name} has entries of differing parts")
        return {str(part): _tree([entry[part] for entry in entries], 0, name, depth + 1) for part in names}
    if entries and isinstance(entries[0], list):  # a tuple
        if any(not isinstance(entry, list) or len(entry) != len(entries[0]) for entry in entries):
            raise StateError(f"{name} has entries of differing parts")
        places = range(len(entries[0]))
        return {str(part): _tree([entry[part] for entry in entries], 0, name, depth + 1) for part in places}
    shapes = {np.shape(entry) for entry in entries}
    if len(shapes) > 1:
        raise StateError(f"{name} has entries of differing shapes")
    try:
        made = np.array(entries)
    except (ValueError, OverflowError, TypeError) as error:
        raise StateError(f"{name}: {str(error)[:60]}") from None
    if made.dtype.kind not in "biufSU":
        raise StateError(f"{name} holds values that are neither numbers nor texts")
    return made


def _number(found: Mapping[Any, Any]) -> Any:
    """An array or a NumPy number, from the form that msgpack-numpy gives it."""
    kind, described, data = found.get(b"kind", b""), found.get(b"type"), found.get(b"data")
    if kind in (b"O", "O"):
        raise StateError("holds pickled objects, which are never unpickled")
    if not isinstance(described, str) or not isinstance(data, bytes):
        raise StateError("holds an array of no plain type")
    try:
        dtype = np.dtype(described)
    except (TypeError, ValueError):
        raise StateError(f"holds an array of the type {described[:20]!r}") from None
    if dtype.kind not in "biufSU" or dtype.itemsize == 0:
        raise StateError(f"holds an array of the type {described[:20]!r}")
    shape = found.get(b"shape", []) if found.get(b"nd") is True else []
    if not isinstance(shape, list) or len(shape) > MAXIMUM_DIMENSIONS:
        raise StateError("holds an array without a shape")
    if any(not isinstance(length, int) or isinstance(length, bool) or length < 0 for length in shape):
        raise StateError("holds an array without a shape")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise StateError("holds an array whose bytes do not fill its shape")
    made = np.frombuffer(data, dtype).reshape(shape)
    return made if found.get(b"nd") is True else made[()]
