"""Which of some records a journal has already, and which contradict it or each other."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from envs.errors import DuplicateRecordError, RecordError
from envs.record import DecisionRecord
from envs.values import shown

# SQLite accepts at least this many variables in one statement.
VARIABLES = 500


@dataclass(frozen=True, slots=True)
class Conflict:
    """A record that cannot be appended: its position, the error, and the position it clashes with, if in the batch."""

    position: int
    error: RecordError
    other: int | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """Positions of the records to append, and the conflicts. All others are there already, word for word."""

    fresh: list[int]
    conflicts: list[Conflict]


def find_conflicts(
    connection: sqlite3.Connection, records: Sequence[DecisionRecord], hashes: Sequence[str]
) -> Findings:
    """Compare records with the journal and with those before them.

    Refused are an ``event_id`` with other content, a step of an episode under another ``event_id``,
    and an episode of two tenants. Shadow records stand beside the episodes: only their ``event_id`` counts.
    """
    known, owners = _known_hashes(connection, records)
    candidates = [record for record in records if record.event_id not in known and record.mode != "shadow"]
    tenants, steps = _known_episodes(connection, candidates)
    origin: dict[str, int] = {}
    found = Findings([], [])
    for position, (record, content) in enumerate(zip(records, hashes, strict=True)):
        existing = known.get(record.event_id)
        if existing is not None:
            if existing != content:
                problem = f"{shown(record.event_id)} was recorded before with other content"
                remedy = "give every decision its own event_id"
                other = owners.get(record.event_id, record.agent)
                if other != record.agent:
                    problem = f"{shown(record.event_id)} was recorded before, for agent {other}"
                    remedy = f"a decision belongs to one agent; import it as {other}, or into another home"
                error = DuplicateRecordError(problem, field="event_id", remedy=remedy)
                found.conflicts.append(Conflict(position, error, origin.get(record.event_id)))
            continue
        if record.mode == "shadow":
            known[record.event_id] = content
            origin[record.event_id] = position
            found.fresh.append(position)
            continue
        episode = (record.agent, record.episode_id)
        tenant = tenants.setdefault(episode, record.tenant)
        taken = steps.setdefault((*episode, record.step), record.event_id)
        if tenant != record.tenant:
            problem = f"{shown(record.tenant)}, but episode {shown(record.episode_id)} is of {shown(tenant)}"
            refused = RecordError(problem, field="tenant", remedy="name episodes so that no two tenants share one")
            found.conflicts.append(Conflict(position, refused))
            if taken == record.event_id:
                del steps[(*episode, record.step)]
        elif taken != record.event_id:
            problem = f"{record.step} of episode {shown(record.episode_id)} is there already"
            refused = DuplicateRecordError(problem, field="step", remedy="number an episode's decisions 0, 1, 2, …")
            found.conflicts.append(Conflict(position, refused, origin.get(taken)))
        else:
            known[record.event_id] = content
            origin[record.event_id] = position
            found.fresh.append(position)
    return found


def _known_hashes(
    connection: sqlite3.Connection, records: Sequence[DecisionRecord]
) -> tuple[dict[str, str], dict[str, str]]:
    """Content hash and agent of each known event."""
    known: dict[str, str] = {}
    owners: dict[str, str] = {}
    for chunk in _chunks([record.event_id for record in records]):
        marks = ",".join("?" * len(chunk))
        select = f"SELECT event_id, content_hash, agent FROM records WHERE event_id IN ({marks})"
        for event, content, agent in connection.execute(select, chunk):
            known[event], owners[event] = content, agent
    return known, owners


def _known_episodes(
    connection: sqlite3.Connection, records: Sequence[DecisionRecord]
) -> tuple[dict[tuple[str, str], str], dict[tuple[str, str, int], str]]:
    """Tenant of each known episode, and event of each known step of it."""
    tenants: dict[tuple[str, str], str] = {}
    steps: dict[tuple[str, str, int], str] = {}
    for agent in {record.agent for record in records}:
        episodes = list({record.episode_id for record in records if record.agent == agent})
        for chunk in _chunks(episodes):
            marks = ",".join("?" * len(chunk))
            select = (
                "SELECT episode_id, step, tenant, event_id FROM records"
                f" WHERE shadow = 0 AND agent = ? AND episode_id IN ({marks})"
            )
            for episode, step, tenant, event in connection.execute(select, (agent, *chunk)):
                tenants[agent, episode] = tenant
                steps[agent, episode, step] = event
    return tenants, steps


def _chunks(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), VARIABLES):
        yield items[start : start + VARIABLES]
