"""The journal's file: its tables, how it is opened, and how an older one becomes a present one."""

from __future__ import annotations

import os
import sqlite3
import time
import zlib
from pathlib import Path

from envs.errors import JournalError
from envs.journal.errors import DamagedContentError
from envs.journal.rows import PLACED
from envs.journal.segments import has_segments, make_rows, next_segment
from envs.storage import make_directory, synchronise_directory

SCHEMA_VERSION = 5
READABLE = 3  # the oldest that is read as it is
SEGMENTS_READABLE = 4  # the oldest whose segments are: their keys were others before
APPLICATION_ID = 0x52545231  # "RTR1"
NOTE = "kind TEXT NOT NULL, agent TEXT NOT NULL, checksum INTEGER NOT NULL, content TEXT NOT NULL"
SEGMENT = (
    "last INTEGER NOT NULL, agent TEXT NOT NULL, run INTEGER NOT NULL, number INTEGER NOT NULL,"
    " checksum INTEGER NOT NULL, content BLOB NOT NULL"
)


def _mirrored(table: str, row: str, key: str, columns: str) -> str:
    """A table that is there twice, on pages of its own: one damaged page must not take all that it holds."""
    content = f"({key} INTEGER PRIMARY KEY, {columns})"
    return f"""
CREATE TABLE IF NOT EXISTS {table} {content};
CREATE TABLE IF NOT EXISTS {table}_mirror {content};
CREATE TRIGGER IF NOT EXISTS {row}_written AFTER INSERT ON {table} BEGIN
    INSERT INTO {table}_mirror SELECT * FROM {table} WHERE {key} = NEW.{key};
END;
CREATE TRIGGER IF NOT EXISTS {row}_removed AFTER DELETE ON {table} BEGIN
    DELETE FROM {table}_mirror WHERE {key} = OLD.{key};
END;
"""


SCHEMA = f"""
CREATE TABLE IF NOT EXISTS events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE,
    decision_id TEXT,
    agent TEXT NOT NULL,
    tenant TEXT NOT NULL,
    episode_id TEXT NOT NULL,
    step INTEGER NOT NULL,
    shadow INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    content TEXT NOT NULL
);
-- Most decisions are an episode by themselves: their event_id says where they are, and no second index need. What
-- the two kinds must not contradict in each other is looked up before an insert, see envs/journal/places.py: a
-- trigger would take half of an insert's time.
CREATE UNIQUE INDEX IF NOT EXISTS places ON events (agent, episode_id, step) WHERE {PLACED};
CREATE INDEX IF NOT EXISTS events_of_agent ON events (agent, sequence);
CREATE INDEX IF NOT EXISTS outcomes ON events (decision_id) WHERE decision_id IS NOT NULL;
-- What is known beside the events, in the same order: exclusions, what was sealed, what was forgotten.
{_mirrored("notes", "note", "sequence", NOTE)}
-- Hashes of the events, steps and episodes that left for the table: the same must not be recorded again.
CREATE TABLE IF NOT EXISTS sealed_keys (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
-- Decisions that were imported by the thousand, each row a range of positions; see envs/journal/segments.py.
{_mirrored("segments", "segment", "first", SEGMENT)}
CREATE UNIQUE INDEX IF NOT EXISTS segments_of_run ON segments (run, number);
CREATE INDEX IF NOT EXISTS segments_of_agent ON segments (agent, first, last);
CREATE TABLE IF NOT EXISTS segment_keys (
    run INTEGER NOT NULL,
    low INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (run, low)
);
"""
OUTDATED = """
DROP INDEX IF EXISTS steps;
DROP TRIGGER IF EXISTS one_tenant_an_episode;
"""
FROM_VERSION_1 = """
INSERT INTO events SELECT sequence, event_id, NULL, agent, tenant, episode_id, step, shadow, crc32(content), content
    FROM records ORDER BY sequence;
DROP TABLE records;
"""


def open_journal(path: Path, timeout: float) -> sqlite3.Connection:
    """A connection to the journal at ``path``, which is created where it is absent.

    What may only be read, in a home of someone else's or on a read-only disk, is opened for reading.

    Raises:
        JournalError: it is no journal, or of a later version.
        DamagedContentError: its mending was killed half-way.
        sqlite3.Error, OSError: it cannot be opened or written.
    """
    if replacing(path).exists():
        raise DamagedContentError("it is about to be replaced")
    existed = path.exists()
    make_directory(path.parent)
    writable = not existed or all(os.access(item, os.W_OK) for item in (path, path.parent))
    name = str(path) if writable else _reading(path)
    connection = sqlite3.connect(name, uri=not writable, timeout=timeout, isolation_level=None, check_same_thread=False)
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        tables = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
        if version > SCHEMA_VERSION:
            problem = f"has the format {version}, known is {SCHEMA_VERSION}"
            raise JournalError(problem, where=str(path), remedy="upgrade retrainer")
        if tables and application not in (0, APPLICATION_ID):
            raise JournalError("is not a retrainer journal", where=str(path), remedy="move it away")
        connection.execute("PRAGMA cell_size_check = ON")
        if not writable:
            connection.execute("PRAGMA query_only = ON")
            if tables and (version < READABLE or (version < SEGMENTS_READABLE and has_segments(connection))):
                problem = f"has the format {version}, which can only be read once it was written by this version"
                raise JournalError(problem, where=str(path), remedy="open it where it may be written")
            return connection
        _write_ahead(connection, timeout)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 4000")
        connection.execute("PRAGMA cache_size = -16000")  # kB: the pages of a large transaction, written once
        connection.execute("PRAGMA secure_delete = ON")  # what left or was forgotten must not stay on free pages
        if version < SCHEMA_VERSION:
            _create(connection)
        if not existed:
            synchronise_directory(path.parent)
        # From here on the journal waits for others itself: SQLite sleeps for up to 0.1 s between two attempts.
        connection.execute("PRAGMA busy_timeout = 0")
    except BaseException:
        connection.close()
        raise
    return connection


def replacing(path: Path) -> Path:
    """What a journal that does not open is being replaced with; there only for that moment."""
    return path.with_name(f"{path.name}-replacing")


def _create(connection: sqlite3.Connection) -> None:
    # Two processes may be here at once: what the first has done the second finds.
    connection.create_function("crc32", 1, lambda text: zlib.crc32(text.encode()), deterministic=True)
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version < SCHEMA_VERSION:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            script = OUTDATED + SCHEMA + (FROM_VERSION_1 if "records" in tables else "")
            for statement in _statements(script):
                connection.execute(statement)
            if version < SEGMENTS_READABLE:
                while (segment := next_segment(connection, 0)) is not None:
                    make_rows(connection, segment)
                connection.execute("DELETE FROM segment_keys")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _statements(script: str) -> list[str]:
    """A script's statements: ``executescript`` would end the transaction that they belong to."""
    out, pending = [], ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            out.append(pending)
            pending = ""
    return out


def _reading(path: Path) -> str:
    # Without a write-ahead log nobody writes; then no shared memory is needed, which could not be made here.
    alone = "" if Path(f"{path}-wal").exists() else "&immutable=1"
    return f"{path.absolute().as_uri()}?mode=ro{alone}"


def _write_ahead(connection: sqlite3.Connection, timeout: float) -> None:
    # The change of mode does not wait for a lock as other statements do.
    deadline = time.monotonic() + timeout
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
