"""Parquet: one row a decision under the record's own names; importing it again gives the same records."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envs.errors import DataError, MissingExtraError
from envs.record import FIELD_NAMES, SCHEMA_VERSION, DecisionRecord

if TYPE_CHECKING:  # as everywhere: what only acts and records needs none of it
    import pyarrow as pa

ROWS = 5000
"""Rows of a row group, which is what is held in memory."""
LEFT_OUT = ("agent",)


def export_parquet(
    read: Callable[[], Iterable[DecisionRecord]],
    path: str | Path,
    *,
    agent: str,
    progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Write decision records to a Parquet file, which appears when it is whole.

    There is a column for each field that any record has, typed where all its values are of one kind and form, else
    of JSON. The agent is not among them but in the file's metadata, so that the rows can be imported under any name.

    Args:
        read: gives the records; called twice, and the same both times.
        path: the file.
        agent: whose they are.
        progress: is told how many records were written so far.

    Returns:
        How many there are.

    Raises:
        DataError: there are none, or the file is there already or cannot be written.
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        remedy = 'install it with: pip install "retrainer[train]"'
        raise MissingExtraError("writing Parquet needs pyarrow", where=str(path), remedy=remedy) from None
    target = Path(path)
    if target.exists():
        raise DataError("is there already", where=str(path), remedy="name another file, or remove it")
    if not target.parent.is_dir():
        raise DataError(f"there is no folder {target.parent}", where=str(path), remedy="create it, or name another")
    schema = _schema(pa, read(), agent)
    if not schema.names:
        raise DataError("has no decisions to export", where=f"agent {agent}", remedy="import or record some")
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    count = 0
    try:
        with pq.ParquetWriter(partial, schema, compression="zstd", write_page_checksum=True) as writer:
            for page in _pages(read()):
                writer.write_table(_table(pa, page, schema))
                count += len(page)
                progress(count)
        os.replace(partial, target)
    except OSError as error:
        problem = f"cannot be written ({error.strerror or error})"
        raise DataError(problem, where=str(path), remedy="check the folder and the space in it") from error
    finally:
        partial.unlink(missing_ok=True)
    return count


def _schema(pa: Any, records: Iterable[DecisionRecord], agent: str) -> pa.Schema:
    from envs.exporting.column_types import ColumnType

    seen = {name: ColumnType() for name in FIELD_NAMES if name not in LEFT_OUT}
    present: set[str] = set()
    for record in records:
        for name, value in record.to_mapping().items():
            if name in seen:
                seen[name].see(value)
                present.add(name)
    types = {name: kind.arrow for name, kind in seen.items() if name in present}
    for name, kind in (
        ("timestamp", pa.timestamp("us", "UTC")),
        ("propensity", pa.float64()),
        ("reward", pa.float64()),
    ):
        if name in types:
            types[name] = kind
    about = json.dumps({"agent": agent, "schema_version": SCHEMA_VERSION})
    return pa.schema(list(types.items()), metadata={"retrainer": about})


def _pages(records: Iterable[DecisionRecord]) -> Iterator[list[DecisionRecord]]:
    rest = iter(records)
    while page := list(islice(rest, ROWS)):
        yield page


def _table(pa: Any, page: list[DecisionRecord], schema: pa.Schema) -> pa.Table:
    rows = [record.to_mapping() for record in page]
    return pa.table([_array(pa, [row.get(field.name) for row in rows], field.type) for field in schema], schema=schema)


def _array(pa: Any, values: list[Any], kind: pa.DataType) -> pa.Array:
    if isinstance(kind, pa.JsonType):
        texts = [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]
        return pa.array(texts, pa.string()).cast(kind)
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.string()).cast(kind)
    return pa.array(values, kind)
