"""Where the episodes of a modelled environment start: the option that its forms share."""

from __future__ import annotations

from typing import Any

from envs.errors import DataError

STARTS = ("first", "any")


def from_any(options: dict[str, Any] | None) -> bool:
    """Whether the options of a reset ask for starts in any logged state instead of logged first ones.

    Raises:
        DataError: ``starts`` is neither ``first`` nor ``any``.
    """
    starts = (options or {}).get("starts", "first")
    if starts not in STARTS:
        raise DataError(f"starts is {starts!r}", where="options of reset", remedy=f"use one of {', '.join(STARTS)}")
    return bool(starts == "any")
