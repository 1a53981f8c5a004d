"""What a child process forgets: locks that other threads of its parent held at the fork, and what they guarded."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import TypeVar

Owner = TypeVar("Owner")


def reset_after_fork(owner: Owner, reset: Callable[[Owner], None]) -> None:
    """Have ``reset(owner)`` called in every child that is forked as long as the owner lives.

    Args:
        owner: what has locks.
        reset: takes new ones; the threads that held the old ones are not in the child. A function of the class, not
            a method of the owner, which would keep it alive.
    """
    _RESETS[owner] = reset


_RESETS: weakref.WeakKeyDictionary[object, Callable[..., None]] = weakref.WeakKeyDictionary()


def _reset_all() -> None:
    for owner, reset in list(_RESETS.items()):
        reset(owner)


_register: Callable[..., None] | None = getattr(os, "register_at_fork", None)
if _register is not None:
    _register(after_in_child=_reset_all)
