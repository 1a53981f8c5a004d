"""The staging file: rows that were checked and are not written yet, so that a bad row stops all of them.

A SQLite file beside the journal, or one that vanishes with the process. It holds what takes memory: the rows
in blocks, apart from them those that meet others, with their keys, and the rejected ones; and how far each source
is read, so that an import that was killed goes on where it was. It is never flushed to disk: after a power loss
it may be damaged, which checksums show, and the import begins anew.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from envs.errors import BusyError, DataError
from envs.importing.blocks import Block, Blocks, PackedDecisions, StagedRow, packed, packed_columns, unpacked
from envs.importing.linking import linked
from envs.importing.row_keys import EPISODE, EVENT, STEP, Keys, key_of
from envs.importing.rows import RejectedRow
from envs.journal.rows import COLUMNS, JournalRow, sound
from envs.storage import make_directory

PAGE = 4000
SMALLEST_SEGMENT = 256  # decisions; fewer are not worth the look-ups that a segment costs whoever records
LARGEST_SEGMENT = 4 << 20  # bytes; whoever meets one waits until rows are made of it
# DOUBTFUL: meets something in the journal or in its batch; REPETITION: says what another staged row says.
FRESH, KNOWN, REJECTED, DOUBTFUL, REPETITION = range(5)
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS rows (number INTEGER PRIMARY KEY, file INTEGER, row INTEGER, naming TEXT,
    {", ".join(COLUMNS)});
CREATE TABLE IF NOT EXISTS keys (number INTEGER PRIMARY KEY, state INTEGER, event INTEGER, step INTEGER,
    episode INTEGER, tenant INTEGER, decision INTEGER, naming INTEGER);
CREATE TABLE IF NOT EXISTS rejected (number INTEGER PRIMARY KEY, file INTEGER, row INTEGER, field TEXT, problem TEXT,
    remedy TEXT, content TEXT);
CREATE TABLE IF NOT EXISTS progress (name TEXT PRIMARY KEY, value TEXT);
"""


class Staging:
    """Staged rows. Everything since the last :meth:`commit` is forgotten when the process is killed.

    Args:
        path: the file; by default one that vanishes with the process, kept in memory as long as it is small.
        sources: the names of the sources, for messages.

    Raises:
        BusyError: another process has the same import open.
    """

    def __init__(self, path: Path | None, sources: Sequence[str]) -> None:
        self.path = path
        self.sources = sources
        if path is not None:
            make_directory(path.parent)
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            if "locked" in str(error):
                problem, remedy = "is being imported by another process", "wait for it"
                raise BusyError(problem, where=", ".join(sources), remedy=remedy) from None
            self.discard()  # damaged
            self._open()

    def _open(self) -> None:
        self._connection = sqlite3.connect(str(self.path or ""), isolation_level=None, timeout=0.0)
        try:
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._connection.execute("PRAGMA synchronous = OFF")
            self._connection.execute("PRAGMA cache_size = -8000")
            self._connection.execute("BEGIN EXCLUSIVE")
            for statement in SCHEMA.split(";")[:-1]:
                self._connection.execute(statement)
            self._blocks = Blocks(self._connection)
            self.commit()
        except BaseException:
            self._connection.close()
            raise

    def note(self, **progress: Any) -> None:
        """Keep what is named from the next commit on."""
        for name, value in progress.items():
            self._connection.execute("INSERT OR REPLACE INTO progress VALUES (?, ?)", (name, json.dumps(value)))

    def commit(self, **progress: Any) -> None:
        """Keep what was staged, and what is named, for who goes on after a kill."""
        self.note(**progress)
        self._connection.execute("COMMIT")
        self._connection.execute("BEGIN EXCLUSIVE")

    def progress(self, name: str, default: Any) -> Any:
        """What was kept under a name."""
        found = self._connection.execute("SELECT value FROM progress WHERE name = ?", (name,)).fetchone()
        return default if found is None else json.loads(found[0])

    def discard(self) -> None:
        """Remove the file: it is of no use any more."""
        self.close()
        if self.path is not None:
            for path in (self.path, Path(f"{self.path}-journal")):
                with suppress(FileNotFoundError):
                    path.unlink()

    def close(self) -> None:
        """Close the file, which stays where it is."""
        self._connection.close()

    def add(self, rows: Sequence[StagedRow], states: Sequence[int]) -> None:
        """Stage rows of one source, each with its state."""
        if rows:
            self._blocks.add(packed(rows))
            self._single_out((row, state) for row, state in zip(rows, states, strict=True) if state != FRESH)

    def add_columns(self, first: int, file: int, lines: Sequence[int], decisions: PackedDecisions) -> None:
        """Stage fresh decisions of one source.

        Args:
            first: the number of the first; the others follow.
            file: index of their source.
            lines: where they stand in it.
            decisions: what they are.
        """
        self._blocks.add(packed_columns(first, file, lines, decisions))

    def single_out_meeting(self) -> None:
        """Give all rows that may share anything with another a place of their own: for :meth:`groups`."""
        for rows in self._blocks.meeting():
            self._single_out((row, FRESH) for row in rows)

    def single_out_like(self, keys: Sequence[Keys]) -> None:
        """The same with those that may share their event, step or episode with rows of some keys."""
        columns = ([key[part] for key in keys if key[part] is not None] for part in (EVENT, STEP, EPISODE))
        wanted = [np.unique(np.array(column, dtype=np.int64)) for column in columns]
        for rows in self._blocks.like(*wanted) if keys else ():
            self._single_out((row, FRESH) for row in rows)

    def _single_out(self, rows: Iterable[tuple[StagedRow, int]]) -> None:
        """Those that have a place of their own already stay as they are."""
        listed = list(rows)
        self._connection.executemany(
            f"INSERT OR IGNORE INTO rows VALUES ({', '.join('?' * (4 + len(COLUMNS)))})",
            [(row.number, row.file, row.row, row.naming or None, *row.event) for row, _ in listed],
        )
        self._connection.executemany(
            "INSERT OR IGNORE INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [(row.number, state, *key_of(row.event), 1 if row.naming else None) for row, state in listed],
        )

    def replace(self, row: StagedRow, state: int) -> None:
        """Another row in the place of one."""
        self._connection.execute("DELETE FROM rows WHERE number = ?", (row.number,))
        self._connection.execute("DELETE FROM keys WHERE number = ?", (row.number,))
        self._single_out([(row, state)])

    def mark(self, rows: Iterable[StagedRow], state: int) -> None:
        """Give rows another state."""
        listed = list(rows)
        if state != FRESH:  # which is what a row is that has no place of its own
            self._single_out((row, FRESH) for row in listed)
        numbers = [row.number for row in listed]
        self._connection.executemany(
            "UPDATE keys SET state = ? WHERE number = ?", [(state, number) for number in numbers]
        )

    def reject(self, row: RejectedRow, file: int, content: Any) -> None:
        """Keep a row that cannot be imported, with the reason."""
        text = json.dumps(content, ensure_ascii=False, default=str)
        insert = "INSERT INTO rejected (file, row, field, problem, remedy, content) VALUES (?, ?, ?, ?, ?, ?)"
        self._connection.execute(insert, (file, row.row, *map(_writable, (row.field, row.problem, row.remedy, text))))

    def reject_staged(self, row: StagedRow, field: str, problem: str, remedy: str) -> None:
        """Reject a row that was staged."""
        self.mark([row], REJECTED)
        rejected = RejectedRow(self.sources[row.file], row.row, field, problem, remedy)
        self.reject(rejected, row.file, json.loads(row.event.content))

    def place(self, row: StagedRow) -> str:
        """``file:row`` of a row."""
        return f"{self.sources[row.file]}:{row.row}"

    def rejected(self) -> Iterator[tuple[RejectedRow, str]]:
        """The rejected rows in the sources' order, each with its content as JSON."""
        select = "SELECT file, row, field, problem, remedy, content FROM rejected ORDER BY file, row, number"
        for file, row, field, problem, remedy, content in self._connection.execute(select):
            yield RejectedRow(self.sources[file], row, field, problem, remedy), content

    def rejected_count(self) -> int:
        """How many rows were rejected."""
        return int(self._connection.execute("SELECT COUNT(*) FROM rejected").fetchone()[0])

    def count(self, *states: int) -> int:
        """How many staged rows have one of these states."""
        select, marks = "SELECT COUNT(*) FROM keys", ",".join("?" * len(states))
        found = int(self._connection.execute(f"{select} WHERE state IN ({marks})", states).fetchone()[0])
        if FRESH in states:
            found += self._blocks.total() - int(self._connection.execute(select).fetchone()[0])
        return found

    def next_number(self) -> int:
        """The number of the next row."""
        return self._blocks.last() + 1

    def pages(
        self, states: Sequence[int], size: int, *, after: int = 0, named: bool = False
    ) -> Iterator[list[StagedRow]]:
        """The rows of some states behind a number, in order, so many at a time.

        Args:
            states: theirs when their block is read: until the next page only rows of this one may get another.
            size: of a page, at most.
            after: a row's number.
            named: only those whose ``event_id`` is made of their content.
        """
        page: list[StagedRow] = []
        while (block := self._blocks.behind(after)) is not None:
            # No row of a whole block has a name that is made of its content.
            rows = [] if named and block.columnar else self.in_states(block, states, after)
            after = block.last
            page += [row for row in rows if row.naming] if named else rows
            while len(page) >= size:
                yield page[:size]
                page = page[size:]
        if page:
            yield page

    def behind(self, number: int) -> Block | None:
        """The first block that has rows behind a number."""
        return self._blocks.behind(number)

    def is_whole(self, block: Block) -> bool:
        """Whether all rows of a block are fresh, and none shares anything with another: it can be a segment."""
        found = self._connection.execute(f"{_WHOLE} AND first = ?", (SMALLEST_SEGMENT, LARGEST_SEGMENT, block.first))
        return found.fetchone() is not None

    def segment_keys(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Of the blocks that can be segments the keys in ascending order, and the number of the block of each."""
        found = self._connection.execute(f"{_WHOLE} ORDER BY first", (SMALLEST_SEGMENT, LARGEST_SEGMENT))
        firsts = [first for (first,) in found]
        yield from self._blocks.sorted_keys(firsts) if firsts else ()

    def in_states(self, block: Block, states: Sequence[int], after: int) -> list[StagedRow]:
        """The rows of a block behind a number that have a state, those with a place of their own as they are there."""
        select = f"SELECT {_COLUMNS}, state FROM keys JOIN rows USING (number) WHERE number BETWEEN ? AND ?"
        apart = {values[0]: values for values in self._connection.execute(select, (block.first, block.last))}
        rows = unpacked(block)
        if not apart and block.first > after:
            return rows if FRESH in states else []
        out = []
        for row in rows:
            values = apart.get(row.number)
            if row.number > after and (FRESH if values is None else values[-1]) in states:
                out.append(row if values is None else _staged(values[:-1]))
        return out

    def fresh_outcomes(self, after: int, count: int) -> list[StagedRow]:
        """The first fresh outcomes behind a number: each has a place of its own."""
        select = f"SELECT {_COLUMNS} FROM keys JOIN rows USING (number) WHERE number > ? AND state = {FRESH}"
        found = self._connection.execute(
            f"{select} AND keys.decision IS NOT NULL ORDER BY number LIMIT ?", (after, count)
        )
        return list(map(_staged, found))

    def groups(self, condition: str, value: str) -> Iterator[list[StagedRow]]:
        """Rows of a condition that belong together, decisions first: those of one value, or linked by an event.

        Args:
            condition: over the keys.
            value: a column, or an expression of some.
        """
        for numbers in linked(self._connection, condition, value):
            yield list(map(self.row, numbers))

    def row(self, number: int) -> StagedRow:
        """One row."""
        return _staged(self._connection.execute(f"SELECT {_COLUMNS} FROM rows WHERE number = ?", (number,)).fetchone())


_WHOLE = (
    "SELECT first FROM blocks WHERE columnar AND size >= ? AND LENGTH(contents) <= ? AND NOT EXISTS"
    " (SELECT 1 FROM keys WHERE number BETWEEN blocks.first AND blocks.last)"
)
_COLUMNS = ", ".join(f"rows.{name}" for name in ("number", "file", "row", "naming", *COLUMNS))


def _staged(values: Sequence[Any]) -> StagedRow:
    number, file, row, naming, *event = values
    found = JournalRow(*event)
    sound(found.content, found.checksum)
    return StagedRow(number, file, row, naming or "", found)


def _writable(text: str) -> str:
    """The text with halves of surrogate pairs, which no file can hold, written out."""
    return text.encode("utf-8", errors="backslashreplace").decode()


def damaged(path: Path | None, error: Exception) -> DataError:
    """What to tell where a staging file cannot be read or written."""
    remedy = "make room on the disk, then import again" if "full" in str(error) else "import again"
    return DataError(f"the staging file cannot be used ({error})", where=str(path or "temporary"), remedy=remedy)
