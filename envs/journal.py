"""The decision journal: an append-only SQLite file that many processes write and read at once.

``synchronous=FULL`` in write-ahead mode: what :meth:`Journal.append` has returned for survives a
power loss, though not the loss of the disk.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.errors import JournalError
from envs.journal_conflicts import Conflict, find_conflicts
from envs.record import DecisionRecord, stored_text, trusted
from envs.storage import make_directory, synchronise_directory

SCHEMA_VERSION = 1
APPLICATION_ID = 0x52545231  # "RTR1"
PAGE = 2000
SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE,
    agent TEXT NOT NULL,
    tenant TEXT NOT NULL,
    episode_id TEXT NOT NULL,
    step INTEGER NOT NULL,
    content_hash TEXT NOT NULL,
    shadow INTEGER NOT NULL,
    content TEXT NOT NULL
);
-- A shadow policy decides beside the live one, at the same step of the same episode.
CREATE UNIQUE INDEX IF NOT EXISTS steps ON records (agent, episode_id, step) WHERE shadow = 0;
CREATE INDEX IF NOT EXISTS records_of_agent ON records (agent, sequence);
"""
COLUMNS = "event_id, agent, tenant, episode_id, step, shadow, content_hash, content"
INSERT = f"INSERT INTO records ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class AppendResult:
    """How many records were new, and how many the journal already had with the same content."""

    added: int
    duplicates: int


class Journal:
    """The journal at ``path``. Safe for threads, processes and forks; opened by its first use.

    Args:
        path: the SQLite file; created by the first append.
        timeout: seconds to wait for another writer.

    Raises:
        JournalError: the file is no journal, of a later version, locked, or cannot be written.
    """

    def __init__(self, path: str | Path, timeout: float = 5.0) -> None:
        self.path = Path(path)
        self.timeout = timeout
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        _OPEN.add(self)

    def open(self) -> None:
        """Open the file, creating it where it is absent; every other use does this by itself."""
        with self._use(create=True):
            pass

    def append(self, records: Iterable[DecisionRecord], *, hashes: Sequence[str] | None = None) -> AppendResult:
        """Write all the records or none, in one transaction; durable when it returns.

        Args:
            records: the records.
            hashes: their content hashes, where they are known already.

        Raises:
            DuplicateRecordError: an ``event_id`` or a step of an episode is there with other content.
            RecordError: an episode is of two tenants.
        """
        rows = list(records)
        if not rows:
            return AppendResult(0, 0)
        # Serialised before the transaction begins, so that other writers wait only for the disk.
        digests = [row.content_hash for row in rows] if hashes is None else hashes
        contents = [stored_text(row) for row in rows]
        with self._use(create=True) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                found = find_conflicts(connection, rows, digests)
                if found.conflicts:
                    raise found.conflicts[0].error
                connection.executemany(
                    INSERT, [_columns(rows[index], digests[index], contents[index]) for index in found.fresh]
                )
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        return AppendResult(len(found.fresh), len(rows) - len(found.fresh))

    def conflicts(
        self, records: Iterable[DecisionRecord], *, hashes: Sequence[str] | None = None
    ) -> tuple[AppendResult, list[Conflict]]:
        """What :meth:`append` would do and what it would refuse, without writing anything."""
        rows = list(records)
        with self._use(create=False) as connection:
            found = find_conflicts(connection, rows, [row.content_hash for row in rows] if hashes is None else hashes)
        duplicates = len(rows) - len(found.fresh) - len(found.conflicts)
        return AppendResult(len(found.fresh), duplicates), found.conflicts

    def read(self, agent: str, *, after: int = 0) -> Iterator[tuple[int, DecisionRecord]]:
        """The agent's records with their sequence numbers, in order, from above ``after``."""
        # In pages, each its own transaction: a long reader must not keep the write-ahead log from shrinking.
        while page := self._page(agent, after):
            for sequence, content in page:
                yield sequence, trusted(content)
            after = page[-1][0]

    def find(self, event_id: str) -> DecisionRecord | None:
        """The record of an event, or ``None``."""
        rows = self._query("SELECT content FROM records WHERE event_id = ?", event_id)
        return trusted(rows[0][0]) if rows else None

    def counts(self) -> dict[str, int]:
        """Number of records of each agent."""
        return dict(self._query("SELECT agent, COUNT(*) FROM records GROUP BY agent ORDER BY agent"))

    def last_sequence(self, agent: str) -> int:
        """Sequence number of the agent's last record; 0 where there is none."""
        return int(self._query("SELECT COALESCE(MAX(sequence), 0) FROM records WHERE agent = ?", agent)[0][0])

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _page(self, agent: str, after: int) -> list[tuple[int, str]]:
        select = "SELECT sequence, content FROM records WHERE agent = ? AND sequence > ? ORDER BY sequence LIMIT ?"
        return self._query(select, agent, after, PAGE)

    def _query(self, sql: str, *arguments: Any) -> list[Any]:
        with self._use(create=False) as connection:
            return connection.execute(sql, arguments).fetchall()

    @contextmanager
    def _use(self, *, create: bool) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._connection is not None:
                    yield self._connection
                elif create or self.path.exists():
                    self._connection = self._open()
                    yield self._connection
                else:  # reading must not create a file: an empty journal answers
                    empty = sqlite3.connect(":memory:", isolation_level=None)
                    try:
                        empty.executescript(SCHEMA)
                        yield empty
                    finally:
                        empty.close()
            except (sqlite3.Error, OSError) as error:
                raise self._explained(error) from error

    def _open(self) -> sqlite3.Connection:
        existed = self.path.exists()
        make_directory(self.path.parent)
        # What may only be read, in a home of someone else's or on a read-only disk, is read.
        writable = not existed or all(os.access(path, os.W_OK) for path in (self.path, self.path.parent))
        name = str(self.path) if writable else self._reading()
        connection = sqlite3.connect(
            name, uri=not writable, timeout=self.timeout, isolation_level=None, check_same_thread=False
        )
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            tables = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
            if version > SCHEMA_VERSION:
                problem = f"has the format {version}, known is {SCHEMA_VERSION}"
                raise JournalError(problem, where=str(self.path), remedy="upgrade retrainer")
            if tables and application not in (0, APPLICATION_ID):
                raise JournalError("is not a retrainer journal", where=str(self.path), remedy="move it away")
            if not writable:
                return connection
            self._write_ahead(connection)
            connection.execute("PRAGMA synchronous = FULL")
            if version < SCHEMA_VERSION:
                # Two processes may be here at once: everything below can be said twice.
                marks = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
                connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} {marks} COMMIT;")
            if not existed:
                synchronise_directory(self.path.parent)
        except BaseException:
            connection.close()
            raise
        return connection

    def _reading(self) -> str:
        # Without a write-ahead log nobody writes; then no shared memory is needed, which could not be made here.
        alone = "" if Path(f"{self.path}-wal").exists() else "&immutable=1"
        return f"{self.path.absolute().as_uri()}?mode=ro{alone}"

    def _write_ahead(self, connection: sqlite3.Connection) -> None:
        # The change of mode does not wait for a lock as other statements do.
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def _explained(self, error: Exception) -> JournalError:
        said = getattr(error, "strerror", None) or str(error)
        text = said.splitlines()[0] if said else type(error).__name__
        remedy = "check the disk and the file's permissions"
        if "locked" in text or "busy" in text:
            text = f"is locked by another process for more than {self.timeout:g} s"
            remedy = "try again, or stop the process that holds it"
        elif "not a database" in text or "malformed" in text:
            text, remedy = f"is damaged or not a journal ({text})", "restore it from a backup"
        return JournalError(text, where=str(self.path), remedy=remedy)


def _columns(row: DecisionRecord, digest: str, content: str) -> tuple[Any, ...]:
    shadow = int(row.mode == "shadow")
    return row.event_id, row.agent, row.tenant, row.episode_id, row.step, shadow, digest, content


_OPEN: weakref.WeakSet[Journal] = weakref.WeakSet()
# A connection must not be used, nor even closed, by a child of the process that opened it.
_INHERITED: list[sqlite3.Connection | None] = []


def _forget_after_fork() -> None:
    for journal in list(_OPEN):
        _INHERITED.append(journal._connection)
        journal._connection = None
        journal._lock = threading.RLock()


_register: Callable[..., None] | None = getattr(os, "register_at_fork", None)
if _register is not None:
    _register(after_in_child=_forget_after_fork)
