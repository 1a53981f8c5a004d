"""Who may write to the files of a folder: many at once, or, to mend one, a single process.

SQLite's own locks cannot be held over a change of the file they belong to. A lock of the folder can;
the system releases it when the process ends, however it ends.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # pragma: no cover - a platform without file locks
    fcntl = None  # type: ignore[assignment]


class FolderBusyError(Exception):
    """Another process has the folder for itself."""


class FolderGuard:
    """A process's hold on a folder; one transaction at a time.

    Args:
        folder: the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor: int | None = None

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Write beside others.

        Raises:
            FolderBusyError: somebody mends.
        """
        if fcntl is None:  # pragma: no cover
            yield
            return
        if self._descriptor is None:
            self._descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderBusyError from None
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


@contextmanager
def alone_in(folder: Path, timeout: float) -> Iterator[bool]:
    """Have the folder to oneself; ``False`` where others did not leave within ``timeout`` seconds."""
    if fcntl is None:  # pragma: no cover
        yield True
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(0.005)
                    continue
                yield False
                return
            yield True
            return
    finally:
        os.close(descriptor)
