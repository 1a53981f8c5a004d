"""What a journal remembers of the events that left it for the table.

Sixteen bytes stand for an event, a step and an episode each, so that the same decision is not recorded
again and a contradiction is still refused, without reading the table on the deciding path.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from importlib import import_module
from itertools import chain
from typing import Any

from envs.errors import MissingExtraError
from envs.journal.decision_columns import DecisionColumns
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
    connection.executemany("INSERT OR REPLACE INTO sealed_keys VALUES (?, ?)", keys)


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


def column_keys(decisions: DecisionColumns, hashes: Sequence[bytes]) -> Iterator[bytes]:
    """What :func:`row_keys` gives of many decisions, with the SHA-256 of each one's content: keys and values in turn."""
    events = [_key("event", event) for event in decisions.values("event_id")]
    yield from chain.from_iterable(zip(events, [digest[:DIGEST_BYTES] for digest in hashes], strict=True))
    names = ("mode", "agent", "episode_id", "step", "tenant")
    rows = zip(events, *map(decisions.values, names), strict=True)
    placed = [(event, *place) for event, mode, *place in rows if mode != "shadow"]
    for event, agent, episode, step, _ in placed:
        yield step_key(agent, episode, step)
        yield event
    tenants: dict[str, bytes] = {}
    for agent, episode, tenant in dict.fromkeys((agent, episode, tenant) for _, agent, episode, _, tenant in placed):
        yield episode_key(agent, episode)
        yield tenants.setdefault(tenant, tenant_key(tenant))


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
