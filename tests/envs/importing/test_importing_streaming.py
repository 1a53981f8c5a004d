"""Large imports: rows that meet far apart, kills at any moment, memory that does not grow."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from envs.errors import BusyError, RecordError
from envs.home import Home
from envs.importing import gathering, importer, meeting, reader_jsonl, writing
from envs.importing.importer import import_files
from envs.importing.progress import Progress
from envs.importing.staging import Staging
from envs.journal.journal import Journal
from envs.journal.rows import Event
from envs.log.forgetting import forget
from envs.outcome import OutcomeEvent
from envs.record import DecisionRecord
from tests.envs.importing.import_samples import SPECIFICATION, jsonl, killed, rows, snapshot, stored


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.create(tmp_path / "home", split_key=bytes(32))
    home.declare(SPECIFICATION)
    return home


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything in pieces of a few rows, each kept at once."""
    monkeypatch.setattr(reader_jsonl, "BATCH", 3)
    monkeypatch.setattr(meeting, "AT_ONCE", 2)
    monkeypatch.setattr(gathering, "PAGE", 2)
    monkeypatch.setattr(gathering, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(writing, "WRITTEN_AT_ONCE", 5)


def _row(numbers: tuple[int, int, int, int, int]) -> dict[str, Any]:
    event, episode, step, reward, tenant = numbers
    if reward == 3:  # an outcome of one of the decisions, at times a contradiction
        content = {"decision_id": f"e{event}", "timestamp": "2026-01-31T09:30:00Z", "agent": "scaling"}
        return content | {"reward": float(step), "outcome": {"cost": 1.0 * tenant}}
    content = {"event_id": f"e{event}", "episode_id": f"p{episode}", "step": step, "tenant": f"t{tenant // 2}"}
    return content | {"observation": [1.0, 2.0], "action": "up", "reward": float(reward), "agent": "scaling"}


def _event(row: dict[str, Any]) -> Event:
    return (OutcomeEvent if "decision_id" in row else DecisionRecord).from_mapping(row)


ROWS = st.lists(st.tuples(*(st.integers(0, top) for top in (12, 2, 3, 3, 2))).map(_row), max_size=24)


@settings(max_examples=20, deadline=None)
@example(  # an outcome that waits, a second one before its decision, which says what the second does
    before=[_row((1, 0, 0, 3, 0))], files=[[_row((1, 0, 1, 3, 0)), _row((1, 0, 1, 1, 0))]]
)
@given(before=ROWS, files=st.lists(ROWS, min_size=1, max_size=2))
def test_rows_meet_as_if_they_were_appended_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, before: list[Any], files: list[list[Any]]
) -> None:
    """A row that would be refused after all good ones before it is rejected, and no other is."""
    folder = tmp_path_factory.mktemp("meeting")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader_jsonl, "BATCH", 3)
        patch.setattr(meeting, "AT_ONCE", 2)
        home = Home.create(folder / "home")
        home.declare(SPECIFICATION)
        model = Journal(folder / "model.sqlite")
        with Journal(home.journal_path) as journal:
            for row in before:
                for target in (model, journal):
                    try:
                        target.append([_event(row)])
                    except RecordError:
                        continue
        decisions, outcomes = [], []  # outcomes are compared when all decisions are settled
        for index, content in enumerate(files):
            for number, row in enumerate(content, 1):
                (outcomes if "decision_id" in row else decisions).append((index, number, row))
        refused = set()
        for index, number, row in decisions + outcomes:
            try:
                model.append([_event(row)])
            except RecordError:
                refused.add((index, number))
        paths = [jsonl(folder / f"{index}.jsonl", content) for index, content in enumerate(files)]
        if not any(files):
            return
        report = import_files(home, "scaling", paths, dry_run=True)
        assert {(paths.index(Path(row.file)), row.row) for row in report.rejected} == refused
        if report.added + report.duplicates:
            kept = import_files(home, "scaling", paths, keep_good=True)
            assert (kept.added, kept.duplicates) == (report.added, report.duplicates)
            with Journal(home.journal_path) as journal:
                assert journal.counts() == model.counts()
                assert journal.outcome_counts() == model.outcome_counts()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(("owner", "name"), [(Staging, "commit"), (Journal, "append")])
def test_an_interrupted_import_goes_on(tmp_path: Path, declared: bool, owner: Any, name: str) -> None:
    content = rows(20)
    for row in content[::2]:
        del row["event_id"]  # named by its content
    content[7] = content[3]  # and one of them twice
    content += [{key: value for key, value in row.items() if key in ("observation", "action")} for row in rows(4)]
    paths = [jsonl(tmp_path / "a.jsonl", content), jsonl(tmp_path / "b.jsonl", rows(3, event_id="single"))]
    paths[1].write_text(paths[1].read_text().splitlines()[0].replace('"episode 0"', '"other"') + "\n")

    def fresh(number: int) -> Home:
        home = Home.create(tmp_path / f"home {number}", split_key=bytes(32))
        if declared:
            home.declare(SPECIFICATION)
        return home

    whole = import_files(fresh(0), "scaling", paths)
    expected = stored(fresh(0))
    assert whole.added == len(expected) == 24
    moment = 0
    while True:
        moment += 1
        home = fresh(moment)
        with pytest.MonkeyPatch.context() as patch:
            count = killed(patch, owner, name, moment)
            try:
                import_files(home, "scaling", paths)
            except KeyboardInterrupt:
                pass
            else:
                assert moment > count[0] > 1
                break
        report = import_files(home, "scaling", paths)
        assert stored(home) == expected
        assert (report.rows, report.added + report.duplicates) == (whole.rows, 25)
        assert home.specification("scaling") == fresh(0).specification("scaling")
        assert not list((home.data_path / "imports").iterdir())


@pytest.mark.usefixtures("small")
def test_what_was_read_before_a_kill_is_not_read_again(home: Home, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "log.jsonl", rows(40))
    with pytest.MonkeyPatch.context() as patch:
        killed(patch, Staging, "commit", 8)
        with pytest.raises(KeyboardInterrupt):
            import_files(home, "scaling", [path])
    assert stored(home) == []  # nothing is seen of an import before all rows were found good
    moments: list[Progress] = []
    import_files(home, "scaling", [path], progress=moments.append)
    reading = [moment for moment in moments if moment.phase == "reading"]
    assert 0 < reading[0].fresh < reading[0].rows and reading[-1].rows == 40 and reading[-1].fresh < 30
    assert reading[-1].done == reading[-1].total == path.stat().st_size and reading[-1].seconds_left == 0.0
    assert [moment.rows for moment in moments if moment.phase == "writing"] == [5 * part for part in range(1, 9)]
    assert "40 rows" in str(moments[-1]) and "rows/s" in str(moments[-1]) and "0 s left" in str(moments[-1])


@pytest.mark.usefixtures("small")
def test_a_changed_file_is_read_from_its_beginning(home: Home, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "log.jsonl", rows(20))
    with pytest.MonkeyPatch.context() as patch:
        killed(patch, Staging, "commit", 5)
        with pytest.raises(KeyboardInterrupt):
            import_files(home, "scaling", [path])
    jsonl(path, rows(20, reward=3.0))
    assert import_files(home, "scaling", [path]).added == 20
    assert {record.reward for record in stored(home)} == {3.0}


def test_a_damaged_staging_file_is_begun_anew(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = jsonl(tmp_path / "log.jsonl", rows(20))
    with monkeypatch.context() as patch:
        killed(patch, Journal, "append", 1)
        with pytest.raises(KeyboardInterrupt):
            import_files(home, "scaling", [path])
    (staged,) = (home.data_path / "imports").glob("*.sqlite")
    staged.write_bytes(b"damaged" * 1000)
    report = import_files(home, "scaling", [path])
    assert (report.added, report.duplicates, len(stored(home))) == (0, 20, 20)


def test_what_somebody_recorded_meanwhile_is_found_by_the_next_import(home: Home, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "log.jsonl", rows(4))
    other = DecisionRecord.from_mapping(rows(1, reward=4.0)[0], agent="scaling")

    def record(_: Progress) -> None:
        with Journal(home.journal_path) as journal:
            journal.append([other])

    with pytest.raises(RecordError, match="'e0' was recorded before with other content"):
        import_files(home, "scaling", [path], progress=record)
    assert stored(home) == [other]
    report = import_files(home, "scaling", [path], keep_good=True)
    assert (report.added, report.rejected[0].where) == (3, f"{path}:1")


def test_what_nobody_goes_on_with_is_removed(home: Home, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "log.jsonl", rows(4))
    folder = home.data_path / "imports"
    folder.mkdir()
    for name, age in (("scaling-old.sqlite", 8), ("scaling-new.sqlite", 6)):
        (folder / name).touch()
        os.utime(folder / name, (0, time.time() - age * 86400))
    import_files(home, "scaling", [path])
    assert [item.name for item in folder.iterdir()] == ["scaling-new.sqlite"]


def test_a_tenant_that_is_forgotten_is_in_no_staging_file(home: Home, tmp_path: Path) -> None:
    import_files(home, "scaling", [jsonl(tmp_path / "before.jsonl", rows(1, event_id="x", episode_id="x"))])
    path = jsonl(tmp_path / "log.jsonl", rows(8, tenant="acme"))
    with pytest.MonkeyPatch.context() as patch:
        killed(patch, Journal, "append", 1)
        with pytest.raises(KeyboardInterrupt):
            import_files(home, "scaling", [path])
    assert any(b"acme" in item.read_bytes() for item in (home.data_path / "imports").iterdir())
    forget(home, "acme")
    assert list((home.data_path / "imports").iterdir()) == []
    assert {record.tenant for record in stored(home)} == {"default"}


def test_one_import_at_a_time(home: Home, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "log.jsonl", rows(4))

    def again(_: Progress) -> None:
        with pytest.raises(BusyError, match="is being imported by another process"):
            import_files(home, "scaling", [path])

    assert import_files(home, "scaling", [path], progress=again).added == 4


def test_rejected_rows_without_end_are_counted_and_listed_in_part(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importer, "LISTED", 5)
    path = jsonl(tmp_path / "log.jsonl", [*rows(2), *rows(30, propensity=0)])
    report = import_files(home, "scaling", [path], keep_good=True)
    assert len(report.rejected) == 5 and report.rejected_count == 30 and report.added == 2
    assert report.rejected_path is not None
    assert [json.loads(line)["row"] for line in report.rejected_path.read_text().splitlines()] == list(range(3, 33))


def test_refused_rows_leave_nothing_of_a_large_import(home: Home, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "log.jsonl", [*rows(5000), "{"])
    before = snapshot(home)
    with pytest.raises(RecordError):
        import_files(home, "scaling", [path])
    assert snapshot(home) == before


MEASURED = """
import json, sys
from pathlib import Path
from envs.home import Home
from envs.importing.importer import import_files
folder, count = Path(sys.argv[1]), int(sys.argv[2])

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

row = {"observation": {"load": 1.5, "zone": "a"}, "action": "up", "propensity": 0.5, "reward": 1.0}
with open(folder / "log.jsonl", "w") as file:
    for number in range(count):
        file.write(json.dumps(row | {"event_id": f"e{number}", "id": str(number)}) + "\\n")
home = Home.create(folder / "home")
begun = peak()
assert import_files(home, "scaling", [folder / "log.jsonl"], unknown="metadata").added == count
print(peak() - begun)
"""


@pytest.mark.full
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Five times the rows (25 MB more of text, 80 MB of objects) take at most 15 MB more."""
    needed = []
    for count in (40_000, 200_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        command = [sys.executable, "-c", MEASURED, str(folder), str(count)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        needed.append(int(done.stdout))
    assert needed[0] > 0 and needed[1] - needed[0] < 15 * 1024


KILLED = """
import sys
from envs.home import Home
from envs.importing import gathering, importer, reader_jsonl, staging, writing
gathering.COMMIT_SECONDS, writing.WRITTEN_AT_ONCE, reader_jsonl.BATCH, staging.SMALLEST_SEGMENT = 0.0, 200, 100, 50
print("begun", flush=True)
importer.import_files(Home(sys.argv[1]), "scaling", [sys.argv[2]])
"""


@pytest.mark.full
def test_killed_at_any_moment_it_goes_on_and_nothing_is_there_twice(home: Home, tmp_path: Path) -> None:
    content = rows(6000)
    for row in content[:3000:3]:  # the others can be segments
        del row["event_id"]
    path = jsonl(tmp_path / "log.jsonl", content)
    source, kills, done = random.Random(0), 0, None
    while done is None or done != 0:
        command = [sys.executable, "-c", KILLED, str(home.path), str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stdout.readline() == b"begun\n"
            try:
                done = process.wait(source.uniform(0.005, 0.1) if kills < 20 else None)
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
        found = stored(home)
        assert len({record.event_id for record in found}) == len(found)
    assert kills > 2 and len(found) == 6000
    assert import_files(home, "scaling", [path]).duplicates == 6000
