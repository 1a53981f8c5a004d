"""How a journal keeps records and outcomes: one row each, with a checksum over its text."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import NamedTuple

from envs.journal.errors import DamagedContentError
from envs.outcome import OutcomeEvent
from envs.record import DecisionRecord, stored_fields, stored_json, trusted

Event = DecisionRecord | OutcomeEvent


class JournalRow(NamedTuple):
    """What is written of one event, in the order of the table's columns.

    Attributes:
        event_id: unique over the journal.
        decision_id: of an outcome its decision's ``event_id``; ``None`` for a decision.
        agent: the agent.
        tenant: the tenant; empty for an outcome.
        episode_id: the episode; empty for an outcome.
        step: position in the episode.
        shadow: 1 where the event stands beside the episodes (shadow decisions and outcomes), else 0.
        checksum: CRC-32 of ``content`` in UTF-8.
        content: the event as JSON.
    """

    event_id: str
    decision_id: str | None
    agent: str
    tenant: str
    episode_id: str
    step: int
    shadow: int
    checksum: int
    content: str


COLUMNS = JournalRow._fields
# Decisions that are an episode by themselves, and those that have a place among others.
ALONE = "shadow = 0 AND episode_id = event_id AND step = 0"
PLACED = "shadow = 0 AND (episode_id <> event_id OR step <> 0)"


def row_of(event: Event) -> JournalRow:
    """The row of a record or an outcome."""
    written = stored_json(event.to_mapping())
    checksum, text = zlib.crc32(written), written.decode()
    if isinstance(event, OutcomeEvent):
        return JournalRow(event.event_id, event.decision_id, event.agent, "", "", 0, 1, checksum, text)
    shadow = 1 if event.mode == "shadow" else 0
    place = (event.agent, event.tenant, event.episode_id, event.step, shadow)
    return JournalRow._make((event.event_id, None, *place, checksum, text))


def rows_of(events: Iterable[Event | JournalRow]) -> list[JournalRow]:
    """The rows of several; what is a row already stays it."""
    return [event if isinstance(event, JournalRow) else row_of(event) for event in events]


def sound(content: str, checksum: int) -> str:
    """The text.

    Raises:
        DamagedContentError: it is not what was written.
    """
    if zlib.crc32(content.encode()) != checksum:
        raise DamagedContentError(f"a row differs from its checksum: {content[:60]!r}")
    return content


def outcome_in(text: str) -> OutcomeEvent:
    """The outcome of a row."""
    return OutcomeEvent(**stored_fields(text))


def event_in(row: JournalRow) -> Event:
    """The event of a row."""
    return trusted(row.content) if row.decision_id is None else outcome_in(row.content)
