"""Parquet: nested columns become arrays and objects, zoned timestamps keep their moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from itertools import repeat
from typing import Any

import numpy as np

from envs.errors import DataError, MissingExtraError
from envs.importing.cells import Columns
from envs.importing.extension_types import extension_values, refuse_inside
from envs.importing.files import SourceFile, source_file
from envs.importing.readers import MAXIMUM_ROW, RowBatch
from envs.importing.rows import ReadColumns, SourceRow
from envs.journal.columns import Column, Objects
from envs.values import UnfitValueError

BATCH = 4096
BATCH_VALUES = 4 * 1024 * 1024  # of one batch: a few bytes of a file can stand for a very long array
BATCH_BYTES = 64 * 1024 * 1024
DECODED_BYTES = 256 * 1024 * 1024  # what a batch can come to where a dictionary holds a long value
ENDED = "-1:0"  # the position behind a file that cannot be opened
AGAIN = "copy the file again, it is truncated or damaged"
OF_ANY_LENGTH = ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")
MAGIC = (b"PAR1", b"PARE")  # at both ends of a file; the second where its footer is encrypted


class ParquetReader:
    """The rows of a file; where it is damaged, the first unreadable row is rejected and ends its row group.

    A null is an absent field. Dotted column names are nested as those of a CSV are.

    Args:
        file: the file.

    Raises:
        MissingExtraError: pyarrow is not installed; the message is the install line.
    """

    preset: Mapping[str, Any] = {}

    def __init__(self, file: SourceFile) -> None:
        try:
            import_module("pyarrow.parquet")
        except ImportError:
            remedy = 'install it with: pip install "retrainer[train]"'
            raise MissingExtraError("reading Parquet needs pyarrow", where=file.name, remedy=remedy) from None
        self._file = file
        self.source = file.name
        self.size = file.size
        self.columns: Sequence[str] = ()

    def identity(self) -> str:
        """Size and time of modification."""
        return self._file.identity

    def batches(self, after: str = "") -> Iterator[RowBatch]:
        """The rows behind a position (row group and row in it, with a colon between)."""
        import pyarrow as arrow
        import pyarrow.parquet as parquet

        if after == ENDED:
            return
        first, skipped = (int(part) for part in (after or "0:0").split(":"))
        begun = 1  # number of the first row of the group
        try:
            with self._file.open() as stream, parquet.ParquetFile(stream, page_checksum_verification=True) as source:
                columns = Columns(source.schema_arrow.names)
                self.columns = columns.names
                groups = source.num_row_groups
                for group in range(groups):
                    rows = source.metadata.row_group(group).num_rows
                    if group >= first:
                        most = _rows_at_once(source, group, stream)
                        yield from self._group(source, columns, group, begun, skipped if group == first else 0, most)
                    begun += rows
        except UnfitValueError as problem:
            yield self._ended(1, problem.problem, problem.remedy)
        except (arrow.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
            yield self._ended(begun, f"cannot be read ({_reason(error)})", AGAIN)

    def _group(self, source: Any, columns: Columns, group: int, begun: int, skip: int, most: int) -> Iterator[RowBatch]:
        import pyarrow as arrow

        metadata = source.metadata.row_group(group)
        done, end = 0, begun + metadata.num_rows
        share = self.size / max(source.num_row_groups, 1)
        try:
            # One row group at a time: a batch across two would blame the first for damage in the second.
            for batch in (
                piece for whole in source.iter_batches(most, row_groups=[group]) for piece in _pieces(arrow, whole)
            ):
                done += batch.num_rows
                if done <= skip:
                    continue
                batch = batch.slice(max(batch.num_rows - (done - skip), 0))
                rows = self._rows(columns, batch, begun + done - batch.num_rows)
                read = int(share * (group + done / max(metadata.num_rows, 1)))
                yield RowBatch(rows, f"{group}:{done}", min(read, self.size))
        except (arrow.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
            number = begun + done
            row = _unreadable(self.source, number, f"cannot be read ({_reason(error)})", AGAIN, end - number)
            yield RowBatch([row], f"{group + 1}:0", int(share * (group + 1)))

    def _rows(self, columns: Columns, batch: Any, number: int) -> Sequence[SourceRow]:
        import pyarrow as arrow

        if _size(arrow, batch) <= MAXIMUM_ROW:
            return self._read(arrow, columns, batch, number)
        rows: list[SourceRow] = []
        start = 0
        large = [row for row in range(batch.num_rows) if _size(arrow, batch.slice(row, 1)) > MAXIMUM_ROW]
        for end in (*large, batch.num_rows):
            rows += self._read(arrow, columns, batch.slice(start, end - start), number + len(rows))
            if end < batch.num_rows:
                problem = f"is longer than {MAXIMUM_ROW // 2**20} MB"
                remedy = "keep large contents elsewhere and record a reference"
                rows.append(_unreadable(self.source, number + len(rows), problem, remedy))
            start = end + 1
        return rows

    def _read(self, arrow: Any, columns: Columns, batch: Any, number: int) -> Sequence[SourceRow]:
        if columns.flat and batch.num_rows and not any(column.null_count for column in batch.columns):
            whole = {
                name: whole_column(arrow, column) for name, column in zip(columns.names, batch.columns, strict=True)
            }
            return ReadColumns(self.source, range(number, number + batch.num_rows), whole)
        values = zip(*(column_values(arrow, column) for column in batch.columns), strict=True)
        return [self._row(columns, content, place) for place, content in enumerate(values, number)]

    def _row(self, columns: Columns, values: Sequence[Any], number: int) -> SourceRow:
        try:
            return SourceRow(self.source, number, columns.row(values))
        except UnfitValueError as problem:
            row = SourceRow(self.source, number, "")
            return SourceRow(self.source, number, "", row.reject(problem.path, problem.problem, problem.remedy))

    def _ended(self, number: int, problem: str, remedy: str) -> RowBatch:
        return RowBatch([_unreadable(self.source, number, problem, remedy)], ENDED, self.size)


def open_reader(source: str, options: Mapping[str, Any]) -> ParquetReader:
    """The reader of a file; it takes no options.

    Raises:
        DataError: the file is not there, cannot be read or is not Parquet.
        MissingExtraError: pyarrow is not installed.
    """
    file = source_file(source)
    with file.open() as stream:
        head = stream.read(4096)
        stream.seek(max(file.size - 4, 0))
        if head and not head.startswith(MAGIC) and stream.read(4) not in MAGIC:
            kind, remedy = _kind(head)
            raise DataError(f"is not Parquet{kind}", where=file.name, remedy=remedy)
    return ParquetReader(file)


def _kind(head: bytes) -> tuple[str, str]:
    """What a file that is not Parquet looks like by its first bytes, and what to do."""
    if head.startswith(b"\x89HDF"):
        return ", it looks like HDF5", "give --format d3rlpy, or for Minari --format minari and its folder"
    try:
        text = head.decode("utf-8-sig", errors="strict" if len(head) < 4096 else "ignore")
    except UnicodeDecodeError:
        text = ""
    if text.lstrip().startswith("{"):
        return ", it looks like JSON Lines", "give --format jsonl"
    if "".join(text.split()).isprintable() and any(mark in text.partition("\n")[0] for mark in ",;\t|"):
        return ", it looks like CSV", "give --format csv"
    return "", "check which file it is"


def _rows_at_once(source: Any, number: int, stream: Any) -> int:
    """So many rows of a row group that their values fit into memory, whatever they are compressed to."""
    group = source.metadata.row_group(number)
    rows = max(group.num_rows, 1)
    most = min(float(BATCH), BATCH_BYTES / max(group.total_byte_size / rows, 1))
    for column in (group.column(index) for index in range(group.num_columns)):
        values = max(column.num_values / rows, 1)  # of one row, on the average
        longest = _dictionary_size(column, stream) if column.physical_type in OF_ANY_LENGTH else 0
        if most * values * longest > DECODED_BYTES:
            longest = _longest(source, number, column.path_in_schema, stream) or longest
        most = min(most, BATCH_VALUES / values, DECODED_BYTES / values / max(longest, 1))
    return int(max(1, most))


def _longest(source: Any, group: int, name: str, stream: Any) -> int:
    """Bytes of the longest value in the dictionary of a column of texts; 0 where it is not looked at."""
    import pyarrow as arrow
    import pyarrow.compute as compute
    import pyarrow.parquet as parquet

    schema = source.schema_arrow
    if name not in schema.names or not arrow.types.is_string(schema.field(name).type):
        return 0
    try:
        with parquet.ParquetFile(stream, metadata=source.metadata, read_dictionary=[name]) as again:
            column = next(again.iter_batches(1, row_groups=[group], columns=[name])).column(0)
            return int(compute.max(compute.binary_length(column.dictionary)).as_py() or 0)
    except (arrow.ArrowException, OSError, ValueError, AttributeError, StopIteration):
        return 0  # what is wrong with it is said where its rows are read


def _dictionary_size(column: Any, stream: Any) -> int:
    """Bytes of a column's dictionary: one value can have no more, and each row may repeat it."""
    offset = column.dictionary_page_offset
    if not column.has_dictionary_page or not offset:
        return 0
    stream.seek(offset)
    header = stream.read(24)  # Thrift: the kind of page, then its size when unpacked, as zigzag numbers
    found: list[int] = []
    place = 0
    while len(found) < 2 and place < len(header) and header[place] == 0x15:
        value = shift = 0
        place += 1
        while place < len(header):
            value |= (header[place] & 0x7F) << shift
            shift, place = shift + 7, place + 1
            if header[place - 1] < 0x80:
                break
        found.append(value >> 1)
    return found[1] if len(found) == 2 else int(column.total_uncompressed_size)


def _pieces(arrow: Any, batch: Any) -> Iterator[Any]:
    """A batch in pieces that may become Python's values."""
    step = max(1, int(batch.num_rows * BATCH_BYTES / max(_size(arrow, batch), BATCH_BYTES)))
    for start in range(0, batch.num_rows, step):
        yield batch.slice(start, step)


def _size(arrow: Any, batch: Any) -> int:
    """Bytes of the rows as they are in memory, a number counted as eight."""
    return sum(_bytes(arrow, column) for column in batch.columns)


def _bytes(arrow: Any, array: Any) -> int:
    kind = array.type
    if arrow.types.is_dictionary(kind):
        array = array.dictionary_decode()
    if arrow.types.is_struct(kind):
        return sum(_bytes(arrow, part) for part in array.flatten())
    if arrow.types.is_map(kind):  # of few rows; keys and items would be those of all
        return int(array.nbytes) + 8 * len(array)
    if arrow.types.is_list(kind) or arrow.types.is_large_list(kind) or arrow.types.is_fixed_size_list(kind):
        return _bytes(arrow, array.flatten())
    return max(int(array.nbytes), 8 * len(array))


def _reason(error: BaseException) -> str:
    return " ".join((str(error) or type(error).__name__).split())[:120]


def _unreadable(file: str, number: int, problem: str, remedy: str, rows: int = 1) -> SourceRow:
    if rows > 1:
        problem += f", nor can the {rows - 1} rows behind it"
    row = SourceRow(file, number, "")
    return SourceRow(file, number, "", row.reject("row", problem, remedy))


def whole_column(arrow: Any, column: Any) -> Column:
    """An Arrow column without nulls: numbers and truth values as arrays, objects as their columns."""
    kind, types = column.type, arrow.types
    if types.is_floating(kind):
        return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
    if types.is_signed_integer(kind):
        return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.int64)
    if types.is_boolean(kind):
        return np.asarray(column.to_numpy(zero_copy_only=False))
    if types.is_struct(kind) and len(set(kind.names)) == kind.num_fields > 0:
        parts = column.flatten()
        if not any(part.null_count for part in parts):
            return Objects(tuple(kind.names), tuple(whole_column(arrow, part) for part in parts))
    return column_values(arrow, column)


def column_values(arrow: Any, column: Any) -> list[Any]:
    """The values of an Arrow column, ``None`` for null."""
    kind, types = column.type, arrow.types
    if isinstance(kind, arrow.BaseExtensionType):
        return extension_values(arrow, column, column_values)
    if types.is_timestamp(kind):
        # Python knows microseconds; and a zone is only a way to print the moment.
        column = column.cast(arrow.timestamp("us", "UTC" if kind.tz else None), safe=False)
    if isinstance(column, arrow.ChunkedArray):
        column = column.combine_chunks()
    if column.null_count == 0 and isinstance(column, arrow.Array):
        # The common kinds by way of whole columns, which is several times as fast as value by value.
        if any(is_kind(kind) for is_kind in (types.is_integer, types.is_floating, types.is_boolean)):
            return list(column.to_numpy(zero_copy_only=False).tolist())
        if types.is_string(kind) or types.is_large_string(kind):
            return list(column.to_numpy(zero_copy_only=False).tolist())
        if types.is_struct(kind) and len(set(names := kind.names)) == kind.num_fields > 0:
            parts = [column_values(arrow, part) for part in column.flatten()]
            return list(map(dict, map(zip, repeat(names), zip(*parts, strict=True))))
        if types.is_list(kind) or types.is_large_list(kind):
            flat = column_values(arrow, column.flatten())
            ends = column.value_lengths().to_numpy(zero_copy_only=False).cumsum().tolist()
            return [flat[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    refuse_inside(arrow, kind)
    return list(column.to_pylist(maps_as_pydicts="strict"))
