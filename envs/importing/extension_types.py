"""Arrow columns of extension types: read as what they are stored as, never as what another library makes of them.

A type that a library has told pyarrow of decides what its values are, and some unpickle them (Ray's
``arrow_pickled_object``). JSON is pyarrow's own, and is what an export keeps values of several kinds in.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def extension_values(arrow: Any, column: Any, values_of: Callable[[Any, Any], list[Any]]) -> list[Any]:
    """The values of a column of an extension type, by way of its storage.

    Args:
        arrow: the module pyarrow.
        column: an array or chunked array.
        values_of: gives the values of a column of a plain type.
    """
    pieces = column.chunks if isinstance(column, arrow.ChunkedArray) else [column]
    stored = arrow.chunked_array([piece.storage for piece in pieces], column.type.storage_type)
    values = values_of(arrow, stored)
    return [_json_value(text) for text in values] if isinstance(column.type, arrow.JsonType) else values


def refuse_inside(arrow: Any, kind: Any) -> None:
    """Let no extension type be inside another type.

    Raises:
        ArrowException: one is.
    """
    if isinstance(kind, arrow.BaseExtensionType):
        raise arrow.ArrowNotImplementedError(f"values of the type {kind} are not read")
    if arrow.types.is_dictionary(kind):
        refuse_inside(arrow, kind.value_type)
    for place in range(kind.num_fields):
        refuse_inside(arrow, kind.field(place).type)


def _json_value(text: str | None) -> Any:
    """What a text of JSON says; one that says nothing stays a text, which the record's checks refuse."""
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return text
