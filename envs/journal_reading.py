"""Reading a log in the order of its positions: what was sealed, then the journal, outcomes joined."""

from __future__ import annotations

import sqlite3
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from envs.journal_errors import DamagedContentError
from envs.journal_rows import outcome_in, sound
from envs.journal_sealed import SealedState, sealed_state, table_reader
from envs.log.outcome import JoinedRecord, OutcomeEvent, join
from envs.record import trusted

if TYPE_CHECKING:
    from envs.journal import Journal
    from envs.record import DecisionRecord

Outcomes = dict[str, list[tuple[int, OutcomeEvent]]]
PAGE = 2000


@dataclass(frozen=True, slots=True)
class JournalPage:
    """Some of an agent's decisions as one moment had them.

    Attributes:
        sealed: what had left for the table at that moment.
        rows: (position, text) of the decisions.
        outcomes: (position, text) of their outcomes by ``event_id``.
    """

    sealed: SealedState
    rows: list[tuple[int, str]]
    outcomes: dict[str, list[tuple[int, str]]]


def read_page(connection: sqlite3.Connection, agent: str, after: int) -> JournalPage:
    """The agent's next decisions from above ``after``."""
    # In pages, each its own transaction: a long reader must not keep the write-ahead log from shrinking.
    state = sealed_state(connection)
    after = max(after, state.through)
    # Not by the index of agents (hence the +): a damaged index hides rows without a word.
    select = (
        "SELECT sequence, content, checksum FROM events"
        " WHERE sequence > ? AND +agent = ? AND decision_id IS NULL ORDER BY sequence LIMIT ?"
    )
    rows = connection.execute(select, (after, agent, PAGE)).fetchall()
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
    return JournalPage(state, [(place, sound(content, checksum)) for place, content, checksum in rows], outcomes)


def read_strays(connection: sqlite3.Connection, agent: str) -> list[tuple[int, str]]:
    """(position, text) of outcomes in the journal whose decision is not in it."""
    through = sealed_state(connection).through
    select = (
        "SELECT sequence, content, checksum FROM events AS told"
        " WHERE agent = ? AND sequence > ? AND decision_id IS NOT NULL AND NOT EXISTS"
        " (SELECT 1 FROM events WHERE event_id = told.decision_id AND sequence > ?) ORDER BY sequence"
    )
    rows = connection.execute(select, (agent, through, through))
    return [(place, sound(content, checksum)) for place, content, checksum in rows]


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
        contradictory: values left out because the same was recorded before with another value.
        orphans: outcomes of decisions that are not in the log; known once all was read from the beginning.

    Args:
        journal: the log.
        agent: whose decisions.
        after: read decisions from above this position only.
        until: read decisions and outcomes up to this position only.
        maturation: the declared window in seconds; 0 where none is declared.
        strays: outcomes that stand apart from their decisions, where they are known; those joined are removed.
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
    ) -> None:
        self._journal, self._agent = journal, agent
        self._after, self._until = after, sys.maxsize if until is None else until
        self._maturation = maturation
        self._known_strays = {} if strays is None else strays
        self.late = self.contradictory = self.orphans = 0

    def __iter__(self) -> Iterator[tuple[int, DecisionRecord]]:
        """(position, record); the position from which on the record is complete, see :func:`~envs.log.outcome.join`."""
        for joined in self.joined():
            yield joined.position, joined.record

    def joined(self) -> Iterator[JoinedRecord]:
        """The same with what became of the outcomes."""
        after, seen = self._after, 0
        strays = self._known_strays
        while True:
            page = self._journal.file.run(partial(read_page, agent=self._agent, after=after))
            if page.sealed.through > after:
                # What left the journal since it was looked at last is in the table by now.
                table = table_reader().SealedLog(self._journal.path, page.sealed, self._agent)
                strays = self._strays(table.outcomes())
                for decision in table.decisions(after):
                    if decision.sequence > self._until:
                        return
                    events = [*decision.outcomes, *strays.pop(decision.record.event_id, ())]
                    seen += len(events)
                    yield self._join(decision.sequence, decision.record, events)
                after = table.through
                continue
            if not page.rows:
                break
            for sequence, content in page.rows:
                if sequence > self._until:
                    return
                record = trusted(content)
                events = [(place, outcome_in(text)) for place, text in page.outcomes.get(record.event_id, ())]
                events += strays.pop(record.event_id, ())  # sealed before their decision came
                seen += len(events)
                yield self._join(sequence, record, events)
            after = page.rows[-1][0]
        if not self._after and self._until == sys.maxsize:
            self.orphans = max(self._journal.outcome_counts().get(self._agent, 0) - seen, 0)

    def _join(self, sequence: int, record: DecisionRecord, events: list[tuple[int, OutcomeEvent]]) -> JoinedRecord:
        known = [(place, event) for place, event in events if place <= self._until]
        joined = join(sequence, record, known, self._maturation)
        self.late += joined.late
        self.contradictory += joined.contradictory
        return joined

    def _strays(self, sealed: Iterator[tuple[int, OutcomeEvent]]) -> Outcomes:
        """Outcomes that do not stand beside their decision: sealed later than it, or still in the journal."""
        strays: Outcomes = defaultdict(list)
        for sequence, event in sealed:
            strays[event.decision_id].append((sequence, event))
        for sequence, content in self._journal.file.run(partial(read_strays, agent=self._agent)):
            event = outcome_in(content)
            strays[event.decision_id].append((sequence, event))
        return strays
