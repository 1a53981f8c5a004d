"""The second pass of an import: what was staged goes into the journal, some at a time.

Whole blocks of decisions become segments of the journal (:mod:`envs.journal.segments`); their keys are written
before them, so that from the moment at which a decision is there it is found. All else is appended row by row, and so
is a block that something may meet which was recorded since the import began. Outcomes come after all decisions, as
they were compared: what a decision says itself is right.
"""

from __future__ import annotations

import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise

import numpy as np

from envs.importing.blocks import Block, StagedRow, unpacked
from envs.importing.progress import Progress
from envs.importing.staging import FRESH, Staging
from envs.journal.arrivals import note_arrivals
from envs.journal.journal import Journal
from envs.journal.segment_writing import Known, append_segments, begin_run, met_by_outcomes
from envs.journal.segments import Segment, add_run

WRITTEN_AT_ONCE = 20_000  # rows of one transaction: recorders wait for it
KEYS_AT_ONCE = 200_000


def write(
    staging: Staging, journal: Journal, agent: str, fresh: int, progress: Callable[[Progress], None] | None
) -> None:
    """Write all staged rows that are fresh; goes on where it was killed.

    Raises:
        RecordError: somebody has recorded meanwhile what contradicts a row.
        JournalError: the journal cannot be written.
    """
    done = before = int(staging.progress("written rows", 0))
    begun = time.monotonic()
    staging.commit(writing=True)
    run = _run(staging, journal)
    for phase, pieces_behind in (("written", _decisions), ("written outcomes", _outcomes)):
        for piece in pieces_behind(staging, int(staging.progress(phase, 0))):
            _append(staging, journal, agent, run, piece)
            done += sum(one.size if isinstance(one, Block) else 1 for one in piece)
            last = piece[-1]
            number = last.last if isinstance(last, Block) else last.number
            staging.commit(**{phase: number, "written rows": done})
            if progress is not None:
                seconds = time.monotonic() - begun
                progress(Progress("writing", done, done - before, done, before, fresh, seconds))
    note_arrivals(journal)


def _outcomes(staging: Staging, after: int) -> Iterator[list[StagedRow] | list[Block]]:
    """The fresh outcomes behind a row, in order."""
    while rows := staging.fresh_outcomes(after, WRITTEN_AT_ONCE):
        yield rows
        after = rows[-1].number


def _decisions(staging: Staging, after: int) -> Iterator[list[StagedRow] | list[Block]]:
    """The fresh decisions behind a row, in order: rows, and whole blocks of nothing else."""
    rows: list[StagedRow] = []
    blocks: list[Block] = []
    while (block := staging.behind(after)) is not None:
        whole = block.first > after and staging.is_whole(block)
        if blocks and (not whole or sum(one.size for one in blocks) + block.size > WRITTEN_AT_ONCE):
            yield blocks
            blocks = []
        if whole:
            if rows:
                yield rows
            rows = []
            blocks.append(block)
        else:
            rows += [row for row in staging.in_states(block, (FRESH,), after) if row.event.decision_id is None]
        while len(rows) >= WRITTEN_AT_ONCE:
            yield rows[:WRITTEN_AT_ONCE]
            rows = rows[WRITTEN_AT_ONCE:]
        after = block.last
    if rows or blocks:
        yield rows or blocks


def _append(
    staging: Staging, journal: Journal, agent: str, run: int, piece: Sequence[StagedRow] | Sequence[Block]
) -> None:
    blocks = [one for one in piece if isinstance(one, Block)]
    if blocks:
        segments = [
            Segment(1, one.size, agent, run, one.first, zlib.crc32(one.contents), one.contents) for one in blocks
        ]
        known = Known(int(staging.progress("position", 0)), frozenset(staging.progress("met", [])))
        function = partial(append_segments, segments=segments, known=known)
        known, appended = journal.file.run(function, write=True)
        staging.commit(position=known.position, met=sorted(known.numbers))
        if appended:
            return
    rows = [one.event for one in piece if isinstance(one, StagedRow)]
    journal.append(rows + [row.event for block in blocks for row in unpacked(block)])


def _run(staging: Staging, journal: Journal) -> int:
    """The run of this import's keys, which are written where they are not yet."""
    run: int | None = staging.progress("run", None)
    if run is None:
        for keys, numbers in staging.segment_keys():
            for start, end in _cuts(keys):
                function = partial(_add, run=run, keys=keys[start:end], numbers=numbers[start:end])
                run = journal.file.run(function, write=True)
        found = partial(met_by_outcomes, run=run or 0, through=int(staging.progress("position", 0)))
        staging.commit(run=run or 0, met=sorted(journal.file.run(found)))
    return run or 0


def _add(connection: sqlite3.Connection, run: int | None, keys: np.ndarray, numbers: np.ndarray) -> int:
    run = begin_run(connection) if run is None else run
    add_run(connection, run, keys, numbers)
    return run


def _cuts(keys: np.ndarray) -> list[tuple[int, int]]:
    """Where to cut sorted keys so that equal ones stay together."""
    cuts = [0]
    while cuts[-1] < len(keys):
        key = keys[min(cuts[-1] + KEYS_AT_ONCE, len(keys)) - 1]
        cuts.append(int(np.searchsorted(keys, key, side="right")))
    return list(pairwise(cuts))
