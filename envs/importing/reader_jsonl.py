"""JSON Lines: one object a line, read strictly."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from envs.importing.files import SourceFile, source_file
from envs.importing.readers import MAXIMUM_ROW, RowBatch
from envs.importing.rows import SourceRow
from envs.values import MAXIMUM_DEPTH, UnfitValueError, shown

try:
    from orjson import loads as _parse_fast
except ImportError:
    _parse_fast: Callable[[bytes], Any] | None = None  # type: ignore[no-redef]

BATCH = 4096
BATCH_BYTES = 8 * 1024 * 1024
MAXIMUM_LINE = MAXIMUM_ROW
ONE_OBJECT = "write one JSON object per line"
# The fast parser takes the last of two equal names, and makes floats of integers above 64 bits: lines that could
# hold either are left to the strict one.
DIGITS = bytes.maketrans(b"123456789", b"000000000")
MANY_DIGITS = b"0" * 19
SCALARS = frozenset({str, int, float, bool, type(None)})


class JsonLinesReader:
    """The rows of a file; an unreadable line becomes a rejected row, never an end.

    NaN and Infinity are read as such, so that the record's checks can name their field.

    Args:
        file: the file.
    """

    preset: Mapping[str, Any] = {}

    def __init__(self, file: SourceFile) -> None:
        self._file = file
        self.source = file.name
        self.size = file.size

    def identity(self) -> str:
        """Size and time of modification."""
        return self._file.identity

    def batches(self, after: str = "") -> Iterator[RowBatch]:
        """The rows behind a position (byte and line, with a colon between)."""
        offset, number = (int(part) for part in (after or "0:0").split(":"))
        rows: list[SourceRow] = []
        begun = offset
        with self._file.open() as stream:
            stream.seek(offset)
            while line := stream.readline(MAXIMUM_LINE + 1):
                number += 1
                offset += len(line)
                ended = line.endswith(b"\n")
                if not ended and len(line) > MAXIMUM_LINE:
                    while rest := stream.readline(MAXIMUM_LINE):
                        offset += len(rest)
                        if rest.endswith(b"\n"):
                            break
                    problem = f"is longer than {MAXIMUM_LINE // 2**20} MB"
                    remedy = "keep large contents elsewhere and record a reference"
                    rows.append(_unreadable(self.source, number, "", problem, remedy))
                    continue
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                if line.strip():
                    rows.append(_row(self.source, number, line, ended))
                if len(rows) >= BATCH or offset - begun >= BATCH_BYTES:
                    yield RowBatch(rows, f"{offset}:{number}", offset)
                    rows, begun = [], offset
        yield RowBatch(rows, f"{offset}:{number}", offset)


def open_reader(source: str, options: Mapping[str, Any]) -> JsonLinesReader:
    """The reader of a file; it takes no options.

    Raises:
        DataError: the file is not there or cannot be read.
    """
    return JsonLinesReader(source_file(source))


def _row(file: str, number: int, line: bytes, ended: bool) -> SourceRow:
    if _parse_fast is not None and _is_simple(line):
        try:
            fast = _parse_fast(line)
            if type(fast) is dict and _names(fast) == line.count(b'":'):
                return SourceRow(file, number, fast)
        except (ValueError, RecursionError):
            pass  # the strict parser says why, or reads NaN
    text = line.decode("utf-8", errors="replace").rstrip("\r\n")
    try:
        content = _DECODER.decode(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return _unreadable(file, number, text, f"byte {error.start} is not UTF-8", "write the file as UTF-8", ended)
    except UnfitValueError as problem:
        rejected = SourceRow(file, number, text).reject(problem.path, problem.problem, problem.remedy)
        return SourceRow(file, number, text, rejected)
    except RecursionError:
        return _unreadable(file, number, text, f"is nested deeper than {MAXIMUM_DEPTH} levels", "flatten it")
    except ValueError as error:
        reason = (
            error.msg.lower().removesuffix(" at")
            if isinstance(error, json.JSONDecodeError)
            else str(error).split(";")[0].lower()
        )
        return _unreadable(file, number, text, f"is not JSON ({reason})", ONE_OBJECT, ended)
    if not isinstance(content, dict):
        return _unreadable(file, number, text, f"{shown(content, 30)} is not an object", ONE_OBJECT)
    return SourceRow(file, number, content)


def _is_simple(line: bytes) -> bool:
    """Whether each quote and colon together end a name, and no number is too long."""
    return (
        b"\\" not in line
        and b" :" not in line
        and b"\t:" not in line
        and b"\r:" not in line
        and MANY_DIGITS not in line.translate(DIGITS)
    )


def _names(value: Any) -> int:
    """How many names the objects of a parsed value have."""
    count, items = (len(value), value.values()) if type(value) is dict else (0, value)
    if not SCALARS.issuperset(map(type, items)):
        count += sum(_names(item) for item in items if type(item) not in SCALARS)
    return count


def _unreadable(file: str, number: int, text: str, problem: str, remedy: str, ended: bool = True) -> SourceRow:
    if not ended:
        problem, remedy = "is cut off, the file ends inside it", "copy the file again, it is truncated"
    row = SourceRow(file, number, text)
    return SourceRow(file, number, text, row.reject("row", problem, remedy))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UnfitValueError("is given twice", "name each field once", shown(twice).strip("'"))
    return content


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)
