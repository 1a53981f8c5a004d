"""Threads share a transaction; what is wrong with one is no business of the others; nobody waits for ever."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from envs.errors import DuplicateRecordError
from envs.journal.errors import JournalFullError, JournalLockedError
from envs.journal.journal import AppendResult, Journal
from envs.journal.queue import Request
from envs.journal.rows import rows_of
from envs.record import DecisionRecord


def record(event: str, **changes: Any) -> DecisionRecord:
    return DecisionRecord.from_mapping({"event_id": event, "agent": "a", "observation": 1, "action": "x", **changes})


def held(path: Path) -> sqlite3.Connection:
    """Somebody else's transaction."""
    holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    return holder


def test_threads_that_wait_share_one_transaction(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite", timeout=20.0)
    journal.append([record("first")])
    commits: list[str] = []
    journal.file.run(lambda connection: connection.set_trace_callback(commits.append))
    holder = held(journal.path)
    outcomes: dict[int, object] = {}

    def write(number: int) -> None:
        try:  # thread 3 contradicts what is there, and takes nobody with it
            rows = [record("first", reward=1.0)] if number == 3 else [record(f"{number}-{i}") for i in range(5)]
            outcomes[number] = journal.append(rows)
        except DuplicateRecordError as error:
            outcomes[number] = error

    threads = [threading.Thread(target=write, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    while len(journal._queue._waiting) < 11:  # one of them holds the lock and waits for the disk's holder
        time.sleep(0.01)
    del commits[:]
    holder.execute("ROLLBACK")
    for thread in threads:
        thread.join()
    assert sum(statement.startswith("COMMIT") for statement in commits) <= 3
    assert isinstance(outcomes.pop(3), DuplicateRecordError)
    assert set(outcomes.values()) == {AppendResult(5, 0)}
    assert journal.counts() == {"a": 56}
    holder.close()
    journal.close()


def test_nobody_waits_longer_than_the_timeout(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite", timeout=0.5)
    journal.append([record("first")])
    holder = held(journal.path)
    waited: list[float] = []

    def write(number: int) -> None:
        begin = time.monotonic()
        with pytest.raises(JournalLockedError, match=r"is locked by another process for more than 0\.5 s"):
            journal.append([record(f"e{number}")])
        waited.append(time.monotonic() - begin)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
        time.sleep(0.1)
    for thread in threads:
        thread.join()
    assert len(waited) == 4 and max(waited) < 2.0
    holder.execute("ROLLBACK")
    assert journal.append([record("after")]) == AppendResult(1, 0)
    assert [item.event_id for _, item in journal.read("a")] == ["first", "after"], "what was refused is not there"
    holder.close()
    journal.close()


def test_a_full_disk_is_named_and_nothing_of_the_batch_is_there(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    journal.append([record("first")])
    journal.file.run(lambda connection: connection.execute("PRAGMA max_page_count = 20").fetchone())
    with pytest.raises(JournalFullError, match=r"journal.sqlite: cannot grow, the disk is full; free some space"):
        journal.append([record(f"e{index}", metadata={"pad": "y" * 500}) for index in range(500)])
    assert journal.counts() == {"a": 1}
    journal.file.run(lambda connection: connection.execute("PRAGMA max_page_count = 100000").fetchone())
    assert journal.append([record("second")]) == AppendResult(1, 0)
    journal.close()


def test_an_interrupted_thread_leaves_the_others_work_to_the_next(tmp_path: Path, monkeypatch: Any) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    journal.append([record("first")])
    real, calls = journal._write_group, []

    def interrupted(group: Any, deadline: float) -> None:
        calls.append(len(group))
        if len(calls) == 1:
            raise KeyboardInterrupt
        real(group, deadline)

    monkeypatch.setattr(journal._queue, "_commit", interrupted)
    waiting = Request(rows_of([record("other")]))
    journal._queue._waiting.append(waiting)
    with pytest.raises(KeyboardInterrupt):
        journal.append([record("mine")])
    journal.append([record("next")])
    assert waiting.done and waiting.added == 1
    assert {item.event_id for _, item in journal.read("a")} >= {"first", "other", "next"}
    journal.close()


def test_a_fork_takes_over_neither_what_waits_nor_who_holds_the_queue(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    journal.append([record("first")])
    journal._queue._waiting.append(Request(rows_of([record("refused")])))
    with journal._queue._guard:  # by a thread that the child does not have
        child = multiprocessing.get_context("fork").Process(target=lambda: journal.append([record("child")]))
        child.start()
        child.join(20)
    hung = child.is_alive()
    child.kill()
    assert not hung and child.exitcode == 0
    assert {item.event_id for _, item in journal.read("a")} == {"first", "child"}
    journal.close()
