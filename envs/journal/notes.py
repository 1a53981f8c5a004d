"""What a journal knows beside its events: small JSON documents with a checksum, in the same order of positions."""

from __future__ import annotations

import json
import sqlite3
import zlib
from dataclasses import dataclass
from typing import Any

from envs.journal.rows import sound


@dataclass(frozen=True, slots=True)
class Note:
    """One document.

    Attributes:
        sequence: its position in the journal.
        kind: what it is about.
        agent: whose it is; empty where it concerns all.
        content: the document.
    """

    sequence: int
    kind: str
    agent: str
    content: dict[str, Any]


def add_note(
    connection: sqlite3.Connection, kind: str, agent: str, content: dict[str, Any], *, place: bool = True
) -> int:
    """Within a transaction: write a note and give its position.

    Args:
        connection: to the journal.
        kind: what it is about.
        agent: whose.
        content: plain JSON.
        place: take a position among the events, so that readers see that something changed; else the note
            stands before them all, under a negative number.
    """
    text = json.dumps(content, sort_keys=True)
    if place:
        sequence = next_position(connection)
    else:
        sequence = connection.execute("SELECT MIN(COALESCE(MIN(sequence), 0), 0) - 1 FROM notes").fetchone()[0]
    connection.execute(
        "INSERT INTO notes (sequence, kind, agent, checksum, content) VALUES (?, ?, ?, ?, ?)",
        (sequence, kind, agent, zlib.crc32(text.encode()), text),
    )
    return int(sequence)


def notes_of(connection: sqlite3.Connection, kind: str, agent: str | None = None) -> list[Note]:
    """The notes of a kind (and of an agent), in order."""
    which = "kind = ? AND agent = COALESCE(?, agent)"
    rows = connection.execute(
        f"SELECT sequence, agent, content, checksum FROM notes WHERE {which} ORDER BY sequence", (kind, agent)
    )
    return [Note(sequence, kind, owner, json.loads(sound(text, checksum))) for sequence, owner, text, checksum in rows]


def remove_notes(connection: sqlite3.Connection, kind: str) -> None:
    """Within a transaction: drop the notes of a kind."""
    connection.execute("DELETE FROM notes WHERE kind = ?", (kind,))


def next_position(connection: sqlite3.Connection) -> int:
    """Within a transaction: take the next position of the events' own counter."""
    moved = connection.execute("UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'events'")
    if not moved.rowcount:
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('events', 1)")
    return int(connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()[0])
