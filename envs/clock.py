"""The present time as records write it."""

from __future__ import annotations

from datetime import UTC, datetime
from time import time_ns
from typing import Any

# To write a whole date takes a tenth of what it takes to record a decision, and many decisions share a second.
_second: tuple[int, str] = (-1, "")
"""The last one's seconds since the epoch, and its text: ``2026-01-31T09:30:00``."""
_last: str | None = None  # an empty text would be the very one that others write
WHOLE = ".000000Z"
DAY = 86_400.0
LAST_SECOND = 253_402_300_799  # of the year 9999: no later moment can be written


def present() -> str:
    """The present moment as RFC 3339 text in UTC, such as ``2026-01-31T09:30:00.123456Z``."""
    global _last, _second
    seconds, nanoseconds = divmod(time_ns(), 1_000_000_000)
    known, second = _second
    if seconds != known:
        second = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()
        _second = (seconds, second)
    end = f".{nanoseconds // 1000:06d}Z"
    text = _last = second + end if end != WHOLE else second + "Z"
    return text


def written(seconds: float) -> str:
    """A moment in seconds since the epoch as RFC 3339 text in UTC, to the second: ``2026-01-31T09:30:00Z``."""
    return f"{datetime.fromtimestamp(min(seconds, LAST_SECOND), UTC):%Y-%m-%dT%H:%M:%SZ}"


def mistimed(seconds: Any, now: float) -> Any:
    """Whether no clock that somebody looks after says such a time: before 1970, or more than a day after now.

    Args:
        seconds: since the epoch, a float or an array of them; NaN, where there is none, is not.
        now: the present, in seconds since the epoch.
    """
    return (seconds < 0.0) | (seconds > now + DAY)


def is_last_present(text: str) -> bool:
    """Whether a text is the very one that :func:`present` gave last, which nobody needs to read again."""
    return text is _last
