"""Imports that become segments of a few decisions, whose rows meet each other and what is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from envs.home import Home
from envs.importing import reader_jsonl, reader_parquet, staging, writing
from envs.journal import segments
from envs.journal.journal import Journal
from envs.log.rows import SCHEMA
from envs.log.table import SealedTable
from envs.outcome import OutcomeEvent
from tests.envs.importing.import_samples import SPECIFICATION, jsonl, rows


def make_small(patch: pytest.MonkeyPatch) -> None:
    """Segments of a few decisions, and pages of a few keys."""
    patch.setattr(staging, "SMALLEST_SEGMENT", 1)
    patch.setattr(segments, "KEYS_OF_PAGE", 3)
    patch.setattr(writing, "KEYS_AT_ONCE", 7)
    patch.setattr(writing, "WRITTEN_AT_ONCE", 12)
    patch.setattr(reader_jsonl, "BATCH", 5)
    patch.setattr(reader_parquet, "BATCH", 5)


def home_of(path: Path) -> Home:
    """A home whose agent is declared."""
    home = Home.create(path, split_key=bytes(32))
    home.declare(SPECIFICATION)
    return home


def segments_in(home: Home) -> int:
    """How many decisions are in segments."""
    select = "SELECT COALESCE(SUM(last - first + 1), 0) FROM segments"
    with Journal(home.journal_path) as journal:
        return int(journal.file.run(lambda connection: connection.execute(select).fetchone()[0]))


def sealed_rows(home: Home) -> list[str]:
    """The rows of the table by their positions; the date of one without a time is that of its sealing."""
    table = SealedTable.open(str(home.data_path / "table"))
    listed: list[dict[str, Any]] = []
    for file in table.data_files():
        rows_in = [row for batch in table.batches(None, SCHEMA.names, files=[file.uri]) for row in batch.to_pylist()]
        listed += [row | {"agent": file.agent, "date": row["timestamp"] and file.date} for row in rows_in]
    return [repr(row) for row in sorted(listed, key=lambda row: row["sequence"])]


# A few names, so that rows meet: within a file, across files, with what is there.
PARTS = st.tuples(*(st.integers(0, top) for top in (40, 5, 3, 4, 9)))
VALUES = st.sampled_from([0.5, -0.0, 0.0, 1.0, 1, 3, 1e-7, 0.1 + 0.2])


def row_of_parts(parts: tuple[int, int, int, int, int], value: Any) -> dict[str, Any]:
    """A row of a few names; some are bad, or not plain."""
    event, episode, step, reward, odd = parts
    row: dict[str, Any] = {
        "event_id": f"e{event}", "observation": [value, event / 3], "action": ("down", "hold", "up")[step % 3],
        "reward": float(reward), "outcome": {"cost": value, "note": f"n{reward}"}, "policy_version": f"v{episode % 2}",
    }  # fmt: skip
    if episode:
        row |= {"episode_id": f"p{episode}", "step": step, "tenant": "other" if episode == 5 and odd == 8 else "t"}
    if odd == 9:
        row["action"] = "sideways"
    if odd == 7:
        row["timestamp"] = "2026-01-31T09:30:00+01:00"
    return row


@st.composite
def contents(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows of a file."""
    listed = [row_of_parts(draw(PARTS), draw(VALUES)) for _ in range(draw(st.integers(0, 5)))]
    # And plain ones, most of them on their own.
    begin, count = 10 * draw(st.integers(0, 4)), draw(st.sampled_from([9, 14, 24]))
    plain = rows(count, outcome={"cost": draw(VALUES)}, metadata={"text": draw(st.sampled_from(["a", 'q"', "\\n"]))})
    for number, row in enumerate(plain):
        row |= {"event_id": f"m{begin + number}", "episode_id": f"q{(begin + number) // 4}"}
    return listed + plain if draw(st.booleans()) else plain + listed


def told_of(numbers: list[int]) -> list[OutcomeEvent]:
    """Outcomes of the decisions of these numbers."""
    return [
        OutcomeEvent.from_mapping(
            {"decision_id": f"{kind}{number}", "agent": "scaling", "timestamp": "2026-02-01T00:00:00Z",
             "outcome": {"late": number}}
        )
        for number in numbers
        for kind in "em"
    ]  # fmt: skip


def written(folder: Path, number: int, content: list[dict[str, Any]], parquet: bool) -> Path:
    """A file of some rows."""
    if not parquet:
        return jsonl(folder / f"{number}.jsonl", content)
    path = folder / f"{number}.parquet"
    names = list(dict.fromkeys(name for row in content for name in row))
    pq.write_table(pa.Table.from_pylist([{name: row.get(name) for name in names} for row in content]), path)
    return path
