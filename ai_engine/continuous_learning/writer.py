"""The writing end of a pipeline: straight to the disk, or through a buffer that a thread empties."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from envs.counting import counted
from envs.errors import JournalError, RecordError, RetrainerError
from envs.forking import reset_after_fork
from envs.journal.errors import locked
from envs.journal.journal import AppendResult, Journal
from envs.journal.rows import COLUMNS, Event, JournalRow, row_of

INTERVAL = 0.2
TIMEOUT = 5.0
CAPACITY = 10_000
PIECE = 4_096  # rows of one transaction: others who write wait for no more; a whole number of statements
WIDTH = len(COLUMNS)


class JournalWriter:
    """Appends records and outcomes to a journal.

    With ``buffered`` an event waits in memory for at most ``interval`` seconds (a crash loses it;
    :meth:`flush` does not return before it is durable). What cannot be written for a while (a full
    disk) stays in the buffer, and once that is full a new event is refused with the reason; what the
    journal refuses is reported by the next flush.

    Args:
        path: the journal's file.
        buffered: whether events may wait.
        interval: seconds that they may wait.
        timeout: seconds to wait for other writers of the journal.
        written: told how many events were written, in the thread that wrote them.
    """

    def __init__(
        self,
        path: Path,
        *,
        buffered: bool,
        interval: float = INTERVAL,
        timeout: float = TIMEOUT,
        written: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.journal = Journal(path, timeout)
        self.buffered = buffered
        self._interval = interval
        self._written = written
        self._reset()
        reset_after_fork(self, JournalWriter._reset)

    def _reset(self) -> None:
        """Begin anew with an empty buffer and no thread: in a forked child what waited is the parent's to write."""
        self._lock = threading.RLock()
        self._draining = threading.RLock()
        # The rows' columns one after another: with a tuple a row, the garbage collector would go through the buffer in
        # one call of a hundred. Only whole rows are added and taken, in one operation of the list, which needs no lock.
        self._pending: list[Any] = []
        self._failures: list[RetrainerError] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def write(self, event: Event) -> None:
        """Append one event, or put it into the buffer.

        Raises:
            JournalError: it cannot be written, or the buffer is full of what cannot; it was not taken.
        """
        row = row_of(event)  # text from here on: what the caller does to its values later is not recorded
        if not self.buffered:
            self.journal.append([row])
            self._written(1)
            return
        if len(self._pending) >= CAPACITY * WIDTH:
            self._make_room()
        self._pending.extend(row)
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._start()

    def write_many(self, events: Sequence[Event]) -> AppendResult:
        """Append events in one transaction, all or none, after those that wait."""
        self._drain()  # what was refused of those is said by flush(): it is no fault of these
        result = self.journal.append(events)
        self._written(result.added)
        return result

    def flush(self) -> None:
        """Return when every event written so far is durable.

        Raises:
            RetrainerError: an event was refused or the journal cannot be written; the first one's error.
        """
        self._drain()
        with self._lock:
            failures, self._failures = self._failures, []
        if failures:
            first, more = failures[0], len(failures) - 1
            if more:
                refused = counted(more, "more record was refused", "more records were refused")
                first.args = (f"{first}; and {refused}",)
            raise first

    def settle(self) -> None:
        """Try to write what waits; what cannot be written stays, and :meth:`flush` says why it does."""
        with contextlib.suppress(Exception):  # whatever it is, the next try must come
            self._drain()

    def close(self) -> None:
        """Flush, stop the thread and close the journal. The next write opens it again."""
        self._end_thread()
        try:
            self.flush()
        finally:
            self.journal.close()

    def finish(self) -> None:
        """:meth:`close` at the end of the program, where nobody is left to catch an error: it says what is lost."""
        self._end_thread()
        problem: Exception | None = None
        try:
            self._drain()
        except Exception as error:
            problem = error
        lost = len(self._pending) // WIDTH + len(self._failures)
        if lost:
            why = problem if problem is not None else self._failures[0]
            line = f"error: {counted(lost, 'record was', 'records were')} lost when the pipeline ended: {why}"
            with contextlib.suppress(OSError, ValueError, AttributeError):  # a program may end without a terminal
                print(line, file=sys.stderr, flush=True)
        self._reset()
        self.journal.close()

    def _end_thread(self) -> None:
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _start(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(self._stop,), name="retrainer-journal", daemon=True)
        self._thread.start()
        _at_end_of_child(self)

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(self._interval):
            self.settle()

    def _make_room(self) -> None:
        try:
            self._drain()
        except JournalError as error:
            problem = f"{error.problem}; {len(self._pending) // WIDTH:,} records wait, and this one was not taken"
            raise type(error)(problem, where=error.where, remedy=error.remedy) from None

    def _drain(self) -> None:
        deadline = time.monotonic() + self.journal.timeout
        if not self._draining.acquire(timeout=self.journal.timeout):
            raise locked(self.journal.path, self.journal.timeout)
        try:
            waiting = len(self._pending) // WIDTH
            while waiting > 0:
                columns = self._pending[: min(PIECE, waiting) * WIDTH]
                rows = [JournalRow._make(columns[at : at + WIDTH]) for at in range(0, len(columns), WIDTH)]
                self._write(rows, deadline)
                waiting -= len(rows)
        finally:
            self._draining.release()

    def _write(self, rows: list[JournalRow], deadline: float) -> None:
        """Move rows from the head of the buffer to the journal."""
        try:
            self.journal.append(rows, deadline=deadline)
        except RecordError:
            for row in rows:  # one refused record must not take the others with it
                self._write_one(row, deadline)
        else:
            del self._pending[: len(rows) * WIDTH]
        self._written(len(rows))

    def _write_one(self, row: JournalRow, deadline: float) -> None:
        refused: list[RetrainerError] = []
        try:
            self.journal.append([row], deadline=deadline)
        except RecordError as error:
            refused.append(error)
        with self._lock:
            self._failures += refused
            del self._pending[:WIDTH]


def _at_end_of_child(writer: JournalWriter) -> None:
    """Children of ``multiprocessing`` end without the interpreter's exit handlers."""
    utilities = sys.modules.get("multiprocessing.util")
    process = sys.modules.get("multiprocessing.process")
    if utilities is not None and process is not None and process.parent_process() is not None:
        reference = weakref.ref(writer)

        def finish() -> None:
            alive = reference()
            if alive is not None:
                alive.finish()

        utilities.Finalize(None, finish, exitpriority=100)
