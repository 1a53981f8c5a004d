"""New names for decisions that come without one."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Iterator
from itertools import repeat

DRAWN_AT_ONCE = 256
"""Each call to the system lets other threads run, and a call that records waits until they let go again: of a hundred
calls less than one is to."""
MOMENT, RANDOM = 6, 10  # bytes

_waiting: Iterator[tuple[str, tuple[bytes]]] = iter(())


def new_event_id() -> str:
    """32 hexadecimal digits: the milliseconds since the epoch, then 80 random bits of the system's generator.

    No two threads or forks get the same. Names that were drawn together stand together in the journal's indices:
    with names all over them, each record touches a page of its own, and more so the longer the journal.
    """
    global _waiting
    drawn = next(_waiting, None)
    if drawn is None:
        moment = (time.time_ns() // 1_000_000).to_bytes(MOMENT, "big").hex()
        random = struct.iter_unpack(f"{RANDOM}s", os.urandom(RANDOM * DRAWN_AT_ONCE))
        fresh = zip(repeat(moment), random)
        drawn = next(fresh)
        _waiting = fresh
    return drawn[0] + drawn[1][0].hex()


def _forget_after_fork() -> None:
    global _waiting
    _waiting = iter(())


_register: Callable[..., None] | None = getattr(os, "register_at_fork", None)
if _register is not None:
    _register(after_in_child=_forget_after_fork)
