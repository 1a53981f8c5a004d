"""Keys of any number in ascending order, with little memory.

An index takes keys in order many times as fast as keys from all over it: each of its pages is written once.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

PAIR_BYTES = 32  # a key and its value, sixteen each
HELD_BYTES = 16 * 2**20
FILES = 64


class KeySorter:
    """Collects pairs of keys and values; more than a few go to files without a name, by the beginning of the key.

    Attributes:
        size: bytes of the pairs.

    Args:
        folder: where the files are.
    """

    def __init__(self, folder: Path) -> None:
        self.size = 0
        self._folder = folder
        self._held = bytearray()
        self._files: list[IO[bytes]] = []
        self._stack = contextlib.ExitStack()

    def add(self, pairs: bytes) -> None:
        """Add pairs, one behind the other."""
        self.size += len(pairs)
        self._held += pairs
        if len(self._held) > HELD_BYTES:
            self._spill()

    def drained(self, most: int) -> Iterator[list[tuple[bytes, bytes]]]:
        """All pairs by their keys, at most so many at a time, equal keys as they were added; they are gone then."""
        if self._files:
            self._spill()
        for part in self._parts():
            for start in range(0, len(part), most * PAIR_BYTES):
                piece = part[start : start + most * PAIR_BYTES]
                places = range(0, len(piece), PAIR_BYTES)
                yield [(piece[place : place + 16], piece[place + 16 : place + 32]) for place in places]
        self._held.clear()
        self.size = 0

    def close(self) -> None:
        """Let the files go."""
        self._stack.close()

    def __enter__(self) -> KeySorter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _parts(self) -> Iterator[bytes]:
        if not self._files:
            yield _sorted(bytes(self._held))
        for file in self._files:
            file.seek(0)
            yield _sorted(file.read())
            file.seek(0)
            file.truncate()

    def _spill(self) -> None:
        if not self._files:
            for _ in range(FILES):
                self._files.append(self._stack.enter_context(tempfile.TemporaryFile(dir=self._folder)))
        pairs = np.frombuffer(bytes(self._held), dtype=np.uint8).reshape(-1, PAIR_BYTES)
        places = pairs[:, 0] // (256 // FILES)
        pairs = pairs[np.argsort(places, kind="stable")]
        ends = np.cumsum(np.bincount(places, minlength=FILES)).tolist()
        for file, start, end in zip(self._files, [0, *ends], ends, strict=False):
            file.write(pairs[start:end].tobytes())
        self._held.clear()


def _sorted(pairs: bytes) -> bytes:
    halves = np.frombuffer(pairs, dtype=">u8").reshape(-1, PAIR_BYTES // 8)[:, :2].astype(np.uint64)
    order = np.lexsort((halves[:, 1], halves[:, 0]))
    return np.frombuffer(pairs, dtype=f"V{PAIR_BYTES}")[order].tobytes()
