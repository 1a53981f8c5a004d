"""The writing end of a pipeline: straight to the disk, or through a buffer that a thread empties."""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

from envs.errors import RecordError, RetrainerError
from envs.journal import AppendResult, Journal
from envs.record import DecisionRecord

INTERVAL = 0.2
CAPACITY = 10_000


class JournalWriter:
    """Appends records to a journal.

    With ``buffered`` a record waits in memory for at most :data:`INTERVAL` seconds (a crash loses
    it; :meth:`flush` does not return before it is durable). What cannot be written for a while (a
    full disk) stays in the buffer; what the journal refuses is reported by the next flush.

    Args:
        path: the journal's file.
        buffered: whether records may wait.
    """

    def __init__(self, path: Path, *, buffered: bool) -> None:
        self.journal = Journal(path)
        self.buffered = buffered
        self._reset()
        _WRITERS.add(self)

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._draining = threading.RLock()
        self._pending: list[DecisionRecord] = []
        self._failures: list[RetrainerError] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def write(self, record: DecisionRecord) -> None:
        """Append one record, or put it into the buffer; waits while the buffer is full."""
        if not self.buffered:
            self.journal.append([record])
            return
        with self._lock:
            self._pending.append(record)
            full = len(self._pending) >= CAPACITY
            self._start()
        if full:
            self._drain()

    def write_many(self, records: Sequence[DecisionRecord]) -> AppendResult:
        """Append records in one transaction, all or none, after those that wait."""
        self.flush()
        return self.journal.append(records)

    def flush(self) -> None:
        """Return when every record written so far is durable.

        Raises:
            RetrainerError: a record was refused or the journal cannot be written; the first one's error.
        """
        self._drain()
        with self._lock:
            failures, self._failures = self._failures, []
        if failures:
            first, more = failures[0], len(failures) - 1
            if more:
                first.args = (f"{first}; and {more} more records were refused",)
            raise first

    def close(self) -> None:
        """Flush, stop the thread and close the journal. The next write opens it again."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        try:
            self.flush()
        finally:
            self.journal.close()

    def _start(self) -> None:
        if self._thread is None:
            self._stop = threading.Event()
            self._thread = threading.Thread(target=self._run, args=(self._stop,), name="retrainer-journal", daemon=True)
            self._thread.start()
            _at_end_of_child(self)

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(INTERVAL):
            try:
                self._drain()
            except RetrainerError:
                continue  # what waits stays, and flush() says why it does

    def _drain(self) -> None:
        with self._draining:
            with self._lock:
                batch = list(self._pending)
            if not batch:
                return
            try:
                self.journal.append(batch)
            except RecordError:
                # One refused record must not take the others with it.
                for record in batch:
                    self._drain_one(record)
            else:
                with self._lock:
                    del self._pending[: len(batch)]

    def _drain_one(self, record: DecisionRecord) -> None:
        refused: list[RetrainerError] = []
        try:
            self.journal.append([record])
        except RecordError as error:
            refused.append(error)
        with self._lock:
            self._failures += refused
            del self._pending[0]


_WRITERS: weakref.WeakSet[JournalWriter] = weakref.WeakSet()


def _forget_after_fork() -> None:
    # The parent writes what waited in it; the child begins with an empty buffer and no thread.
    for writer in list(_WRITERS):
        writer._reset()


def _at_end_of_child(writer: JournalWriter) -> None:
    """Children of ``multiprocessing`` end without the interpreter's exit handlers."""
    utilities = sys.modules.get("multiprocessing.util")
    process = sys.modules.get("multiprocessing.process")
    if utilities is not None and process is not None and process.parent_process() is not None:
        reference = weakref.ref(writer)

        def finish() -> None:
            alive = reference()
            if alive is not None:
                alive.close()

        utilities.Finalize(None, finish, exitpriority=100)


_register: Callable[..., None] | None = getattr(os, "register_at_fork", None)
if _register is not None:
    _register(after_in_child=_forget_after_fork)
