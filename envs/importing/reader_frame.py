"""Frames of a program: pandas, Polars, pyarrow, or whatever else hands over Arrow data, as a source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from envs.errors import DataError, MissingExtraError
from envs.importing.cells import Columns
from envs.importing.readers import RowBatch
from envs.importing.rows import SourceRow
from envs.values import UnfitValueError

BATCH = 4096


class FrameReader:
    """The rows of a frame, which is read where it is; nothing of it is copied but one batch.

    A null and a NaN that pandas writes for one are absent. Dotted column names are nested as those of a CSV are.
    Levels of a pandas index that have a name are columns; without one it may only number the rows.

    Args:
        frame: a pandas or Polars frame, a pyarrow table, or an object with ``__arrow_c_stream__``.
        name: what errors call it.

    Raises:
        DataError: it is no frame, or its columns cannot be told apart.
        MissingExtraError: pyarrow is not installed.
    """

    preset: Mapping[str, Any] = {}

    def __init__(self, frame: Any, name: str) -> None:
        try:
            import pyarrow
        except ImportError:
            remedy = 'install it with: pip install "retrainer[train]"'
            raise MissingExtraError("reading frames needs pyarrow", where=name, remedy=remedy) from None
        self.source = name
        self._frame = frame
        self._pandas = type(frame).__module__.startswith("pandas")
        self._arrow = pyarrow
        self._levels = _named_levels(frame, name) if self._pandas else []
        levels = [str(frame.index.names[level]) for level in self._levels]
        names = [*levels, *(str(column) for column in getattr(frame, "columns", ()))]
        if isinstance(frame, pyarrow.Table):
            names = frame.column_names
        if not names or not hasattr(frame, "__arrow_c_stream__"):
            problem = f"{type(frame).__name__} is no file and no frame"
            raise DataError(problem, where=name, remedy="give paths, or pandas, Polars or pyarrow frames")
        try:
            self._columns = Columns(names)
            self.columns: Sequence[str] = self._columns.names
        except UnfitValueError as problem:
            raise DataError(problem.problem, where=name, remedy=problem.remedy) from None
        self.size = len(frame)

    def identity(self) -> str:
        """Nothing: a frame is not there any more when its import is to go on."""
        return ""

    def batches(self, after: str = "") -> Iterator[RowBatch]:
        """The rows behind a position, which is a row's number."""
        for start in range(int(after or 0), self.size, BATCH):
            part = self._slice(start, min(start + BATCH, self.size))
            rows = [self._row(values, start + index + 1) for index, values in enumerate(part)]
            yield RowBatch(rows, str(start + len(rows)), start + len(rows))

    def _slice(self, start: int, end: int) -> Iterator[Sequence[Any]]:
        if self._pandas:
            # Column by column: a column of mixed objects has no Arrow type, and is fine all the same.
            part = self._frame.iloc[start:end]
            columns = [_pandas_values(part.index.get_level_values(level).to_series()) for level in self._levels]
            columns += [_pandas_values(part.iloc[:, index]) for index in range(part.shape[1])]
        else:
            table = self._frame if isinstance(self._frame, self._arrow.Table) else None
            table = table.slice(start, end - start) if table is not None else self._converted(start, end)
            from envs.importing.reader_parquet import column_values

            columns = [column_values(self._arrow, column) for column in table.columns]
        return zip(*columns, strict=True)

    def _converted(self, start: int, end: int) -> Any:
        frame = self._frame[start:end] if hasattr(self._frame, "__getitem__") else self._frame
        return self._arrow.table(frame)

    def _row(self, values: Sequence[Any], number: int) -> SourceRow:
        try:
            return SourceRow(self.source, number, self._columns.row(values))
        except UnfitValueError as problem:
            row = SourceRow(self.source, number, "")
            return SourceRow(self.source, number, "", row.reject(problem.path, problem.problem, problem.remedy))


def _named_levels(frame: Any, name: str) -> list[int]:
    """The levels of a pandas index that are columns of their own."""
    index = getattr(frame, "index", None)
    named = [level for level, label in enumerate(getattr(index, "names", ())) if label is not None]
    if not named and index is not None and (index.nlevels > 1 or index.dtype.kind not in "iu") and len(index):
        problem = "its index has no name, and is no numbers of rows"
        raise DataError(problem, where=name, remedy="name it as a field (rename_axis), or reset_index(drop=True)")
    return named


def _pandas_values(column: Any) -> list[Any]:
    """The values of a pandas column; what pandas counts as missing in a column of objects or numbers is absent."""
    missing = column.isna()
    values = column.dt.to_pydatetime().tolist() if column.dtype.kind == "M" else column.tolist()
    return [None if gone else value for value, gone in zip(values, missing, strict=True)]
