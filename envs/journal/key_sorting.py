"""Keys of any number in ascending order, with little memory.

An index takes keys in order many times as fast as keys from all over it: each of its pages is written once.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

KEY = 16  # bytes
VALUES = 16, 32  # that a value may have
PAIR = KEY + VALUES[1]
HELD = 400_000  # pairs in memory
FILES = 64
NOTHING = bytes(VALUES[1] - VALUES[0])  # never the end of a longer value, which is a hash


class KeySorter(contextlib.ExitStack):
    """Collects pairs of keys and values; more than a few go to files without a name, by the beginning of the key.

    Attributes:
        count: number of pairs.

    Args:
        folder: where the files are.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.count = 0
        self._folder = folder
        self._held = bytearray()
        self._files: list[IO[bytes]] = []

    def add(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Add keys of 16 bytes with their values of 16 or 32."""
        before = len(self._held)
        self._held += b"".join([key + value.ljust(VALUES[1], b"\0") for key, value in pairs])
        self.count += (len(self._held) - before) // PAIR
        if len(self._held) > HELD * PAIR:
            self._spill()

    def drained(self, most: int) -> Iterator[list[tuple[bytes, bytes]]]:
        """All pairs by their keys, at most so many at a time, equal keys as they were added; they are gone then."""
        if self._files:
            self._spill()
        for part in self._parts():
            for start in range(0, len(part), most * PAIR):
                piece = part[start : start + most * PAIR]
                yield [_pair(piece[place : place + PAIR]) for place in range(0, len(piece), PAIR)]
        self._held.clear()
        self.count = 0

    def _parts(self) -> Iterator[bytes]:
        if not self._files:
            yield _sorted(bytes(self._held))
        for file in self._files:
            file.seek(0)
            yield _sorted(file.read())
            file.seek(0)
            file.truncate()

    def _spill(self) -> None:
        while len(self._files) < FILES:
            fresh = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed with the others
            self._files.append(self.enter_context(fresh))
        pairs = np.frombuffer(bytes(self._held), dtype=np.uint8).reshape(-1, PAIR)
        self._held.clear()
        places = pairs[:, 0] // (256 // FILES)
        pairs = pairs[np.argsort(places, kind="stable")]
        ends = np.cumsum(np.bincount(places, minlength=FILES)).tolist()
        for file, start, end in zip(self._files, [0, *ends], ends, strict=False):
            file.write(pairs[start:end].tobytes())


def _sorted(pairs: bytes) -> bytes:
    halves = np.frombuffer(pairs, dtype=">u8").reshape(-1, PAIR // 8)[:, :2].astype(np.uint64)
    order = np.lexsort((halves[:, 1], halves[:, 0]))
    return np.frombuffer(pairs, dtype=f"V{PAIR}")[order].tobytes()


def _pair(pair: bytes) -> tuple[bytes, bytes]:
    return pair[:KEY], pair[KEY:] if pair[KEY + VALUES[0] :] != NOTHING else pair[KEY : KEY + VALUES[0]]
