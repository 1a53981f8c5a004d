"""Segments into the journal, many in one transaction, where nothing that was recorded meanwhile meets them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from envs.journal.notes import notes_of
from envs.journal.rows import COLUMNS, JournalRow
from envs.journal.sealed import KEYS_LOST, sealed_state
from envs.journal.segments import FIELDS, Segment, idle_runs, keys_of, next_segment, numbers_with

PAGE = 2_000


@dataclass(frozen=True, slots=True)
class Known:
    """What of the journal was compared with a run.

    Attributes:
        position: all that was recorded up to it.
        numbers: the segments that something of it may meet.
    """

    position: int
    numbers: frozenset[int]


def last_position(connection: sqlite3.Connection) -> int:
    """The last position that was given out."""
    found = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    return 0 if found is None else int(found[0])


def begin_run(connection: sqlite3.Connection) -> int:
    """Within a transaction: the number of a new run."""
    select = (
        "SELECT MAX(COALESCE((SELECT MAX(run) FROM segment_keys), 0), COALESCE((SELECT MAX(run) FROM segments), 0))"
    )
    return max([connection.execute(select).fetchone()[0], *idle_runs(connection)]) + 1


def append_segments(connection: sqlite3.Connection, segments: Sequence[Segment], known: Known) -> tuple[Known, bool]:
    """Within a transaction: append segments whose keys are in their run, unless something meets one of them.

    Args:
        connection: to the journal.
        segments: of one run, wherever they are; they contradict neither each other nor the others of their run. Those
            that are there already, of an attempt that was killed, stay as they are.
        known: what was found out before.

    Returns:
        What is known now, and whether they were appended. If not, nothing was written: their decisions are to be
        appended one by one, which finds out what each meets.
    """
    position, run = last_position(connection), segments[0].run
    if not _has_all(connection, run, known.position):
        return known, False
    found = known.numbers | _met(connection, run, known.position)
    if any(one.number in found for one in segments):
        return Known(position, found), False
    there = {
        number
        for (number,) in connection.execute(
            "SELECT number FROM segments WHERE run = ? AND number BETWEEN ? AND ?",
            (run, segments[0].number, segments[-1].number),
        )
    }
    insert = f"INSERT INTO segments ({', '.join(FIELDS)}) VALUES ({', '.join('?' * len(FIELDS))})"
    for one in segments:
        if one.number not in there:
            placed = one.moved(position + 1)
            connection.execute(insert, [getattr(placed, name) for name in FIELDS])
            position = placed.last
    if not connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'events'", (position,)).rowcount:
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?)", (position,))
    return Known(position, found), True


def met_by_outcomes(connection: sqlite3.Connection, run: int, through: int) -> frozenset[int]:
    """The segments of a run that outcomes up to a position, recorded before their decision, may be about."""
    select = f"SELECT {', '.join(COLUMNS)} FROM events WHERE decision_id IS NOT NULL AND sequence <= ?"
    return _numbers(connection, run, connection.execute(select, (through,)))


def _has_all(connection: sqlite3.Connection, run: int, after: int) -> bool:
    """Whether all that was recorded behind a position can be compared with the run."""
    some = connection.execute("SELECT 1 FROM segment_keys WHERE run = ? LIMIT 1", (run,)).fetchone()
    if some is None or run in idle_runs(connection):
        return False  # a sealing has taken the run for one that nobody needs
    return not notes_of(connection, KEYS_LOST) and sealed_state(connection).through <= after


def _met(connection: sqlite3.Connection, run: int, after: int) -> frozenset[int]:
    """The segments of a run that may be met by what was recorded behind a position."""
    select = f"SELECT {', '.join(COLUMNS)} FROM events WHERE sequence > ?"
    found = set(_numbers(connection, run, connection.execute(select, (after,))))
    place = after
    while (segment := next_segment(connection, place)) is not None:
        place = segment.last
        if segment.run != run:
            found |= numbers_with(connection, run, keys_of([row for _, row in segment.rows()]))
    return frozenset(found)


def _numbers(connection: sqlite3.Connection, run: int, cursor: sqlite3.Cursor) -> frozenset[int]:
    found: set[int] = set()
    while rows := cursor.fetchmany(PAGE):
        found |= numbers_with(connection, run, keys_of([JournalRow(*row) for row in rows]))
    return frozenset(found)
