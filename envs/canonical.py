"""One text per content: what is hashed where two spellings of the same value must agree."""

from __future__ import annotations

import json
from typing import Any

EXACT_INTEGER = float(2**53)


def canonical(value: Any) -> Any:
    """The same value with one spelling for each number: 1.0 and -0.0 become 1 and 0 (as RFC 8785 does).

    JSON writers and Parquet columns disagree about ``1`` and ``1.0``; the same content must hash alike.
    """
    kind = type(value)
    if kind is float:
        return int(value) if value.is_integer() and -EXACT_INTEGER < value < EXACT_INTEGER else value
    if kind is not dict and kind is not list:
        return value
    # Copied only where something changes: most values are canonical already, and this is the hot path.
    changes: dict[Any, Any] = {}
    for place, item in value.items() if kind is dict else enumerate(value):
        inner = type(item)
        if inner is float:
            if item.is_integer() and -EXACT_INTEGER < item < EXACT_INTEGER:
                changes[place] = int(item)
        elif inner is dict or inner is list:
            fresh = canonical(item)
            if fresh is not item:
                changes[place] = fresh
    if not changes:
        return value
    copy = value.copy()
    for place, item in changes.items():
        copy[place] = item
    return copy


_ENCODE = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def canonical_text(value: Any) -> str:
    """Canonical JSON of a plain value: sorted keys, no spaces, one spelling for each number."""
    return _ENCODE(canonical(value))
