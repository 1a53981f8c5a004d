"""Many lines of JSON parsed at once, where a fast parser says what the strict one would.

The fast parser takes the last of two equal names, and makes floats of integers above 64 bits. What it says is looked
at for both, over columns, which is a fraction of the time that the strict parser takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np

from envs.importing.rows import ReadColumns, ReadRows
from envs.journal.columns import Column, Objects, floats, kinds_in, objects_of

try:
    from orjson import loads as _parse_fast
except ImportError:
    _parse_fast: Callable[[bytes], Any] | None = None  # type: ignore[no-redef]

FEWEST = 4  # lines; fewer are not worth columns
EXACT = 2.0**63  # no smaller float was an integer above 64 bits
SAME_DIGIT = bytes.maketrans(b"123456789,[- \t\r\n", b"000000000:::::::")
LONG_INTEGER = b":" + b"0" * 19
NAME_END = int.from_bytes(b'":', "little")
# Stands for the end of a line, and in no text: a sign that is rare is looked for many times as fast as all of it.
SIGN, BETWEEN = b"+", b",1e+300,"
END = 1e300


def rows_at_once(source: str, text: bytes, before: int) -> ReadColumns | ReadRows | None:
    """The rows of lines with an object in each; ``None`` where the strict parser must say what they are.

    Args:
        source: of the lines.
        text: they and their ends.
        before: how many lines of the source stand before them.
    """
    if _parse_fast is None or not _is_simple(text):
        return None
    try:
        contents = _parsed(text.removesuffix(b"\n"))
    except (ValueError, RecursionError):
        return None  # the strict parser says why, or reads NaN
    if not contents or kinds_in(contents) != {dict}:
        return None
    numbers = range(before + 1, before + 1 + len(contents))
    written = _names_in(text)
    found = objects_of(contents) if len(contents) >= FEWEST else None
    columns = None if found is None else _in_parts(found)
    # A line can only have lost names, so the numbers agree where all lines have kept theirs.
    if columns is not None and written == len(contents) * _names_of(columns):
        return ReadColumns(source, numbers, dict(zip(columns.names, columns.parts, strict=True)))
    if LONG_INTEGER in text.translate(SAME_DIGIT) or _names(contents) != written:
        return None
    return ReadRows(source, numbers, contents)


def _is_simple(text: bytes) -> bool:
    """Whether each quote and colon together end a name, and nothing looks like the end of a line."""
    # One byte is looked for many times as fast as two.
    for space in (b" ", b"\t", b"\r"):
        if space in text and space + b":" in text:
            return False
    return b"\\" not in text and not (SIGN in text and BETWEEN in text)


def _parsed(text: bytes) -> list[Any]:
    """What each line is; empty where some are not one value each."""
    assert _parse_fast is not None
    whole = b"".join((b"[", text.replace(b"\n", BETWEEN), b"]"))
    found = _parse_fast(whole)
    ends = (len(whole) - len(text) - 2) // (len(BETWEEN) - 1)
    # Where all ends are there, and between every two of them one value, no value began on another line.
    return found[::2] if len(found) == 2 * ends + 1 and found[1::2].count(END) == ends else []


def _in_parts(objects: Objects) -> Objects | None:
    """The same, the objects in them as columns too and floats as arrays; ``None`` where a number may not be exact."""
    parts = tuple(map(_exact, objects.parts))
    return None if any(part is None for part in parts) else Objects(objects.names, parts)


def _exact(column: Sequence[Any]) -> Column | None:
    kinds = kinds_in(column)
    if kinds == {float}:
        numbers = floats(column)
        return numbers if np.abs(numbers).max() < EXACT else None
    if kinds == {dict}:
        found = objects_of(column)
        return None if found is None else _in_parts(found)
    if kinds == {list}:
        return None if _exact(list(chain.from_iterable(column))) is None else column
    if kinds & {dict, list} or (float in kinds and max(abs(one) for one in column if type(one) is float) >= EXACT):
        return None
    return column


def _names_of(objects: Objects) -> int:
    return len(objects.names) + sum(_names_of(part) for part in objects.parts if isinstance(part, Objects))


def _names_in(text: bytes) -> int:
    """How many names a text has, each of which ends with a quote and a colon together."""
    found = 0
    for begin in (0, 1):
        pairs = np.frombuffer(text, dtype="<u2", count=(len(text) - begin) // 2, offset=begin)
        found += int(np.count_nonzero(pairs == NAME_END))
    return found


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
