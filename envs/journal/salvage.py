"""A damaged journal mends itself: every row that is whole goes into a sound file in its place.

The damaged file is kept beside it. The new content is written over the old by SQLite's own backup, in one
transaction: other processes see the old or the new, and a crash leaves the old, to be mended again.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from envs.counting import counted
from envs.journal.guard import alone_in
from envs.journal.notes import add_note, notes_of
from envs.journal.pages import Pages
from envs.journal.rows import COLUMNS
from envs.journal.schema import APPLICATION_ID, SCHEMA, SCHEMA_VERSION, replacing
from envs.journal.sealed import KEYS_LOST
from envs.journal.sealed import KIND as SEALED
from envs.journal.segments import FIELDS, Segment
from envs.storage import synchronise_directory

UNKNOWN_TAIL = 1_000_000  # positions left free where it is not known how far the journal went
INSERT_EVENT = f"INSERT INTO events (sequence, {', '.join(COLUMNS)}) VALUES ({', '.join('?' * (len(COLUMNS) + 1))})"
# Closing a file drops every lock that this process's SQLite holds on it, so what was opened stays open.
_OPENED: list[int] = []


@dataclass(slots=True)
class Salvaged:
    """What was read off the pages.

    Attributes:
        events: values of the rows by position.
        notes: values of the notes by number.
        last: the last position given out, where the counter was found.
    """

    events: dict[int, list[Any]] = field(default_factory=dict)
    notes: dict[int, list[Any]] = field(default_factory=dict)
    last: int | None = None


def mend(path: Path, timeout: float) -> str | None:
    """Mend the journal at ``path``; what was done in words, or ``None`` where it is no journal or cannot be written.

    Raises:
        sqlite3.Error, OSError: the disk is full, or the file cannot be written.
    """
    if not all(os.access(item, os.W_OK) for item in (path, path.parent)):
        return None
    with alone_in(path.parent, timeout) as alone:
        if not alone:
            return None
        replacement = replacing(path)
        if replacement.exists():
            _put_in_place(replacement, path)
            return "a mending that was killed is finished"
        if _is_sound(path):
            return "another process has mended it"
        found = salvage(path)
        if not (found.events or found.notes or _is_ours(path)):
            return None
        kept = _kept_copy(path)
        fresh = Path(f"{path}-mending")
        try:
            lost = _build(fresh, path, found, kept.name)
            _write_over(fresh, path)
        finally:
            fresh.unlink(missing_ok=True)
    rest = f", {lost:,} could not be read" if lost else ", none is missing"
    there = counted(len(found.events), "event was kept", "events were kept")
    return f"{there}{rest}; the damaged file is {kept}"


def salvage(path: Path) -> Salvaged:
    """Every whole row of the file, whatever is wrong with the others."""
    found = Salvaged()
    through = 0
    for rowid, values in _pages(path).rows():
        if len(values) == len(COLUMNS) + 1 and values[0] is None and _is_whole(values[-1], values[-2]):
            found.events[rowid] = values[1:]
        elif len(values) == 5 and values[0] is None and _is_whole(values[-1], values[-2]):
            found.notes[rowid] = values[1:]
        elif len(values) == len(FIELDS) and values[0] is None and isinstance(values[-1], bytes):
            segment = Segment(rowid, *values[1:])
            if zlib.crc32(segment.content) == segment.checksum:
                found.events.update((place, list(row)) for place, row in segment.rows())
        elif len(values) == 2 and values[0] == "events" and isinstance(values[1], int):
            found.last = max(values[1], found.last or 0)
    # Rows that left for the table, and notes that were replaced, may still stand on pages that are free.
    states = [number for number, values in found.notes.items() if values[0] == SEALED]
    for number in states:
        through = max(through, _through(found.notes[number]))
    for number in states:
        if _through(found.notes[number]) < through:
            del found.notes[number]
    found.events = {place: values for place, values in sorted(found.events.items()) if place > through}
    return found


def _through(note: list[Any]) -> int:
    return int(json.loads(note[-1])["through"])


def _is_whole(content: Any, checksum: Any) -> bool:
    return isinstance(content, str) and isinstance(checksum, int) and zlib.crc32(content.encode()) == checksum


def _pages(path: Path) -> Pages:
    """The pages of the file and its write-ahead log."""
    wal = Path(f"{path}-wal")
    return Pages(_content(path), _content(wal) if wal.exists() else b"")


def _content(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    _OPENED.append(descriptor)
    size, parts = os.fstat(descriptor).st_size, []
    for start in range(0, size, 1 << 26):
        parts.append(os.pread(descriptor, 1 << 26, start))
    return b"".join(parts)


def _is_ours(path: Path) -> bool:
    return _content(path)[68:72] == APPLICATION_ID.to_bytes(4, "big")


def _is_sound(path: Path) -> bool:
    try:
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                return False
            select = "SELECT content, checksum FROM events UNION ALL SELECT content, checksum FROM notes"
            rows = connection.execute(select)
            if not all(_is_whole(content, checksum) for content, checksum in rows):
                return False
            packed = connection.execute(
                "SELECT content, checksum FROM segments UNION ALL SELECT content, checksum FROM segment_keys"
            )
            return all(zlib.crc32(content) == checksum for content, checksum in packed)
        finally:
            connection.close()
    except sqlite3.Error:
        return False


def _kept_copy(path: Path) -> Path:
    """The damaged file and its log, copied beside it under a name of their own."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    kept = path.with_name(f"{path.name}.damaged-{stamp}")
    for ending in ("", "-wal"):
        source = Path(f"{path}{ending}")
        if source.exists():
            Path(f"{kept}{ending}").write_bytes(_content(source))
    synchronise_directory(path.parent)
    return kept


def _build(fresh: Path, path: Path, found: Salvaged, kept: str) -> int:
    """Write what was found into a new database; the number of positions of which nothing is known."""
    fresh.unlink(missing_ok=True)
    connection = sqlite3.connect(fresh, isolation_level=None)
    try:
        connection.execute(f"PRAGMA page_size = {_pages(path).size}")
        connection.executescript(SCHEMA)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("BEGIN")
        refused = 0
        for place, values in found.events.items():
            try:
                connection.execute(INSERT_EVENT, (place, *values))
            except sqlite3.IntegrityError:  # a stale copy under another position
                refused += 1
        for number, values in sorted(found.notes.items()):
            connection.execute("INSERT OR IGNORE INTO notes VALUES (?, ?, ?, ?, ?)", (number, *values))
        whole = _copy_keys(path, connection)
        state = notes_of(connection, SEALED)
        through = int(state[-1].content["through"]) if state else 0
        last = max([through, *found.events, *found.notes, found.last or 0])
        lost = last - through - sum(place > through for place in {*found.events, *found.notes}) + refused
        connection.execute("DELETE FROM sqlite_sequence WHERE name = 'events'")
        following = last if found.last is not None else last + UNKNOWN_TAIL
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?)", (following,))
        add_note(connection, "damage", "", {"kept": kept, "lost": lost}, place=False)
        if not whole:
            add_note(connection, KEYS_LOST, "", {}, place=False)
        connection.execute("COMMIT")
    finally:
        connection.close()
    descriptor = os.open(fresh, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    return lost


def _copy_keys(path: Path, into: sqlite3.Connection) -> bool:
    """Keys of what was sealed, as far as they can be read; whether that is all of them."""
    old = sqlite3.connect(path)
    try:
        for pair in old.execute("SELECT key, value FROM sealed_keys"):
            into.execute("INSERT OR IGNORE INTO sealed_keys VALUES (?, ?)", pair)
        return True
    except sqlite3.Error:
        return False
    finally:
        old.close()


def _write_over(fresh: Path, path: Path) -> None:
    """Let other processes see the new content in the place of the old, all of it or nothing."""
    try:
        with contextlib.closing(sqlite3.connect(fresh)) as source:
            _backup(source, path)
    except sqlite3.DatabaseError:
        # It does not even open: nobody can have begun to write to it. A copy under this name says that it is
        # not to be used until it has been replaced, so that a crash half-way is finished and not built upon.
        os.replace(fresh, replacing(path))
        synchronise_directory(path.parent)
        _put_in_place(replacing(path), path)


def _put_in_place(replacement: Path, path: Path) -> None:
    content = replacement.read_bytes()
    for target, wanted in ((path, content), (Path(f"{path}-wal"), b"")):
        if target.exists():
            descriptor = os.open(target, os.O_RDWR)
            _OPENED.append(descriptor)
            os.ftruncate(descriptor, len(wanted))
            done = 0
            while done < len(wanted):
                done += os.pwrite(descriptor, wanted[done : done + (1 << 26)], done)
            os.fsync(descriptor)
    replacement.unlink()
    synchronise_directory(path.parent)


def _backup(source: sqlite3.Connection, path: Path) -> None:
    target = sqlite3.connect(path, timeout=1.0, isolation_level=None)
    try:
        target.execute("PRAGMA synchronous = FULL")
        source.backup(target)
    finally:
        target.close()
