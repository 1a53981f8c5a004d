"""Readers asked as the importer asks them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from envs.importing import row_building
from envs.importing.readers import Reader, reader_of
from envs.importing.rows import SourceRow
from envs.outcome import OutcomeEvent
from envs.record import DecisionRecord

DATA = Path(__file__).parents[2] / "data" / "importing"


def read(source: Path | str, name: str, options: Mapping[str, Any] | None = None) -> list[SourceRow]:
    """All rows of a source; what must hold of any reader is checked on the way."""
    reader = reader_of(str(source), name, options)
    rows: list[SourceRow] = []
    done = 0
    for batch in reader.batches():
        assert batch.done >= done
        done = batch.done
        rows += batch.rows
    assert done <= reader.size
    for row in rows:
        assert row.row >= 1 and row.file.startswith(str(source).rstrip("/"))
        if row.rejected is not None:
            assert row.rejected.problem and row.rejected.remedy and "\n" not in row.rejected.problem
    return rows


def good(rows: list[SourceRow]) -> list[dict[str, Any]]:
    """The contents; nothing may be rejected."""
    assert [row.rejected for row in rows if row.rejected] == []
    return [row.content for row in rows]


def problems(rows: list[SourceRow]) -> list[str]:
    """``row field problem`` of the rejected rows."""
    return [f"{row.row} {row.rejected.field} {row.rejected.problem}" for row in rows if row.rejected]


def records(contents: list[dict[str, Any]], agent: str = "imported") -> list[DecisionRecord]:
    """The decisions among contents, checked as the importer checks them."""
    return [
        DecisionRecord.from_mapping({"event_id": f"row-{place}", **content}, agent=agent)
        for place, content in enumerate(contents)
        if "decision_id" not in content
    ]


def outcomes(contents: list[dict[str, Any]], agent: str = "imported") -> list[OutcomeEvent]:
    """The outcomes among contents, checked as the importer checks them."""
    return [OutcomeEvent.from_mapping(content, agent=agent) for content in contents if "decision_id" in content]


def assert_goes_on(
    source: Path | str, name: str, monkeypatch: pytest.MonkeyPatch, options: Mapping[str, Any] | None = None
) -> None:
    """From every position the very rows follow that would have followed."""
    monkeypatch.setattr(row_building, "ROWS", 3)
    whole = list(reader_of(str(source), name, options).batches())
    assert len(whole) > 1 and max(len(batch.rows) for batch in whole)
    for place, batch in enumerate(whole):
        again: Reader = reader_of(str(source), name, options)
        rows = [row for later in again.batches(batch.position) for row in later.rows]
        assert rows == [row for later in whole[place + 1 :] for row in later.rows]
