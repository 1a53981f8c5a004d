"""What the values of a foreign column say of moments, and the expression that makes timestamps of them."""

from __future__ import annotations

import json
import keyword
from collections import Counter
from contextlib import suppress
from datetime import datetime
from typing import Any

from envs.expression_grammar import CONSTANTS
from envs.values import timestamp

WRITTEN, ZONELESS, UNCLEAR = "written", "zoneless", "unclear"
EARLIEST, LATEST = 1e8, 1e11
"""Seconds since 1970 that are taken for a moment: from 1973 on, and no milliseconds."""
UNITS = {"seconds": "", "milliseconds": " / 1000", "microseconds": " / 1000000", "nanoseconds": " / 1000000000"}


def form_of(value: Any) -> str:
    """How a value says a moment: written with a zone, zoneless, a number of one of :data:`UNITS`, or unclear."""
    if isinstance(value, (str, datetime)):
        for form, text in ((WRITTEN, str(value)), (ZONELESS, f"{value}Z")):
            with suppress(ValueError):
                timestamp(text)
                return form
    elif isinstance(value, (int, float)):
        for place, unit in enumerate(UNITS):
            if EARLIEST <= value / 1000**place < LATEST:
                return unit
    return UNCLEAR


def moment_source(name: str, forms: Counter[str]) -> str:
    """What a mapping says of a column to make timestamps of it: its name, or an expression.

    Args:
        name: of the column.
        forms: how often its values had each form; single unclear ones are bad rows.

    Returns:
        The right side of ``timestamp = ...``; empty where it cannot be told.
    """
    found = {form for form in forms if form != UNCLEAR}
    if found <= {WRITTEN} and (found or not forms):
        return name
    words = name.split(".")
    plain = all(word.isidentifier() and not keyword.iskeyword(word) for word in words) and name not in CONSTANTS
    field = name if plain else f"field({json.dumps(name, ensure_ascii=False)})"
    if found and found <= {WRITTEN, ZONELESS}:
        return f"= utc({field})"
    return f"= {field}{UNITS[min(found)]}" if len(found) == 1 else ""
