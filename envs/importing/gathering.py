"""The first pass of an import: every source is read and checked, and nothing is written but the staging file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, repeat

from envs.errors import RecordError
from envs.importing.batches import CheckedBatch, MixedBatch, checked_batch
from envs.importing.blocks import PackedDecisions, StagedRow
from envs.importing.checking import Checker
from envs.importing.consistency import UsualKinds
from envs.importing.files import unreadable
from envs.importing.identity import Identifier
from envs.importing.meeting import findings
from envs.importing.parallel_parsing import WORTH, ParsingProcesses
from envs.importing.progress import Progress
from envs.importing.reader_jsonl import JsonLinesReader
from envs.importing.readers import Reader, Tabular
from envs.importing.staging import DOUBTFUL, FRESH, KNOWN, REPETITION, Staging
from envs.infer import LogStatistics
from envs.journal.journal import Journal
from envs.journal.segment_writing import last_position
from envs.record import DecisionRecord, trusted
from envs.values import UnfitValueError

COMMIT_SECONDS = 2.0  # of work that a kill may undo
PAGE = 4000


@dataclass(slots=True)
class Draft:
    """What is read off the rows of an undeclared agent."""

    statistics: LogStatistics
    usual: UsualKinds = field(default_factory=UsualKinds)

    def add(self, record: DecisionRecord) -> None:
        """Count a decision in."""
        self.statistics.add(record)
        self.usual.add(record)


class Gathering:
    """Reads the sources into the staging file.

    Args:
        staging: the staging file.
        journal: what is known already.
        readers: the sources.
        checkers: of each source.
        draft: collects what a declaration needs, where there is none.
        report: is called now and then.

    Attributes:
        rows: rows read.
        known: rows that the journal has already.
        outcomes: rows that are outcomes.
        alone: whether the journal is empty.
    """

    def __init__(
        self,
        staging: Staging,
        journal: Journal,
        readers: Sequence[Reader],
        checkers: Sequence[Checker],
        draft: Draft | None,
        report: Callable[[Progress], None] | None = None,
    ) -> None:
        self._staging = staging
        self._journal = journal
        self._readers = readers
        self._checkers = checkers
        self._draft = draft
        self._report = report
        position = journal.file.run(last_position)  # before anything is compared with what is there
        if staging.progress("position", None) is None:
            staging.commit(position=position)
        self.alone = not _any(journal)
        self.rows = int(staging.progress("rows", 0))
        self.known = int(staging.progress("known", 0))
        self.outcomes = int(staging.progress("outcomes", 0))
        self._number = staging.next_number()
        self._committed = time.monotonic()
        self._processes: ParsingProcesses | None = None
        for index, checker in enumerate(checkers):
            checker.foreign.update(staging.progress(f"foreign {index}", {}))
            checker.present.update(staging.progress(f"present {index}", []))
            if checker.names is not None:  # all checkers' own
                checker.names.go_on(staging.progress("names", {}))

    def run(self) -> None:
        """Read what was not read before a kill."""
        try:
            self._run()
        finally:
            if self._processes is not None:
                self._processes.close()

    def _run(self) -> None:
        sizes = [reader.size for reader in self._readers]
        total = sum(sizes) if all(sizes) else 0
        begun, rows_before = time.monotonic(), self.rows
        if self._draft is not None and self._number > 1:
            self._recount(self._draft)
        already: int | None = None  # read before a kill
        for index, reader in enumerate(self._readers):
            place = self._staging.progress(f"place {index}", None)
            if place is not None and place["ended"]:
                continue
            identifier = Identifier(place["naming"] if place else "")
            position, done = (place["position"], place["done"]) if place else ("", 0)
            for batch in self._batches(index, reader, position):
                self._stage(index, batch, identifier)
                already = sum(sizes[:index]) + done if already is None else already
                position, done = batch.position, batch.done
                read = sum(sizes[:index]) + done
                if self._report is not None:
                    seconds = time.monotonic() - begun
                    self._report(Progress("reading", self.rows, self.rows - rows_before, read, already, total, seconds))
                if time.monotonic() - self._committed > COMMIT_SECONDS:
                    self._commit(index, position, done, identifier, ended=False)
            names = self._checkers[index].names
            if names is not None and isinstance(reader, Tabular):
                names.add_columns(reader.columns)
            self._commit(index, position, done, identifier, ended=True)

    def reject_odd(self) -> None:
        """Reject the rows that differ in kind from most others, and count the rest anew."""
        assert self._draft is not None
        if self._draft.usual.unanimous:
            return
        usual, self._draft.statistics = self._draft.usual, LogStatistics(self._draft.statistics.where)
        for page in self._staging.pages((FRESH, KNOWN, DOUBTFUL, REPETITION), PAGE):
            for row in page:
                if row.event.decision_id is None:
                    record = trusted(row.event.content)
                    error = usual.error_of(record)
                    if error is None:
                        self._draft.statistics.add(record)
                    else:
                        self._staging.reject_staged(row, error.field, error.complaint, error.remedy)

    def _recount(self, draft: Draft) -> None:
        for page in self._staging.pages((FRESH, KNOWN, DOUBTFUL, REPETITION), PAGE):
            for row in page:
                if row.event.decision_id is None:
                    draft.add(trusted(row.event.content))

    def _batches(self, index: int, reader: Reader, position: str) -> Iterator[CheckedBatch | MixedBatch]:
        plain = self._checkers[index].plain
        try:
            if plain is None or not isinstance(reader, JsonLinesReader):
                yield from (checked_batch(batch, plain) for batch in reader.batches(position))
                return
            if self._processes is None and reader.size > WORTH:
                self._processes = ParsingProcesses(plain.specification, plain.present)
            pieces, own = reader.pieces(position), lambda piece: checked_batch(reader.batch(piece), plain)
            yield from map(own, pieces) if self._processes is None else self._processes.found(pieces, own)
        except OSError as error:  # not of a row: the disk, or the net
            raise unreadable(reader.source, error) from error

    def _stage(self, index: int, batch: CheckedBatch | MixedBatch, identifier: Identifier) -> None:
        if isinstance(batch, CheckedBatch):
            self.rows += batch.decisions.size
            self._stage_columns(index, batch.lines, batch.decisions)
        else:
            self.rows += len(batch.rows)
            rows = self._checked(index, batch, identifier)
            self._stage_rows(rows, [FRESH] * len(rows) if self.alone else self._states(rows))

    def _stage_columns(self, index: int, lines: Sequence[int], decisions: PackedDecisions) -> None:
        first, self._number = self._number, self._number + decisions.size
        if not self.alone:
            rows = list(map(StagedRow, count(first), repeat(index), lines, repeat(""), decisions.rows()))
            states = self._states(rows)
            if set(states) != {FRESH}:
                self._stage_rows(rows, states)
                return
        self._staging.add_columns(first, index, lines, decisions)

    def _stage_rows(self, rows: Sequence[StagedRow], states: Sequence[int]) -> None:
        # What is known is of no more interest, unless a declaration is read off it.
        if self._draft is None and KNOWN in states:
            self.known += states.count(KNOWN)
            rows = [row for row, state in zip(rows, states, strict=True) if state != KNOWN]
            states = [state for state in states if state != KNOWN]
        self._staging.add(rows, states)

    def _checked(self, index: int, batch: MixedBatch, identifier: Identifier) -> list[StagedRow]:
        """The good rows; the others are rejected."""
        staging, checker, draft = self._staging, self._checkers[index], self._draft
        rows: list[StagedRow] = []
        for source, line in zip(batch.rows, batch.written or repeat(None), strict=False):
            if line is not None:
                rows.append(StagedRow(self._number, index, source.row, "", line))
                self._number += 1
                continue
            if source.rejected is not None:
                staging.reject(source.rejected, index, source.content)
                continue
            try:
                event, written, naming = checker.checked(source.content, source.row, identifier)
                if draft is not None and isinstance(event, DecisionRecord):
                    draft.add(event)
            except UnfitValueError as problem:
                rejected = source.reject(problem.path, problem.problem, problem.remedy)
                staging.reject(rejected, index, source.content)
            except RecordError as error:
                staging.reject(source.reject_for(error), index, source.content)
            else:
                rows.append(StagedRow(self._number, index, source.row, naming, written))
                self._number += 1
                self.outcomes += written.decision_id is not None
        return rows

    def _states(self, rows: Sequence[StagedRow]) -> list[int]:
        """What the journal says of each row by itself; what rows say of each other is found out later."""
        # A name that the batch has twice is looked at when it is known which of them count.
        states = [FRESH if row.naming else DOUBTFUL for row in rows]
        firsts: dict[str, int] = {}
        for position, row in enumerate(rows):
            if not row.naming:
                firsts.setdefault(row.event.event_id, position)
        asked = list(firsts.values())
        found = findings(self._journal, [rows[position].event for position in asked])
        clashing = {conflict.position for conflict in found.conflicts}
        fresh = set(found.fresh)
        for index, position in enumerate(asked):
            states[position] = DOUBTFUL if index in clashing else FRESH if index in fresh else KNOWN
        return states

    def _commit(self, index: int, position: str, done: int, identifier: Identifier, *, ended: bool) -> None:
        checker = self._checkers[index]
        place = {"position": position, "done": done, "naming": identifier.state, "ended": ended}
        self._staging.commit(
            **{
                f"place {index}": place,
                f"foreign {index}": dict(checker.foreign),
                f"present {index}": sorted(checker.present),
                "names": checker.names.state if checker.names is not None else {},
                "rows": self.rows,
                "known": self.known,
                "outcomes": self.outcomes,
            }
        )
        self._committed = time.monotonic()


def _any(journal: Journal) -> bool:
    """Whether the journal or its table hold anything."""
    return journal.file.run(
        lambda connection: any(
            connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()
            for table in ("events", "segments", "sealed_keys")
        )
    )
