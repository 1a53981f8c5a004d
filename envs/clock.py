"""The present time as records write it."""

from __future__ import annotations

from datetime import UTC, datetime
from time import time_ns

# To write a whole date takes a tenth of what it takes to record a decision, and many decisions share a second.
_second: tuple[int, str] = (-1, "")
"""The last one's seconds since the epoch, and its text: ``2026-01-31T09:30:00``."""
_last = ""
WHOLE = ".000000Z"
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


def is_last_present(text: str) -> bool:
    """Whether a text is the very one that :func:`present` gave last, which nobody needs to read again."""
    return text is _last
