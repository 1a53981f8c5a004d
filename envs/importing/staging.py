"""The staging file: rows that were checked and are not written yet, so that a bad row stops all of them.

A SQLite file beside the journal, or one that vanishes with the process. It holds what takes memory: the rows
themselves, their keys (which of them meet?), and the rejected ones; and how far each source is read, so that
an import that was killed goes on where it was. It is never flushed to disk: after a power loss it may be
damaged, which checksums show, and the import begins anew.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from envs.errors import BusyError, DataError
from envs.importing.rows import RejectedRow
from envs.journal_rows import COLUMNS, JournalRow, sound
from envs.storage import make_directory

PAGE = 4000
FRESH, KNOWN, REJECTED, DOUBTFUL = range(4)  # DOUBTFUL: meets something in the journal or in its batch
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS rows (number INTEGER PRIMARY KEY, file INTEGER, row INTEGER, naming TEXT,
    {", ".join(COLUMNS)});
CREATE TABLE IF NOT EXISTS keys (number INTEGER PRIMARY KEY, state INTEGER, event INTEGER, step INTEGER,
    episode INTEGER, tenant INTEGER, decision INTEGER, naming INTEGER);
CREATE TABLE IF NOT EXISTS rejected (number INTEGER PRIMARY KEY, file INTEGER, row INTEGER, field TEXT, problem TEXT,
    remedy TEXT, content TEXT);
CREATE TABLE IF NOT EXISTS progress (name TEXT PRIMARY KEY, value TEXT);
"""


class StagedRow(NamedTuple):
    """A checked row.

    Attributes:
        number: its place among all rows of the import.
        file: index of its source.
        row: its line or row there.
        naming: digest of its content where its ``event_id`` is made of that, else empty.
        event: what will be written.
    """

    number: int
    file: int
    row: int
    naming: str
    event: JournalRow


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
            self._renew_keys()
            self.commit()
        except BaseException:
            self._connection.close()
            raise

    def _renew_keys(self) -> None:
        """Make the keys of what another process has staged."""
        update = "UPDATE keys SET event = ?, step = ?, episode = ?, tenant = ?, decision = ? WHERE number = ?"
        for page in self.pages((FRESH, KNOWN, REJECTED, DOUBTFUL), PAGE):
            self._connection.executemany(update, [(*_keys(row.event), row.number) for row in page])

    def commit(self, **progress: Any) -> None:
        """Keep what was staged, and what is named, for who goes on after a kill."""
        for name, value in progress.items():
            self._connection.execute("INSERT OR REPLACE INTO progress VALUES (?, ?)", (name, json.dumps(value)))
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

    def add(self, rows: Iterable[tuple[StagedRow, int]]) -> None:
        """Stage rows, each with its state."""
        listed = list(rows)
        self._connection.executemany(
            f"INSERT INTO rows VALUES ({', '.join('?' * (4 + len(COLUMNS)))})",
            [(row.number, row.file, row.row, row.naming or None, *row.event) for row, _ in listed],
        )
        self._connection.executemany(
            "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [(row.number, state, *_keys(row.event), 1 if row.naming else None) for row, state in listed],
        )

    def replace(self, row: StagedRow, state: int) -> None:
        """Another row in the place of one."""
        self._connection.execute("DELETE FROM rows WHERE number = ?", (row.number,))
        self._connection.execute("DELETE FROM keys WHERE number = ?", (row.number,))
        self.add([(row, state)])

    def mark(self, numbers: Iterable[int], state: int) -> None:
        """Give rows another state."""
        self._connection.executemany("UPDATE keys SET state = ? WHERE number = ?", [(state, item) for item in numbers])

    def reject(self, row: RejectedRow, file: int, content: Any) -> None:
        """Keep a row that cannot be imported, with the reason."""
        text = json.dumps(content, ensure_ascii=False, default=str)
        insert = "INSERT INTO rejected (file, row, field, problem, remedy, content) VALUES (?, ?, ?, ?, ?, ?)"
        self._connection.execute(insert, (file, row.row, *map(_writable, (row.field, row.problem, row.remedy, text))))

    def reject_staged(self, row: StagedRow, field: str, problem: str, remedy: str) -> None:
        """Reject a row that was staged."""
        self.mark([row.number], REJECTED)
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
        marks = ",".join("?" * len(states))
        return int(
            self._connection.execute(f"SELECT COUNT(*) FROM keys WHERE state IN ({marks})", states).fetchone()[0]
        )

    def next_number(self) -> int:
        """The number of the next row."""
        return int(self._connection.execute("SELECT COALESCE(MAX(number), 0) + 1 FROM keys").fetchone()[0])

    def pages(
        self, states: Sequence[int], size: int, *, after: int = 0, named: bool = False
    ) -> Iterator[list[StagedRow]]:
        """The rows of some states behind a number, in order, so many at a time.

        Args:
            states: theirs when their page is read.
            size: of a page.
            after: a row's number.
            named: only those whose ``event_id`` is made of their content.
        """
        marks = ",".join("?" * len(states))
        select = (
            f"SELECT {_COLUMNS} FROM keys JOIN rows ON rows.number = keys.number"
            f" WHERE keys.number > ? AND state IN ({marks}){' AND keys.naming = 1' if named else ''}"
            " ORDER BY keys.number LIMIT ?"
        )
        while page := [_staged(values) for values in self._connection.execute(select, (after, *states, size))]:
            yield page
            after = page[-1].number

    def groups(self, condition: str, value: str) -> Iterator[list[StagedRow]]:
        """Rows of a condition that belong together, decisions first: those of one value, or linked by an event.

        Args:
            condition: over the keys.
            value: a column, or an expression of some.
        """
        self._unite(condition, value)
        cursor = self._connection.execute(
            f"SELECT number, COALESCE(root, {value}) AS whole FROM keys LEFT JOIN roots ON part = {value}"
            f" WHERE {condition} ORDER BY whole, decision IS NOT NULL, number"
        )
        group: list[StagedRow] = []
        current: Any = None
        while listed := cursor.fetchmany(1000):
            for number, whole in listed:
                if group and whole != current:
                    yield group
                    group = []
                group.append(self.row(number))
                current = whole
        if group:
            yield group

    def _unite(self, condition: str, value: str) -> None:
        """Find out which values share an event: there are few, as one event belongs to one episode."""
        self._connection.execute("CREATE TEMP TABLE IF NOT EXISTS roots (part INTEGER PRIMARY KEY, root INTEGER)")
        self._connection.execute("DELETE FROM roots")
        roots: dict[int, int] = {}

        def root(part: int) -> int:
            while (above := roots.get(part, part)) != part:
                part = above
            return part

        shared = f"SELECT event FROM keys WHERE {condition} GROUP BY event HAVING MIN({value}) < MAX({value})"
        select = f"SELECT event, {value} FROM keys WHERE {condition} AND event IN ({shared}) ORDER BY event"
        event, first = None, 0
        for now, part in self._connection.execute(select).fetchall():
            if now != event:
                event, first = now, part
            roots[root(part)] = root(first)
        self._connection.executemany("INSERT INTO roots VALUES (?, ?)", [(part, root(part)) for part in list(roots)])

    def row(self, number: int) -> StagedRow:
        """One row."""
        return _staged(self._connection.execute(f"SELECT {_COLUMNS} FROM rows WHERE number = ?", (number,)).fetchone())


_COLUMNS = ", ".join(f"rows.{name}" for name in ("number", "file", "row", "naming", *COLUMNS))


def _staged(values: Sequence[Any]) -> StagedRow:
    number, file, row, naming, *event = values
    found = JournalRow(*event)
    sound(found.content, found.checksum)
    return StagedRow(number, file, row, naming or "", found)


def _writable(text: str) -> str:
    """The text with halves of surrogate pairs, which no file can hold, written out."""
    return text.encode("utf-8", errors="backslashreplace").decode()


def _keys(row: JournalRow) -> tuple[int | None, ...]:
    """Eight bytes each for the event, its step, episode and tenant, and the decision that an outcome is about.

    Two that are equal by chance are looked at, and found to be different. The interpreter's own hashes are
    other ones in every process.
    """
    if row.decision_id is not None:
        return hash(row.event_id), None, None, None, hash(row.decision_id)
    if row.shadow:
        return hash(row.event_id), None, None, None, None
    episode = hash(row.episode_id)
    return hash(row.event_id), hash((row.episode_id, row.step)), episode, hash(row.tenant), None


def damaged(path: Path | None, error: Exception) -> DataError:
    """What to tell where a staging file cannot be read or written."""
    remedy = "make room on the disk, then import again" if "full" in str(error) else "import again"
    return DataError(f"the staging file cannot be used ({error})", where=str(path or "temporary"), remedy=remedy)
