"""Rows hold no cycles, and there are many of them: looking for some after each few took a third of the time."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

COLLECTED = 200_000  # new objects between two looks for garbage


@contextmanager
def rare_collection() -> Iterator[None]:
    """Meanwhile garbage is looked for seldom."""
    thresholds = gc.get_threshold()
    if gc.isenabled():
        gc.set_threshold(max(thresholds[0], COLLECTED), *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
