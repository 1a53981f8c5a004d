"""What a journal remembers of the events that left it for the table.

Sixteen bytes stand for an event, a step and an episode each, so that the same decision is not recorded
again and a contradiction is still refused, without reading the table on the deciding path.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from importlib import import_module
from typing import Any

from envs.errors import MissingExtraError
from envs.journal.notes import add_note, notes_of, remove_notes
from envs.journal.rows import JournalRow

DIGEST_BYTES = 16
VARIABLES = 500
KIND, IDENTITY = "sealed", "identity"
KEYS_LOST = "sealed keys lost"  # what damage leaves behind; the next sealing finds them out again


class OvertakenError(Exception):
    """What was being read has moved meanwhile, from the journal into the table or within it; read again."""


@dataclass(frozen=True, slots=True)
class SealedState:
    """How far a journal was sealed.

    Attributes:
        through: position up to which every event is in the table and may have left the journal.
        table: where the table is: relative to the journal's folder, or a URI; empty before the first sealing.
        decisions: number of sealed decisions by agent.
        outcomes: number of sealed outcomes by agent.
        last: position of the last sealed event by agent.
    """

    through: int = 0
    table: str = ""
    decisions: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)


def sealed_state(connection: sqlite3.Connection) -> SealedState:
    """How far the journal was sealed."""
    notes = notes_of(connection, KIND)
    return SealedState(**notes[-1].content) if notes else SealedState()


def note_sealed(connection: sqlite3.Connection, state: SealedState) -> None:
    """Within a transaction: from here on, what is up to ``state.through`` is read from the table."""
    remove_notes(connection, KIND)
    add_note(connection, KIND, "", asdict(state), place=False)


def remember(connection: sqlite3.Connection, keys: Iterable[tuple[bytes, bytes]]) -> None:
    """Within a transaction: remember events that are about to leave."""
    connection.executemany("INSERT OR REPLACE INTO sealed_keys VALUES (?, ?)", sorted(keys))


def table_reader() -> Any:
    """The module that reads the table, imported only where something was sealed.

    Raises:
        MissingExtraError: what it needs is not installed.
    """
    try:
        return import_module("envs.log.reading")
    except ImportError as error:
        remedy = 'install it: pip install "retrainer[train]"'
        raise MissingExtraError(f"the sealed part of the log needs {error.name}", remedy=remedy) from error


def row_keys(row: JournalRow, content_hash: str) -> list[tuple[bytes, bytes]]:
    """Key and value of an event, and of its step and its episode where it has a place in one."""
    event = event_key(row.event_id)
    keys = [(event, short(content_hash))]
    if not row.shadow:
        keys.append((step_key(row.agent, row.episode_id, row.step), event))
        keys.append((episode_key(row.agent, row.episode_id), tenant_key(row.tenant)))
    return keys


def known_keys(connection: sqlite3.Connection, rows: Sequence[JournalRow]) -> dict[bytes, bytes]:
    """Those keys of events, steps and episodes that left for the table, with their values."""
    if connection.execute("SELECT 1 FROM sealed_keys LIMIT 1").fetchone() is None:
        return {}
    wanted = {event_key(row.event_id) for row in rows}
    for row in rows:
        if not row.shadow:
            wanted.add(step_key(row.agent, row.episode_id, row.step))
            wanted.add(episode_key(row.agent, row.episode_id))
    listed = list(wanted)
    found: dict[bytes, bytes] = {}
    for start in range(0, len(listed), VARIABLES):
        chunk = listed[start : start + VARIABLES]
        marks = ",".join("?" * len(chunk))
        found.update(connection.execute(f"SELECT key, value FROM sealed_keys WHERE key IN ({marks})", chunk))
    return found


def event_key(event_id: str) -> bytes:
    """The key of an event."""
    return _key("event", event_id)


def step_key(agent: str, episode_id: str, step: int) -> bytes:
    """The key of a step of an episode."""
    return _key("step", agent, episode_id, str(step))


def episode_key(agent: str, episode_id: str) -> bytes:
    """The key of an episode."""
    return _key("episode", agent, episode_id)


def tenant_key(tenant: str) -> bytes:
    """What stands for a tenant."""
    return _key("tenant", tenant)


def short(content_hash: str) -> bytes:
    """The part of a content hash that is kept."""
    return bytes.fromhex(content_hash[: 2 * DIGEST_BYTES])


def _key(*parts: str) -> bytes:
    return blake2b("\0".join(parts).encode(), digest_size=DIGEST_BYTES).digest()
