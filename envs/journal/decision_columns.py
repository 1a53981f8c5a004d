"""Decisions of one agent as columns: as a segment of the journal keeps them, and back into rows.

The rows that are made of them are, to the bit, those that :func:`~envs.journal.rows.row_of` makes of the single
decisions.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np

from envs.journal.columns import Column, Objects, Same, listed
from envs.journal.row_texts import RowTexts
from envs.journal.rows import JournalRow
from envs.record import DecisionRecord, record_of, stored_fields, stored_json

HEAD = 4  # bytes of the length of the description
ALIGNED = {"b": "|b1", "i": "<i8", "f": "<f8"}  # how arrays are kept, by their kind


@dataclass(frozen=True, slots=True)
class DecisionColumns:
    """Decisions that were checked.

    Attributes:
        count: how many, at least one.
        columns: by name, in the order of :data:`~envs.record.FIELD_NAMES`, those that the rows have; the agent,
            ``event_id``, tenant, ``episode_id``, step and mode are among them. Where each decision is its own
            episode, ``episode_id`` is the very column of ``event_id``.
    """

    count: int
    columns: Mapping[str, Column]

    @property
    def single(self) -> bool:
        """Whether each decision is its own episode."""
        return self.columns["episode_id"] is self.columns["event_id"]

    def values(self, name: str) -> list[Any]:
        """The values of a column."""
        return listed(self.columns[name], self.count)

    def rows(self) -> list[JournalRow]:
        """What the journal's rows of these decisions are."""
        written = RowTexts(self.columns, self.count).stored()
        events, *places, modes = map(self.values, ("event_id", "agent", "tenant", "episode_id", "step", "mode"))
        shadow = [1 if mode == "shadow" else 0 for mode in modes]
        checksums, texts = map(zlib.crc32, written), map(bytes.decode, written)
        whole = zip(events, repeat(None), *places, shadow, checksums, texts, strict=False)
        return list(map(JournalRow._make, whole))

    def records(self) -> list[DecisionRecord]:
        """The decisions."""
        names = tuple(self.columns)
        columns = (listed(column, self.count) for column in self.columns.values())
        return [record_of(dict(zip(names, values, strict=True))) for values in zip(*columns, strict=True)]

    def packed(self) -> bytes:
        """The columns as bytes."""
        parts: list[bytes] = []
        described = {
            name: {"like": "event_id"} if name == "episode_id" and self.single else _described(column, parts)
            for name, column in self.columns.items()
        }
        head = stored_json({"count": self.count, "columns": described})
        return b"".join((len(head).to_bytes(HEAD, "little"), head, *parts))

    @staticmethod
    def count_in(content: bytes) -> int:
        """How many decisions there are in what :meth:`packed` made."""
        return int(_head(content)[0]["count"])

    @classmethod
    def unpacked(cls, content: bytes) -> DecisionColumns:
        """The columns in what :meth:`packed` made."""
        head, begin = _head(content)
        columns: dict[str, Column] = {}
        body = _Body(content, begin)
        for name, described in head["columns"].items():
            columns[name] = columns[described["like"]] if "like" in described else body.column(described)
        return cls(head["count"], columns)


def _head(content: bytes) -> tuple[dict[str, Any], int]:
    """The description, and where it ends."""
    end = HEAD + int.from_bytes(content[:HEAD], "little")
    return stored_fields(content[HEAD:end].decode()), end


def _described(column: Column, parts: list[bytes]) -> dict[str, Any]:
    """What is to be known of a column; its values go to the parts."""
    if isinstance(column, Objects):
        return {"names": column.names, "parts": [_described(part, parts) for part in column.parts]}
    if isinstance(column, Same):
        return {"same": column.value}
    if isinstance(column, np.ndarray):
        kept = column.astype(ALIGNED[column.dtype.kind], copy=False)
        bits = np.ascontiguousarray(kept).view(f"u{kept.itemsize}")  # 0.0 and -0.0 are equal and not the same
        if kept.ndim == 1 and bool((bits == bits[0]).all()):
            return {"same": kept[0].item()}
        parts.append(kept.tobytes())
        return {"array": kept.dtype.str, "size": len(parts[-1]), "width": kept.shape[1] if kept.ndim > 1 else 0}
    if type(column[0]) is str and column.count(column[0]) == len(column):
        return {"same": column[0]}
    parts.append(stored_json({"values": column}))
    return {"size": len(parts[-1])}


class _Body:
    """The values behind the description, read in their order."""

    def __init__(self, content: bytes, place: int) -> None:
        self._content, self._place = content, place

    def column(self, described: Mapping[str, Any]) -> Column:
        if "same" in described:
            return Same(described["same"])
        if "names" in described:
            return Objects(tuple(described["names"]), tuple(map(self.column, described["parts"])))
        begin, self._place = self._place, self._place + described["size"]
        part = self._content[begin : self._place]
        if "array" not in described:
            return list(stored_fields(part.decode())["values"])
        flat = np.frombuffer(part, dtype=described["array"])
        return flat.reshape(-1, described["width"]) if described["width"] else flat
