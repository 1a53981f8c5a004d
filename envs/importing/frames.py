"""Messages between an import and the processes that help it: their length, then their bytes."""

from __future__ import annotations

import os

HEAD = 8  # bytes of the length


def send(descriptor: int, *parts: bytes) -> None:
    """Write one message, which is all parts together.

    Raises:
        OSError: nobody reads it.
    """
    content = memoryview(b"".join((sum(map(len, parts)).to_bytes(HEAD, "little"), *parts)))
    while content:
        content = content[os.write(descriptor, content) :]


def receive(descriptor: int) -> bytes | None:
    """The next message; ``None`` where none will come, because who wrote is gone."""
    head = _exactly(descriptor, HEAD)
    return None if head is None else _exactly(descriptor, int.from_bytes(head, "little"))


def _exactly(descriptor: int, size: int) -> bytes | None:
    out = bytearray()
    while len(out) < size:
        part = os.read(descriptor, size - len(out))
        if not part:
            return None
        out += part
    return bytes(out)
