"""What has no timestamps is as old as it has been in the log, however it came there."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from envs.build import build_dataset
from envs.build_report import BuildReport
from envs.errors import JournalError
from envs.home import Home
from envs.importing.importer import import_files
from envs.journal import arrivals
from envs.journal.arrivals import list_arrivals, note_arrivals
from envs.journal.file import JournalFile
from envs.journal.journal import Journal
from envs.log.datasets import list_datasets, reopen
from envs.log.sealing import seal
from tests.envs.log.logs import AGENT, assert_same, home_at, record

DAY = 86_400.0
START = 1.7e9


class Log:
    """A home whose agent gives an episode up after a day, and the clock by which things arrive there."""

    def __init__(self, path: Path, patch: pytest.MonkeyPatch) -> None:
        self.home: Home = home_at(
            path / "home", reward="", worst_class="", guardrails=(), horizon=9, abandoned_after=DAY
        )
        self.journal = Journal(self.home.journal_path)
        self.path = path
        self.days = 0.0
        patch.setattr(arrivals, "time", SimpleNamespace(time=lambda: self.now))

    @property
    def now(self) -> float:
        return START + self.days * DAY

    def episode(self, name: str, steps: int = 2, **last: Any) -> list[Any]:
        """One without timestamps."""
        changes: list[dict[str, Any]] = [{}] * (steps - 1) + [last]
        return [record(f"{name}-{step}", name, step, reward=1.0, **changes[step]) for step in range(steps)]

    def record(self, name: str, **last: Any) -> None:
        self.journal.append(self.episode(name, **last))

    def bring(self, name: str, **last: Any) -> None:
        """Import it."""
        file = self.path / f"{name}.jsonl"
        file.write_text("".join(json.dumps(one.to_mapping()) + "\n" for one in self.episode(name, **last)))
        import_files(self.home, AGENT, [file])

    def built(self) -> BuildReport:
        return build_dataset(self.home, AGENT, now=self.now)[1]

    def counts(self) -> tuple[int, int]:
        report = self.built()
        return report.abandoned_episodes, report.open_episodes


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    return Log(tmp_path, monkeypatch)


def test_what_was_imported_without_timestamps_is_given_up_when_imports_go_on_without_it(log: Log) -> None:
    log.bring("silent")
    log.days = 5.0
    assert log.counts() == (0, 1), "as long as nothing comes, nothing says that it does not go on"
    log.bring("other")
    log.days = 5.5
    assert log.counts() == (1, 1)
    log.days = 9.0
    log.bring("third", terminated=True)
    assert log.counts() == (2, 0)


def test_what_goes_on_in_the_next_import_is_not_given_up(log: Log) -> None:
    file = log.path / "rest.jsonl"
    steps = log.episode("long", steps=4)
    log.bring("long")
    log.days = 3.0
    file.write_text("".join(json.dumps(one.to_mapping()) + "\n" for one in steps[2:]))
    import_files(log.home, AGENT, [file])
    assert log.counts() == (0, 1)


@pytest.mark.parametrize("looked_by", ["sealing", "building"])
def test_what_was_recorded_without_timestamps_is_as_old_as_it_was_seen(log: Log, looked_by: str) -> None:
    look = (lambda: seal(log.home)) if looked_by == "sealing" else log.built
    log.record("silent")
    look()
    log.days = 0.9
    log.record("other")
    look()
    assert log.counts() == (0, 2)
    log.days = 1.1
    log.record("third")
    look()
    assert log.counts() == (1, 2)
    seal(log.home)
    assert log.counts() == (1, 2), "sealed or not"


def test_a_moment_is_noted_once_and_only_where_something_came(log: Log) -> None:
    log.record("one")
    for _ in range(3):
        log.built()
        log.days += 1.0
    known = list_arrivals(log.journal, log.now)
    assert (known.through.tolist(), known.seconds.tolist()) == ([2], [START])
    note_arrivals(log.journal)
    log.record("two")
    note_arrivals(log.journal)
    assert list_arrivals(log.journal, log.now).through.tolist() == [2, 4]
    assert list_arrivals(log.journal, START).through.tolist() == [2], "what was noted later was not known then"


def test_a_dataset_of_the_past_gives_up_what_it_gave_up_then(log: Log) -> None:
    log.record("silent")
    log.built()
    log.days = 0.5
    log.record("ended", terminated=True)
    before, _ = build_dataset(log.home, AGENT, now=log.now)
    log.days = 2.0
    log.record("third", terminated=True)
    after, report = build_dataset(log.home, AGENT, now=log.now)
    assert report.abandoned_episodes == 1 and len(list_datasets(log.journal)) == 3
    log.days = 5.0
    seal(log.home)
    for dataset in (before, after):
        assert_same(reopen(log.home, dataset.identifier), dataset)


def test_a_dataset_of_a_log_that_cannot_be_written_to_is_built(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    log.record("one", terminated=True)
    run = JournalFile.run

    def reading(file: JournalFile, function: Any, *, write: bool = False, **how: Any) -> Any:
        if write:
            raise JournalError("cannot be written")
        return run(file, function, **how)

    monkeypatch.setattr(JournalFile, "run", reading)
    assert log.built().episodes == 1 and not list_arrivals(log.journal, log.now).through.size
