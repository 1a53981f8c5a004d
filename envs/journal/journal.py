"""The decision journal: an append-only SQLite file that many processes write and read at once.

``synchronous=FULL`` in write-ahead mode: what :meth:`Journal.append` has returned for survives a
power loss, though not the loss of the disk. Threads that append at the same moment share one
transaction; processes wait for each other. Where events were sealed into a table, reading goes
through both as one log.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from envs.errors import DuplicateRecordError, RecordError
from envs.journal.conflicts import Conflict, find_conflicts
from envs.journal.ended import with_end
from envs.journal.errors import locked
from envs.journal.file import JournalFile
from envs.journal.keys import text_keys
from envs.journal.places import may_clash
from envs.journal.queue import CommitQueue, Request
from envs.journal.reading import LogReader
from envs.journal.rows import COLUMNS, Event, JournalRow, rows_of
from envs.journal.sealed import SealedState, known_keys, sealed_state, table_reader
from envs.journal.segments import has_segments, make_rows_met, segments_with
from envs.record import DecisionRecord, trusted

# Rows of one statement. While it runs the interpreter is free for others; each time it ends they wait a moment.
CHUNKS = tuple(1 << power for power in range(11, -1, -1))


@dataclass(frozen=True, slots=True)
class AppendResult:
    """How many records were new, and how many the journal already had with the same content."""

    added: int
    duplicates: int


class Journal:
    """The journal at ``path``. Safe for threads, processes and forks; opened by its first use.

    A file that is found damaged is mended by itself: what can be read of it goes into a new one, the
    damaged one is kept beside it, and a warning says what was lost.

    Args:
        path: the SQLite file; created by the first append.
        timeout: seconds to wait for other writers.

    Raises:
        JournalError: the file is no journal, of a later version, or cannot be read or written:
            ``JournalLockedError``, ``JournalFullError`` or ``JournalDamagedError`` where it is that.
    """

    def __init__(self, path: str | Path, timeout: float = 5.0) -> None:
        self.path = Path(path)
        self.timeout = timeout
        self.file = JournalFile(self.path, timeout)
        self._queue = CommitQueue(self._write_group)

    def open(self) -> None:
        """Open the file, creating it where it is absent; every other use does this by itself."""
        self.file.run(lambda _: None, create=True)

    def append(
        self,
        events: Iterable[Event | JournalRow],
        *,
        hashes: Sequence[str] | None = None,
        deadline: float | None = None,
    ) -> AppendResult:
        """Write all the records and outcomes or none, in one transaction; durable when it returns.

        Args:
            events: the records and outcomes, or the rows that were made of them.
            hashes: their content hashes, where they are known already.
            deadline: until when to wait for other writers (monotonic clock); ``timeout`` seconds by default.

        Raises:
            DuplicateRecordError: an ``event_id`` or a step of an episode is there with other content, or an
                outcome contradicts what was recorded.
            RecordError: an episode is of two tenants.
        """
        # Serialised before the transaction begins, so that other writers wait only for the disk.
        rows = rows_of(events)
        if not rows:
            return AppendResult(0, 0)
        request = Request(rows, hashes)
        until = time.monotonic() + self.timeout if deadline is None else deadline
        try:
            written = self._queue.submit(request, self.file.lock, until)
        except DuplicateRecordError as error:
            raise with_end(self, next(row for row in rows if row.event_id == error.event_id), error) from None
        if not written:
            raise locked(self.path, self.timeout)
        return AppendResult(request.added, len(rows) - request.added)

    def conflicts(
        self, events: Iterable[Event], *, hashes: Sequence[str] | None = None
    ) -> tuple[AppendResult, list[Conflict]]:
        """What :meth:`append` would do and what it would refuse, without writing anything."""
        rows = rows_of(events)
        found = self.file.run(lambda connection: find_conflicts(connection, rows, hashes))
        duplicates = len(rows) - len(found.fresh) - len(found.conflicts)
        return AppendResult(len(found.fresh), duplicates), found.conflicts

    def read(self, agent: str, *, after: int = 0) -> Iterator[tuple[int, DecisionRecord]]:
        """The agent's decisions with their positions, in order, from above ``after``, outcomes joined."""
        return iter(LogReader(self, agent, after=after))

    def find(self, event_id: str) -> DecisionRecord | None:
        """The record of a decision as it was written, or ``None``."""
        select = "SELECT content FROM events WHERE event_id = ? AND decision_id IS NULL"

        def kept(connection: sqlite3.Connection) -> list[str]:
            rows = connection.execute(select, (event_id,)).fetchall()
            if rows or not has_segments(connection):
                return [content for (content,) in rows]
            segments = segments_with(connection, text_keys([event_id]))
            return [row.content for one in segments for _, row in one.rows() if row.event_id == event_id]

        found = self.file.run(kept)
        if found:
            return trusted(found[0])
        sealed = self.sealed()
        return table_reader().find(self.path, sealed, event_id) if sealed.through else None

    def counts(self) -> dict[str, int]:
        """Number of decisions of each agent."""
        packed = "SELECT agent, SUM(last - first + 1) FROM segments WHERE last > ? GROUP BY agent"
        return self._counts("decision_id IS NULL", lambda state: state.decisions, packed)

    def outcome_counts(self) -> dict[str, int]:
        """Number of outcomes of each agent that were recorded apart from their decisions."""
        return self._counts("decision_id IS NOT NULL", lambda state: state.outcomes)

    def last_sequence(self, agent: str) -> int:
        """Position of the last that happened to the agent's log; 0 where there is nothing."""
        return self.reach(agent)[0]

    def reach(self, agent: str) -> tuple[int, SealedState]:
        """:meth:`last_sequence` and :meth:`sealed` of one moment."""

        def last(connection: sqlite3.Connection) -> tuple[int, SealedState]:
            events = connection.execute("SELECT MAX(sequence) FROM events WHERE agent = ?", (agent,)).fetchone()[0]
            notes = connection.execute("SELECT MAX(sequence) FROM notes WHERE agent IN (?, '')", (agent,)).fetchone()[0]
            packed = connection.execute("SELECT MAX(last) FROM segments WHERE agent = ?", (agent,)).fetchone()[0]
            state = sealed_state(connection)
            return max(events or 0, packed or 0, notes or 0, state.last.get(agent, 0)), state

        return self.file.run(last)

    def has_events_above(self, position: int, agent: str) -> bool:
        """Whether decisions or outcomes of an agent were recorded behind a position."""

        def last(connection: sqlite3.Connection) -> int:
            found = [sealed_state(connection).last.get(agent, 0)]
            for select in ("MAX(sequence) FROM events", "MAX(last) FROM segments"):
                found.append(connection.execute(f"SELECT {select} WHERE agent = ?", (agent,)).fetchone()[0] or 0)
            return max(found)

        return self.file.run(last) > position

    def sealed(self) -> SealedState:
        """What has left for the table."""
        return self.file.run(sealed_state)

    def unsealed(self) -> int:
        """How many positions the journal is ahead of the table."""

        def ahead(connection: sqlite3.Connection) -> int:
            ends = ("SELECT MAX(sequence) FROM events", "SELECT MAX(last) FROM segments")
            last = max(connection.execute(select).fetchone()[0] or 0 for select in ends)
            return max(last - sealed_state(connection).through, 0)

        return self.file.run(ahead)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self.file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write_group(self, group: list[Request], deadline: float) -> None:
        def write(connection: sqlite3.Connection) -> None:
            for request in group:
                _write_request(connection, request)

        self.file.run(write, write=True, deadline=deadline)

    def _counts(
        self, condition: str, sealed: Callable[[SealedState], dict[str, int]], packed: str = ""
    ) -> dict[str, int]:
        def count(connection: sqlite3.Connection) -> dict[str, int]:
            state = sealed_state(connection)
            found = Counter(sealed(state))
            select = f"SELECT agent, COUNT(*) FROM events WHERE {condition} AND sequence > ? GROUP BY agent"
            found.update(dict(connection.execute(select, (state.through,)).fetchall()))
            found.update(dict(connection.execute(packed, (state.through,)).fetchall()) if packed else {})
            return dict(sorted(found.items()))

        return self.file.run(count)


def _write_request(connection: sqlite3.Connection, request: Request) -> None:
    """Within a transaction: all rows of a request, or none and the error that refused them."""
    request.added, request.error = 0, None
    make_rows_met(connection, request.rows)
    several = len(request.rows) > 1  # one row is one statement, which the file takes or refuses as a whole
    if several:
        connection.execute("SAVEPOINT request")
    try:
        request.added = _insert_new(connection, request.rows, request.hashes)
    except RecordError as error:
        if several:
            connection.execute("ROLLBACK TO request")
        request.error = error
    if several:
        connection.execute("RELEASE request")


def _insert_new(connection: sqlite3.Connection, rows: Sequence[JournalRow], hashes: Sequence[str] | None) -> int:
    # The file itself refuses most of what contradicts it. Only then, and for outcomes and what was sealed, is it
    # worth the time to find out what each row meets.
    decisions = all(row.decision_id is None for row in rows)
    if decisions and not known_keys(connection, rows) and not may_clash(connection, rows):
        try:
            _insert(connection, rows)
            return len(rows)
        except sqlite3.IntegrityError:
            if len(rows) > 1:
                connection.execute("ROLLBACK TO request")
    found = find_conflicts(connection, rows, hashes)
    if found.conflicts:
        first = found.conflicts[0]
        refused = rows[first.position]
        raise first.error.of(refused.agent, refused.event_id)
    _insert(connection, [rows[position] for position in found.fresh])
    return len(found.fresh)


def _insert(connection: sqlite3.Connection, rows: Sequence[JournalRow]) -> None:
    start = 0
    for size in CHUNKS:
        while len(rows) - start >= size:
            connection.execute(_STATEMENTS[size], list(chain.from_iterable(rows[start : start + size])))
            start += size


_ROW = f"({', '.join('?' * len(COLUMNS))})"
_STATEMENTS = {size: f"INSERT INTO events ({', '.join(COLUMNS)}) VALUES {', '.join([_ROW] * size)}" for size in CHUNKS}
