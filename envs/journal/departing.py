"""What is about to leave the journal for the table, and its leaving: single rows, and whole segments as they are."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from envs.journal.journal import Journal
from envs.journal.rows import COLUMNS, JournalRow, sound
from envs.journal.sealed import sealed_state
from envs.journal.segments import Segment, drop_idle_runs, make_rows, next_segment

CHUNK = 1_000  # rows of one transaction of the journal: recorders wait for it
SEGMENTS = 4  # whose decisions stand on fewer pages than so many rows
PAUSE = 0.005  # seconds between two of them


@dataclass(frozen=True, slots=True)
class Page:
    """Events at positions that follow each other.

    Attributes:
        rows: (position, row) of single events, in order.
        segments: the segments between them, in order.
        last: position of the last event.
        size: how many events there are.
    """

    rows: list[tuple[int, JournalRow]]
    segments: list[Segment]
    last: int
    size: int


def pages(journal: Journal, after: int, end: int, most: int) -> Iterator[Page]:
    """The journal's events in (after, end], in order.

    A page has ``most`` events at least, where there are so many, and is longer by less than a segment. A segment that
    begins up to ``end`` is not cut, see :func:`cut`.

    Raises:
        JournalError: the journal cannot be read.
    """
    while (page := journal.file.run(partial(_page, after=after, end=end, most=most))).size:
        yield page
        after = page.last


def _page(connection: sqlite3.Connection, after: int, end: int, most: int) -> Page:
    select = f"SELECT sequence, {', '.join(COLUMNS)} FROM events WHERE sequence > ? AND sequence <= ? ORDER BY sequence"
    rows: list[tuple[int, JournalRow]] = []
    segments: list[Segment] = []
    size = 0
    while size < most:
        segment = next_segment(connection, after)
        if segment is not None and segment.first > end:
            segment = None
        until = end if segment is None else segment.first - 1
        found = connection.execute(f"{select} LIMIT ?", (after, until, most - size)).fetchall()
        rows += [(sequence, JournalRow(*values)) for sequence, *values in found]
        size += len(found)
        after = found[-1][0] if found else after
        if size >= most or segment is None:
            break
        segment.check()  # here, where a damaged journal is mended
        segments.append(segment)
        after = segment.last
        size += segment.last - segment.first + 1
    for _, row in rows:
        sound(row.content, row.checksum)
    return Page(rows, segments, after, size)


def cut(journal: Journal, position: int) -> None:
    """Make rows of the segment that begins up to a position and reaches beyond it."""

    def one(connection: sqlite3.Connection) -> None:
        segment = next_segment(connection, position)
        if segment is not None and segment.first <= position:
            make_rows(connection, segment)

    journal.file.run(one, write=True)


def let_go(journal: Journal, through: int) -> None:
    """Delete what the journal has noted as sealed, some at a time, so that nobody who records waits for long."""

    def some(connection: sqlite3.Connection) -> bool:
        assert through <= sealed_state(connection).through
        first = connection.execute("SELECT MIN(sequence) FROM events").fetchone()[0]
        if first is not None and first <= through:
            connection.execute("DELETE FROM events WHERE sequence <= ?", (min(through, first + CHUNK - 1),))
            return True
        select = "SELECT first FROM segments WHERE last <= ? ORDER BY first LIMIT ?"
        found = connection.execute(select, (through, SEGMENTS)).fetchall()
        connection.executemany("DELETE FROM segments WHERE first = ?", found)
        return bool(found) or drop_idle_runs(connection)

    while journal.file.run(some, write=True):
        time.sleep(PAUSE)
