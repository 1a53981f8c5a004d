"""JSON Lines: one object a line, read strictly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from envs.importing.rows import SourceRow
from envs.values import MAXIMUM_DEPTH, UnfitValueError, shown

MAXIMUM_LINE = 16 * 1024 * 1024
ONE_OBJECT = "write one JSON object per line"


def read_jsonl(path: str | Path) -> Iterator[SourceRow]:
    """The rows of a file; an unreadable line becomes a rejected row, never an end.

    NaN and Infinity are read as such, so that the record's checks can name their field.
    """
    file = str(path)
    with open(path, "rb") as stream:
        number = 0
        while line := stream.readline(MAXIMUM_LINE + 1):
            number += 1
            ended = line.endswith(b"\n")
            if not ended and len(line) > MAXIMUM_LINE:
                while (rest := stream.readline(MAXIMUM_LINE)) and not rest.endswith(b"\n"):
                    pass
                problem = f"is longer than {MAXIMUM_LINE // 2**20} MB"
                yield _unreadable(file, number, "", problem, "keep large contents elsewhere and record a reference")
                continue
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                yield _row(file, number, line, ended)


def _row(file: str, number: int, line: bytes, ended: bool) -> SourceRow:
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
