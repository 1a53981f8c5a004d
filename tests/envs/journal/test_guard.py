"""A folder's lock is had by one at a time, waited for in time, and left by whoever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from envs.journal.guard import FolderBusyError, FolderGuard, alone_in
from envs.journal.journal import Journal
from envs.record import DecisionRecord

HOLD = """
import os, sys, threading, time
from envs.journal.journal import Journal
journal = Journal(sys.argv[1])
def hold(connection):
    inside.set()
    time.sleep(600)
inside = threading.Event()
threading.Thread(target=lambda: journal.file.run(hold, write=True), daemon=True).start()
inside.wait()
child = os.fork()
if child:
    print(child, flush=True)
time.sleep(600)
"""


def soon(seconds: float) -> float:
    return time.monotonic() + seconds


def test_who_waits_too_long_is_told_and_keeps_nothing(tmp_path: Path) -> None:
    mine, other = FolderGuard(tmp_path), FolderGuard(tmp_path)
    with mine.turn(soon(60)):
        begin = time.monotonic()
        with pytest.raises(FolderBusyError), other.turn(soon(0.2)):
            raise AssertionError("two have the folder")
        assert 0.2 <= time.monotonic() - begin < 30
        with alone_in(tmp_path, 0.05) as alone:
            assert not alone
    # What came too late was given back: the next need not wait.
    with other.turn(soon(60)), pytest.raises(FolderBusyError), mine.turn(soon(0.05)):
        pass
    with mine.turn(soon(60)):
        pass


def test_all_have_their_turn_and_never_two_at_once(tmp_path: Path) -> None:
    inside, turns = [], []

    def work(number: int) -> None:
        guard = FolderGuard(tmp_path)
        for _ in range(50):
            with guard.turn(soon(60)):
                inside.append(number)
                assert len(inside) == 1
                time.sleep(0.0002)
                inside.remove(number)
                turns.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(turns) == sorted([*range(4)] * 50)


def test_where_no_thread_can_wait_the_journal_asks_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as at the end of the interpreter, when a buffer is emptied."""

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    journal, other = Journal(tmp_path / "journal.sqlite"), FolderGuard(tmp_path)
    journal.open()
    release = threading.Event()

    def hold() -> None:
        with other.turn(soon(60)):
            release.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    timer = threading.Timer(0.1, release.set)
    timer.start()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        row = {"event_id": "e", "agent": "a", "observation": [1.0], "action": "up"}
        assert journal.append([DecisionRecord.from_mapping(row)]).added == 1
    holder.join()


def test_a_killed_process_leaves_it_and_its_child_does_not_keep_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "journal.sqlite")]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    try:
        with pytest.raises(FolderBusyError), FolderGuard(tmp_path).turn(soon(0.05)):
            pass
        timer = threading.Timer(0.2, os.kill, (holder.pid, signal.SIGKILL))
        timer.start()
        with FolderGuard(tmp_path).turn(soon(60)):
            assert holder.wait() == -signal.SIGKILL
            os.kill(child, 0)  # it lives
    finally:
        os.kill(child, signal.SIGKILL)
        holder.stdout.close()
