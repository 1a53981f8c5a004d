"""Who may write to the files of a folder: one transaction at a time.

SQLite's own locks cannot be held over a change of the file they belong to, and whoever waits for one has to ask
again and again. For a lock of the folder the system wakes those who wait as soon as it is free, also because the
process that had it ended, however it ended.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # pragma: no cover - a platform without file locks
    fcntl = None  # type: ignore[assignment]

BRIEF, PAUSE = 0.003, 0.00005  # seconds


class FolderBusyError(Exception):
    """Another process has the folder for itself."""


class FolderGuard:
    """A process's hold on a folder.

    Args:
        folder: the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor: int | None = None

    @contextmanager
    def turn(self, deadline: float) -> Iterator[None]:
        """Have the folder to oneself.

        Args:
            deadline: until when to wait (monotonic clock).

        Raises:
            FolderBusyError: others have it for longer, or cannot be waited for.
        """
        if fcntl is None:  # pragma: no cover
            yield
            return
        if self._descriptor is None:
            self._descriptor = os.open(self._folder, os.O_RDONLY)
        if not _at_once(self._descriptor) and not _Wait(self._descriptor).until(deadline):
            self._descriptor = None  # was closed, or will be
            raise FolderBusyError
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def __del__(self) -> None:
        with suppress(Exception):  # the interpreter may be half gone
            self.close()

    def close(self) -> None:
        """Give the folder up."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _at_once(descriptor: int) -> bool:
    """Whether it is free, or nearly: for what takes as long as a small transaction, a thread takes too long."""
    until = time.monotonic() + BRIEF
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(PAUSE)


class _Wait(threading.Thread):
    """The system's wait for a lock has no deadline: a thread waits, and gives back what comes too late."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(daemon=True)
        self._descriptor = descriptor
        self._came = threading.Event()
        self._settled = threading.Lock()

    def run(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        if self._settled.acquire(blocking=False):
            self._came.set()
        else:
            os.close(self._descriptor)

    def until(self, deadline: float) -> bool:
        """Whether it came in time."""
        try:
            self.start()
        except RuntimeError:  # the interpreter ends, or the system has no thread left: to be asked again
            os.close(self._descriptor)
            return False
        return self._came.wait(max(deadline - time.monotonic(), 0.0)) or not self._settled.acquire(blocking=False)


@contextmanager
def alone_in(folder: Path, timeout: float) -> Iterator[bool]:
    """Have the folder to oneself; ``False`` where others did not leave within ``timeout`` seconds."""
    try:
        with FolderGuard(folder).turn(time.monotonic() + timeout):
            yield True
    except FolderBusyError:
        yield False
