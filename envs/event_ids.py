"""New names for decisions that come without one."""

from __future__ import annotations

import os
from collections.abc import Callable

DRAWN_AT_ONCE = 256
"""Each call to the system lets other threads run, and a call that records waits until they let go again."""
LENGTH = 16

_waiting: list[str] = []


def new_event_id() -> str:
    """32 hexadecimal digits from the system's generator; no two threads or forks get the same."""
    try:
        return _waiting.pop()
    except IndexError:
        drawn = os.urandom(LENGTH * DRAWN_AT_ONCE).hex()
        first, *others = (drawn[start : start + 2 * LENGTH] for start in range(0, len(drawn), 2 * LENGTH))
        _waiting.extend(others)
        return first


_register: Callable[..., None] | None = getattr(os, "register_at_fork", None)
if _register is not None:
    _register(after_in_child=_waiting.clear)
