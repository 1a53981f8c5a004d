"""JSON Lines: one object a line, read strictly."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.importing.files import SourceFile, source_file
from envs.importing.parsed_lines import rows_at_once
from envs.importing.readers import MAXIMUM_ROW, RowBatch
from envs.importing.rows import SourceRow
from envs.values import MAXIMUM_DEPTH, UnfitValueError, shown

BATCH = 4096
BLOCK = 512 * 1024  # bytes that are read at once: what is made of them stays in the cache of the processor
MAXIMUM_LINE = MAXIMUM_ROW
ONE_OBJECT = "write one JSON object per line"
LINE_END = ord("\n")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Piece:
    """Lines of a file.

    Attributes:
        text: they and their ends.
        before: how many lines stand before them.
        position: behind them, as of :class:`~envs.importing.readers.RowBatch`.
        done: the same.
    """

    text: bytes
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
            while block := _block(stream):
                skipped = _skipped(stream) if _is_too_long(block) else 0
                for text, lines in _texts(block):
                    before, number, offset = number, number + lines, offset + len(text)
                    offset += 0 if text.endswith(b"\n") else skipped
                    yield Piece(text, before, f"{offset}:{number}", offset)

    def batch(self, piece: Piece) -> RowBatch:
        """The rows of a piece."""
        return RowBatch(rows_of(self.source, piece.text, piece.before), piece.position, piece.done)


def rows_of(source: str, text: bytes, before: int) -> Sequence[SourceRow]:
    """The rows of a source's lines that stand behind so many others."""
    if before == 0:
        text = text.removeprefix(BYTE_ORDER_MARK)
    rows = rows_at_once(source, text, before)
    if rows is not None:
        return rows
    lines = enumerate(io.BytesIO(text), before + 1)
    return [_row(source, number, line) for number, line in lines if line.strip()]


def open_reader(source: str, options: Mapping[str, Any]) -> JsonLinesReader:
    """The reader of a file; it takes no options.

    Raises:
        DataError: the file is not there or cannot be read.
    """
    return JsonLinesReader(source_file(source))


def _block(stream: Any) -> bytes:
    """The next lines with their ends; of one that is longer than a line may be the beginning, as the last."""
    block: bytes = stream.read(BLOCK)
    if block and not block.endswith(b"\n"):
        begun = len(block) - block.rfind(b"\n") - 1
        block += stream.readline(max(MAXIMUM_LINE + 1 - begun, 0))
    return block


def _texts(block: bytes) -> Iterator[tuple[bytes, int]]:
    """Some lines of a block at a time, and how many they are."""
    ends = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == LINE_END) + 1
    lines = len(ends) + (not block.endswith(b"\n"))
    begin = 0
    for first in range(0, lines, BATCH):
        count = min(BATCH, lines - first)
        end = int(ends[first + count - 1]) if first + count <= len(ends) else len(block)
        yield block[begin:end], count
        begin = end


def _is_too_long(text: bytes) -> bool:
    """Whether the last line is, and goes on behind the text."""
    return not text.endswith(b"\n") and len(text) - text.rfind(b"\n") - 1 > MAXIMUM_LINE


def _skipped(stream: Any) -> int:
    """Read to the end of a line; how many bytes that were."""
    done = 0
    while rest := stream.readline(MAXIMUM_LINE):
        done += len(rest)
        if rest.endswith(b"\n"):
            break
    return done


def _row(file: str, number: int, line: bytes) -> SourceRow:
    ended = line.endswith(b"\n")
    if _is_too_long(line):
        problem = f"is longer than {MAXIMUM_LINE // 2**20} MB"
        return _unreadable(file, number, "", problem, "keep large contents elsewhere and record a reference")
    simple = rows_at_once(file, line, number - 1)
    if simple is not None:
        return simple[0]
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
