"""Reading an encoder's JSON: every value is checked before it is believed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from envs.errors import ArtefactError


def damaged(kind: str, problem: str) -> ArtefactError:
    """The error for JSON that describes no encoder of this kind."""
    return ArtefactError(problem, where=f"encoder {kind}", remedy="train or export the policy again")


def numbers(kind: str, data: Mapping[str, Any], key: str, *, dimensions: int = 1) -> np.ndarray:
    """A finite float64 array of the given number of dimensions.

    Raises:
        ArtefactError: absent, ragged, not numeric or not finite.
    """
    try:
        array = np.array(data[key], dtype=np.float64)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise damaged(kind, f"{key} is not an array of numbers") from None
    if array.size == 0 and dimensions == 1:
        array = array.reshape(0)
    if array.ndim != dimensions or not np.isfinite(array).all():
        raise damaged(kind, f"{key} is not a finite array of {dimensions} dimensions")
    return array


def integers(kind: str, data: Mapping[str, Any], key: str) -> np.ndarray:
    """A strictly increasing int64 array.

    Raises:
        ArtefactError: absent, not integers, or not increasing.
    """
    values = data.get(key)
    if not isinstance(values, list) or not all(type(value) is int and abs(value) < 2**62 for value in values):
        raise damaged(kind, f"{key} is not a list of integers")
    array = np.array(values, dtype=np.int64)
    if (np.diff(array) <= 0).any():
        raise damaged(kind, f"{key} is not increasing")
    return array


def number(kind: str, data: Mapping[str, Any], key: str) -> float:
    """A finite float.

    Raises:
        ArtefactError: absent or not finite.
    """
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise damaged(kind, f"{key} is not a number")
    return float(value)


def index(kind: str, data: Mapping[str, Any], key: str) -> int:
    """An integer of at least 0.

    Raises:
        ArtefactError: absent or negative.
    """
    value = data.get(key)
    if type(value) is not int or value < 0:
        raise damaged(kind, f"{key} is not a column index")
    return value
