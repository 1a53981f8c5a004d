"""One retraining of an agent at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from envs.errors import BusyError
from envs.home import Home


@contextmanager
def retraining_lock(home: Home, name: str) -> Iterator[None]:
    """Hold the agent's lock; the system releases it when the process ends, however it ends.

    Raises:
        BusyError: another process is retraining the agent.
    """
    home.runs_path.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(home.runs_path / f".{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip()
            raise BusyError(
                f"is being retrained by process {holder or 'unknown'}",
                where=f"agent {name}",
                remedy="wait until it is done, or stop it with `retrainer runs stop`",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)
