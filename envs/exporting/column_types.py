"""Which Arrow type holds the values of a field so that the very same values come back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from envs.canonical import EXACT_INTEGER

JSON = pa.json_(pa.string())
"""The column type of what has no type of its own: texts of JSON, marked as such in Parquet."""


class ColumnType:
    """Sees every value of a field, and knows the narrowest type for all of them.

    Numbers, truth values, texts, arrays of one kind, and objects that all have the same names get an Arrow type. An
    object that lacks a name would come back with a null under it, which is something else: such fields, and those
    that hold values of several kinds, are kept as JSON.
    """

    def __init__(self) -> None:
        self._kinds: set[str] = set()
        self._large = False
        self._entries: ColumnType | None = None
        self._parts: dict[str, ColumnType] | None = None
        self._mixed = False

    def see(self, value: Any) -> None:
        """One more value, of the record's plain ones; ``None`` is no value."""
        if value is None or self._mixed:
            return
        if isinstance(value, Mapping):
            self._kinds.add("object")
            if self._parts is None:
                self._parts = {name: ColumnType() for name in value}
            if self._parts.keys() != value.keys():
                self._mixed = True
                return
            for name, item in value.items():
                self._parts[name].see(item)
        elif isinstance(value, list):
            self._kinds.add("array")
            self._entries = self._entries or ColumnType()
            for item in value:
                self._entries.see(item)
        elif isinstance(value, bool):
            self._kinds.add("boolean")
        elif isinstance(value, int):
            self._kinds.add("integer")
            self._large |= abs(value) >= EXACT_INTEGER
        else:
            self._kinds.add("real" if isinstance(value, float) else "text")

    @property
    def arrow(self) -> pa.DataType:
        """The type; JSON where there is none, or where no value was seen."""
        found = self._found()
        return JSON if found is None else found

    def _found(self) -> pa.DataType | None:
        kinds = self._kinds
        if self._mixed or not kinds:
            return None
        if kinds == {"boolean"}:
            return pa.bool_()
        if kinds == {"integer"}:
            return pa.int64()
        if kinds <= {"integer", "real"} and not self._large:
            return pa.float64()
        if kinds == {"text"}:
            return pa.string()
        if kinds == {"array"} and self._entries is not None:
            entries = self._entries._found()
            return None if entries is None else pa.list_(entries)
        if kinds == {"object"} and self._parts:
            parts = {name: part._found() for name, part in self._parts.items()}
            return None if None in parts.values() else pa.struct(list(parts.items()))
        return None
