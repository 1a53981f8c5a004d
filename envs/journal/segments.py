"""Segments: decisions that came by the thousand, kept in columns instead of as single rows.

A segment stands in the journal's order like the rows that it holds. Nothing else in the journal refers to its
decisions: what does (an outcome, a later step of an episode, the same decision once more) is found by the keys of its
run, and makes rows of the segment before it is written (:func:`make_rows`). So all that deals with single events
deals with rows.

The keys of all segments of one import are a run, sorted and cut into pages. A key of a run whose segment is no
longer there means nothing.
"""

from __future__ import annotations

import sqlite3
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from envs.journal.decision_columns import DecisionColumns
from envs.journal.errors import DamagedContentError
from envs.journal.keys import episode_keys, text_keys
from envs.journal.notes import add_note, notes_of, remove_notes
from envs.journal.rows import COLUMNS, JournalRow
from envs.journal.statements import chunks
from envs.record import DecisionRecord

if TYPE_CHECKING:
    from envs.journal.journal import Journal

KEYS_OF_PAGE = 250  # which a page of the file holds
PAGES_AT_ONCE = 1_000  # that one transaction drops: recorders wait for it
IDLE = "idle runs"


@dataclass(frozen=True, slots=True)
class Segment:
    """Decisions of one agent at positions without a gap.

    Attributes:
        first: position of the first.
        last: of the last.
        agent: whose.
        run: the run with its keys.
        number: by which the run knows it.
        checksum: CRC-32 of ``content``.
        content: :meth:`~envs.journal.decision_columns.DecisionColumns.packed`.
    """

    first: int
    last: int
    agent: str
    run: int
    number: int
    checksum: int
    content: bytes

    def moved(self, first: int) -> Segment:
        """The same decisions from another position on."""
        return replace(self, first=first, last=first + self.last - self.first)

    def rows(self) -> list[tuple[int, JournalRow]]:
        """(position, row) of the decisions.

        Raises:
            DamagedContentError: they are not what was written.
        """
        return list(enumerate(self.decisions().rows(), self.first))

    def records(self) -> list[tuple[int, DecisionRecord]]:
        """(position, record) of the decisions; raises as :meth:`rows`."""
        return list(enumerate(self.decisions().records(), self.first))

    def check(self) -> None:
        """Compare the content with its checksum and its positions; raises as :meth:`rows`."""
        if zlib.crc32(self.content) != self.checksum:
            raise DamagedContentError(f"the decisions from position {self.first} on differ from their checksum")
        if DecisionColumns.count_in(self.content) != self.last - self.first + 1:
            raise DamagedContentError(f"position {self.first} is not where its decisions begin")

    def decisions(self) -> DecisionColumns:
        """The decisions as columns; raises as :meth:`rows`."""
        self.check()
        return DecisionColumns.unpacked(self.content)


FIELDS = ("first", "last", "agent", "run", "number", "checksum", "content")
_SELECT = f"SELECT {', '.join(FIELDS)} FROM segments"


def has_segments(connection: sqlite3.Connection) -> bool:
    """Whether there is any."""
    return connection.execute("SELECT MAX(first) FROM segments").fetchone()[0] is not None


def next_segment(connection: sqlite3.Connection, after: int, agent: str | None = None) -> Segment | None:
    """The first segment (of an agent) that reaches beyond a position."""
    # As the events, not by the index of agents.
    around = "COALESCE((SELECT MAX(first) FROM segments WHERE first <= ?), 0)"
    where = f"WHERE first >= {around} AND last > ? AND +agent = COALESCE(?, agent)"
    found = connection.execute(f"{_SELECT} {where} ORDER BY first LIMIT 1", (after, after, agent)).fetchone()
    return None if found is None else Segment(*found)


def keys_of(rows: Sequence[JournalRow]) -> np.ndarray:
    """The keys under which segments may hold what rows meet, int64: events, episodes, decisions that are told of."""
    events = [row.event_id for row in rows] + [row.decision_id for row in rows if row.decision_id is not None]
    found = [text_keys(events)]
    for agent in {row.agent for row in rows}:
        names = [row.episode_id for row in rows if row.agent == agent and not row.shadow]
        found.append(episode_keys(agent, text_keys(names)))
    return np.unique(np.concatenate(found))


def segments_with(connection: sqlite3.Connection, keys: np.ndarray) -> list[Segment]:
    """The segments that have one of some keys, int64 and sorted; others may be among them."""
    out: list[Segment] = []
    for run in _runs(connection):
        for number in sorted(numbers_with(connection, run, keys)):
            found = connection.execute(f"{_SELECT} WHERE run = ? AND number = ?", (run, number)).fetchone()
            if found is not None:
                out.append(Segment(*found))
    return out


def rows_met(connection: sqlite3.Connection, rows: Sequence[JournalRow]) -> list[JournalRow]:
    """The rows of all segments in which one of some rows may meet something."""
    if not has_segments(connection):
        return []
    return [row for segment in segments_with(connection, keys_of(rows)) for _, row in segment.rows()]


def make_rows_met(connection: sqlite3.Connection, rows: Sequence[JournalRow]) -> None:
    """Within a transaction: make rows of all segments in which one of some rows may meet something."""
    if has_segments(connection):
        for segment in segments_with(connection, keys_of(rows)):
            make_rows(connection, segment)


def make_rows(connection: sqlite3.Connection, segment: Segment) -> None:
    """Within a transaction: put a segment's decisions among the single events, where they are."""
    marks = ", ".join("?" * (1 + len(COLUMNS)))
    insert = f"INSERT INTO events (sequence, {', '.join(COLUMNS)}) VALUES ({marks})"
    connection.execute("DELETE FROM segments WHERE first = ?", (segment.first,))
    connection.executemany(insert, ((position, *row) for position, row in segment.rows()))


def make_all_rows(journal: Journal) -> None:
    """Make rows of all segments, one in each transaction."""

    def one(connection: sqlite3.Connection) -> bool:
        segment = next_segment(connection, 0)
        if segment is not None:
            make_rows(connection, segment)
        return segment is not None or drop_idle_runs(connection)

    if journal.file.run(lambda connection: next(iter(_runs(connection)), None)) is not None:
        while journal.file.run(one, write=True):
            pass


def drop_idle_runs(connection: sqlite3.Connection) -> bool:
    """Within a transaction: drop some of the keys of runs of which no segment is left; whether there were any."""
    select = "SELECT 1 FROM segments WHERE run = ? LIMIT 1"
    idle = [run for run in _runs(connection) if connection.execute(select, (run,)).fetchone() is None]
    if idle != idle_runs(connection):  # before their keys go, for who may be about to append to one
        remove_notes(connection, IDLE)
        add_note(connection, IDLE, "", {"runs": idle}, place=False)
    some = "SELECT rowid FROM segment_keys WHERE run = ? ORDER BY low LIMIT ?"
    for run in idle[:1]:
        connection.execute(f"DELETE FROM segment_keys WHERE rowid IN ({some})", (run, PAGES_AT_ONCE))
    return bool(idle)


def idle_runs(connection: sqlite3.Connection) -> list[int]:
    """The runs whose keys are being dropped."""
    return [int(run) for note in notes_of(connection, IDLE) for run in note.content["runs"]]


def add_run(connection: sqlite3.Connection, run: int, keys: np.ndarray, numbers: np.ndarray) -> None:
    """Within a transaction: add to a run.

    Args:
        connection: to the journal.
        run: its number.
        keys: int64 (n,), sorted, all above those that the run has.
        numbers: int64 (n,), the segment that each belongs to.
    """
    # Equal keys stand on one page.
    begins = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else np.empty(0, np.int64)
    wanted = np.arange(0, len(keys), KEYS_OF_PAGE)
    cuts = np.unique(begins[np.searchsorted(begins, wanted, side="right") - 1])
    connection.executemany(
        "INSERT INTO segment_keys (run, low, checksum, content) VALUES (?, ?, ?, ?)",
        _pages(run, keys, numbers, [*cuts.tolist(), len(keys)]),
    )


def _pages(
    run: int, keys: np.ndarray, numbers: np.ndarray, cuts: Sequence[int]
) -> Iterator[tuple[int, int, int, bytes]]:
    for start, end in pairwise(cuts):
        content = np.stack([keys[start:end], numbers[start:end]]).tobytes()
        yield run, int(keys[start]), zlib.crc32(content), content


def _runs(connection: sqlite3.Connection) -> Iterable[int]:
    select, run = "SELECT MIN(run) FROM segment_keys WHERE run > ?", -1
    while (found := connection.execute(select, (run,)).fetchone()[0]) is not None:
        run = found
        yield run


def numbers_with(connection: sqlite3.Connection, run: int, keys: np.ndarray) -> set[int]:
    """The segments of a run that have one of some keys, int64 and sorted."""
    out: set[int] = set()
    for chunk in chunks(keys):
        wanted = chunk.tolist()
        for low, checksum, content in connection.execute(_pages_for(len(wanted)), (*wanted, run, run)):
            page = memoryview(content).cast("q")
            count = len(page) // 2
            if zlib.crc32(content) != checksum or page[0] != low:
                raise DamagedContentError(f"keys of the run {run} differ from their checksum")
            place = 0
            for key in wanted[bisect_left(wanted, low) : bisect_right(wanted, page[count - 1])]:
                place = bisect_left(page, key, place, count)
                while place < count and page[place] == key:
                    out.add(page[count + place])
                    place += 1
    return out


def _pages_for(count: int) -> str:
    """One statement for the pages of so many keys: a third of the time of one for each."""
    page = "SELECT low FROM segment_keys WHERE run = ? AND low <= key ORDER BY low DESC LIMIT 1"
    return (
        f"WITH wanted(key) AS (VALUES {', '.join(['(?)'] * count)}), pages AS (SELECT ({page}) AS low FROM wanted)"
        " SELECT low, checksum, content FROM segment_keys WHERE run = ? AND low IN (SELECT low FROM pages)"
    )
