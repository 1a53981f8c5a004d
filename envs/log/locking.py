"""One process at a time moves, rewrites or removes what was sealed."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from envs.errors import BusyError

LOCK = ".sealing.lock"


@contextmanager
def sealing_lock(data: Path, *, wait: float = 0.0) -> Iterator[None]:
    """Hold a home's lock of the table; the system releases it when the process ends, however it ends.

    Args:
        data: the home's ``data`` folder.
        wait: seconds to wait for another process.

    Raises:
        BusyError: another process seals, compacts or forgets.
    """
    descriptor = os.open(data / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + wait
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    problem = "another process is sealing, compacting or forgetting"
                    raise BusyError(problem, where=str(data), remedy="wait until it is done") from None
                time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)
