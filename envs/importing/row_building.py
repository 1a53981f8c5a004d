"""Rows, rejected ones and batches of them, as every reader builds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from envs.errors import DataError, MissingExtraError
from envs.importing.readers import RowBatch
from envs.importing.rows import SourceRow

ROWS = 2048
"""Rows of a batch, about."""


def rejected(file: str, number: int, field: str, problem: str, remedy: str, content: Any = "") -> SourceRow:
    """A row that cannot be imported, in its place."""
    row = SourceRow(file, number, content)
    return SourceRow(file, number, content, row.reject(field, problem, remedy))


def in_batches(rows: Iterable[tuple[SourceRow, str, int]]) -> Iterator[RowBatch]:
    """Batches of rows that come with the position behind each and how much of the source is read by then."""
    gathered: list[SourceRow] = []
    position, done = "", 0
    for row, position, done in rows:
        gathered.append(row)
        if len(gathered) >= ROWS:
            yield RowBatch(gathered, position, done)
            gathered = []
    if gathered:
        yield RowBatch(gathered, position, done)


def reason(error: BaseException) -> str:
    """What a library said, on one line and not too long."""
    return " ".join((str(error) or type(error).__name__).split())[:120]


def missing(package: str, what: str, source: str, extra: str = "importers") -> MissingExtraError:
    """A package is not installed; the message is the install line."""
    remedy = f'install it with: pip install "retrainer[{extra}]"'
    return MissingExtraError(f"{what} needs {package}", where=source, remedy=remedy)


def numbers_in(position: str, count: int, source: str) -> tuple[int, ...]:
    """The whole numbers of a position, zeros for none.

    Raises:
        DataError: the position is not of this reader.
    """
    if not position:
        return (0,) * count
    parts = position.split(":")
    if len(parts) != count or not all(part.isdecimal() for part in parts):
        raise DataError(f"{position!r} is no position in it", where=source, remedy="import it from its beginning")
    return tuple(map(int, parts))
