"""Sealing: events leave the journal for the table, in the background and never twice.

The order makes it safe to be killed anywhere:

1. The rows are committed to the table, in one commit that says up to which position it now holds the
   journal (:meth:`~envs.log.table.SealedTable.append`), and that commit is made durable.
2. After some millions of rows, or the last, the journal remembers the keys of the events, and notes the
   position. From here on everybody reads these rows from the table.
3. The journal lets the rows go, some at a time, so that nobody who records waits for long.

Killed between 1 and 2, the table knows what it holds: the next sealing goes on with 2. Killed before 1
was whole, the table holds nothing of it. Rows beyond the position that the journal has noted are not
read from the table, so no reader ever sees an event twice.

    python -m envs.log.sealing HOME
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sqlite3
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from envs.errors import BusyError, DataError
from envs.home import Home
from envs.journal.arrivals import note_arrivals
from envs.journal.departing import CHUNK, PAUSE, Page, cut, let_go, pages
from envs.journal.journal import Journal
from envs.journal.key_sorting import KeySorter
from envs.journal.notes import add_note, notes_of, remove_notes
from envs.journal.rows import JournalRow, event_in
from envs.journal.sealed import (
    IDENTITY,
    KEYS_LOST,
    SealedState,
    event_key,
    known_keys,
    note_sealed,
    remember,
    short,
)
from envs.journal.segments import make_all_rows
from envs.log.forgetting import finish_forgetting
from envs.log.locking import sealing_lock
from envs.log.page_rows import PageRows, page_rows
from envs.log.place import declared_table, resolved
from envs.log.recounting import keys_in, state_of
from envs.log.table import SealedTable

MOST_ROWS = 100_000  # of one commit
MOST_KEYS = 20_000_000  # that are collected before they are remembered
KEYS_AT_ONCE = 10_000  # of one transaction of the journal: recorders wait for it


@dataclass(frozen=True, slots=True)
class SealReport:
    """What a sealing did.

    Attributes:
        events: how many left the journal.
        table: where they are now.
        version: of the table.
    """

    events: int
    table: str
    version: int


def seal(home: Home, *, keep: int = 0, progress: Callable[[int], None] | None = None) -> SealReport:
    """Move the journal's events into the table, the newest ``keep`` excepted.

    Raises:
        BusyError: another process is at it.
        DataError: the table is another home's, or cannot be read.
        JournalError: the journal cannot be read or written.
    """
    with sealing_lock(home.data_path), Journal(home.journal_path, timeout=30.0) as journal:
        finish_forgetting(home, journal)
        return seal_locked(home, journal, keep=keep, progress=progress)


def seal_locked(
    home: Home, journal: Journal, *, keep: int = 0, progress: Callable[[int], None] | None = None
) -> SealReport:
    """:func:`seal` for who holds the lock already."""
    note_arrivals(journal)
    table, state, moved = catch_up(home, journal)
    identity, place = _identity(journal), state.table or declared_table(home)
    end = state.through + journal.unsealed() - keep
    cut(journal, end)
    grown = state
    with KeySorter(journal.path.parent) as keys:
        for page in pages(journal, state.through, end, MOST_ROWS):
            table = _committed(home, page, table, identity, keys)
            grown = _grown(grown, place, page)
            if keys.count >= MOST_KEYS:
                _settle(journal, keys, grown)
            moved += page.size
            if progress is not None:
                progress(moved)
        if keys.count:
            _settle(journal, keys, grown)
    return SealReport(moved, table.uri, table.version)


def _committed(home: Home, page: Page, table: SealedTable, identity: str, keys: KeySorter) -> SealedTable:
    rows = _rows(home, page)
    keys.add(rows.keys)
    return table.append(rows.table, identity, page.last)


def _settle(journal: Journal, keys: KeySorter, state: SealedState) -> None:
    """What is in the table leaves the journal."""
    _remember(journal, keys)
    _noted(journal, state)
    let_go(journal, state.through)


def catch_up(home: Home, journal: Journal) -> tuple[SealedTable, SealedState, int]:
    """End what a sealing that was killed had begun, for who holds the lock already.

    Returns:
        The table, how far the journal is sealed into it, and how many events left the journal by that.
    """
    state, identity = journal.sealed(), _identity(journal)
    place = state.table or declared_table(home)
    uri = resolved(journal.path, place)
    table = SealedTable.create(uri, identity)
    _check_place(home, state, uri)
    arrived = table.sealed_through(identity)
    if arrived < state.through:
        problem = f"holds the journal up to position {arrived:,}, but {state.through:,} were sealed into it"
        raise DataError(problem, where=uri, remedy="restore it from a copy")
    let_go(journal, state.through)
    _mend_keys(journal, state)
    moved = 0
    if arrived > state.through:  # a sealing was killed before it came to the journal
        cut(journal, arrived)
        with KeySorter(journal.path.parent) as keys:
            for page in pages(journal, state.through, arrived, MOST_ROWS):
                keys.add(_rows(home, page).keys)
                moved += page.size
            state = state_of(table, place, arrived)
            _settle(journal, keys, state)
    return table, state, moved


def _check_place(home: Home, state: SealedState, uri: str) -> None:
    declared = declared_table(home)
    if state.table and resolved(home.journal_path, declared) != uri:
        problem = f"log.table is {declared!r}, but the log was sealed into {uri}"
        remedy = "move the table with its files and keep the old place as a link, or restore the declaration"
        raise DataError(problem, where=str(home.configuration_path), remedy=remedy)


def _identity(journal: Journal) -> str:
    """The journal's name for the table, which it gets at its first sealing."""

    def named(connection: sqlite3.Connection) -> str:
        notes = notes_of(connection, IDENTITY)
        if notes:
            return str(notes[0].content["journal"])
        name = uuid.uuid4().hex
        add_note(connection, IDENTITY, "", {"journal": name}, place=False)
        return name

    return journal.file.run(named, write=True)


def _mend_keys(journal: Journal, state: SealedState) -> None:
    """After damage to the journal: the keys of what was sealed, from the table."""
    if journal.file.run(partial(notes_of, kind=KEYS_LOST)):
        if state.through:
            with KeySorter(journal.path.parent) as keys:
                keys.add(keys_in(journal.path, state))
                _remember(journal, keys)
        make_all_rows(journal)
        for page in pages(journal, state.through, sys.maxsize, CHUNK):
            journal.file.run(partial(_drop_doubles, rows=[row for _, row in page.rows]), write=True)
        journal.file.run(partial(remove_notes, kind=KEYS_LOST), write=True)


def _drop_doubles(connection: sqlite3.Connection, rows: Sequence[JournalRow]) -> None:
    """Within a transaction: drop what was recorded again, word for word, while its key was not known."""
    known = known_keys(connection, rows)
    for row in rows:
        sealed = known.get(event_key(row.event_id))
        if sealed is not None and sealed == short(event_in(row).content_hash):
            connection.execute("DELETE FROM events WHERE event_id = ?", (row.event_id,))


def _rows(home: Home, page: Page) -> PageRows:
    return page_rows(page, home.split_key, datetime.now(UTC).date())


def _remember(journal: Journal, keys: KeySorter) -> None:
    for part in keys.drained(KEYS_AT_ONCE):
        journal.file.run(partial(remember, keys=part), write=True)
        time.sleep(PAUSE)


def _grown(state: SealedState, place: str, page: Page) -> SealedState:
    decisions, outcomes, last = Counter(state.decisions), Counter(state.outcomes), dict(state.last)
    for sequence, row in page.rows:
        (decisions if row.decision_id is None else outcomes)[row.agent] += 1
        last[row.agent] = max(last.get(row.agent, 0), sequence)
    for segment in page.segments:
        decisions[segment.agent] += segment.last - segment.first + 1
        last[segment.agent] = max(last.get(segment.agent, 0), segment.last)
    return SealedState(page.last, place, dict(decisions), dict(outcomes), last)


def _noted(journal: Journal, state: SealedState) -> None:
    journal.file.run(partial(note_sealed, state=state), write=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Seal a home's journal, unless another process is at it."""
    parser = argparse.ArgumentParser(description="Move a journal's events into its table.")
    parser.add_argument("home", type=Path)
    parser.add_argument("--keep", type=int, default=0, help="how many of the newest events stay")
    given = parser.parse_args(arguments)
    with contextlib.suppress(AttributeError, OSError):
        os.nice(10)
    with contextlib.suppress(BusyError):
        seal(Home(given.home), keep=given.keep)


if __name__ == "__main__":
    main()
