"""Outcomes whose decision is nowhere: kept, and counted in what the import says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ai_engine.import_result import ImportResult
from envs.home import Home
from envs.importing import importer, writing
from envs.importing.import_report import ImportReport
from envs.importing.importer import import_files
from envs.journal.journal import Journal
from envs.log.sealing import seal
from tests.envs.importing.import_samples import SPECIFICATION, jsonl, killed, rows

NOBODY = "is of decisions that are not in the log: kept, and used once they are recorded"


def told(*events: str) -> list[dict[str, Any]]:
    """What became known of some decisions."""
    return [{"decision_id": event, "outcome": {"score": 1.0}, "timestamp": "2026-02-01T00:00:00Z"} for event in events]


class Imports:
    def __init__(self, path: Path) -> None:
        self.path, self.home = path, Home.create(path / "home")
        self.home.declare(SPECIFICATION)

    def __call__(self, content: list[Any], **how: Any) -> ImportReport:
        return import_files(self.home, "scaling", [jsonl(self.path / "log.jsonl", content)], **how)


@pytest.fixture
def imports(tmp_path: Path) -> Imports:
    return Imports(tmp_path)


@pytest.mark.parametrize("dry_run", [True, False])
def test_within_an_import_the_order_does_not_matter(imports: Imports, dry_run: bool) -> None:
    report = imports([*told("e1", "nobody"), *rows(8), *told("e7", "no one")], dry_run=dry_run)
    assert (report.added, report.unmet, report.outcomes) == (12, 2, 4)
    assert "(4 of the rows are outcomes)" in ImportResult.of(report).to_text()


@pytest.mark.parametrize("count", [8, 400])  # single rows, and a segment
def test_decisions_of_the_log_are_met_wherever_they_are(imports: Imports, count: int) -> None:
    imports(rows(count))
    assert imports(told("e0", "nobody")).unmet == 1
    seal(imports.home)
    assert imports(told("e1", f"e{count - 1}", "no one")).unmet == 1
    assert imports(told("nobody", "no one")).unmet == 0, "they are there already: nothing was added"


def test_when_an_outcome_became_known_is_never_made_up(imports: Imports) -> None:
    """By the moment of the import, all of a log would have matured too late, and for good."""
    untimed = [{name: value for name, value in row.items() if name != "timestamp"} for row in told("e1", "e2")]
    assert imports([*rows(8), *untimed]).added == 10
    imports.home.declare(replace(SPECIFICATION, maturation=3600.0))
    report = imports([*told("e3"), *untimed], keep_good=True)
    assert report.added == 1 and {bad.field for bad in report.rejected} == {"timestamp"}


def test_a_rejected_decision_is_met_by_nothing(imports: Imports) -> None:
    twice = {**rows(1)[0], "event_id": "other"}
    report = imports([*rows(8), twice, *told("other", "e1")], keep_good=True)
    assert (report.added, report.rejected_count, report.unmet) == (9 + 1, 1, 1)


def test_an_import_that_goes_on_says_the_same(imports: Imports, monkeypatch: pytest.MonkeyPatch) -> None:
    path = jsonl(imports.path / "log.jsonl", [*rows(8), *told("e7", "nobody")])
    with monkeypatch.context() as patch:
        killed(patch, writing, "_append", 1)
        with pytest.raises(KeyboardInterrupt):
            import_files(imports.home, "scaling", [path])
    monkeypatch.setattr(importer, "settle", None)  # what was found out is not found out again
    report = import_files(imports.home, "scaling", [path])
    assert (report.added, report.unmet, report.outcomes) == (10, 1, 2)
    with Journal(imports.home.journal_path) as journal:
        assert journal.outcome_counts() == {"scaling": 2}


def test_the_command_says_so(imports: Imports) -> None:
    one, several = imports(told("nobody")), imports(told("no one", "someone"))
    assert f"1 outcome {NOBODY}" in ImportResult.of(one).to_text() and ImportResult.of(one).to_json()["unmet"] == 1
    assert f"2 outcomes {NOBODY.replace('is of', 'are of')}" in ImportResult.of(several).to_text()
    assert "not in the log" not in ImportResult.of(imports(rows(8))).to_text()
