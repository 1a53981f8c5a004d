"""One process's hold on a journal's file: opened when it is used, waited for, mended, given up after a fork."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
import warnings
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import TypeVar

from envs.errors import RetrainerWarning
from envs.journal.errors import DamagedContentError, explained, is_busy, is_damage, is_read_only
from envs.journal.guard import FolderBusyError, FolderGuard
from envs.journal.schema import SCHEMA, open_journal

SHORTEST_PAUSE, LONGEST_PAUSE = 0.0002, 0.004  # seconds between two looks at a journal that another process writes
Result = TypeVar("Result")


class _ReplacedError(Exception):
    """The file was mended or restored while its lock was waited for."""


class JournalFile:
    """The file at ``path``, safe for threads, processes and forks.

    Args:
        path: the SQLite file.
        timeout: seconds to wait for other processes.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        self.path = path
        self.timeout = timeout
        self._name = str(path)  # a path's own stat takes its time
        self.reset()
        _OPEN.add(self)

    def reset(self) -> None:
        """Begin anew, without touching the connection that was there."""
        self.lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, ...] | None = None
        self._reading = self._alone = False
        self._guard = FolderGuard(self.path.parent)

    def run(
        self,
        function: Callable[[sqlite3.Connection], Result],
        *,
        create: bool = False,
        write: bool = False,
        deadline: float | None = None,
    ) -> Result:
        """Call ``function`` with the connection, waiting for other writers, and mending a damaged file once.

        Args:
            function: what to do, within one transaction; called again where another process was in the way.
            create: make the file where it is absent; else an empty journal answers.
            write: commit what it does.
            deadline: until when to wait (monotonic clock); ``timeout`` seconds from now by default.

        Raises:
            JournalError: the file cannot be used; says why.
        """
        until = time.monotonic() + self.timeout if deadline is None else deadline
        pause, mended, opened_again = SHORTEST_PAUSE, False, False
        with self.lock:
            while True:
                try:
                    if not (create or write) and self._connection is None and not self.path.exists():
                        return _on_nothing(function)
                    return self._run(function, write, until)
                except _ReplacedError:
                    self.close()
                except (sqlite3.Error, OSError, DamagedContentError, FolderBusyError) as error:
                    if is_damage(error):
                        self.close()
                        if mended or not self._mend(error):
                            raise explained(error, self.path, self.timeout) from error
                        mended = True
                    elif is_read_only(error) and not opened_again:  # it may be writable by now
                        self.close()
                        opened_again = True
                    elif not is_busy(error) or time.monotonic() >= until:
                        raise explained(error, self.path, self.timeout) from error
                    else:
                        time.sleep(pause * random.uniform(0.5, 1.5))
                        pause = min(2 * pause, LONGEST_PAUSE)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self.lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            self._guard.close()

    def _run(self, function: Callable[[sqlite3.Connection], Result], write: bool, until: float) -> Result:
        connection = self._opened()
        with self._guard.turn(until) if write else nullcontext():
            connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            try:
                if write and self._present() != self._identity:
                    raise _ReplacedError
                result = function(connection)
                connection.execute("COMMIT")
                if self._alone and self._present() != self._identity:  # somebody wrote where nobody was to be
                    raise _ReplacedError
                return result
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _opened(self) -> sqlite3.Connection:
        if self._connection is not None and self._present() != self._identity:
            self.close()
        if self._connection is None:
            alone = not Path(f"{self.path}-wal").exists()
            self._connection = open_journal(self.path, self.timeout)
            reading = bool(self._connection.execute("PRAGMA query_only").fetchone()[0])
            self._reading, self._alone = reading, reading and alone
            self._identity = self._present()
        return self._connection

    def _present(self) -> tuple[int, ...] | None:
        """Which file it is; where it may only be read, in which state: SQLite takes it for unchanging then."""
        return _identity(self._name, state=self._reading)

    def _mend(self, error: Exception) -> bool:
        """Put what can be read of a damaged file into a new one; ``False`` where nothing can be done."""
        report = import_module("envs.journal.salvage").mend(self.path, self.timeout)
        if report is None:
            return False
        warnings.warn(f"{self.path} was damaged ({error}): {report}", RetrainerWarning, stacklevel=5)
        return True


def _on_nothing(function: Callable[[sqlite3.Connection], Result]) -> Result:
    """What an empty journal answers: reading must not create a file."""
    empty = sqlite3.connect(":memory:", isolation_level=None)
    try:
        empty.executescript(SCHEMA)
        return function(empty)
    finally:
        empty.close()


def _identity(path: str, *, state: bool) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    if not state:
        return found.st_dev, found.st_ino
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, Path(f"{path}-wal").exists()


_OPEN: weakref.WeakSet[JournalFile] = weakref.WeakSet()
# A connection must not be used, nor even closed, by a child of the process that opened it.
_INHERITED: list[sqlite3.Connection | None] = []
_FORKING = threading.local()


def _wait_before_fork() -> None:
    # SQLite has locks of its own. A child of a fork in the middle of another thread's call would wait for them forever.
    _FORKING.held = []  # first: what comes next may fail, and the fork goes on
    for file in list(_OPEN):
        lock = file.lock
        if lock.acquire(timeout=file.timeout):
            _FORKING.held.append(lock)


def _go_on_after_fork() -> None:
    for lock in _FORKING.held:
        lock.release()
    _FORKING.held = []


def _forget_after_fork() -> None:
    _FORKING.held = []
    for file in list(_OPEN):
        _INHERITED.append(file._connection)
        file._guard.close()  # or the child would keep the lock of a parent that is killed
        file.reset()


_register: Callable[..., None] | None = getattr(os, "register_at_fork", None)
if _register is not None:
    _register(before=_wait_before_fork, after_in_parent=_go_on_after_fork, after_in_child=_forget_after_fork)
