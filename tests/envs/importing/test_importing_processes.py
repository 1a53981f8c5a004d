"""Lines that are parsed by other processes give, in order and to the bit, what this process makes of them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from envs.home import Home
from envs.importing import gathering, parallel_parsing, reader_jsonl
from envs.importing.batches import CheckedBatch, MixedBatch, checked_batch
from envs.importing.importer import import_files
from envs.importing.parallel_parsing import AHEAD, ParsingProcesses
from envs.importing.plain_rows import PlainChecker
from envs.importing.reader_jsonl import Piece, open_reader
from tests.envs.importing.import_samples import SPECIFICATION, jsonl, rows, stored

Started = list["subprocess.Popen[bytes]"]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """The processes that were started."""
    out: Started = []
    start = subprocess.Popen

    def noted(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        out.append(start(*arguments, **options))
        return out[-1]

    monkeypatch.setattr(parallel_parsing.subprocess, "Popen", noted)
    return out


def _said(batch: CheckedBatch | MixedBatch) -> CheckedBatch | MixedBatch:
    """The same, comparable: columns may be arrays."""
    return replace(batch, rows=list(batch.rows)) if isinstance(batch, MixedBatch) else batch


class _Work:
    """Pieces of a few lines without an end, and what became of them."""

    def __init__(self, path: Path, content: list[Any]) -> None:
        self.reader = open_reader(str(jsonl(path, content)), {})
        self.text = next(self.reader.pieces()).text
        self.lines = self.text.count(b"\n")
        self.pieces: list[Piece] = []
        self.own: set[int] = set()
        self.found: list[CheckedBatch | MixedBatch] = []
        self.present: set[str] = set()
        self.checker = PlainChecker(SPECIFICATION, set())

    def check(self, piece: Piece) -> CheckedBatch | MixedBatch:
        self.own.add(piece.done)
        return checked_batch(self.reader.batch(piece), self.checker)

    @property
    def helped(self) -> int:
        """How many pieces came back that were not checked here."""
        return sum(found.done not in self.own for found in self.found)

    def piece(self) -> Piece:
        number = len(self.pieces)
        self.pieces.append(Piece(self.text, number * self.lines, str(number), number))
        return self.pieces[-1]

    def through(self, processes: ParsingProcesses, helped: int) -> None:
        """Send pieces until so many were checked elsewhere."""

        def pieces() -> Iterator[Piece]:
            until = time.monotonic() + 60.0
            while self.helped < helped:
                assert time.monotonic() < until
                yield self.piece()

        self.found.extend(found for found in processes.found(pieces(), self.check))

    def is_right(self) -> bool:
        expected = [checked_batch(self.reader.batch(piece), self.checker) for piece in self.pieces]
        return list(map(_said, self.found)) == list(map(_said, expected))


def test_what_processes_find_is_what_is_found_here(tmp_path: Path, started: Started) -> None:
    work = _Work(tmp_path / "log.jsonl", rows(300))
    processes = ParsingProcesses(SPECIFICATION, work.present, count=2)
    work.through(processes, helped=12)
    assert work.is_right() and all(isinstance(found, CheckedBatch) for found in work.found)
    assert 0 in work.own  # its first line may begin with a mark of the byte order
    assert work.present == set(rows(1)[0])
    processes.close()
    assert [process.poll() is not None for process in started] == [True, True]


def test_what_a_killed_process_was_asked_is_found_here(tmp_path: Path, started: Started) -> None:
    work = _Work(tmp_path / "log.jsonl", rows(300))
    processes = ParsingProcesses(SPECIFICATION, work.present, count=1)
    work.through(processes, helped=3)
    started[0].kill()
    count = len(work.pieces)
    work.found.extend(processes.found((work.piece() for _ in range(3 * AHEAD)), work.check))
    assert work.is_right() and len(work.own & set(range(count, count + 3 * AHEAD))) == 3 * AHEAD
    processes.close()


def test_processes_that_know_nothing_are_given_up(tmp_path: Path, started: Started) -> None:
    content = rows(20)
    content[7]["reward"] = 99.0  # outside the declared range
    work = _Work(tmp_path / "log.jsonl", content)
    processes = ParsingProcesses(SPECIFICATION, work.present, count=1)
    until = time.monotonic() + 60.0
    while started[0].poll() is None:
        assert time.monotonic() < until
        work.found.extend(processes.found((work.piece() for _ in range(20)), work.check))
    assert work.is_right() and all(isinstance(found, MixedBatch) for found in work.found)
    processes.close()


def test_an_import_is_the_same_with_processes(
    tmp_path: Path, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    content: list[Any] = rows(4000)
    content[3000]["reward"] = 99.0
    content[3500:3500] = ["", '{"event_id": "cut off"', "\t" + json.dumps(rows(4001)[4000]) + "\r"]
    path = jsonl(tmp_path / "log.jsonl", content)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    monkeypatch.setattr(reader_jsonl, "BATCH", 40)
    reports, records = [], []
    for worth in (1 << 60, 0):
        monkeypatch.setattr(gathering, "WORTH", worth)
        monkeypatch.setattr(parallel_parsing, "processors", lambda: 3)
        home = Home.create(tmp_path / str(worth), split_key=bytes(32))
        home.declare(SPECIFICATION)
        for _ in range(2):  # the second finds all of it known
            report = import_files(home, "scaling", [path], keep_good=True)
            reports.append((report.rows, report.added, report.duplicates, report.rejected))
        records.append(stored(home))
    assert reports[:2] == reports[2:] and records[0] == records[1]
    assert reports[0][:2] == (4002, 4000) and reports[1][2] == 4000
    assert len(started) == 4 and all(process.poll() is not None for process in started)


def test_processes_end_with_a_killed_import() -> None:
    script = (
        "import os\n"
        "from envs.importing.parallel_parsing import ParsingProcesses\n"
        "from tests.envs.importing.import_samples import SPECIFICATION\n"
        "processes = ParsingProcesses(SPECIFICATION, set(), count=2)\n"
        "print([one._process.pid for one in processes._processes()], flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == -9
    until = time.monotonic() + 30.0
    for pid in json.loads(done.stdout):
        while _runs(pid):
            assert time.monotonic() < until, f"{pid} still runs"
            time.sleep(0.05)


def _runs(pid: int) -> bool:
    """Whether a process is there that has not ended; one whose parent is gone may wait for ever to be noted."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
