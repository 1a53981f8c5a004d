"""Decisions and outcomes read back from the sealed table, as the journal had them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from envs.journal.reading import SealedDecision
from envs.journal.rows import JournalRow, outcome_in, row_of
from envs.journal.sealed import OvertakenError, SealedState, event_key
from envs.log.place import resolved
from envs.log.table import SealedTable
from envs.outcome import OutcomeEvent
from envs.record import DecisionRecord, trusted
from envs.specification import AgentSpecification

if TYPE_CHECKING:
    from envs.build_report import BuildReport
    from envs.dataset import Dataset
    from envs.journal.journal import Journal

TOGETHER = 8_192  # rows
DECISION = ("sequence", "decision_id", "content", "outcomes", "outcome_places")


class SealedLog:
    """What was sealed of one agent.

    Attributes:
        table: the version that is read.
        through: position up to which it holds the journal that ``state`` is of.

    Args:
        journal: the journal's path.
        state: how far it was sealed, as the journal says.
        agent: whose decisions.
    """

    def __init__(self, journal: Path, state: SealedState, agent: str) -> None:
        self.table = SealedTable.open(resolved(journal, state.table))
        self.through = state.through
        self._agent = agent

    def decisions(self, after: int = 0) -> Iterator[SealedDecision]:
        """The decisions from above ``after``, in the order of their positions."""
        for batch in in_order(self.table, self._agent, DECISION, after, self.through):
            decided = batch.filter(pc.is_null(batch["decision_id"]))
            for row in decided.to_pylist():
                events = zip(row["outcome_places"] or (), map(outcome_in, row["outcomes"] or ()), strict=True)
                yield SealedDecision(row["sequence"], trusted(row["content"]), tuple(events))

    def outcomes(self) -> Iterator[tuple[int, OutcomeEvent]]:
        """The outcomes that do not stand beside their decision, with their positions."""
        for row in told_rows(self.table, self._agent):
            if row["sequence"] <= self.through:
                yield row["sequence"], outcome_in(row["content"])


def find(journal: Path, state: SealedState, event_id: str) -> DecisionRecord | None:
    """The sealed decision of an event, as it was written, or ``None``."""
    table = SealedTable.open(resolved(journal, state.table))
    for batch in table.batches(None, ("event_id", "decision_id", "content")):
        hits = batch.filter(pc.and_(pc.equal(batch["event_id"], event_id), pc.is_null(batch["decision_id"])))
        if hits.num_rows:
            return trusted(hits["content"][0].as_py())
    return None


def version(journal: Path, state: SealedState) -> int:
    """The table's present version."""
    return SealedTable.open(resolved(journal, state.table)).version


def told_rows(table: SealedTable, agent: str | None) -> Iterator[dict[str, Any]]:
    """Position, event, decision and text of the outcomes that are rows of their own."""
    for files in table.file_groups(agent):
        named = table.batches(None, ("decision_id",), files=files)
        if all(batch["decision_id"].null_count == batch.num_rows for batch in named):
            continue  # a column without values costs nothing to look at, the texts do
        for batch in table.batches(None, ("sequence", "event_id", "decision_id", "content"), files=files):
            yield from batch.filter(pc.is_valid(batch["decision_id"])).to_pylist()


def tenant_rows(
    journal: Path, state: SealedState, tenant: str, decided: Collection[str], keys: Collection[str]
) -> list[tuple[int, JournalRow]]:
    """Every sealed event of a tenant with its position: its decisions, and the outcomes of them.

    Args:
        journal: the journal's path.
        state: how far it was sealed.
        tenant: who.
        decided: ``event_id`` of its decisions that are still in the journal; their outcomes may have come first.
        keys: of events that are known to be its own (:func:`~envs.journal.sealed.event_key`), in hexadecimal.
    """
    table = SealedTable.open(resolved(journal, state.table))
    found: list[tuple[int, JournalRow]] = []
    apart = False  # whether there are outcomes that are rows of their own
    for batch in table.batches(None, (*DECISION, "tenant")):
        apart |= batch["decision_id"].null_count < batch.num_rows
        own = batch.filter(pc.fill_null(pc.equal(batch["tenant"], tenant), False))
        for row in own.to_pylist():
            found.append((row["sequence"], row_of(trusted(row["content"]))))
            places = zip(row["outcome_places"] or (), row["outcomes"] or (), strict=True)
            found += [(place, row_of(outcome_in(text))) for place, text in places]
    mine = {*decided, *(row.event_id for _, row in found if row.decision_id is None)}
    for row in told_rows(table, None) if apart else ():
        if row["decision_id"] in mine or event_key(row["event_id"]).hex() in keys:
            found.append((row["sequence"], row_of(outcome_in(row["content"]))))
    return found


def load_dataset(
    journal: Journal,
    state: SealedState,
    specification: AgentSpecification,
    between: tuple[int, int],
    split_key: bytes,
    **how: Any,
) -> tuple[Dataset, BuildReport]:
    """The dataset of an agent's log in a range of positions, see :func:`envs.log.loading.load`.

    Raises:
        OvertakenError: a sealing came between, or forgetting has replaced a file; look again.
    """
    from envs.log.loading import load
    from envs.log.source import open_source

    name, maturation = specification.name, specification.maturation
    try:
        source = open_source(journal, state, name, between=between, maturation=maturation, split_key=split_key)
        return load(source, specification, split_key, **how)
    except FileNotFoundError as error:
        raise OvertakenError(str(error)) from error


def in_order(
    table: SealedTable, agent: str | None, columns: tuple[str, ...], after: int, through: int
) -> Iterator[pa.RecordBatch]:
    """Rows of positions in (after, through], ordered by ``sequence``, which is the first of the columns.

    Files of one commit, one for each date, are read together: each commit holds a range of positions, so
    memory is bounded by the largest. So are small files that follow each other.
    """
    for files in _overlapping(table, agent, after, through):
        rows = pa.Table.from_batches(list(table.batches(agent, columns, files=files)))
        chosen = pc.and_(pc.greater(rows["sequence"], after), pc.less_equal(rows["sequence"], through))
        rows = rows.filter(chosen)
        yield from rows.take(pc.sort_indices(rows["sequence"])).combine_chunks().to_batches(max_chunksize=TOGETHER)


def _overlapping(table: SealedTable, agent: str | None, after: int, through: int) -> Iterator[list[str]]:
    """Groups of files of which no range of positions overlaps with another group's, in order."""
    group: list[str] = []
    end = rows = 0
    for file in table.data_files(agent):
        if file.highest <= after or file.lowest > through:
            continue
        if group and file.lowest > end and rows + file.rows > TOGETHER:
            yield group
            group, rows = [], 0
        group.append(file.uri)
        rows += file.rows
        end = max(end, file.highest)
    if group:
        yield group
