"""Reading a log in the order of its positions: what was sealed, then the journal, outcomes joined."""

from __future__ import annotations

import sqlite3
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from envs.errors import DataError
from envs.journal.errors import DamagedContentError
from envs.journal.keys import episode_keys, text_keys
from envs.journal.rows import ALONE, PLACED, outcome_in, sound
from envs.journal.sealed import SealedState, is_known_episode, sealed_state, table_reader
from envs.journal.segments import Segment, has_segments, next_segment, segments_with
from envs.outcome import JoinedRecord, OutcomeEvent, join
from envs.record import trusted

if TYPE_CHECKING:
    from envs.journal.journal import Journal
    from envs.record import DecisionRecord

Outcomes = dict[str, list[tuple[int, OutcomeEvent]]]
PAGE = 2000


@dataclass(frozen=True, slots=True)
class JournalPage:
    """Some of an agent's decisions as one moment had them.

    Attributes:
        sealed: what had left for the table at that moment.
        rows: (position, record) of the decisions.
        outcomes: (position, text) of their outcomes by ``event_id``.
        segment: what has them instead, and reaches beyond the position; nothing but its decisions is known of it.
    """

    sealed: SealedState
    rows: list[tuple[int, DecisionRecord]]
    outcomes: dict[str, list[tuple[int, str]]]
    segment: Segment | None = None


def read_page(connection: sqlite3.Connection, agent: str, after: int) -> JournalPage:
    """The agent's next decisions from above ``after``."""
    # In pages, each its own transaction: a long reader must not keep the write-ahead log from shrinking.
    state = sealed_state(connection)
    after = max(after, state.through)
    segment = next_segment(connection, after, agent)
    end = sys.maxsize if segment is None else segment.first
    # Not by the index of agents (hence the +): a damaged index hides rows without a word.
    select = (
        "SELECT sequence, content, checksum FROM events"
        " WHERE sequence > ? AND sequence < ? AND +agent = ? AND decision_id IS NULL ORDER BY sequence LIMIT ?"
    )
    rows = connection.execute(select, (after, end, agent, PAGE)).fetchall()
    if not rows and segment is not None:
        segment.check()
        return JournalPage(state, [], {}, segment)
    if any(one[0] >= other[0] for one, other in pairwise(rows)):
        raise DamagedContentError("rows are not in the order of their positions")
    outcomes: dict[str, list[tuple[int, str]]] = defaultdict(list)
    if rows and connection.execute("SELECT 1 FROM events WHERE decision_id > '' LIMIT 1").fetchone():
        select = (
            "SELECT decision_id, sequence, content, checksum FROM events WHERE decision_id IN"
            " (SELECT event_id FROM events WHERE agent = ? AND sequence > ? AND sequence <= ?) ORDER BY sequence"
        )
        for name, place, content, checksum in connection.execute(select, (agent, after, rows[-1][0])):
            outcomes[name].append((place, sound(content, checksum)))
    records = [(place, trusted(sound(content, checksum))) for place, content, checksum in rows]
    return JournalPage(state, records, outcomes)


def read_strays(connection: sqlite3.Connection, agent: str) -> tuple[int, list[tuple[int, str]]]:
    """How far the journal was sealed, and (position, text) of outcomes in it whose decision is not in it."""
    through = sealed_state(connection).through
    select = (
        "SELECT sequence, content, checksum FROM events AS told"
        " WHERE agent = ? AND sequence > ? AND decision_id IS NOT NULL AND NOT EXISTS"
        " (SELECT 1 FROM events WHERE event_id = told.decision_id AND sequence > ?) ORDER BY sequence"
    )
    rows = connection.execute(select, (agent, through, through))
    return through, [(place, sound(content, checksum)) for place, content, checksum in rows]


def last_decisions(journal: Journal, agent: str, tenant: str, episode_id: str, count: int = 1) -> list[DecisionRecord]:
    """The last of an episode's decisions in the order of their steps, without shadow decisions and late outcomes.

    One look-up by an index. The table is read only where fewer than ``count`` are in the journal and some of the
    episode's were sealed.

    Args:
        journal: the log.
        agent: whose episode.
        tenant: the episode's.
        episode_id: the episode.
        count: at most so many.

    Raises:
        JournalError, DataError, MissingExtraError: the log cannot be read.
    """
    if not journal.path.exists():
        return []

    def newest(connection: sqlite3.Connection) -> tuple[list[DecisionRecord], SealedState | None]:
        select = "SELECT content, checksum FROM events WHERE agent = ? AND tenant = ?"
        of_episode = (agent, tenant, episode_id)
        placed = f"{select} AND episode_id = ? AND {PLACED} ORDER BY step DESC LIMIT ?"
        rows = connection.execute(placed, (*of_episode, count)).fetchall()
        if len(rows) < count:
            rows += connection.execute(f"{select} AND event_id = ? AND {ALONE}", of_episode).fetchall()
        found = [trusted(sound(content, checksum)) for content, checksum in rows]
        found += _last_in_segments(connection, agent, tenant, episode_id)
        left = len(found) < count and is_known_episode(connection, agent, episode_id)
        return found, sealed_state(connection) if left else None

    found, sealed = journal.file.run(newest)
    if sealed is not None:
        try:
            found += _last_sealed(journal, sealed, agent, tenant, episode_id, count)
        except FileNotFoundError:  # forgetting has replaced a file: its successor is in the present version
            found += _last_sealed(journal, sealed, agent, tenant, episode_id, count)
    by_step = {record.step: record for record in found}
    return [by_step[step] for step in sorted(by_step)][-count:]


def _last_in_segments(connection: sqlite3.Connection, agent: str, tenant: str, episode_id: str) -> list[DecisionRecord]:
    """Decisions of an episode in segments."""
    if not has_segments(connection):
        return []
    segments = segments_with(connection, episode_keys(agent, text_keys([episode_id])))
    rows = [row for segment in segments for _, row in segment.rows()]
    own = (agent, tenant, episode_id, 0)
    return [trusted(row.content) for row in rows if (row.agent, row.tenant, row.episode_id, row.shadow) == own]


def _last_sealed(
    journal: Journal, state: SealedState, agent: str, tenant: str, episode_id: str, count: int
) -> list[DecisionRecord]:
    """Sealed decisions of an episode from the newest files, at least ``count`` where there are so many."""
    table = table_reader().SealedLog(journal.path, state, agent).table
    found: list[DecisionRecord] = []
    for file in reversed(table.data_files(agent)):
        named = table.batches(agent, ("episode_id",), files=[file.uri])
        if not any(episode_id in batch["episode_id"].to_pylist() for batch in named):
            continue  # the texts are read only of a file that has the episode
        for batch in table.batches(agent, ("tenant", "episode_id", "decision_id", "content"), files=[file.uri]):
            rows = zip(*(batch[name].to_pylist() for name in batch.schema.names), strict=True)
            own = [text for *place, text in rows if place == [tenant, episode_id, None]]
            found += [record for record in map(trusted, own) if record.mode != "shadow"]
        if len(found) >= count:
            break
    return found


@dataclass(frozen=True, slots=True)
class SealedDecision:
    """A decision of the table, with the outcomes that were sealed with it."""

    sequence: int
    record: DecisionRecord
    outcomes: tuple[tuple[int, OutcomeEvent], ...]


class LogReader:
    """An agent's decisions, completed by their outcomes.

    Attributes:
        late: outcomes left out so far because the maturation window had closed.
        late_at: positions of the decisions that they are of.
        contradictory: values left out because the same was recorded before with another value.
        orphans: outcomes of decisions that are not in the log; known once all was read from the beginning.

    Args:
        journal: the log.
        agent: whose decisions.
        after: read decisions from above this position only.
        until: read decisions and outcomes up to this position only.
        maturation: the declared window in seconds; 0 where none is declared.
        strays: outcomes that stand apart from their decisions, where they are known; those joined are removed.
        take: gets every segment of which all decisions are to be read and none has an outcome; they are not read then.
    """

    def __init__(
        self,
        journal: Journal,
        agent: str,
        *,
        after: int = 0,
        until: int | None = None,
        maturation: float = 0.0,
        strays: Outcomes | None = None,
        take: Callable[[Segment], None] | None = None,
    ) -> None:
        self._journal, self._agent = journal, agent
        self._after, self._until = after, sys.maxsize if until is None else until
        self._maturation = maturation
        self._known_strays = {} if strays is None else strays
        self._take = take
        self._seen = 0
        self.late = self.contradictory = self.orphans = 0
        self.late_at: set[int] = set()

    def __iter__(self) -> Iterator[tuple[int, DecisionRecord]]:
        """(position, record); the position from which on the record is complete, see :func:`~envs.outcome.join`."""
        for joined in self.joined():
            yield joined.position, joined.record

    def joined(self) -> Iterator[JoinedRecord]:
        """The same with what became of the outcomes."""
        self._seen = 0
        yield from self._decisions()
        if not self._after:
            self.orphans = max(self._journal.file.run(self._told) - self._seen, 0)

    def _decisions(self) -> Iterator[JoinedRecord]:
        after, gone_at = self._after, -1
        strays, known = self._known_strays, self._after
        while True:
            page = self._journal.file.run(partial(read_page, agent=self._agent, after=after))
            if page.sealed.through > known:
                # What left the journal since it was looked at last is in the table by now.
                try:
                    found = self._strays(page.sealed)
                    if found is None:
                        continue
                    table, strays = found
                    for decision in table.decisions(after):
                        if decision.sequence > self._until:
                            return
                        events = [*decision.outcomes, *strays.pop(decision.record.event_id, ())]
                        yield self._join(decision.sequence, decision.record, events)
                        after = decision.sequence
                except FileNotFoundError as error:
                    # Forgetting has replaced a file: its successor is in the present version.
                    if after == gone_at:
                        problem, where = f"lacks a file ({error})", str(page.sealed.table)
                        raise DataError(problem, where=where, remedy="restore it from a copy") from error
                    gone_at = after
                    continue
                known = page.sealed.through
                after = max(after, known)
                continue
            rows, segment = page.rows, page.segment
            if segment is not None and self._take is not None and self._is_whole(segment, after, strays):
                self._take(segment)
                after = segment.last
                continue
            if segment is not None:
                rows = [(place, record) for place, record in segment.records() if place > after]
            if not rows:
                break
            for sequence, record in rows:
                if sequence > self._until:
                    return
                events = [(place, outcome_in(text)) for place, text in page.outcomes.get(record.event_id, ())]
                events += strays.pop(record.event_id, ())  # sealed before their decision came
                yield self._join(sequence, record, events)
            after = rows[-1][0]

    def _is_whole(self, segment: Segment, after: int, strays: Outcomes) -> bool:
        """Whether all decisions of a segment are to be read, without outcomes."""
        if segment.first <= after or segment.last > self._until:
            return False
        return not strays or strays.keys().isdisjoint(segment.decisions().values("event_id"))

    def _join(self, sequence: int, record: DecisionRecord, events: list[tuple[int, OutcomeEvent]]) -> JoinedRecord:
        known = [(place, event) for place, event in events if place <= self._until]
        self._seen += len(known)
        joined = join(sequence, record, known, self._maturation)
        self.late += joined.late
        if joined.late:
            self.late_at.add(sequence)
        self.contradictory += joined.contradictory
        return joined

    def _strays(self, state: SealedState) -> tuple[Any, Outcomes] | None:
        """The table, and the outcomes that do not stand beside their decision: sealed later, or in the journal.

        ``None`` where a sealing came between: an outcome that left the journal would be in neither.
        """
        through, told = self._journal.file.run(partial(read_strays, agent=self._agent))
        if through != state.through:
            return None
        table = table_reader().SealedLog(self._journal.path, state, self._agent)
        strays: Outcomes = defaultdict(list)
        for sequence, event in table.outcomes():
            strays[event.decision_id].append((sequence, event))
        for sequence, content in told:
            event = outcome_in(content)
            strays[event.decision_id].append((sequence, event))
        return table, strays

    def _told(self, connection: sqlite3.Connection) -> int:
        """Number of outcomes up to ``until``."""
        state = sealed_state(connection)
        select = (
            "SELECT COUNT(*) FROM events WHERE agent = ? AND decision_id IS NOT NULL AND sequence > ? AND sequence <= ?"
        )
        there = connection.execute(select, (self._agent, state.through, self._until)).fetchone()[0]
        return int(there) + state.outcomes.get(self._agent, 0)
