"""New names for decisions that come without one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from random import Random

# Names are to be unique, not secret: to draw from the system takes longer, and lets other threads run first.
_drawn = Random()


def new_event_id() -> str:
    """32 hexadecimal digits: the milliseconds since the epoch, then 80 random bits.

    No two threads or forks get the same. Names of one moment stand together in the journal's indices: with names
    all over them, each record touches a page of its own, and more so the longer the journal.
    """
    return (time.time_ns() // 1_000_000 << 80 | _drawn.getrandbits(80)).to_bytes(16).hex()


_register: Callable[..., None] | None = getattr(os, "register_at_fork", None)
if _register is not None:
    _register(after_in_child=_drawn.seed)  # from the system's generator
