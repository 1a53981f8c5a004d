"""What readers hand over, and what becomes of a row that cannot be imported."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, overload

from envs.counting import counted
from envs.errors import RecordError
from envs.journal.columns import Column, listed

# What differs between two rows of the same cause: quoted values and numbers.
VALUE = re.compile(r"'(?:[^'\\]|\\.)*['…]|\"(?:[^\"\\]|\\.)*[\"…]|\b(?:nan|inf)\b|-?\d[\d.]*(?:e[+-]?\d+)?")


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that cannot be imported: where it stands, what is wrong with which field, and the remedy."""

    file: str
    row: int
    field: str
    problem: str
    remedy: str

    @property
    def where(self) -> str:
        """``file:row``."""
        return f"{self.file}:{self.row}"


@dataclass(frozen=True, slots=True)
class Group:
    """All rejected rows of one cause: the first one's text, their number, and the first one's place."""

    cause: str
    count: int
    first: str


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A row as it stands in its file.

    Attributes:
        file: the file as it was named.
        row: line (JSON Lines, CSV) or row (Parquet), counted from 1.
        content: the fields by name, or the unreadable text.
        rejected: why it could not be read, or ``None``.
    """

    file: str
    row: int
    content: Any
    rejected: RejectedRow | None = None

    def reject(self, field: str, problem: str, remedy: str) -> RejectedRow:
        """This row's place with a complaint about ``field``."""
        return RejectedRow(self.file, self.row, field or "row", problem, remedy)

    def reject_for(self, error: RecordError) -> RejectedRow:
        """This row's place with what the error says."""
        return self.reject(error.field, error.complaint, error.remedy)


@dataclass(frozen=True, slots=True)
class ReadRows(Sequence[SourceRow]):
    """Rows of one file that could all be read; each is put together when it is asked for.

    Attributes:
        file: the file as it was named.
        numbers: their lines or rows.
        contents: their fields.
    """

    file: str
    numbers: Sequence[int]
    contents: Sequence[dict[str, Any]]

    def __len__(self) -> int:
        return len(self.contents)

    def __iter__(self) -> Iterator[SourceRow]:
        for number, content in zip(self.numbers, self.contents, strict=True):
            yield SourceRow(self.file, number, content)

    @overload
    def __getitem__(self, index: int) -> SourceRow: ...

    @overload
    def __getitem__(self, index: slice) -> ReadRows: ...

    def __getitem__(self, index: int | slice) -> SourceRow | ReadRows:
        if isinstance(index, slice):
            return ReadRows(self.file, self.numbers[index], self.contents[index])
        return SourceRow(self.file, self.numbers[index], self.contents[index])


@dataclass(frozen=True, slots=True)
class ReadColumns(Sequence[SourceRow]):
    """The same of rows that all have the same fields, as columns; rows are made of them where one is asked for.

    Attributes:
        file: the file as it was named.
        numbers: their lines or rows.
        columns: by the names of the fields.
    """

    file: str
    numbers: Sequence[int]
    columns: Mapping[str, Column]

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[SourceRow]:
        return iter(self._read())

    @overload
    def __getitem__(self, index: int) -> SourceRow: ...

    @overload
    def __getitem__(self, index: slice) -> ReadRows: ...

    def __getitem__(self, index: int | slice) -> SourceRow | ReadRows:
        return self._read()[index]

    def _read(self) -> ReadRows:
        return ReadRows(self.file, self.numbers, contents_of(self.columns, len(self.numbers)))


def contents_of(columns: Mapping[str, Column], count: int) -> list[dict[str, Any]]:
    """The fields of each row, of columns."""
    values = (listed(column, count) for column in columns.values())
    return list(map(dict, map(zip, repeat(tuple(columns)), zip(*values, strict=True))))


LISTED = 10_000  # causes, and different texts of one cause, that are told apart


def grouped(rejected: Iterable[RejectedRow]) -> list[Group]:
    """The causes, most frequent first; rows that differ only in a value have the same cause."""
    causes: dict[tuple[str, str], _Cause] = {}
    for row in rejected:
        key = (VALUE.sub("", row.field), VALUE.sub("", row.problem))
        if key not in causes and len(causes) >= LISTED:
            key = ("", "")
        text = f"{row.field}: {row.problem}" if key != ("", "") else "other causes"
        cause = causes.setdefault(key, _Cause(text, row.where))
        cause.count += 1
        if len(cause.texts) < LISTED:
            cause.texts.add(text)
    return sorted((cause.group() for cause in causes.values()), key=lambda group: -group.count)


@dataclass(slots=True)
class _Cause:
    text: str
    first: str
    count: int = 0
    texts: set[str] = field(default_factory=set)

    def group(self) -> Group:
        more = len(self.texts) - 1
        others = f"{more}+ other values" if len(self.texts) >= LISTED else counted(more, "other value")
        return Group(f"{self.text} (and {others})" if more else self.text, self.count, self.first)
