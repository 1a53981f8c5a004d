"""What a journal remembers of the events that left it for the table.

Sixteen bytes stand for an event, a step and an episode each, so that the same decision is not recorded
again and a contradiction is still refused, without reading the table on the deciding path. A decision that is an
episode by itself has one key instead of three, whose value also says of which agent and tenant it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from importlib import import_module
from itertools import chain
from typing import Any

from envs.errors import MissingExtraError
from envs.journal.columns import Same
from envs.journal.decision_columns import DecisionColumns
from envs.journal.notes import add_note, notes_of, remove_notes
from envs.journal.rows import JournalRow
from envs.journal.statements import VARIABLES, chunks

DIGEST_BYTES = 16
OWNER_BYTES = 8  # of an agent, and of a tenant: few, which chance does not confuse
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


def remember(connection: sqlite3.Connection, keys: Sequence[tuple[bytes, bytes]]) -> None:
    """Within a transaction: remember events that are about to leave."""
    # By the hundred, which takes half as long as one by one.
    for part in chunks(keys, VARIABLES // 2):
        marks = ",".join(["(?, ?)"] * len(part))
        connection.execute(f"INSERT OR REPLACE INTO sealed_keys VALUES {marks}", list(chain.from_iterable(part)))


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
    """Keys and values of an event, and of its step and its episode where it has a place in one."""
    event, digest = event_key(row.event_id), short(content_hash)
    if row.shadow:
        return [(event, digest)]
    if (row.episode_id, row.step) == (row.event_id, 0):
        return [(event, digest + _owner(row.agent, row.tenant))]
    step, episode = step_key(row.agent, row.episode_id, row.step), episode_key(row.agent, row.episode_id)
    return [(event, digest), (step, event), (episode, tenant_key(row.tenant))]


def column_keys(decisions: DecisionColumns, hashes: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    """The same of many decisions, with the SHA-256 of each one's content; an episode once."""
    events = [_key("event", event) for event in decisions.values("event_id")]
    digests = [digest[:DIGEST_BYTES] for digest in hashes]
    few = [decisions.columns[name] for name in ("agent", "tenant", "step", "mode")]
    if decisions.single and all(isinstance(column, Same) for column in few):
        agent, tenant, step, mode = (decisions.values(name)[0] for name in ("agent", "tenant", "step", "mode"))
        if step == 0 and mode != "shadow":
            owner = _owner(agent, tenant)
            return [(event, digest + owner) for event, digest in zip(events, digests, strict=True)]
    names = ("event_id", "agent", "tenant", "episode_id", "step", "mode")
    found: dict[bytes, bytes] = {}
    for row in zip(events, digests, *map(decisions.values, names), strict=True):
        event, digest, name, agent, tenant, episode, step, mode = row
        found[event] = digest
        if mode != "shadow" and (episode, step) == (name, 0):
            found[event] += _owner(agent, tenant)
        elif mode != "shadow":
            found[step_key(agent, episode, step)] = event
            found[episode_key(agent, episode)] = tenant_key(tenant)
    return list(found.items())


def known_keys(connection: sqlite3.Connection, rows: Sequence[JournalRow]) -> dict[bytes, bytes]:
    """Those keys of events, steps and episodes that left for the table, with their values of sixteen bytes."""
    if connection.execute("SELECT 1 FROM sealed_keys LIMIT 1").fetchone() is None:
        return {}
    wanted: set[bytes] = set()
    placed: list[tuple[JournalRow, bytes]] = []
    for row in rows:
        event = event_key(row.event_id)
        wanted.add(event)
        if not row.shadow:
            first = event if row.episode_id == row.event_id else event_key(row.episode_id)
            wanted |= {first, step_key(row.agent, row.episode_id, row.step), episode_key(row.agent, row.episode_id)}
            placed.append((row, first))
    found = _values(connection, list(wanted))
    for row, first in placed:
        owner = found.get(first, b"")[DIGEST_BYTES:]
        mine = _owner(row.agent, row.tenant) if owner else b""
        if owner and owner[:OWNER_BYTES] == mine[:OWNER_BYTES]:  # of the same agent
            episode = episode_key(row.agent, row.episode_id)
            found[episode] = tenant_key(row.tenant) if owner == mine else found.get(episode, owner)
            found[step_key(row.agent, row.episode_id, 0)] = first
    return {key: value[:DIGEST_BYTES] for key, value in found.items()}


def is_known_event(connection: sqlite3.Connection, event_id: str) -> bool:
    """Whether an event left for the table."""
    return bool(_values(connection, [event_key(event_id)]))


def is_known_episode(connection: sqlite3.Connection, agent: str, episode_id: str) -> bool:
    """Whether a decision of an episode left for the table."""
    event, episode = event_key(episode_id), episode_key(agent, episode_id)
    found = _values(connection, [event, episode])
    owner = found.get(event, b"")[DIGEST_BYTES:]
    return episode in found or (bool(owner) and owner[:OWNER_BYTES] == _owner(agent, "")[:OWNER_BYTES])


def _values(connection: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for chunk in chunks(keys):
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


def _owner(agent: str, tenant: str) -> bytes:
    """What stands for an agent, and for a tenant behind it."""
    return _key("agent", agent)[:OWNER_BYTES] + tenant_key(tenant)[:OWNER_BYTES]


def short(content_hash: str) -> bytes:
    """The part of a content hash that is kept."""
    return bytes.fromhex(content_hash[: 2 * DIGEST_BYTES])


def _key(*parts: str) -> bytes:
    return blake2b("\0".join(parts).encode(), digest_size=DIGEST_BYTES).digest()
