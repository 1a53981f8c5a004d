"""The rows of an agent's log for a dataset: the table's, and as the same columns what is not in the table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from envs.journal.journal import Journal
from envs.journal.reading import LogReader, Outcomes, read_strays
from envs.journal.rows import outcome_in, row_of
from envs.journal.sealed import OvertakenError, SealedState
from envs.journal.segments import Segment
from envs.log.batches import completed
from envs.log.place import resolved
from envs.log.reading import told_rows
from envs.log.rows import PARTITIONS, SCHEMA, SealingRows
from envs.log.segment_rows import segment_rows
from envs.log.table import SealedTable
from envs.outcome import OutcomeEvent, join
from envs.record import DecisionRecord, trusted

CHOOSING = ("sequence", "decision_id", "mode", "event_id", "contradictory")
PIECE = 65_536
MANY = 32  # files
HELD = tuple(name for name in SCHEMA.names if name not in (*PARTITIONS, "content", "outcomes", "outcome_places"))
EPOCH = date(1970, 1, 1)  # of rows that are never written


@dataclass(slots=True)
class LogSource:
    """An agent's decisions as batches of columns, the same rows in the same order at every pass.

    Attributes:
        table: the sealed part, where there is one.
        agent: whose.
        after: position above which rows are used.
        through: position up to which the table is used.
        rest: rows beside the table: the journal's, and sealed ones whose outcomes came later.
        replaced: ``event_id`` of sealed decisions that ``rest`` has instead.
        records: decisions read, shadow decisions included.
        shadow: shadow decisions, which are not used.
        late: outcomes left out because the maturation window had closed.
        late_at: positions of the decisions that they are of.
        contradictory: values left out because the same was recorded before with another value.
        orphans: outcomes of decisions that are not in the log.
    """

    table: SealedTable | None
    agent: str
    after: int
    through: int
    rest: pa.Table
    replaced: pa.Array
    records: int = 0
    shadow: int = 0
    late: int = 0
    late_at: frozenset[int] = frozenset()
    contradictory: int = 0
    orphans: int = 0
    _chosen: list[np.ndarray | None] = field(default_factory=list)
    _held: list[pa.RecordBatch] | None = None

    def scan(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The first pass: the used rows of every batch, which may be none."""
        wanted = list(dict.fromkeys([*columns, *CHOOSING]))
        self._chosen.clear()
        self.records = self.shadow = self.contradictory = 0
        for batch, sealed in self._all(wanted):
            places = self._choose(batch, sealed)
            self._chosen.append(places)
            yield _taken(batch, places).select(list(columns))

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Every later pass: the same rows."""
        for (batch, _), places in zip(self._all(list(columns)), self._chosen, strict=True):
            yield _taken(batch, places)

    def record(self, sequence: int, maturation: float) -> DecisionRecord:
        """The decision at a position, completed by its outcomes."""
        held = self.rest.filter(pc.equal(self.rest["sequence"], sequence))
        if held.num_rows:
            return trusted(held["content"][0].as_py())
        assert self.table is not None
        near = [item.uri for item in self.table.data_files(self.agent) if item.lowest <= sequence <= item.highest]
        columns = ("sequence", "decision_id", "content", "outcomes", "outcome_places")
        for batch in self.table.batches(self.agent, columns, files=near):
            for row in batch.filter(pc.equal(batch["sequence"], sequence)).to_pylist():
                if row["decision_id"] is None:
                    return join(sequence, trusted(row["content"]), _attached(row), maturation).record
        raise LookupError(f"position {sequence}")

    def _choose(self, batch: pa.RecordBatch, sealed: bool) -> np.ndarray | None:
        """Places of the rows that are used; ``None`` where all are."""
        used = np.ones(batch.num_rows, dtype=bool)
        if sealed:
            sequence = batch["sequence"].to_numpy()
            used &= (sequence > self.after) & (sequence <= self.through)
            if batch["decision_id"].null_count < batch.num_rows:
                used &= batch["decision_id"].is_null().to_numpy(zero_copy_only=False)
            if len(self.replaced):
                used &= ~pc.is_in(batch["event_id"], self.replaced).to_numpy(zero_copy_only=False)
        self.records += int(used.sum())
        self.contradictory += pc.sum(batch["contradictory"].filter(pa.array(used))).as_py() or 0
        shadow = pc.equal(batch["mode"], "shadow").fill_null(False).to_numpy(zero_copy_only=False)
        self.shadow += int((used & shadow).sum())
        used &= ~shadow
        return None if used.all() else np.flatnonzero(used)

    def _all(self, columns: Sequence[str]) -> Iterator[tuple[pa.RecordBatch, bool]]:
        if self.table is not None:
            for batch in self._sealed(self.table, columns):
                yield batch, True
        for batch in self.rest.select(list(columns)).combine_chunks().to_batches(max_chunksize=PIECE):
            yield completed(batch, columns), False

    def _sealed(self, table: SealedTable, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Batches of the table. Of many small files all is read once: to open one takes longer than to read it."""
        if self._held is None:
            files = table.data_files(self.agent)
            if len(files) < MANY or sum(file.rows for file in files) > PIECE:
                yield from _ahead(table.batches(self.agent, columns))
                return
            self._held = list(table.batches(self.agent, HELD))
        for batch in self._held:
            yield batch.select(list(columns))


def open_source(
    journal: Journal, state: SealedState, agent: str, *, between: tuple[int, int], maturation: float, split_key: bytes
) -> LogSource:
    """What an agent's log held when ``state`` was read.

    Args:
        journal: the journal, of which ``state`` is sealed.
        state: how far it was sealed.
        agent: whose decisions.
        between: (after, until): position above which decisions are used, and up to which anything is.
        maturation: the declared window in seconds; 0 where none is declared.
        split_key: the home's.

    Raises:
        OvertakenError: more was sealed since.
    """
    after, until = between
    strays, table = _strays(journal, state, agent, until)
    rest = SealingRows(split_key, EPOCH)
    segments: list[pa.Table] = []
    late, late_at = 0, set()
    replaced: list[str] = []
    incomplete = () if table is None else _incomplete(table, agent, set(strays), maturation, (after, state.through))
    for row in incomplete:
        record, events = trusted(row["content"]), _attached(row)
        events += strays.pop(record.event_id, [])
        joined = join(row["sequence"], record, events, maturation)
        late += joined.late
        if joined.late:
            late_at.add(joined.sequence)
        replaced.append(record.event_id)
        rest.add_decision(row["sequence"], joined, row_of(joined.record).content)
    begin = max(after, state.through)

    def take(segment: Segment) -> None:
        segments.append(segment_rows(segment.decisions(), segment.first, split_key, EPOCH).table)

    reader = LogReader(journal, agent, after=begin, until=until, maturation=maturation, strays=strays, take=take)
    for joined in reader.joined():
        rest.add_decision(joined.sequence, joined, row_of(joined.record).content)
    return LogSource(
        table,
        agent,
        after,
        state.through,
        pa.concat_tables([rest.table(), *segments]),
        pa.array(replaced, pa.string()),
        late=late + reader.late,
        late_at=frozenset(late_at | reader.late_at),
        orphans=sum(map(len, strays.values())) if not after else 0,
    )


def _strays(journal: Journal, state: SealedState, agent: str, until: int) -> tuple[Outcomes, SealedTable | None]:
    """Outcomes that were recorded, or sealed, apart from their decision, and the table where something was sealed."""
    strays: Outcomes = defaultdict(list)
    through, told = journal.file.run(lambda connection: read_strays(connection, agent))
    if through != state.through:  # an outcome that has left the journal meanwhile would be in neither
        raise OvertakenError
    table = SealedTable.open(resolved(journal.path, state.table)) if state.through else None
    for row in told_rows(table, agent) if table is not None else ():
        if row["sequence"] <= state.through:
            strays[row["decision_id"]].append((row["sequence"], outcome_in(row["content"])))
    for sequence, content in told:
        if sequence <= until:
            event = outcome_in(content)
            strays[event.decision_id].append((sequence, event))
    return strays, table


def _incomplete(
    table: SealedTable, agent: str, names: set[str], maturation: float, between: tuple[int, int]
) -> Iterator[dict[str, Any]]:
    """Sealed decisions that are not as they were sealed: an outcome came later, or one too many was joined."""
    if not (names or maturation):
        return
    wanted = pa.array(sorted(names), pa.string())
    columns = ("sequence", "event_id", "decision_id", "outcome_delay", "content", "outcomes", "outcome_places")
    for files in table.file_groups(agent):
        keys = ("event_id", "decision_id", "outcome_delay")
        if not any(_changed(batch, wanted, maturation).any() for batch in table.batches(agent, keys, files=files)):
            continue
        for batch in table.batches(agent, columns, files=files):
            for row in batch.filter(pa.array(_changed(batch, wanted, maturation))).to_pylist():
                if between[0] < row["sequence"] <= between[1]:
                    yield row


def _changed(batch: pa.RecordBatch, names: pa.Array, maturation: float) -> np.ndarray:
    changed = pc.is_in(batch["event_id"], names)
    if maturation:
        changed = pc.or_(changed, pc.greater(batch["outcome_delay"], maturation).fill_null(False))
    return np.asarray(pc.and_(changed, batch["decision_id"].is_null()).to_numpy(zero_copy_only=False))


def _attached(row: dict[str, Any]) -> list[tuple[int, OutcomeEvent]]:
    """The outcomes that were sealed with a decision."""
    return list(zip(row["outcome_places"] or (), map(outcome_in, row["outcomes"] or ()), strict=True))


def _ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same batches; while one is looked at, a thread reads the next."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch


def _taken(batch: pa.RecordBatch, places: np.ndarray | None) -> pa.RecordBatch:
    return batch if places is None else batch.take(pa.array(places))
