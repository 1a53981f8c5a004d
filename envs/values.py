"""Plain values: what a decision record may hold, checked and put into one normal form.

Normal form is what JSON can say: ``None``, booleans, 64-bit integers, finite floats, strings, lists
and objects with string keys. NumPy scalars and arrays become Python's; timestamps become UTC text.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from math import inf, isfinite
from typing import Any

import numpy as np

from envs.clock import is_last_present

MAXIMUM_DEPTH = 32
MAXIMUM_NAME = 256
LARGEST_INTEGER = 2**63
SIXTY_FOUR_BITS = f"give one from {-LARGEST_INTEGER} to {LARGEST_INTEGER - 1}"
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
FINITE_REMEDY = "give a finite number, or leave the field out"


class UnfitValueError(ValueError):
    """A value breaks the contract. ``path`` grows on the way out: ``observation`` + ``.cpu`` + ``[2]``."""

    def __init__(self, problem: str, remedy: str, path: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy
        self.path = path

    def under(self, parent: str) -> UnfitValueError:
        """The same complaint, one level further out."""
        self.path = parent + self.path
        return self


def shown(value: object, limit: int = 60) -> str:
    """``repr`` of a value, cut so that the error stays one line."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _step(name: object) -> str:
    text = str(name)
    return f".{text}" if text.isprintable() and len(text) <= 60 else f"[{shown(name)}]"


def plain(value: Any, depth: int = 1) -> Any:
    """The normal form of a value of any shape.

    Raises:
        UnfitValueError: NaN or infinite, too deep, too large, or of a type that JSON does not have.
    """
    kind = type(value)
    if kind is str:
        return _unicode(value)
    if kind is float:
        if not isfinite(value):
            raise UnfitValueError(f"{value} is not finite", FINITE_REMEDY)
        return value
    if kind is bool or value is None:
        return value
    if kind is int:
        if not -LARGEST_INTEGER <= value < LARGEST_INTEGER:
            raise UnfitValueError("is an integer of more than 64 bits", f"{SIXTY_FOUR_BITS}, or a text")
        return value
    if kind is dict:
        return plain_object(value, depth)
    if kind is list:
        return _plain_list(value, depth)
    return _plain_foreign(value, depth)


def plain_object(value: Mapping[Any, Any], depth: int = 1) -> dict[str, Any]:
    """The normal form of an object (see :func:`plain`)."""
    if depth > MAXIMUM_DEPTH:
        raise UnfitValueError(f"is nested deeper than {MAXIMUM_DEPTH} levels", "flatten it")
    out: dict[str, Any] = {}
    name: Any = ""
    try:
        for name, item in value.items():
            text = name if type(name) is str and name.isascii() else key(name)
            # The commonest cases without a call: this is the hot path of every import.
            kind = type(item)
            if (kind is float and isfinite(item)) or (kind is str and item.isascii()) or kind is bool:
                out[text] = item
            else:
                out[text] = plain(item, depth + 1)
    except UnfitValueError as problem:
        raise problem.under(_step(name)) from None
    if len(out) != len(value):
        raise UnfitValueError("has two keys of the same text", "rename one")
    return out


def _plain_list(value: Any, depth: int) -> list[Any]:
    if depth > MAXIMUM_DEPTH:
        raise UnfitValueError(f"is nested deeper than {MAXIMUM_DEPTH} levels", "flatten it")
    out: list[Any] = []
    try:
        out.extend(plain(item, depth + 1) for item in value)
    except UnfitValueError as problem:
        raise problem.under(f"[{len(out)}]") from None
    return out


def _plain_foreign(value: Any, depth: int) -> Any:
    if isinstance(value, (np.generic, np.ndarray)):
        if value.dtype.kind not in "biufU":
            raise UnfitValueError(f"has the NumPy type {value.dtype}", "give numbers, texts or booleans")
        return plain(value.item() if value.ndim == 0 else value.tolist(), depth)
    if isinstance(value, Mapping):
        return plain_object(value, depth)
    if isinstance(value, (tuple, set, frozenset)):
        return _plain_list(sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value, depth)
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return plain(float(value), depth)
    for base in (str, int, float):  # enumerations and other subclasses
        if isinstance(value, base):
            return plain(base(value), depth)
    raise UnfitValueError(f"has the type {type(value).__name__}", "give numbers, texts, booleans, lists or objects")


def key(name: object) -> str:
    """An object's key as text; integers (actions, say) are written out."""
    if isinstance(name, str):
        return _unicode(str(name))
    if isinstance(name, (int, np.integer)) and not isinstance(name, bool):
        return str(int(name))
    raise UnfitValueError(f"has the key {shown(name)}, which is not a text", "use texts as keys")


def _unicode(value: str) -> str:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise UnfitValueError("holds half a surrogate pair", "write it as valid Unicode") from None
    return value


def name(value: Any) -> str:
    """An identifier: text of 1 to 256 characters without control characters."""
    if type(value) is str and value.isascii() and value.isprintable() and 0 < len(value) <= MAXIMUM_NAME:
        return value  # what nearly every one is
    if type(value) is not str:
        if not isinstance(value, str):
            raise UnfitValueError(f"{shown(value)} is not a text", "give a text")
        value = str(value)
    if not 0 < len(value) <= MAXIMUM_NAME or CONTROL.search(value):
        raise UnfitValueError(f"{shown(value)} is not a name", f"give 1 to {MAXIMUM_NAME} printable characters")
    return _unicode(value)


def boolean(value: Any) -> bool:
    """A boolean, and nothing that merely looks like one."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise UnfitValueError(f"{shown(value)} is not a boolean", "give true or false")


def number(value: Any) -> float:
    """A finite float."""
    if type(value) is float and isfinite(value):
        return value
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating, Decimal)):
        raise UnfitValueError(f"{shown(value)} is not a number", "give a number")
    try:
        converted = float(value)
    except OverflowError:
        converted = math.inf
    if not isfinite(converted):
        raise UnfitValueError(f"{converted} is not finite", FINITE_REMEDY)
    return converted


def integer(value: Any) -> int:
    """A 64-bit integer; a float without fraction will do, because some writers know no integers."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer, float, np.floating)):
        raise UnfitValueError(f"{shown(value)} is not an integer", "give an integer")
    if not -LARGEST_INTEGER <= value < LARGEST_INTEGER and -inf < value < inf:
        raise UnfitValueError("is an integer of more than 64 bits", SIXTY_FOUR_BITS)
    if not isfinite(value) or value != int(value):
        raise UnfitValueError(f"{shown(value)} is not an integer", "give an integer")
    return int(value)


def observation(value: Any) -> Any:
    """An observation: an integer, an array of numbers, or an object of named values."""
    if type(value) is dict or isinstance(value, Mapping):
        return plain_object(value)
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return _vector(value)
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return integer(value)
    if value is None:
        raise UnfitValueError("is missing", "give what was known before acting")
    if isinstance(value, (float, np.floating)) and not isfinite(value):
        raise UnfitValueError(f"{value} is not finite", FINITE_REMEDY)
    raise UnfitValueError(f"{shown(value)} is no observation", "give an integer, an array of numbers or an object")


def _vector(value: Any) -> list[float]:
    out: list[float] = []
    for item in value:
        kind = type(item)
        if kind is float and isfinite(item):
            out.append(item)
        elif isinstance(item, (list, tuple, Mapping)):
            inner = f"of {len(item)} values" if isinstance(item, (list, tuple)) else "with named values"
            raise UnfitValueError(f"entry {len(out)} is an array or object {inner}", "give one flat array of numbers")
        else:
            try:
                out.append(number(item))
            except UnfitValueError as problem:
                raise problem.under(f"[{len(out)}]") from None
    return out


def action(value: Any) -> Any:
    """An action: a text, an integer, or (continuous actions) an object of numbers."""
    if isinstance(value, str):
        return name(value)
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return integer(value)
    if isinstance(value, Mapping) and value:
        out: dict[str, float] = {}
        for part, item in value.items():
            try:
                out[key(part)] = number(item)
            except UnfitValueError as problem:
                raise problem.under(_step(part)) from None
        return out
    if value is None:
        raise UnfitValueError("is missing", "give the action that was requested")
    raise UnfitValueError(f"{shown(value)} is no action", "give a text, an integer or an object of numbers")


def timestamp(value: Any) -> str:
    """A moment as RFC 3339 text in UTC, such as ``2026-01-31T09:30:00Z``; microseconds are kept.

    Raises:
        UnfitValueError: no zone, or not RFC 3339.
    """
    moment: datetime | None = None
    if type(value) is str and is_last_present(value):
        return value
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, str) and RFC_3339.fullmatch(value):
        with contextlib.suppress(ValueError):
            moment = datetime.fromisoformat(value.upper())
    if moment is None:
        raise UnfitValueError(f"{shown(value)} is not an RFC 3339 timestamp", "write it like 2026-01-31T09:30:00Z")
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise UnfitValueError(f"{shown(str(value))} has no time zone", "add Z or an offset such as +02:00")
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        raise UnfitValueError(f"{shown(str(value))} is out of range", "give a year from 2 to 9998") from None
    return moment.replace(tzinfo=None).isoformat() + "Z"
