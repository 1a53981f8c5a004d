"""Which of some events a journal has already, and which contradict it or each other."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field

from envs.errors import DuplicateRecordError, RecordError
from envs.journal.rows import ALONE, PLACED, JournalRow, event_in, outcome_in
from envs.journal.sealed import episode_key, event_key, is_known_event, known_keys, short, step_key, tenant_key
from envs.journal.segments import rows_met
from envs.journal.statements import chunks
from envs.outcome import OutcomeEvent, contradiction
from envs.record import DecisionRecord, trusted
from envs.values import shown


@dataclass(frozen=True, slots=True)
class Conflict:
    """An event that cannot be appended: its position, the error, and the position it clashes with, if in the batch."""

    position: int
    error: RecordError
    other: int | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """What appending events would do.

    Attributes:
        fresh: positions of those to append.
        conflicts: those that contradict something. All others are there already, word for word.
        unmet: positions of outcomes to append whose decision is neither in the log nor before them.
    """

    fresh: list[int]
    conflicts: list[Conflict]
    unmet: list[int]


@dataclass(slots=True)
class _Known:
    """What the journal has of some events.

    Attributes:
        contents: agent and text by ``event_id``.
        tenants: tenant by agent and episode.
        steps: ``event_id`` by agent, episode and step.
        sealed: what is known of keys that left for the table.
        decisions: rows of segments by ``event_id``.
        origin: position in the batch by ``event_id``.
        told: rows of the batch by the decision that they are, or are about.
    """

    contents: dict[str, tuple[str, str]] = field(default_factory=dict)
    tenants: dict[tuple[str, str], str] = field(default_factory=dict)
    steps: dict[tuple[str, str, int], str] = field(default_factory=dict)
    sealed: dict[bytes, bytes] = field(default_factory=dict)
    decisions: dict[str, JournalRow] = field(default_factory=dict)
    origin: dict[str, int] = field(default_factory=dict)
    told: dict[str, list[JournalRow]] = field(default_factory=dict)


def find_conflicts(
    connection: sqlite3.Connection, rows: Sequence[JournalRow], hashes: Sequence[str] | None = None
) -> Findings:
    """Compare events with the journal and with those before them.

    Refused are an ``event_id`` with other content, a step of an episode under another ``event_id``, an
    episode of two tenants, and an outcome that contradicts what was recorded. Shadow decisions stand
    beside the episodes: only their ``event_id`` counts.

    Args:
        connection: to the journal.
        rows: the events.
        hashes: their content hashes, where they are known.
    """
    known = _known(connection, rows)
    found = Findings([], [], [])
    for position, row in enumerate(rows):
        digest = hashes[position] if hashes is not None else None
        try:
            if _is_there(known, row, digest):
                continue
            if row.decision_id is not None:
                if not _check_outcome(connection, known, row):
                    found.unmet.append(position)
            elif not row.shadow:
                _check_place(known, row)
        except _Clash as clash:
            found.conflicts.append(Conflict(position, clash.error, clash.other))
            continue
        known.contents[row.event_id] = (row.agent, row.content)
        known.origin[row.event_id] = position
        known.told.setdefault(row.decision_id or row.event_id, []).append(row)
        found.fresh.append(position)
    return found


class _Clash(Exception):  # noqa: N818 - carries the conflict to its position
    def __init__(self, error: RecordError, other: int | None = None) -> None:
        self.error, self.other = error, other


def _is_there(known: _Known, row: JournalRow, digest: str | None) -> bool:
    sealed = known.sealed.get(event_key(row.event_id)) if known.sealed else None
    kept = known.contents.get(row.event_id)
    if kept is None and sealed is None:
        return False
    owner = row.agent if kept is None else kept[0]
    if kept is not None and kept[1] == row.content:
        return True
    digest = digest or event_in(row).content_hash
    if digest == _digest_of(kept[1], row) if kept is not None else short(digest) == sealed:
        return True
    problem = f"{shown(row.event_id)} was recorded before with other content"
    if kept is not None:
        problem += _difference(kept[1], row.content)
    remedy = "give every decision its own event_id, and record what becomes known of it later by record_outcome"
    if owner != row.agent:
        problem = f"{shown(row.event_id)} was recorded before, for agent {owner}"
        remedy = f"a decision belongs to one agent; import it as {owner}, or into another home"
    raise _Clash(DuplicateRecordError(problem, field="event_id", remedy=remedy), known.origin.get(row.event_id))


def _difference(before: str, now: str) -> str:
    """The first field that differs, as words to append."""
    old, new = json.loads(before), json.loads(now)
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            return f" ({name} was {shown(old.get(name))}, is {shown(new.get(name))})"
    return ""


def _digest_of(content: str, row: JournalRow) -> str:
    try:
        return (trusted if row.decision_id is None else outcome_in)(content).content_hash
    except TypeError:  # a decision under an outcome's id, or the reverse
        return ""


def _check_place(known: _Known, row: JournalRow) -> None:
    episode = (row.agent, row.episode_id)
    if known.sealed:
        _check_sealed_place(known, row)
    tenant = known.tenants.setdefault(episode, row.tenant)
    if tenant != row.tenant:
        problem = f"{shown(row.tenant)}, but episode {shown(row.episode_id)} is of {shown(tenant)}"
        raise _Clash(RecordError(problem, field="tenant", remedy="name episodes so that no two tenants share one"))
    taken = known.steps.setdefault((*episode, row.step), row.event_id)
    if taken != row.event_id:
        raise _Clash(_step_taken(row), known.origin.get(taken))


def _check_sealed_place(known: _Known, row: JournalRow) -> None:
    tenant = known.sealed.get(episode_key(row.agent, row.episode_id))
    if tenant is not None and tenant != tenant_key(row.tenant):
        problem = f"{shown(row.tenant)}, but episode {shown(row.episode_id)} is of another"
        raise _Clash(RecordError(problem, field="tenant", remedy="name episodes so that no two tenants share one"))
    if step_key(row.agent, row.episode_id, row.step) in known.sealed:
        raise _Clash(_step_taken(row))


def _step_taken(row: JournalRow) -> DuplicateRecordError:
    problem = f"{row.step} of episode {shown(row.episode_id)} is there already"
    return DuplicateRecordError(problem, field="step", remedy="number an episode's decisions 0, 1, 2, …")


def _check_outcome(connection: sqlite3.Connection, known: _Known, row: JournalRow) -> bool:
    """An outcome against its decision and the outcomes before it, as far as they are in the journal.

    Returns:
        Whether there is its decision, in the journal, before it, or sealed.
    """
    decision: DecisionRecord | None = None
    before: list[OutcomeEvent] = []
    select = "SELECT decision_id, content FROM events WHERE event_id = ? OR decision_id = ? ORDER BY sequence"
    listed = list(connection.execute(select, (row.decision_id, row.decision_id)))
    if row.decision_id in known.decisions:
        listed.append((None, known.decisions[row.decision_id].content))
    listed += [(other.decision_id, other.content) for other in known.told.get(str(row.decision_id), ())]
    for about, content in listed:
        if about is None:
            decision = trusted(content)
        else:
            before.append(outcome_in(content))
    if decision is not None and decision.agent != row.agent:
        problem = f"{shown(row.decision_id)} is a decision of agent {decision.agent}"
        raise _Clash(RecordError(problem, field="decision_id", remedy=f"record its outcome for {decision.agent}"))
    found = contradiction(decision, before, outcome_in(row.content))
    if found is not None:
        name, old, new = found
        problem = f"{shown(new)}, but {shown(old)} was recorded before"
        remedy = "exclude the decision if what was recorded is wrong"
        raise _Clash(DuplicateRecordError(problem, field=name, remedy=remedy))
    return decision is not None or is_known_event(connection, str(row.decision_id))


def _known(connection: sqlite3.Connection, rows: Sequence[JournalRow]) -> _Known:
    known = _Known(sealed=known_keys(connection, rows))
    for chunk in chunks([row.event_id for row in rows]):
        marks = ",".join("?" * len(chunk))
        select = f"SELECT event_id, agent, content FROM events WHERE event_id IN ({marks})"
        for event, agent, content in connection.execute(select, chunk):
            known.contents[event] = (agent, content)
    candidates = [row for row in rows if row.event_id not in known.contents and not row.shadow]
    for agent in {row.agent for row in candidates}:
        episodes = list({row.episode_id for row in candidates if row.agent == agent})
        for chunk in chunks(episodes):
            marks = ",".join("?" * len(chunk))
            for place in (f"episode_id IN ({marks}) AND {PLACED}", f"event_id IN ({marks}) AND {ALONE}"):
                select = f"SELECT episode_id, step, tenant, event_id FROM events WHERE agent = ? AND {place}"
                for episode, step, tenant, event in connection.execute(select, (agent, *chunk)):
                    known.tenants[agent, episode] = tenant
                    known.steps[agent, episode, step] = event
    for row in rows_met(connection, rows):
        known.decisions[row.event_id] = row
        known.contents[row.event_id] = (row.agent, row.content)
        if not row.shadow:
            known.tenants[row.agent, row.episode_id] = row.tenant
            known.steps[row.agent, row.episode_id, row.step] = row.event_id
    return known
