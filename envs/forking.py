"""What a child process forgets: locks that other threads of its parent held at the fork, and what they guarded."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Protocol


class Resettable(Protocol):
    """What can begin anew."""

    def reset(self) -> None:
        """Take new locks; the threads that held the old ones are not in the child."""


def reset_after_fork(item: Resettable) -> None:
    """Have ``item.reset()`` called in every child that is forked as long as the item lives."""
    _ITEMS.add(item)


_ITEMS: weakref.WeakSet[Resettable] = weakref.WeakSet()


def _reset_all() -> None:
    for item in list(_ITEMS):
        item.reset()


_register: Callable[..., None] | None = getattr(os, "register_at_fork", None)
if _register is not None:
    _register(after_in_child=_reset_all)
