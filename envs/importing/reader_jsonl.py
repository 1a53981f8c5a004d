"""JSON Lines: one object a line, read strictly."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from envs.importing.files import SourceFile, source_file
from envs.importing.readers import MAXIMUM_ROW, RowBatch
from envs.importing.rows import ReadColumns, ReadRows, SourceRow, contents_of
from envs.journal.columns import Column, Objects, objects_of
from envs.values import MAXIMUM_DEPTH, UnfitValueError, shown

try:
    from orjson import loads as _parse_fast
except ImportError:
    _parse_fast: Callable[[bytes], Any] | None = None  # type: ignore[no-redef]

BATCH = 4096
BLOCK = 512 * 1024  # bytes that are read at once: what is made of them stays in the cache of the processor
MAXIMUM_LINE = MAXIMUM_ROW
ONE_OBJECT = "write one JSON object per line"
# The fast parser takes the last of two equal names, and makes floats of integers above 64 bits: lines that could
# hold either are left to the strict one.
DIGITS = bytes.maketrans(b"123456789", b"000000000")
QUOTE, COLON = b'":'
MANY_DIGITS = b"0" * 19
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Piece:
    """Lines of a file.

    Attributes:
        lines: with their ends.
        before: how many lines stand before them.
        position: behind them, as of :class:`~envs.importing.readers.RowBatch`.
        done: the same.
    """

    lines: Sequence[bytes]
    before: int
    position: str
    done: int


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
        return map(self.batch, self.pieces(after))

    def pieces(self, after: str = "") -> Iterator[Piece]:
        """The lines behind a position, unparsed."""
        offset, number = (int(part) for part in (after or "0:0").split(":"))
        with self._file.open() as stream:
            stream.seek(offset)
            while lines := _lines(stream):
                skipped = _skipped(stream) if _is_too_long(lines[-1]) else 0
                for start in range(0, len(lines), BATCH):
                    piece = lines[start : start + BATCH]
                    before, number, offset = number, number + len(piece), offset + sum(map(len, piece))
                    if start + BATCH >= len(lines):
                        offset += skipped
                    yield Piece(piece, before, f"{offset}:{number}", offset)

    def batch(self, piece: Piece) -> RowBatch:
        """The rows of a piece."""
        return RowBatch(rows_of(self.source, piece.lines, piece.before), piece.position, piece.done)


def rows_of(source: str, lines: Sequence[bytes], before: int) -> Sequence[SourceRow]:
    """The rows of a source's lines, with their ends, that stand behind so many others."""
    if before == 0:
        lines = [lines[0].removeprefix(BYTE_ORDER_MARK), *lines[1:]]
    contents = _simple_contents(lines)
    numbers = range(before + 1, before + 1 + len(lines))
    if isinstance(contents, dict):
        return ReadColumns(source, numbers, contents)
    if contents is not None:
        return ReadRows(source, numbers, contents)
    return [_row(source, number, line) for number, line in enumerate(lines, before + 1) if line.strip()]


def open_reader(source: str, options: Mapping[str, Any]) -> JsonLinesReader:
    """The reader of a file; it takes no options.

    Raises:
        DataError: the file is not there or cannot be read.
    """
    return JsonLinesReader(source_file(source))


def _lines(stream: Any) -> list[bytes]:
    """The next lines with their ends; of one that is longer than a line may be the beginning, as the last."""
    block = stream.read(BLOCK)
    if block and not block.endswith(b"\n"):
        begun = len(block) - block.rfind(b"\n") - 1
        block += stream.readline(max(MAXIMUM_LINE + 1 - begun, 0))
    return split(block)


def split(block: bytes) -> list[bytes]:
    """The lines of a block, with their ends."""
    if b"\r" not in block:  # which would end a line too
        return block.splitlines(keepends=True)
    *lines, last = block.split(b"\n")
    return [line + b"\n" for line in lines] + ([last] if last else [])


def _is_too_long(line: bytes) -> bool:
    return len(line) > MAXIMUM_LINE and not line.endswith(b"\n")


def _skipped(stream: Any) -> int:
    """Read to the end of a line; how many bytes that were."""
    done = 0
    while rest := stream.readline(MAXIMUM_LINE):
        done += len(rest)
        if rest.endswith(b"\n"):
            break
    return done


def _simple_contents(lines: Sequence[bytes]) -> dict[str, Column] | list[dict[str, Any]] | None:
    """The objects of lines where the fast parser says what the strict one would; ``None`` where it may not.

    Those that all have the same names come as columns.
    """
    text = b"".join(lines)
    if _parse_fast is None or not _is_simple(text):
        return None
    try:
        contents = list(map(_parse_fast, lines))
    except (ValueError, RecursionError):
        return None  # the strict parser says why, or reads NaN
    if set(map(type, contents)) != {dict}:
        return None
    columns = _in_columns(contents)
    written = _names_in(text)
    # A line can only have lost names, so the numbers agree where all lines have kept theirs.
    if columns is None:
        return contents if _names(contents) == written else None
    parts = (len(column.names) for column in columns.values() if isinstance(column, Objects))
    seen = len(contents) * (len(columns) + sum(parts))
    return columns if seen == written or _names(contents) == written else None


def _in_columns(objects: Sequence[dict[str, Any]]) -> dict[str, Column] | None:
    """Objects of the same names as their columns, and so the objects in them; ``None`` where the names differ."""
    found = objects_of(objects)
    if found is None:
        return None
    columns = dict(zip(found.names, found.parts, strict=True))
    for name, column in columns.items():
        if type(column[0]) is dict and set(map(type, column)) == {dict}:
            columns[name] = objects_of(column) or column
    return columns


def _names_in(text: bytes) -> int:
    """How many names a text has, each of which ends with a quote and a colon together."""
    codes = np.frombuffer(text, dtype=np.uint8)
    return int(np.count_nonzero((codes[:-1] == QUOTE) & (codes[1:] == COLON)))


def _row(file: str, number: int, line: bytes) -> SourceRow:
    ended = line.endswith(b"\n")
    if _is_too_long(line):
        problem = f"is longer than {MAXIMUM_LINE // 2**20} MB"
        return _unreadable(file, number, "", problem, "keep large contents elsewhere and record a reference")
    simple = _simple_contents([line])
    if simple is not None:
        return SourceRow(file, number, contents_of(simple, 1)[0] if isinstance(simple, dict) else simple[0])
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


def _is_simple(text: bytes) -> bool:
    """Whether each quote and colon together end a name, and no integer is too long."""
    # One byte is looked for many times as fast as two.
    for space in (b" ", b"\t", b"\r"):
        if space in text and space + b":" in text:
            return False
    return b"\\" not in text and not _has_long_integer(text.translate(DIGITS))


def _has_long_integer(text: bytes) -> bool:
    """Whether many digits stand together elsewhere than behind a point; each digit of the text is a 0."""
    place = text.find(MANY_DIGITS)
    while place >= 0:
        if text[place - 1 : place] != b".":
            return True
        while text[place : place + 1] == b"0":
            place += 1
        place = text.find(MANY_DIGITS, place)
    return False


def _names(objects: Sequence[dict[str, Any]]) -> int:
    """How many names parsed objects have, those inside them too."""
    count = sum(map(len, objects))
    if len(set(map(len, objects))) == 1:
        columns: Iterable[Sequence[Any]] = zip(*map(dict.values, objects), strict=True)
    else:
        columns = [list(chain.from_iterable(map(dict.values, objects)))]
    return count + sum(_names_inside(column) for column in columns)


def _names_inside(values: Sequence[Any]) -> int:
    kinds = set(map(type, values))
    count = 0
    if dict in kinds:
        count += _names(values if len(kinds) == 1 else [value for value in values if type(value) is dict])
    if list in kinds:
        count += _names_inside(list(chain.from_iterable(value for value in values if type(value) is list)))
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
