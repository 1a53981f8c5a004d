"""CSV: a line of names, then one row a line; quoted cells may span lines."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from envs.errors import DataError
from envs.importing.cells import Columns, reading_of
from envs.importing.files import SourceFile, source_file
from envs.importing.readers import MAXIMUM_ROW, RowBatch
from envs.importing.rows import SourceRow
from envs.values import UnfitValueError

BATCH = 4096
BATCH_BYTES = 8 * 1024 * 1024
DELIMITERS = ",;\t|"
OPTIONS = ("delimiter", "decimal")
QUOTES = "write the file with a CSV writer, which quotes what needs it"
UTF_8 = "save the file as UTF-8 text"
NUL = "\0"
csv.field_size_limit(max(csv.field_size_limit(), MAXIMUM_ROW))


class CsvReader:
    """The rows of a file in UTF-8 whose first line names the columns (see :mod:`envs.importing.cells`).

    A row that cannot be read is rejected, and reading goes on with the next line: an open quote that swallows
    good rows spoils one line only.

    Args:
        file: the file.
        delimiter: between two cells; found out from the first line by default.
        decimal: what stands before the decimals of a number, ``.`` or ``,``; a number that JSON does not write so
            is refused where it is not said.

    Attributes:
        named: the names of the categories that columns are declared to hold, by column.

    Raises:
        DataError: the delimiter is not one character, or the decimal none of the two.
    """

    preset: Mapping[str, Any] = {}

    def __init__(self, file: SourceFile, delimiter: str = "", decimal: str = "") -> None:
        if delimiter and (len(delimiter) != 1 or delimiter in '"\r\n'):
            raise DataError(f"{delimiter!r} cannot separate cells", where=file.name, remedy="give one character")
        if decimal not in ("", ".", ","):
            raise DataError(f"decimal = {decimal!r} is not known", where=file.name, remedy='give "." or ","')
        self._file = file
        self.source = file.name
        self.size = file.size
        self.columns: Sequence[str] = ()
        self.named: Mapping[str, frozenset[str]] = {}
        self._delimiter, self._decimal = delimiter, decimal

    def identity(self) -> str:
        """Size and time of modification, and how it is read."""
        return self._file.identity and f"{self._file.identity}{self._delimiter}{self._decimal}"

    def batches(self, after: str = "") -> Iterator[RowBatch]:
        """The rows behind a position (byte and line, with a colon between)."""
        with self._file.open() as stream:
            lines = _Lines(stream)
            rows: list[SourceRow] = []
            heading = self._heading(lines)
            if isinstance(heading, SourceRow):  # nothing can be read without the names
                yield RowBatch([] if after else [heading], f"{self.size}:1", self.size)
                return
            if heading is None:
                return
            if after:
                lines.go(*(int(part) for part in after.split(":")))
            columns, delimiter = heading
            self.columns = columns.names
            readings = [reading_of(name, self._decimal, self.named.get(name, frozenset())) for name in columns.names]
            begun = lines.offset
            while (row := self._next(lines, columns, readings, delimiter)) is not None:
                rows.append(row)
                if len(rows) >= BATCH or lines.offset - begun >= BATCH_BYTES:
                    yield RowBatch(rows, f"{lines.offset}:{lines.number}", lines.offset)
                    rows, begun = [], lines.offset
            yield RowBatch(rows, f"{lines.offset}:{lines.number}", lines.offset)

    def _heading(self, lines: _Lines) -> tuple[Columns, str] | SourceRow | None:
        text, row = "", SourceRow(self.source, 1, "")
        try:
            text = lines.peek().removeprefix("\ufeff")
            delimiter = self._delimiter or max(DELIMITERS, key=text.count)
            names = next(csv.reader(lines, delimiter=delimiter, strict=True), None)
            if names is None:
                return None
            names[0] = names[0].removeprefix("\ufeff")
            stripped = (name.strip() for name in names)
            # Such as the index of a frame, which then can be named in a mapping.
            return Columns([name or f"unnamed_{place}" for place, name in enumerate(stripped, start=1)]), delimiter
        except UnfitValueError as problem:
            rejected = row.reject("row", problem.problem, problem.remedy)
        except csv.Error as error:
            rejected = row.reject("row", f"has no readable line of names ({_reason(error)})", QUOTES)
        except _UnreadableError as error:
            rejected = row.reject("row", f"has no readable line of names ({error})", error.remedy)
        return SourceRow(self.source, 1, text, rejected)

    def _next(self, lines: _Lines, columns: Columns, readings: Any, delimiter: str) -> SourceRow | None:
        """The next row behind empty lines; ``None`` at the end."""
        start, number = lines.offset, lines.number
        try:
            while (cells := next(csv.reader(lines, delimiter=delimiter, strict=True), None)) == []:
                start, number = lines.offset, lines.number
            if cells is None:
                return None
            if len(cells) != len(columns.names):
                raise UnfitValueError(f"has {len(cells)} cells, the first line {len(columns.names)}", QUOTES)
            content = columns.row(_values(cells, columns, readings))
            return SourceRow(self.source, number + 1, content)
        except UnfitValueError as problem:
            field, text, remedy = problem.path or "row", problem.problem, problem.remedy
        except csv.Error as error:
            field, text, remedy = "row", f"is not CSV ({_reason(error)})", QUOTES
        except _UnreadableError as error:
            field, text, remedy = "row", str(error), error.remedy
            if remedy == UTF_8 and lines.number > number + 1:  # of a later line, which is read by itself afterwards
                text = f"is not CSV (a quote is not closed before line {lines.number}, where {error})"
                remedy = f"close the quote; {remedy}"
        # One line is rejected, however many were swallowed.
        lines.go(start, number)
        line = lines.skip()
        row = SourceRow(self.source, number + 1, line)
        return SourceRow(self.source, number + 1, line, row.reject(field, text, remedy))


def open_reader(source: str, options: Mapping[str, Any]) -> CsvReader:
    """The reader of a file; with the options ``delimiter`` and ``decimal``.

    Raises:
        DataError: the file is not there or cannot be read, or an option is wrong.
    """
    if wrong := next(iter(options.keys() - OPTIONS), None):
        raise DataError(f"{wrong!r} is no option of CSV files", where=source, remedy=f"it has {', '.join(OPTIONS)}")
    return CsvReader(source_file(source), *(str(options.get(name, "")) for name in OPTIONS))


def _values(cells: list[str], columns: Columns, readings: list[Callable[[str], Any]]) -> list[Any]:
    try:
        return [read(cell) for read, cell in zip(readings, cells, strict=True)]
    except UnfitValueError:
        for name, read, cell in zip(columns.names, readings, cells, strict=True):
            try:
                read(cell)
            except UnfitValueError as problem:
                raise UnfitValueError(problem.problem, problem.remedy, name) from None
        raise


class _UnreadableError(Exception):
    """A line that is no text, or a row without an end; with the remedy."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.remedy = remedy


class _Lines:
    """The lines of a stream, with the place behind the last one. One row may take no more than so many bytes."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.offset = 0
        self.number = 0
        self._row = 0

    def __iter__(self) -> Iterator[str]:
        self._row = self.offset
        while line := self._stream.readline(MAXIMUM_ROW + 1):
            if self.offset - self._row + len(line) > MAXIMUM_ROW:
                self._stream.seek(self.offset)
                raise _UnreadableError(f"is longer than {MAXIMUM_ROW // 2**20} MB", QUOTES)
            self.offset += len(line)
            self.number += 1
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise _UnreadableError(f"byte {error.start} is not UTF-8", UTF_8) from None
            if NUL in text:
                raise _UnreadableError(f"character {text.index(NUL)} is a NUL", UTF_8)
            yield text

    def go(self, offset: int, number: int) -> None:
        """To a place."""
        self._stream.seek(offset)
        self.offset, self.number = offset, number

    def peek(self) -> str:
        """The line that comes next."""
        line = self._stream.readline(MAXIMUM_ROW)
        self._stream.seek(self.offset)
        return str(line.decode("utf-8", errors="replace"))

    def skip(self) -> str:
        """Go behind the next line, however long it is, and give back its beginning."""
        line = part = self._stream.readline(MAXIMUM_ROW)
        self.offset += len(part)
        while part and not part.endswith(b"\n"):
            part = self._stream.readline(MAXIMUM_ROW)
            self.offset += len(part)
        self.number += 1
        return str(line[:MAXIMUM_ROW].decode("utf-8", errors="replace").rstrip("\r\n"))


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return {"unexpected end of data": "a quote is not closed"}.get(text, text.split(" - ")[0])
