"""Sealing moves events and never doubles or loses one, wherever it is stopped."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from envs.errors import BusyError, DataError, DuplicateRecordError, MissingExtraError
from envs.home import Home
from envs.journal.journal import AppendResult, Journal
from envs.journal.reading import LogReader
from envs.log import sealing
from envs.log.locking import sealing_lock
from envs.log.sealing import seal
from envs.log.table import SealedTable
from tests.envs.log.logs import AGENT, home_at, moment, outcome, record


class StoppedError(Exception):
    """The process was killed here."""


def filled(path: Path, count: int = 30) -> tuple[Home, Journal]:
    home = home_at(path)
    journal = Journal(home.journal_path)
    for index in range(count):
        journal.append([record(f"e{index}", f"e{index // 3}", index % 3, timestamp=moment(600 * index))])
    journal.append([outcome("e3"), outcome("e29"), outcome("nobody")])
    return home, journal


def content(home: Home) -> list[tuple[int, Any]]:
    journal = Journal(home.journal_path)
    found = list(LogReader(journal, AGENT))
    assert len(found) == journal.counts()[AGENT]
    return found


def test_what_was_sealed_reads_as_before_and_has_left_the_journal(tmp_path: Path) -> None:
    home, journal = filled(tmp_path)
    before, last = content(home), journal.last_sequence(AGENT)
    report = seal(home, keep=5)
    assert report.events == 28 and content(home) == before and journal.last_sequence(AGENT) == last
    assert journal.file.run(lambda c: c.execute("SELECT COUNT(*) FROM events").fetchone()) == (5,)
    assert journal.unsealed() == 5
    assert seal(home).events == 5 and content(home) == before
    assert journal.counts() == {AGENT: 30} and journal.outcome_counts() == {AGENT: 3}
    assert journal.find("e4") == before[4][1] and journal.find("nobody") is None
    assert list(journal.read(AGENT, after=before[20][0])) == before[21:]
    assert seal(home).events == 0


def test_partitions_are_agent_and_date(tmp_path: Path) -> None:
    home, journal = filled(tmp_path, 12)
    journal.append([record("o", **{"agent": "other", "timestamp": "2024-06-01T00:00:00+05:00"})])
    seal(home)
    table = DeltaTable(str(home.data_path / "table"))
    partitions = {(part["agent"], str(part["date"])) for part in table.partitions()}
    assert partitions >= {("other", "2024-05-31"), (AGENT, "2024-01-01"), (AGENT, "2024-01-05")}
    assert table.metadata().partition_columns == ["agent", "date"]


def test_what_was_sealed_is_not_recorded_again_nor_contradicted(tmp_path: Path) -> None:
    home, journal = filled(tmp_path)
    rows = [item for _, item in content(home)]
    seal(home)
    assert journal.append(rows[:1]) == AppendResult(0, 1)
    raw = [record(f"e{index}", f"e{index // 3}", index % 3, timestamp=moment(600 * index)) for index in range(30)]
    assert journal.append([*raw, record("new")]) == AppendResult(1, 30)
    assert journal.append([outcome("e3")]) == AppendResult(0, 1)
    with pytest.raises(DuplicateRecordError, match="'e7' was recorded before with other content"):
        journal.append([record("e7", reward=5.0)])
    with pytest.raises(DuplicateRecordError, match="step: 1 of episode 'e2' is there already"):
        journal.append([record("x", "e2", 1)])
    assert [conflict.position for conflict in journal.conflicts([record("y"), record("e7", reward=5.0)])[1]] == [1]
    assert journal.counts() == {AGENT: 31}


STEPS = ("_remember", "_noted", "let_go")


@pytest.mark.parametrize("step", ["append", "synchronise", *STEPS])
@pytest.mark.parametrize("call", [1, 2])
def test_stopped_anywhere_nothing_is_lost_or_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, call: int
) -> None:
    home, journal = filled(tmp_path)
    monkeypatch.setattr(sealing, "MOST_ROWS", 10)
    monkeypatch.setattr(sealing, "MOST_KEYS", 1)
    before = content(home)
    owner: Any = sealing if step in STEPS else SealedTable
    real, calls = getattr(owner, step), []

    def stopped(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == call:
            raise StoppedError
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, stopped)
        with pytest.raises(StoppedError):
            seal(home)
    assert content(home) == before, "readers see each event once"
    journal.append([record("meanwhile")])
    after = content(home)
    assert seal(home).events > 0 and content(home) == after and len(after) == len(before) + 1
    table = SealedTable.open(str(home.data_path / "table"))
    rows = [row for batch in table.batches(None, ["sequence", "event_id"]) for row in batch.to_pylist()]
    assert len(rows) == len({row["event_id"] for row in rows}) == len({row["sequence"] for row in rows})
    assert journal.append([item for _, item in after[:3]]).added == 0
    assert journal.counts() == {AGENT: 31} and journal.outcome_counts() == {AGENT: 3}


def test_the_table_is_durable_before_the_journal_lets_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, _ = filled(tmp_path)
    flushed: set[str] = set()
    real_fsync, real_note = os.fsync, sealing._noted

    def fsync(descriptor: int) -> None:
        flushed.add(os.readlink(f"/proc/self/fd/{descriptor}"))
        real_fsync(descriptor)

    def noted(*arguments: Any) -> Any:
        table = DeltaTable(str(home.data_path / "table"))
        files = {uri.removeprefix("file://") for uri in table.file_uris()}
        files.add(f"{home.data_path}/table/_delta_log/{table.version():020d}.json")
        for path in files:
            assert {path, str(Path(path).parent), str(home.data_path / "table")} <= flushed, path
        return real_note(*arguments)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(sealing, "_noted", noted)
    assert seal(home).events == 33


def test_a_reader_that_is_overtaken_by_sealing_reads_everything_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, journal = filled(tmp_path)
    before = content(home)
    monkeypatch.setattr("envs.journal.reading.PAGE", 4)
    for overtaken_at in (0, 3, 9, 25):
        reader = iter(LogReader(Journal(home.journal_path), AGENT))
        found = [next(reader) for _ in range(overtaken_at)]
        seal(home, keep=max(journal.unsealed() - 9, 0))
        assert found + list(reader) == before


def test_the_table_of_another_home_is_refused(tmp_path: Path) -> None:
    first, _ = filled(tmp_path / "one", 3)
    seal(first)
    second, _ = filled(tmp_path / "two", 3)
    text = second.configuration_path.read_text()
    second.configuration_path.write_text(text + f'\n[log]\ntable = "{first.data_path / "table"}"\n')
    before = content(second)
    with pytest.raises(DataError, match="is the table of another home; give each home a table of its own"):
        seal(second)
    assert content(second) == before


def test_a_damaged_file_of_the_table_is_named(tmp_path: Path) -> None:
    home, journal = filled(tmp_path, 6)
    seal(home)
    path = sorted((home.data_path / "table").rglob("part-*.parquet"))[0]
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b"x" * len(content), b""):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=rf"{path.name}: is damaged \(.*\); restore the file from a copy"):
            list(journal.read(AGENT))
    path.write_bytes(content)
    assert len(list(journal.read(AGENT))) == 6


def test_one_process_at_a_time(tmp_path: Path) -> None:
    home, _ = filled(tmp_path, 3)
    with sealing_lock(home.data_path), pytest.raises(BusyError, match="another process is sealing"):
        seal(home)


def test_without_deltalake_a_journal_records_for_ever(tmp_path: Path) -> None:
    script = """
import sys
for name in ("deltalake", "pyarrow", "orjson"):
    sys.modules[name] = None
from ai_engine.continuous_learning import DataCollector, LearningPipeline
from ai_engine.continuous_learning import sealing
sealing.CHECK_EVERY, sealing.KEPT_BACK = 10, 0
sealing.seal_rows = lambda home: 10
from envs.home import Home
home = Home.create(sys.argv[1])
with LearningPipeline(home) as pipeline:
    pipeline.record_many([{"agent": "a", "observation": i, "action": 0, "event_id": str(i)} for i in range(100)])
assert DataCollector(home).count("a") == 100 == len(list(DataCollector(home).records("a")))
"""
    subprocess.run([sys.executable, "-W", "error", "-c", script, str(tmp_path)], check=True)
    assert not (tmp_path / "data" / "table").exists()


def test_a_sealed_log_without_deltalake_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, journal = filled(tmp_path, 6)
    seal(home)
    real = importlib.import_module

    def absent(name: str, *rest: Any) -> Any:
        if name == "envs.log.reading":
            raise ImportError("No module named 'deltalake'", name="deltalake")
        return real(name, *rest)

    monkeypatch.setattr("envs.journal.sealed.import_module", absent)
    with pytest.raises(MissingExtraError, match=r'needs deltalake; install it: pip install "retrainer\[train\]"'):
        list(journal.read(AGENT))
    assert journal.counts() == {AGENT: 6} and journal.append([record("new")]).added == 1


def test_sealing_in_the_background_is_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ai_engine.continuous_learning import LearningPipeline
    from ai_engine.continuous_learning import sealing as background

    home = home_at(tmp_path)
    monkeypatch.setattr(background, "CHECK_EVERY", 10)
    monkeypatch.setattr(background, "KEPT_BACK", 3)
    text = home.configuration_path.read_text()
    home.configuration_path.write_text(f"{text}\n[log]\nseal_rows = 20\n")
    with LearningPipeline(home) as pipeline:
        pipeline.record_many([record(f"e{index}", timestamp=moment(index)) for index in range(30)])
        thread = next(t for t in __import__("threading").enumerate() if t.name == "retrainer-sealing")
        thread.join(60)
        assert not thread.is_alive()
        journal = Journal(home.journal_path)
        assert journal.unsealed() == 3 and journal.counts() == {AGENT: 30}
        assert "deltalake" not in repr(sorted(vars(background)))


def test_processes_that_record_a_little_each_look_as_often_as_one_that_records_it_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ai_engine.continuous_learning import sealing as background

    home, looked = home_at(tmp_path), []
    monkeypatch.setattr(background, "CHECK_EVERY", 20)
    monkeypatch.setattr(background.BackgroundSealing, "_sealed", lambda _: looked.append(1) or "")
    for _ in range(400):
        one = background.BackgroundSealing(home)
        one.notice(1)
        if one._thread is not None:
            one._thread.join()
    assert 5 <= len(looked) <= 40, "20 are expected"
