"""Batches of rows that were checked as far as that goes many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from envs.importing.blocks import PackedDecisions
from envs.importing.plain_rows import PlainChecker
from envs.importing.readers import RowBatch
from envs.importing.rows import ReadColumns, ReadRows, SourceRow
from envs.journal.decision_columns import DecisionColumns
from envs.journal.rows import JournalRow


@dataclass(frozen=True, slots=True)
class CheckedBatch:
    """A batch of nothing but good decisions.

    Attributes:
        decisions: what they are.
        lines: where they stand in their source.
        position: as of :class:`~envs.importing.readers.RowBatch`.
        done: the same.
    """

    decisions: PackedDecisions
    lines: Sequence[int]
    position: str
    done: int


@dataclass(frozen=True, slots=True)
class MixedBatch:
    """A batch whose rows are to be looked at one by one.

    Attributes:
        rows: its rows.
        written: for each what will be written of it, ``None`` where that is not known yet; empty where of none.
        position: as of :class:`~envs.importing.readers.RowBatch`.
        done: the same.
    """

    rows: Sequence[SourceRow]
    written: Sequence[JournalRow | None]
    position: str
    done: int


def checked_batch(batch: RowBatch, plain: PlainChecker | None) -> CheckedBatch | MixedBatch:
    """A batch, checked by what checks many rows at a time, if there is any."""
    rows = batch.rows
    found = [] if plain is None else plain.checked(rows)
    if not isinstance(found, DecisionColumns):
        return MixedBatch(rows, found, batch.position, batch.done)
    lines = rows.numbers if isinstance(rows, (ReadRows, ReadColumns)) else [row.row for row in rows]
    return CheckedBatch(PackedDecisions.of(found), lines, batch.position, batch.done)
