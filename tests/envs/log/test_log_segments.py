"""Segments are sealed without becoming rows, and nothing is lost or doubled, whatever comes in between."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from envs.build import build_dataset
from envs.errors import DuplicateRecordError, MissingExtraError
from envs.home import Home
from envs.importing.importer import import_files
from envs.journal.file import JournalFile
from envs.journal.journal import AppendResult, Journal
from envs.journal.segments import Segment, make_all_rows, make_rows, next_segment
from envs.log import assembly, sealing
from envs.log.sealing import seal
from envs.log.table import SealedTable
from envs.outcome import OutcomeEvent
from envs.record import DecisionRecord
from tests.envs.importing.import_samples import jsonl, killed, rows
from tests.envs.importing.segment_samples import home_of, make_small, sealed_rows, segments_in
from tests.envs.log.logs import assert_same

COUNT = 40


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    make_small(monkeypatch)
    monkeypatch.setattr(sealing, "MOST_ROWS", 20)


def filled(path: Path) -> Home:
    """Single decisions, segments, and single ones again; an outcome that came before, and one of a single decision."""
    home = home_of(path)
    with Journal(home.journal_path) as journal:
        journal.append([*records("first"), told("first1"), told("e7"), told("nobody")])
        import_files(home, "scaling", [jsonl(path / "log.jsonl", rows(COUNT))])
        journal.append([*records("last"), told("last0")])
    assert COUNT > segments_in(home) >= COUNT / 2
    return home


def records(name: str) -> list[DecisionRecord]:
    listed = [{**row, "event_id": f"{name}{number}", "episode_id": name} for number, row in enumerate(rows(3))]
    return [DecisionRecord.from_mapping(row, agent="scaling") for row in listed]


def told(decision: str, **said: Any) -> OutcomeEvent:
    outcome = said or {"cost": 2.5}
    mapping = {"decision_id": decision, "agent": "scaling", "timestamp": "2026-02-01T00:00:00Z", "outcome": outcome}
    return OutcomeEvent.from_mapping(mapping)


def content(home: Home) -> list[Any]:
    with Journal(home.journal_path) as journal:
        found = [(place, item, item.content_hash) for place, item in journal.read("scaling")]
        assert journal.counts() == {"scaling": len(found)}
    return found


def held(home: Home, table: str) -> int:
    with Journal(home.journal_path) as journal:
        select = f"SELECT COUNT(*) FROM {table}"
        return int(journal.file.run(lambda connection: connection.execute(select).fetchone()[0]))


def test_no_row_is_made_of_a_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = filled(tmp_path)
    before, events = content(home), segments_in(home) + held(home, "events")
    made: list[int] = []
    for module in ("envs.journal.segments", "envs.journal.departing"):
        monkeypatch.setattr(sys.modules[module], "make_rows", lambda _, segment: made.append(segment.first))
    assert seal(home).events == events
    assert not made and content(home) == before
    for table in ("events", "segments", "segments_mirror", "segment_keys"):
        assert held(home, table) == 0, table


def test_the_table_is_that_of_single_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "MOST_ROWS", 1000)  # an outcome stands beside its decision in the same commit only
    tables = []
    for number, keep in enumerate((0, 0, 9, 21)):
        home = filled(tmp_path / str(number))
        if number == 0:
            with Journal(home.journal_path) as journal:
                make_all_rows(journal)
            assert segments_in(home) == 0
        before = content(home)
        seal(home, keep=keep)  # which may cut a segment
        assert content(home) == before
        with Journal(home.journal_path) as journal:
            assert journal.unsealed() == keep
        seal(home)
        tables.append(sealed_rows(home))
    assert tables[0] == tables[1] == tables[2] == tables[3] and len(tables[0]) == COUNT + 7


def test_what_was_sealed_in_segments_is_known(tmp_path: Path) -> None:
    home = filled(tmp_path)
    seal(home)
    assert import_files(home, "scaling", [tmp_path / "log.jsonl"]).duplicates == COUNT
    row = rows(COUNT)[17]
    with Journal(home.journal_path) as journal:
        assert journal.append([DecisionRecord.from_mapping(row, agent="scaling")]) == AppendResult(0, 1)
        for change, said in (
            ({"reward": -3.0}, "'e17' was recorded before with other content"),
            ({"event_id": "x"}, "1 of episode 'episode 4' is there already"),
        ):
            with pytest.raises(DuplicateRecordError, match=said):
                journal.append([DecisionRecord.from_mapping(row | change, agent="scaling")])


@pytest.mark.parametrize(
    "owner", [(JournalFile, "run"), (SealedTable, "append"), (SealedTable, "synchronise"), (sealing, "_committed")]
)
def test_killed_at_any_moment_nothing_is_lost_or_doubled(tmp_path: Path, owner: tuple[Any, str]) -> None:
    moment = 0
    expected: list[str] = []
    before = content(filled(tmp_path / "home"))
    while True:
        moment += 3 if owner[0] is JournalFile else 1  # of which there are many
        home = Home(Path(shutil.copytree(tmp_path / "home", tmp_path / str(moment))))
        with pytest.MonkeyPatch.context() as patch:
            calls = killed(patch, *owner, moment)
            try:
                seal(home)
            except KeyboardInterrupt:
                pass
            else:
                assert moment > calls[0] > 1
                expected = sealed_rows(home)
                break
        assert content(home) == before, "readers see each event once"
        with Journal(home.journal_path) as journal:
            journal.append([told("e22", late=1.0)])
            assert journal.append([DecisionRecord.from_mapping(rows(COUNT)[30], agent="scaling")]).duplicates == 1
        after = content(home)
        assert seal(home).events > 0 and content(home) == after
        assert held(home, "events") == held(home, "segments") == 0
        found = sealed_rows(home)
        assert len(found) == len({row.split("'sequence': ")[1].split(",")[0] for row in found})
        with Journal(home.journal_path) as journal:
            again = [DecisionRecord.from_mapping(row, agent="scaling") for row in rows(COUNT)]
            assert journal.append(again) == AppendResult(0, COUNT)
    assert len(expected) == COUNT + 7


@pytest.mark.parametrize("step", ["_committed", "_remember", "_noted", "let_go"])
def test_what_comes_meanwhile_is_neither_lost_nor_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """An outcome, the same decision and an episode's next step make rows of segments that are being sealed."""
    home = filled(tmp_path)
    real, seen = getattr(sealing, step), []

    def between(*arguments: Any, **keywords: Any) -> Any:
        result = real(*arguments, **keywords) if step == "_committed" else None
        if not seen and (step != "let_go" or arguments[1]):  # nothing is let go before the first commit
            more = {**rows(1)[0], "event_id": "more", "episode_id": "episode 5", "step": 4}
            with Journal(home.journal_path) as journal:
                seen.append(journal.append([told("e22", late=1.0), told("e39", late=2.0)]).added)
                seen.append(journal.append([DecisionRecord.from_mapping(rows(COUNT)[30], agent="scaling")]).duplicates)
                seen.append(journal.append([DecisionRecord.from_mapping(more, agent="scaling")]).added)
            seen.append(content(home))
        return result if step == "_committed" else real(*arguments, **keywords)

    before = content(home)
    monkeypatch.setattr(sealing, step, between)
    seal(home)
    assert seen[:3] == [2, 1, 1]
    found = content(home)
    assert found == seen[3] and len(found) == len(before) + 1
    assert {item.event_id: item.outcome for _, item, _ in found}["e22"] == {"late": 1.0}
    seal(home)
    assert content(home) == found and held(home, "events") == held(home, "segments") == 0


@pytest.mark.parametrize("sealed_before", [False, True])
def test_a_dataset_is_made_of_segments_as_of_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sealed_before: bool
) -> None:
    """By columns, by single records where what reads columns is not installed, and of rows; outcomes came before."""
    found, read = [], []
    real = Segment.records
    monkeypatch.setattr(Segment, "records", lambda segment: read.append(segment.first) or real(segment))
    for how in ("columns", "records", "rows"):
        home = home_of(tmp_path / how)
        with Journal(home.journal_path) as journal:
            journal.append([*records("first"), told("first1"), told("e7")])
            if sealed_before:  # then nobody knows that an outcome meets the segment
                seal(home)
            import_files(home, "scaling", [jsonl(home.path / "log.jsonl", rows(COUNT))])
            with monkeypatch.context() as patch:
                if how == "rows":
                    make_all_rows(journal)
                if how == "records":
                    patch.setattr(assembly, "table_reader", absent)
                read.clear()
                if how == "records" and sealed_before:
                    with pytest.raises(MissingExtraError):
                        build_dataset(home, "scaling")
                    continue
                found.append(build_dataset(home, "scaling"))
                assert len(read) == {"columns": int(sealed_before), "records": held(home, "segments"), "rows": 0}[how]
            joined = {item.event_id: item.outcome for _, item in journal.read("scaling")}
            assert joined["e7"] == {"cost": 2.5}
    assert found[0][1].decisions == COUNT
    for dataset, report in found[1:]:
        assert report == found[0][1]
        assert_same(dataset, found[0][0])


def absent() -> Any:
    raise MissingExtraError("the sealed part of the log needs deltalake")


def test_a_damaged_segment_is_mended_before_it_is_sealed(tmp_path: Path) -> None:
    home = filled(tmp_path)
    before = content(home)

    def spoil(connection: Any) -> None:
        found = bytearray(connection.execute("SELECT content FROM segments ORDER BY first LIMIT 1").fetchone()[0])
        found[-3] ^= 1
        update = "UPDATE segments SET content = ? WHERE first = (SELECT MIN(first) FROM segments)"
        connection.execute(update, (bytes(found),))

    with Journal(home.journal_path) as journal:
        journal.file.run(spoil, write=True)
    with pytest.warns(RuntimeWarning, match="none is missing"):
        seal(home)
    assert content(home) == before


def test_rows_may_be_made_of_a_segment_behind_the_present_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = filled(tmp_path)
    before = content(home)
    real = sealing._committed

    def between(*arguments: Any) -> Any:
        with Journal(home.journal_path) as journal:

            def make(connection: Any) -> None:
                segment = next_segment(connection, 30)
                if segment is not None:
                    make_rows(connection, segment)

            journal.file.run(make, write=True)
        return real(*arguments)

    monkeypatch.setattr(sealing, "_committed", between)
    seal(home)
    assert content(home) == before and segments_in(home) == 0
