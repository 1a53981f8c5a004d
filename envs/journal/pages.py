"""Rows read off a database's pages, whatever its structure has come to.

SQLite finds a row through the tree above it; where the tree is damaged, rows that are whole are out of
its reach. Their pages still say what they are (the file format is documented at sqlite.org/fileformat2.html).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

LEAF = 0x0D
WAL_HEADER, FRAME_HEADER = 32, 24
LONGEST_CHAIN = 1 << 16  # overflow pages of one row; a damaged chain may be a ring
INTEGER_SIZES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


class Pages:
    """The pages of a database file, those of its write-ahead log over them.

    Args:
        main: content of the database file.
        wal: content of the write-ahead log; of it what was committed and is whole.
    """

    def __init__(self, main: bytes, wal: bytes = b"") -> None:
        self._main = main
        self.size = _page_size(main)
        self._usable = self.size - (main[20] if len(main) > 20 and main[20] <= 64 else 0)
        self._newer = _committed(wal, self.size)

    def __len__(self) -> int:
        return max(-(-len(self._main) // self.size), max(self._newer, default=0))

    def page(self, number: int) -> bytes:
        """A page by its number, from 1; empty where there is none."""
        if number in self._newer:
            return self._newer[number]
        return self._main[(number - 1) * self.size : number * self.size] if number > 0 else b""

    def rows(self) -> Iterator[tuple[int, list[Any]]]:
        """(rowid, values) of every row on every leaf page of any table; rows that cannot be read are left out."""
        for number in range(1, len(self) + 1):
            page = self.page(number)
            start = 100 if number == 1 else 0
            if len(page) < start + 8 or page[start] != LEAF:
                continue
            count = int.from_bytes(page[start + 3 : start + 5], "big")
            for index in range(count):
                place = start + 8 + 2 * index
                try:
                    yield self._cell(page, int.from_bytes(page[place : place + 2], "big"))
                except (IndexError, ValueError, struct.error, UnicodeDecodeError):
                    continue

    def _cell(self, page: bytes, place: int) -> tuple[int, list[Any]]:
        size, place = _varint(page, place)
        rowid, place = _varint(page, place)
        usable = self._usable
        local = size
        if size > usable - 35:
            least = (usable - 12) * 32 // 255 - 23
            local = least + (size - least) % (usable - 4)
            local = local if local <= usable - 35 else least
        payload = page[place : place + local]
        if size > local:
            following = int.from_bytes(page[place + local : place + local + 4], "big")
            payload += self._chain(following, size - local)
        if len(payload) != size:
            raise ValueError("cut")
        return rowid - (1 << 64) if rowid >= 1 << 63 else rowid, _values(payload)

    def _chain(self, number: int, size: int) -> bytes:
        parts: list[bytes] = []
        for _ in range(LONGEST_CHAIN):
            if size <= 0:
                break
            page = self.page(number)
            part = page[4 : min(4 + size, self._usable)]
            if not part:
                raise ValueError("cut")
            parts.append(part)
            size -= len(part)
            number = int.from_bytes(page[:4], "big")
        return b"".join(parts)


def _page_size(main: bytes) -> int:
    size = int.from_bytes(main[16:18], "big")
    size = 65536 if size == 1 else size
    return size if 512 <= size <= 65536 and size & (size - 1) == 0 else 4096


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for index in range(8):
        byte = data[place + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + index + 1
    return value << 8 | data[place + 8], place + 9


def _values(payload: bytes) -> list[Any]:
    """The values of a record; ``None``, integers, floats, texts and blobs."""
    header, place = _varint(payload, 0)
    types = []
    while place < header:
        kind, place = _varint(payload, place)
        types.append(kind)
    values: list[Any] = []
    for kind in types:
        size = INTEGER_SIZES.get(kind, 8 if kind == 7 else (kind - 12) // 2 if kind >= 12 else 0)
        part = payload[place : place + size]
        if len(part) != size:
            raise ValueError("cut")
        place += size
        if kind in INTEGER_SIZES:
            values.append(int.from_bytes(part, "big", signed=True))
        elif kind == 7:
            values.append(struct.unpack(">d", part)[0])
        elif kind in (8, 9):
            values.append(kind - 8)
        elif kind >= 12:
            values.append(part.decode() if kind % 2 else part)
        else:
            values.append(None)
    return values


def _committed(wal: bytes, size: int) -> dict[int, bytes]:
    """The last committed state of the pages in a write-ahead log; it ends where a frame is not whole."""
    if len(wal) < WAL_HEADER:
        return {}
    magic, _, wal_size = struct.unpack(">III", wal[:12])
    if magic not in (0x377F0682, 0x377F0683) or wal_size not in (size, 1 if size == 65536 else size):
        return {}
    order = ">" if magic & 1 else "<"
    salts = wal[16:24]
    sums = _checksum(wal[:24], order, (0, 0))
    if sums != struct.unpack(">II", wal[24:32]):
        return {}
    committed: dict[int, bytes] = {}
    pending: dict[int, bytes] = {}
    for start in range(WAL_HEADER, len(wal) - FRAME_HEADER - size + 1, FRAME_HEADER + size):
        header, page = wal[start : start + FRAME_HEADER], wal[start + FRAME_HEADER : start + FRAME_HEADER + size]
        sums = _checksum(page, order, _checksum(header[:8], order, sums))
        if header[8:16] != salts or struct.unpack(">II", header[16:24]) != sums:
            break
        number, pages = struct.unpack(">II", header[:8])
        pending[number] = page
        if pages:
            committed.update(pending)
            pending.clear()
    return committed


def _checksum(data: bytes, order: str, sums: tuple[int, int]) -> tuple[int, int]:
    first, second = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for index in range(0, len(words), 2):
        first = (first + words[index] + second) & 0xFFFFFFFF
        second = (second + words[index + 1] + first) & 0xFFFFFFFF
    return first, second
