"""The present time as records write it."""

from __future__ import annotations

from datetime import UTC, datetime
from time import time_ns

# To write a whole date takes a tenth of what it takes to record a decision, and many decisions share a second.
_second: tuple[int, str] = (-1, "")
"""The last one's seconds since the epoch, and its text: ``2026-01-31T09:30:00``."""
WHOLE = ".000000Z"


def present() -> str:
    """The present moment as RFC 3339 text in UTC, such as ``2026-01-31T09:30:00.123456Z``."""
    global _second
    seconds, nanoseconds = divmod(time_ns(), 1_000_000_000)
    known, text = _second
    if seconds != known:
        text = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()
        _second = (seconds, text)
    end = f".{nanoseconds // 1000:06d}Z"
    return text + end if end != WHOLE else text + "Z"


def is_of_present(text: str) -> bool:
    """Whether a text is, as :func:`present` writes it, a moment in the second that was written last."""
    end = text[19:]
    digits = end[1:7]
    return (
        text[:19] == _second[1]
        and digits.isdecimal()
        and digits.isascii()
        and end == f".{digits}Z"
        and len(end) == len(WHOLE)
        and end != WHOLE
    )
