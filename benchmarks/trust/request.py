"""What a part of the benchmark is asked for: how many logs, and where its finished pieces are kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algorithms.policy.provenance import plain_json
from envs.errors import DataError

Piece = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """How a part is measured.

    Attributes:
        quick: the same rows from very few logs.
        logs: logs a setting, 0 for the part's own number.
        kept: folder of finished pieces; a part that was interrupted goes on from them. ``None`` keeps nothing.
            Pieces know nothing of the code that made them: after a change, name a new folder.
    """

    quick: bool = False
    logs: int = 0
    kept: Path | None = None

    def count(self, *, quick: int, full: int) -> int:
        """The number of logs a setting."""
        return self.logs or (quick if self.quick else full)

    def pieces(self, name: str, sizes: list[int], piece: Callable[[int, int], Piece]) -> list[Piece]:
        """The pieces of a measurement, each from its index and its size, or from where it is kept.

        Args:
            name: of the measurement, a file name.
            sizes: logs of each piece; a kept piece of another size is made again.
            piece: index and size to what JSON can hold; its index alone must seed it.
        """
        return [self._piece(f"{name}-{index:04d}", index, size, piece) for index, size in enumerate(sizes)]

    def _piece(self, name: str, index: int, size: int, piece: Callable[[int, int], Piece]) -> Piece:
        path = None if self.kept is None else self.kept / f"{name}-{size}.json"
        if path is not None and path.exists():
            try:
                found: Piece = json.loads(path.read_text(encoding="utf-8"))
                return found
            except json.JSONDecodeError:
                raise DataError("a kept piece cannot be read", where=str(path), remedy="delete it") from None
        found = plain_json(piece(index, size))
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            written = path.with_suffix(".part")
            written.write_text(json.dumps(found), encoding="utf-8")
            written.replace(path)
        return found


def sizes_of(total: int, largest: int) -> list[int]:
    """``total`` in pieces of at most ``largest``."""
    return [min(largest, total - start) for start in range(0, total, largest)]
