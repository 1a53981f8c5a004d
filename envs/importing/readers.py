"""The protocol of readers: how a source of any format becomes rows, and which reader a source gets.

A format is one module with a function ``open_reader(source, options) -> Reader``; :data:`FORMATS` names the
modules, and none is imported before a source of its format is. What the importer asks of a reader:

- It hands over *batches* of consecutive rows, a few thousand at a time, and holds no more than one. Memory
  does not grow with the source.
- Each row (:class:`~envs.importing.rows.SourceRow`) is a mapping of raw fields with its place: the file as
  the user named it, and the line or row, counted from 1. The names are the source's own; the mapping that
  the home declares for the agent (else the reader's ``preset``) is applied afterwards. A null is an absent
  field. A row with a ``decision_id`` is an outcome (:class:`~envs.outcome.OutcomeEvent`), every other
  row a decision (:class:`~envs.record.DecisionRecord`).
- A row that cannot be read is handed over with ``rejected`` set, in its place among the others: a reader
  never raises for what is in its source, and goes on behind a bad row wherever the format allows it. It
  raises a :class:`~envs.errors.DataError` only where the source is not there or is of another format, and
  :class:`~envs.errors.MissingExtraError` where a package is missing.
- Each batch carries the position behind it, a text that only the reader understands. ``batches(after=position)``
  goes on there with the very rows that would have followed: the import of a source that was killed goes on
  where it was. ``identity`` changes where the content of the source does; then nothing goes on.
- What the source says twice (an observation that ends one row and begins the next) the reader says once, by
  the record's own rules: ``next_observation`` is needed only where an episode ends or is cut.
- Ids are the source's own where it has any. A row without ``event_id`` gets one that is made of its content
  or its place (:mod:`envs.importing.identity`); a reader makes none by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

from envs.errors import DataError
from envs.importing.rows import SourceRow

MAXIMUM_ROW = 16 * 1024 * 1024
"""Bytes of one row as it stands in its source; a longer one is rejected unread."""

NOTHING = ("has no rows", "give a file of decision records")
"""Problem and remedy where a source is empty."""

FORMATS: Mapping[str, str] = {
    "jsonl": "envs.importing.reader_jsonl",
    "csv": "envs.importing.reader_csv",
    "parquet": "envs.importing.reader_parquet",
    "minari": "envs.importing.reader_minari",
    "rllib": "envs.importing.reader_rllib",
    "d3rlpy": "envs.importing.reader_d3rlpy",
    "vowpal_wabbit": "envs.importing.reader_vowpal_wabbit",
    "record_action": "envs.importing.reader_record_action",
    "prometheus": "envs.importing.reader_prometheus",
    "opentelemetry": "envs.importing.reader_opentelemetry",
}
"""The module of each format by the name that ``--format`` takes."""


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Consecutive rows of one source.

    Attributes:
        rows: the rows, the rejected ones among them.
        position: what ``batches(after=...)`` goes on behind.
        done: how much of the source is read with this batch, in the unit of :attr:`Reader.size`.
    """

    rows: Sequence[SourceRow]
    position: str
    done: int


class Reader(Protocol):
    """One source that can be read.

    Attributes:
        source: as the user named it; errors are named by it.
        size: how much there is to read, in bytes or rows; 0 where that is not known.
        preset: the mapping of a format with names of its own, used where the agent declares none.
    """

    @property
    def source(self) -> str:
        """As the user named it."""

    @property
    def size(self) -> int:
        """How much there is to read; 0 where that is not known."""

    @property
    def preset(self) -> Mapping[str, Any]:
        """The mapping to use where the agent declares none; empty for our own names."""

    def identity(self) -> str:
        """A text that changes where the content of the source does, such as size and time of modification."""

    def batches(self, after: str = "") -> Iterator[RowBatch]:
        """The rows behind a position, all of them by default."""


@runtime_checkable
class Searching(Protocol):
    """A reader that looks for something in its source, and can say what was not found.

    Attributes:
        nothing: problem and remedy where the source has no rows.
    """

    @property
    def nothing(self) -> tuple[str, str]:
        """Problem and remedy."""


@runtime_checkable
class Tabular(Protocol):
    """A reader of a table, whose columns are there also where no row has a value in them.

    Attributes:
        columns: their names, known when the first batch was read.
    """

    @property
    def columns(self) -> Sequence[str]:
        """The names."""


@runtime_checkable
class ForAgent(Protocol):
    """A reader whose ids depend on whose log they are for."""

    def read_for(self, agent: str, first_of: Callable[[Sequence[str]], str]) -> None:
        """Say so before it reads.

        Args:
            agent: whose log.
            first_of: of beginnings of an ``event_id``, the one of the first decision of that log that has one of them;
                empty where none has.
        """


def reader_of(source: str, format_name: str, options: Mapping[str, Any] | None = None) -> Reader:
    """The reader of a source.

    Args:
        source: a path or URI, or what else the format reads from.
        format_name: one of :data:`FORMATS`.
        options: of the format.

    Raises:
        DataError: there is no such format, or the source is not there.
        MissingExtraError: a package is missing; the message is the install line.
    """
    if format_name not in FORMATS:
        remedy = f"known are {', '.join(FORMATS)}"
        raise DataError(f"{format_name!r} is not a format", where=source, remedy=remedy)
    reader: Reader = import_module(FORMATS[format_name]).open_reader(source, options or {})
    return reader


def reader_together(sources: Sequence[str], format_name: str, options: Mapping[str, Any] | None = None) -> Reader:
    """The one reader of sources that are parts of a whole; arguments and errors as of :func:`reader_of`."""
    reader: Reader = import_module(FORMATS[format_name]).open_together(sources, options or {})
    return reader
