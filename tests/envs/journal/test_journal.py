"""The journal loses nothing it acknowledged, duplicates nothing, and refuses contradictions."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.errors import DuplicateRecordError, JournalError, RecordError
from envs.journal.journal import AppendResult, Journal
from envs.journal.reading import last_decisions
from envs.outcome import OutcomeEvent
from envs.record import DecisionRecord


def record(event: str, agent: str = "a", **changes: Any) -> DecisionRecord:
    return DecisionRecord.from_mapping(
        {"event_id": event, "agent": agent, "observation": [1.5, 2], "action": "up", **changes}
    )


def stored(journal: Journal, agent: str = "a") -> list[DecisionRecord]:
    return [item for _, item in journal.read(agent)]


def test_append_read_and_counts(tmp_path: Path) -> None:
    with Journal(tmp_path / "data" / "journal.sqlite") as journal:
        rows = [record(f"e{index}", "ab"[index % 2], reward=index) for index in range(5000)]
        assert journal.append(rows) == AppendResult(5000, 0)
        assert journal.append(iter(rows[:10])) == AppendResult(0, 10)
        assert stored(journal, "a") == rows[::2] and stored(journal, "b") == rows[1::2]
        numbered = list(journal.read("b"))
        sequences = [sequence for sequence, _ in numbered]
        assert sequences == sorted(set(sequences)) and journal.last_sequence("b") == sequences[-1]
        assert list(journal.read("b", after=sequences[100])) == numbered[101:]
        assert journal.counts() == {"a": 2500, "b": 2500} and journal.last_sequence("c") == 0
        assert journal.find("e7") == rows[7] and journal.find("x") is None
    assert list(tmp_path.joinpath("data").iterdir()) == [tmp_path / "data" / "journal.sqlite"]


def test_the_last_decisions_of_an_episode_are_its_own(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    of = {"episode_id": "e", "tenant": "t"}
    mine = [record(f"e{step}", step=step, **of) for step in (0, 1, 2, 11, 3)]
    others = [record("f", step=20, episode_id="f", tenant="t"), record("b", "b", step=30, **of)]
    journal.append([*mine, *others, record("s", step=40, mode="shadow", **of)])
    journal.append([OutcomeEvent.from_mapping({"agent": "a", "decision_id": "e11", "reward": 1.0})])
    assert [item.step for item in last_decisions(journal, "a", "t", "e", 3)] == [2, 3, 11]
    assert last_decisions(journal, "a", "t", "e") == [mine[3]]
    assert [item.step for item in last_decisions(journal, "a", "t", "e", 9)] == [0, 1, 2, 3, 11]
    assert last_decisions(journal, "a", "another", "e") == last_decisions(journal, "a", "t", "g") == []


def test_reading_creates_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "data" / "journal.sqlite")
    assert journal.counts() == {} and stored(journal) == [] and journal.last_sequence("a") == 0
    assert last_decisions(journal, "a", "t", "e") == []
    assert journal.conflicts([record("e")])[0] == AppendResult(1, 0) and journal.append([]) == AppendResult(0, 0)
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2)), max_size=6), max_size=6))
def test_a_batch_is_taken_whole_or_not_at_all(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[int, int]]]
) -> None:
    model: dict[int, int] = {}
    with Journal(tmp_path_factory.mktemp("journal") / "journal.sqlite") as journal:
        for batch in batches:
            rows = [record(f"e{event}", reward=content) for event, content in batch]
            known, contradictory = dict(model), False
            for event, content in batch:
                contradictory |= known.setdefault(event, content) != content
            expected, conflicts = journal.conflicts(rows)
            assert bool(conflicts) is contradictory
            if contradictory:
                with pytest.raises(
                    DuplicateRecordError,
                    match=r"event_id: .* was recorded before with other content \(reward was .*, is .*\); give",
                ):
                    journal.append(rows)
            else:
                assert (
                    journal.append(rows)
                    == expected
                    == AppendResult(len(known) - len(model), len(batch) - len(known) + len(model))
                )
                model = known
            assert {int(item.event_id[1:]): item.reward for item in stored(journal)} == model


def test_contradictions_within_episodes(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.append([record("1", episode_id="x", step=0), record("2", episode_id="x", step=1)])
        bad = [
            (record("3", episode_id="x", step=1), DuplicateRecordError, "step: 1 of episode 'x' is there already"),
            (
                record("3", episode_id="x", step=2, tenant="t"),
                RecordError,
                "tenant: 't', but episode 'x' is of 'default'",
            ),
        ]
        for row, kind, problem in bad:
            for batch in ([row], [record("9"), row]):
                with pytest.raises(kind, match=problem):
                    journal.append(batch)
        with pytest.raises(DuplicateRecordError, match="step: 0 of episode 'y'"):
            journal.append([record("4", episode_id="y", step=0), record("5", episode_id="y", step=0)])
        with pytest.raises(RecordError, match="tenant: 't'"):
            journal.append([record("4", episode_id="y", step=0), record("5", episode_id="y", step=1, tenant="t")])
        journal.append([record("3", "b", episode_id="x", step=1), record("6", episode_id="x", step=1, mode="shadow")])
        assert len(stored(journal)) == 3


def _append_many(path: Path, worker: int) -> None:
    with Journal(path, timeout=30) as journal:
        for batch in range(30):
            own = [record(f"{worker}-{batch}-{index}", reward=index) for index in range(5)]
            shared = [record(f"shared-{batch}", reward=batch)]
            journal.append(own + shared)


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_many_processes_lose_and_duplicate_nothing(tmp_path: Path, method: str) -> None:
    path = tmp_path / "journal.sqlite"
    context = multiprocessing.get_context(method)
    workers = [context.Process(target=_append_many, args=(path, worker)) for worker in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    with Journal(path) as journal:
        events = [item.event_id for item in stored(journal)]
    expected = {f"{w}-{b}-{i}" for w in range(3) for b in range(30) for i in range(5)} | {
        f"shared-{b}" for b in range(30)
    }
    assert len(events) == len(set(events)) and set(events) == expected


def test_an_open_journal_survives_a_fork(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    journal.append([record("before")])
    child = multiprocessing.get_context("fork").Process(target=lambda: journal.append([record("child")]))
    child.start()
    journal.append([record("parent")])
    child.join(30)
    assert child.exitcode == 0
    journal.append([record("after")])
    assert {item.event_id for item in stored(journal)} == {"before", "child", "parent", "after"}
    with sqlite3.connect(journal.path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    journal.close()


def test_a_fork_waits_for_calls_of_sqlite_to_end(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    journal.open()
    within, left = threading.Event(), threading.Event()

    def call(_: object) -> None:
        within.set()
        threading.Event().wait(0.2)  # the fork comes meanwhile
        left.set()

    def child() -> None:  # whose SQLite would wait for a thread that it does not have
        raise SystemExit(0 if left.is_set() and journal.counts() == {} else 3)

    process = multiprocessing.get_context("fork").Process(target=child)
    thread = threading.Thread(target=journal.file.run, args=(call,))
    thread.start()
    within.wait(30)
    process.start()
    thread.join()
    process.join(30)
    assert process.exitcode == 0
    assert journal.counts() == {}, "the parent goes on"
    journal.close()


def test_threads_share_one_journal(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        threads = [
            threading.Thread(target=lambda n=number: [journal.append([record(f"{n}-{i}")]) for i in range(50)])
            for number in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert journal.counts() == {"a": 200}


def test_kill_9_loses_nothing_acknowledged(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys
        from envs.journal.journal import Journal
        from envs.record import DecisionRecord
        journal = Journal(sys.argv[1])
        number = 0
        while True:
            rows = [{"event_id": f"{number}-{i}", "agent": "a", "observation": 1, "action": 0} for i in range(20)]
            journal.append([DecisionRecord.from_mapping(row) for row in rows])
            print(number, flush=True)
            number += 1
        """
    )
    path = tmp_path / "journal.sqlite"
    for _ in range(2):
        path.unlink(missing_ok=True)
        process = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(20)]
        process.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in process.stdout.read().split()]
        process.wait()
        with Journal(path) as journal:
            counted: dict[str, int] = {}
            for item in stored(journal):
                batch = item.event_id.split("-")[0]
                counted[batch] = counted.get(batch, 0) + 1
        assert set(counted.values()) == {20}, "a batch is there whole or not at all"
        assert {str(number) for number in acknowledged} <= set(counted)


def test_full_synchronisation_is_on(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.open()
        for pragma, expected in (("synchronous", 2), ("journal_mode", "wal")):
            said = journal.file.run(lambda connection, name=pragma: connection.execute(f"PRAGMA {name}").fetchone())
            assert said == (expected,)


def test_what_is_wrong_with_the_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"this is no database at all, whatever its name says" * 100)
    with pytest.raises(JournalError, match="is damaged or not a journal"):
        Journal(path).counts()
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA application_id = 7")
        connection.execute("CREATE TABLE other (x)")
    connection.close()
    with pytest.raises(JournalError, match="is not a retrainer journal"):
        Journal(path).counts()
    path.unlink()
    Journal(path).open()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(JournalError, match="has the format 99, known is 5; upgrade"):
        Journal(path).counts()
    (tmp_path / "file").touch()
    with pytest.raises(JournalError):
        Journal(tmp_path / "file" / "journal.sqlite").append([record("e")])


def test_a_locked_journal_says_so(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        journal.append([record("e")])
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with Journal(path, timeout=0.2) as journal:
        with pytest.raises(JournalError, match=r"is locked by another process for more than 0.2 s; try again"):
            journal.append([record("f")])
        assert journal.counts() == {"a": 1}, "readers do not wait"
        holder.execute("ROLLBACK")
        assert journal.append([record("f")]) == AppendResult(1, 0)
    holder.close()


def test_a_failing_append_leaves_the_connection_usable(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.append([record("e", reward=1)])
        with pytest.raises(DuplicateRecordError):
            journal.append([record("f"), record("e", reward=2)])
        assert journal.append([record("f")]) == AppendResult(1, 0)
    assert os.listdir(tmp_path) == ["journal.sqlite"]
