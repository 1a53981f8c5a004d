"""Numbers of things in sentences."""

from __future__ import annotations


def counted(number: int, one: str, several: str = "") -> str:
    """A number and what it counts: ``1 decision``, ``1,200 decisions``.

    Args:
        number: how many.
        one: what one of them is called, with what the sentence says of it.
        several: the same of more or none; ``one`` and an s by default.
    """
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"
