"""The JSON of many rows at once: each column is written in one go and cut into its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from envs.record import stored_json

ENDS: Mapping[type, tuple[bytes, bytes]] = {str: (b'"', b'"'), dict: (b"{", b"}"), list: (b"[", b"]")}
SCALARS = frozenset({int, float, bool, type(None)})


def row_texts(columns: Mapping[str, Sequence[Any]]) -> list[bytes]:
    """What :func:`~envs.record.stored_json` makes of each row.

    Args:
        columns: at least one, all of the same length and not empty, in the order in which they are written; their
            names need no escaping.
    """
    pattern, varying = [], []
    for name, column in columns.items():
        values = value_texts(column)
        if values.count(values[0]) == len(values):
            pattern.append(b'"%b":%b' % (name.encode(), values[0].replace(b"%", b"%%")))
        else:
            pattern.append(b'"%b":%%b' % name.encode())
            varying.append(values)
    row = b"{%b}" % b",".join(pattern)
    if not varying:
        return [row % ()] * len(values)
    return [row % values for values in zip(*varying, strict=True)]


def value_texts(column: Sequence[Any]) -> list[bytes]:
    """The JSON of each value of a column, which is not empty."""
    kinds = set(map(type, column))
    # Equal ones are written alike, unless they are numbers: 0.0 and -0.0.
    if (kinds <= {str} or kinds <= {bool} or kinds <= {int}) and column.count(column[0]) == len(column):
        return [stored_json({"": column[0]})[len('{"":') : -1]] * len(column)
    ends = next((ends for kind, ends in ENDS.items() if kinds == {kind}), None)
    if ends is not None or kinds <= SCALARS:
        opening, ending = ends or (b"", b"")
        text = stored_json({"": column})[len('{"":[') + len(opening) : -len(ending + b"]}")]
        values = text.split(ending + b"," + opening)
        # Where a separator stands inside a value as well there are more pieces than values; a text holds one only
        # behind an escaped quote.
        if len(values) == len(column) and not (opening == b'"' and b"\\" in text):
            if not opening:
                return values
            if values.count(values[0]) == len(values):
                return [opening + values[0] + ending] * len(values)
            return [opening + value + ending for value in values]
    return [stored_json({"": value})[len('{"":') : -1] for value in column]
