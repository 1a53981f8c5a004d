"""The JSON of many rows at once: each column is written in one go and cut into its values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from envs.canonical import EXACT_INTEGER, canonical_text
from envs.journal.columns import Column, Objects, Same
from envs.record import stored_json

ENDS: Mapping[type, tuple[bytes, bytes]] = {str: (b'"', b'"'), dict: (b"{", b"}"), list: (b"[", b"]")}
SCALARS = frozenset({int, float, bool, type(None)})
ALIKE = frozenset({str, int, bool, type(None)})  # written the same in both forms
PLACES = (1e-3, 1e15)  # numbers between these are never written with an exponent

Texts = bytes | list[bytes]  # one that all rows have, or one of each


class RowTexts:
    """Rows as JSON in both forms; what they have in common is written once.

    Args:
        columns: at least one, in the order in which they are written; their names are texts.
        count: number of rows, at least one.
    """

    def __init__(self, columns: Mapping[str, Column], count: int) -> None:
        self._columns = columns
        self._count = count
        # By the identity of columns, which are kept so that no other gets the same.
        self._known: dict[int, tuple[Column, Texts]] = {}
        self._items: dict[int, list[np.ndarray]] = {}

    def stored(self) -> list[bytes]:
        """What :func:`~envs.record.stored_json` makes of each row, UTF-8."""
        return self._rows(self._stored, list)

    def canonical(self) -> list[bytes]:
        """The :func:`~envs.canonical.canonical_text` of each row, UTF-8."""
        return self._rows(self._canonical, sorted)

    def _rows(self, texts: Callable[[Column], Texts], order: Callable[[Iterable[str]], Iterable[str]]) -> list[bytes]:
        varying: list[list[bytes]] = []

        def pattern(column: Column) -> bytes:
            if isinstance(column, Objects):
                return members(dict(zip(column.names, column.parts, strict=True)))
            if isinstance(column, np.ndarray) and column.ndim > 1:
                return b"[%b]" % b",".join(map(pattern, self._items.setdefault(id(column), list(column.T))))
            found = texts(column)
            if isinstance(found, bytes):
                return found.replace(b"%", b"%%")
            varying.append(found)
            return b"%b"

        def members(columns: Mapping[str, Column]) -> bytes:
            pairs = (_text(name).replace(b"%", b"%%") + b":" + pattern(columns[name]) for name in order(columns))
            return b"{%b}" % b",".join(pairs)

        row = members(self._columns)
        if not varying:
            return [row % ()] * self._count
        return [row % values for values in zip(*varying, strict=True)]

    def _stored(self, column: Column) -> Texts:
        if id(column) not in self._known:
            self._known[id(column)] = column, _stored(column)
        return self._known[id(column)][1]

    def _canonical(self, column: Column) -> Texts:
        if isinstance(column, Same):
            return canonical_text(column.value).encode()
        if isinstance(column, np.ndarray):
            stored = self._stored(column)
            return _canonical_numbers(column, stored) if column.dtype.kind == "f" else stored
        values = _values(column)
        if set(map(type, values)) <= ALIKE:
            return self._stored(column)
        return _few(value_texts(values, lambda value: canonical_text(value).encode()))


def value_texts(column: Sequence[Any], write: Callable[[Any], bytes] = stored_json) -> list[bytes]:
    """The JSON of each value of a column, which is not empty."""
    kinds = set(map(type, column))
    # Equal ones are written alike, unless they are numbers: 0.0 and -0.0.
    if (kinds <= {str} or kinds <= {bool} or kinds <= {int}) and column.count(column[0]) == len(column):
        return [_text(column[0], write)] * len(column)
    ends = next((ends for kind, ends in ENDS.items() if kinds == {kind}), None)
    if ends is not None or kinds <= SCALARS:
        opening, ending = ends or (b"", b"")
        text = write({"": column})[len('{"":[') + len(opening) : -len(ending + b"]}")]
        values = text.split(ending + b"," + opening)
        # Where a separator stands inside a value as well there are more pieces than values; a text holds one only
        # behind an escaped quote.
        if len(values) == len(column) and not (opening == b'"' and b"\\" in text):
            if not opening:
                return values
            if values.count(values[0]) == len(values):
                return [opening + values[0] + ending] * len(values)
            return [opening + value + ending for value in values]
    return [_text(value, write) for value in column]


def _text(value: Any, write: Callable[[Any], bytes] = stored_json) -> bytes:
    return write({"": value})[len('{"":') : -1]


def _few(texts: list[bytes]) -> Texts:
    return texts[0] if texts.count(texts[0]) == len(texts) else texts


def _stored(column: Column) -> Texts:
    if isinstance(column, Same):
        return _text(column.value)
    return _few(value_texts(_values(column)))


def _values(column: Column) -> list[Any]:
    if isinstance(column, (Same, Objects)):
        raise TypeError("objects are written by their parts, and one value once")
    return column.tolist() if isinstance(column, np.ndarray) else list(column)


def _canonical_numbers(numbers: np.ndarray, stored: Texts) -> Texts:
    """Canonical texts of float64 (n,), of which the stored ones are known."""
    if isinstance(stored, bytes):
        return canonical_text(numbers[0].item()).encode()
    sizes = np.abs(numbers)
    whole = (sizes < EXACT_INTEGER) & (numbers == np.floor(numbers))
    if whole.all():
        return _few(value_texts(numbers.astype(np.int64).tolist()))
    # The shortest digits are the same whoever writes them; exponents are not.
    other = whole | (sizes < PLACES[0]) | (sizes >= PLACES[1])
    texts = list(stored)
    for place in np.flatnonzero(other).tolist():
        texts[place] = canonical_text(numbers[place].item()).encode()
    return texts
