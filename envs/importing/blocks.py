"""Staged rows by the thousand: packed into one entry of the staging file, and found again where they meet.

Most rows meet no other. They are kept in blocks as they came, and what their keys say of them is worked out over
columns; only those that share a key with another need a place of their own.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Collection, Iterator, Sequence
from itertools import count, repeat
from typing import NamedTuple

import numpy as np

from envs.importing.row_keys import (
    DECISION,
    EPISODE,
    EVENT,
    KIND,
    OUTCOME,
    PLACED,
    STEP,
    TENANT,
    keys_of,
    keys_of_columns,
    segment_keys,
)  # fmt: skip
from envs.journal.decision_columns import DecisionColumns
from envs.journal.errors import DamagedContentError
from envs.journal.rows import COLUMNS, JournalRow
from envs.record import stored_fields, stored_json

AT_ONCE = 2_000_000  # rows whose keys are compared at once


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


class Block(NamedTuple):
    """Rows of one source as the staging file keeps them.

    Attributes:
        first: number of the first row.
        last: of the last.
        size: how many rows there are.
        file: index of their source.
        checksum: CRC-32 over ``facts`` and ``contents``.
        columnar: whether the contents are :meth:`~envs.journal.decision_columns.DecisionColumns.packed`; then the
            rows are numbered without a gap, and no name is made of its content.
        keys: int64 (6, ``size``), by :data:`EVENT` and so on.
        facts: all but the contents, as columns in JSON.
        contents: the contents, one a line, or decisions in columns.
    """

    first: int
    last: int
    size: int
    file: int
    checksum: int
    columnar: bool
    keys: bytes
    facts: bytes
    contents: bytes


class PackedDecisions(NamedTuple):
    """Decisions as a block holds them.

    Attributes:
        size: how many there are.
        keys: as of :class:`Block`.
        contents: :meth:`~envs.journal.decision_columns.DecisionColumns.packed`.
    """

    size: int
    keys: bytes
    contents: bytes

    @classmethod
    def of(cls, decisions: DecisionColumns) -> PackedDecisions:
        """Decisions, packed."""
        return cls(decisions.count, keys_of_columns(decisions).tobytes(), decisions.packed())

    def rows(self) -> list[JournalRow]:
        """What the journal's rows of them are."""
        return DecisionColumns.unpacked(self.contents).rows()


def packed(rows: Sequence[StagedRow]) -> Block:
    """A block of rows, at least one, of the same source."""
    numbers, files, lines, namings, events = zip(*rows, strict=True)
    *columns, contents = zip(*events, strict=True)
    named = dict(zip(COLUMNS, columns, strict=False))
    facts = stored_json({"number": numbers, "row": lines, "naming": namings, **named})
    text = "\n".join(contents).encode()  # JSON without indentation has no line ends
    keys = keys_of(named).tobytes()
    checksum = zlib.crc32(text, zlib.crc32(facts))
    return Block(numbers[0], numbers[-1], len(rows), files[0], checksum, False, keys, facts, text)


def packed_columns(first: int, file: int, lines: Sequence[int], decisions: PackedDecisions) -> Block:
    """A block of decisions of one source, numbered from ``first`` on, which stand in it at some lines."""
    follow = isinstance(lines, range) and lines.step == 1
    facts = stored_json({"begin": lines[0]} if follow else {"row": list(lines)})
    size, keys, contents = decisions
    checksum = zlib.crc32(contents, zlib.crc32(facts))
    return Block(first, first + size - 1, size, file, checksum, True, keys, facts, contents)


def unpacked(block: Block) -> list[StagedRow]:
    """The rows of a block.

    Raises:
        DamagedContentError: they are not what was packed.
    """
    if zlib.crc32(block.contents, zlib.crc32(block.facts)) != block.checksum:
        raise DamagedContentError(f"the rows from {block.first} on differ from their checksum")
    facts = stored_fields(block.facts.decode())
    if block.columnar:
        lines = facts["row"] if "row" in facts else count(facts["begin"])
        made = DecisionColumns.unpacked(block.contents).rows()
        return list(map(StagedRow, count(block.first), repeat(block.file), lines, repeat(""), made))
    contents = block.contents.decode().split("\n")
    events = map(JournalRow, *(facts[name] for name in COLUMNS[:-1]), contents)
    return list(map(StagedRow, facts["number"], repeat(block.file), facts["row"], facts["naming"], events))


class Blocks:
    """The blocks of a staging file.

    Args:
        connection: to the file.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.execute(
            "CREATE TABLE IF NOT EXISTS blocks (first INTEGER PRIMARY KEY, last INTEGER, size INTEGER, file INTEGER,"
            " checksum INTEGER, columnar INTEGER, keys BLOB, facts BLOB, contents BLOB)"
        )

    def add(self, block: Block) -> None:
        """A further block."""
        self._connection.execute("INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", block)

    def total(self) -> int:
        """How many rows there are."""
        return int(self._connection.execute("SELECT COALESCE(SUM(size), 0) FROM blocks").fetchone()[0])

    def last(self) -> int:
        """The last row's number; 0 where there is none."""
        return int(self._connection.execute("SELECT COALESCE(MAX(last), 0) FROM blocks").fetchone()[0])

    def behind(self, number: int) -> Block | None:
        """The first block that has rows behind a number."""
        select = "SELECT * FROM blocks WHERE last > ? ORDER BY first LIMIT 1"
        found = self._connection.execute(select, (number,)).fetchone()
        return None if found is None else Block(*found)

    def meeting(self) -> Iterator[list[StagedRow]]:
        """The rows that share a key with another, or are outcomes; some of them several times."""
        parts = max(1, -(-self.total() // AT_ONCE))
        for part in range(parts):
            shared = _Shared()
            for first in self._firsts():
                shared.add(self._keys(first), parts, part)
            yield from self.like(*shared.found(), outcomes=part == 0)

    def like(
        self, events: np.ndarray, steps: np.ndarray, episodes: np.ndarray, *, outcomes: bool = False
    ) -> Iterator[list[StagedRow]]:
        """The rows that have one of these keys, each int64 and sorted, or ``outcomes`` that are some."""
        for first in self._firsts():
            keys = self._keys(first)
            placed = keys[KIND] == PLACED
            found = _in(keys[EVENT], events) | (placed & (_in(keys[STEP], steps) | _in(keys[EPISODE], episodes)))
            if outcomes:
                found |= keys[KIND] == OUTCOME
            if found.any():
                rows = unpacked(Block(*self._connection.execute(_SELECT, (first,)).fetchone()))
                yield [rows[index] for index in np.flatnonzero(found)]

    def sorted_keys(self, firsts: Collection[int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The keys of the events and episodes of some blocks in ascending order, and the first row of their block."""
        parts = max(1, -(-2 * self.total() // AT_ONCE))
        for part in range(parts):
            low, high = (((part + end) << 64) // parts - (1 << 63) for end in (0, 1))
            keys, numbers = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
            for first in firsts:
                found = segment_keys(self._keys(first))
                found = found[(found >= low) & (found <= high - 1)]
                keys.append(found)
                numbers.append(np.full(len(found), first, dtype=np.int64))
            joined = np.concatenate(keys)
            order = np.argsort(joined)
            yield joined[order], np.concatenate(numbers)[order]

    def _firsts(self) -> list[int]:
        return [first for (first,) in self._connection.execute("SELECT first FROM blocks ORDER BY first")]

    def _keys(self, first: int) -> np.ndarray:
        data = self._connection.execute("SELECT keys FROM blocks WHERE first = ?", (first,)).fetchone()[0]
        return np.frombuffer(data, dtype=np.int64).reshape(6, -1)


_SELECT = "SELECT * FROM blocks WHERE first = ?"


class _Shared:
    """Collects the keys of some rows, and finds those that several have."""

    def __init__(self) -> None:
        self._columns: dict[int, list[np.ndarray]] = {
            name: [np.empty(0, dtype=np.int64)] for name in (EVENT, STEP, EPISODE, TENANT, DECISION)
        }

    def add(self, keys: np.ndarray, parts: int, part: int) -> None:
        """The keys of a block, as far as they belong to this part of all keys."""
        placed = keys[KIND] == PLACED
        chosen = {EVENT: np.ones(len(placed), dtype=bool), STEP: placed, EPISODE: placed}
        chosen[DECISION] = keys[KIND] == OUTCOME
        for name, rows in chosen.items():
            rows = rows & (keys[name] % parts == part) if parts > 1 else rows
            self._columns[name].append(keys[name][rows])
            if name == EPISODE:
                self._columns[TENANT].append(keys[TENANT][rows])

    def found(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Events that are there twice or have outcomes, steps that are there twice, episodes of several tenants."""
        columns = [np.concatenate(self._columns.pop(name)) for name in (EVENT, STEP, EPISODE, TENANT, DECISION)]
        events, steps, episodes, tenants, decided = columns
        return np.union1d(_repeated(events), decided), _repeated(steps), _mixed(episodes, tenants)


def _in(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    if not len(wanted):
        return np.zeros(len(keys), dtype=bool)
    return np.asarray(wanted[np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)] == keys)


def _repeated(keys: np.ndarray) -> np.ndarray:
    """Keys that are there more than once."""
    keys.sort()
    return np.unique(keys[1:][keys[1:] == keys[:-1]])


def _mixed(episodes: np.ndarray, tenants: np.ndarray) -> np.ndarray:
    """Episodes that have several tenants."""
    if not len(tenants) or tenants.min() == tenants.max():
        return np.empty(0, dtype=np.int64)
    order = np.lexsort((tenants, episodes))
    episodes, tenants = episodes[order], tenants[order]
    return np.unique(episodes[1:][(episodes[1:] == episodes[:-1]) & (tenants[1:] != tenants[:-1])])
