"""What a journal knows of the table, found out again from the table itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow.compute as pc

from envs.journal.rows import outcome_in, row_of
from envs.journal.sealed import SealedState, row_keys
from envs.log.place import resolved
from envs.log.table import SealedTable
from envs.record import trusted


def state_of(table: SealedTable, place: str, through: int) -> SealedState:
    """The counts of a table that holds a journal up to a position."""
    decisions: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    last: dict[str, int] = {}
    for agent in table.agents():
        for batch in table.batches(agent, ("sequence", "decision_id", "outcome_places")):
            told, places = batch.num_rows - batch["decision_id"].null_count, batch["outcome_places"].flatten()
            outcomes[agent] += told + len(places)
            decisions[agent] += batch.num_rows - told
            last[agent] = max(
                last.get(agent, 0), *(pc.max(found).as_py() or 0 for found in (batch["sequence"], places))
            )
    return SealedState(through, place, dict(decisions), {name: n for name, n in outcomes.items() if n}, last)


def keys_in(journal: Path, state: SealedState) -> Iterator[tuple[bytes, bytes]]:
    """The keys of everything that was sealed."""
    table = SealedTable.open(resolved(journal, state.table))
    for batch in table.batches(None, ("decision_id", "content", "outcomes")):
        for row in batch.to_pylist():
            events = map(outcome_in, row["outcomes"] or ())
            first = trusted(row["content"]) if row["decision_id"] is None else outcome_in(row["content"])
            for event in (first, *events):
                yield from row_keys(row_of(event), event.content_hash)
