"""Formats that are JSON Lines under names of their own: each line becomes rows of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from envs.errors import DataError
from envs.importing.other_formats import format_of
from envs.importing.reader_jsonl import JsonLinesReader
from envs.importing.reader_jsonl import open_reader as open_lines
from envs.importing.readers import NOTHING, RowBatch
from envs.importing.rows import SourceRow
from envs.values import UnfitValueError, plain

Translation = Callable[[dict[str, Any]], Iterable[dict[str, Any] | UnfitValueError]]
"""A line's object as the fields of the rows it stands for, or what is wrong with one of them.

It raises :class:`~envs.values.UnfitValueError` where something is wrong with the line.
"""


class JsonEventsReader:
    """Reads JSON Lines and translates each line; the positions are those of the lines.

    Args:
        source: the file.
        format_name: what it is read as.
        translate: a line's rows; a line that says nothing of a decision has none.
        nothing: problem and remedy where no line has any.
    """

    preset: Mapping[str, Any] = {}

    def __init__(
        self, source: str, format_name: str, translate: Translation, nothing: tuple[str, str] = NOTHING
    ) -> None:
        self._format = format_name
        self._lines: JsonLinesReader = open_lines(source, {})
        self._translate = translate
        self.nothing = nothing
        self.source = source
        self.size = self._lines.size

    def identity(self) -> str:
        """That of the file."""
        return self._lines.identity()

    def batches(self, after: str = "") -> Iterator[RowBatch]:
        """The rows of the lines behind a position."""
        for batch in self._lines.batches(after):
            rows = [made for row in batch.rows for made in self._rows(row)]
            yield RowBatch(rows, batch.position, batch.done)

    def _rows(self, row: SourceRow) -> list[SourceRow]:
        if row.rejected is not None:
            return [row]
        try:
            plain(row.content)  # a depth and numbers that the record can have; the translation relies on it
            made = list(self._translate(row.content))
        except UnfitValueError as error:
            made = [error]
        if not all(isinstance(one, dict) and ("action" in one or "decision_id" in one) for one in made):
            other = format_of(row.content)
            if other not in ("", self._format):
                problem = f"is of the format {other}, not {self._format}"
                made = [UnfitValueError(problem, f"import the file with --format {other}")]
        return [
            _refused(row, one) if isinstance(one, UnfitValueError) else SourceRow(row.file, row.row, one)
            for one in made
        ]


def _refused(row: SourceRow, error: UnfitValueError) -> SourceRow:
    rejected = row.reject(error.path.lstrip(".") or "row", error.problem, error.remedy)
    return SourceRow(row.file, row.row, row.content, rejected)


def no_options(options: Mapping[str, Any], known: Iterable[str], source: str, what: str) -> None:
    """Refuse options that a format has not.

    Raises:
        DataError: names the first.
    """
    names = list(known)
    for name in options:
        if name not in names:
            remedy = f"it has {', '.join(names)}" if names else "it has none"
            raise DataError(f"{name!r} is no option of {what}", where=source, remedy=remedy)


def named_entries(value: Any) -> Any:
    """The same with arrays as objects of numbered entries, which is how a record names them."""
    if isinstance(value, Mapping):
        return {str(name): named_entries(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return {str(place): named_entries(item) for place, item in enumerate(value)}
    return value
