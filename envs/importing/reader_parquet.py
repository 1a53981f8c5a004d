"""Parquet: nested columns become arrays and objects, zoned timestamps keep their moment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from envs.errors import MissingExtraError
from envs.importing.rows import SourceRow

BATCH = 4096
AGAIN = "copy the file again, it is truncated or damaged"


def read_parquet(path: str | Path) -> Iterator[SourceRow]:
    """The rows of a file; where it is damaged, the first unreadable row is rejected and ends it.

    A null is an absent field.

    Raises:
        MissingExtraError: pyarrow is not installed; the message is the install line.
    """
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ImportError:
        remedy = 'install it with: pip install "retrainer[train]"'
        raise MissingExtraError("reading Parquet needs pyarrow", where=str(path), remedy=remedy) from None
    file, number = str(path), 0
    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as source:
            names = source.schema_arrow.names
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                yield _unreadable(file, 1, f"column {twice[0]!r} is there twice", "name each column once")
                return
            # One row group at a time: a batch across two would blame the first for damage in the second.
            groups = range(source.num_row_groups)
            for batch in (item for group in groups for item in source.iter_batches(BATCH, row_groups=[group])):
                columns = [_values(arrow, column) for column in batch.columns]
                for content in zip(*columns, strict=True):
                    number += 1
                    present = {name: value for name, value in zip(names, content, strict=True) if value is not None}
                    yield SourceRow(file, number, present)
    except (arrow.ArrowException, OSError, ValueError) as error:
        reason = " ".join((str(error) or type(error).__name__).split())[:120]
        yield _unreadable(file, number + 1, f"cannot be read ({reason})", AGAIN)


def _unreadable(file: str, number: int, problem: str, remedy: str) -> SourceRow:
    row = SourceRow(file, number, "")
    return SourceRow(file, number, "", row.reject("row", problem, remedy))


def _values(arrow: Any, column: Any) -> list[Any]:
    kind = column.type
    if arrow.types.is_timestamp(kind):
        # Python knows microseconds; and a zone is only a way to print the moment.
        column = column.cast(arrow.timestamp("us", "UTC" if kind.tz else None), safe=False)
    return column.to_pylist(maps_as_pydicts="strict")
