"""Disks that fill or may not be written, files that are cut or damaged, clocks that jump.

A full and a read-only disk are real ones where this process may mount a file system in memory; else a
limit on the size of files and the permissions of the folder stand for them.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import envs.clock as clock_module
from ai_engine.continuous_learning import DataCollector, LearningPipeline
from benchmarks.rows import Row
from envs.build import build_dataset
from envs.errors import JournalError
from envs.home import Home
from envs.journal.errors import JournalFullError
from envs.journal.journal import Journal
from envs.log.sealing import seal
from envs.observation import ObservationField, ObservationSpecification
from envs.record import DecisionRecord
from envs.specification import AgentSpecification

TIMEOUT = 1.0
AGENT = "a"
DAMAGES = 40


def measure(folder: Path) -> list[Row]:
    """All rows of this part."""
    rows = []
    for name, check, goal in (
        ("full disk", full_disk, "a named error within the timeout; the buffer keeps what it holds; nothing lost"),
        ("read-only home", read_only_home, "everything is read, a record is refused by name"),
        ("clock that jumps", jumping_clock, "nothing lost, order and episodes as they were recorded"),
        ("cut journal tail", cut_tail, "opens without help; what was before the cut is there"),
        ("flipped page", flipped_page, "opens without help; at most a page of rows is lost, and it is said"),
    ):
        place = folder / name.replace(" ", "-")
        place.mkdir()
        problems = check(place)
        said = f"{goal} ({'; '.join(problems[:2])})" if problems else goal
        rows.append(Row(name, "violations", "", len(problems), "goal", 0, said, not problems))
    return rows


def full_disk(folder: Path) -> list[str]:
    """Record until the disk is full, through both ways; make room; compare."""
    problems: list[str] = []
    with small_disk(folder) as (place, enlarge):
        home = Home.create(place / "home")
        direct, buffered = (
            LearningPipeline(home, durability=durability, timeout=TIMEOUT) for durability in ("full", "buffered")
        )
        acknowledged: list[str] = []
        begin = time.monotonic()
        try:
            while len(acknowledged) < 5_000:
                begin = time.monotonic()
                acknowledged.append(direct.record_action(AGENT, "x", {"pad": "y" * 500}).event_id)
            problems.append("the disk did not fill")
        except JournalError as error:
            full = isinstance(error, JournalFullError) or not os.path.ismount(place)
            _expect(problems, full and "journal.sqlite" in str(error), f"the error is {error!r}")
            _expect(problems, time.monotonic() - begin < 2 * TIMEOUT, "the error came late")
        held = [buffered.record_action(AGENT, "x", {"pad": "y" * 500}).event_id for _ in range(50)]
        try:
            buffered.flush()
            problems.append("the buffer was flushed to a full disk")
        except JournalError:
            pass
        _expect(problems, _events(home) == set(acknowledged), "what was acknowledged is not what is there")
        enlarge()
        buffered.flush()
        _expect(problems, _events(home) == {*acknowledged, *held}, "the buffer has lost something")
        direct.stop()
        buffered.stop()
    return problems


def read_only_home(folder: Path) -> list[str]:
    """Read a home that nobody may write to, then try to record."""
    problems: list[str] = []
    with small_disk(folder) as (place, enlarge):
        enlarge()
        home = Home.create(place / "home")
        with LearningPipeline(home) as pipeline:
            events = {pipeline.record_action(AGENT, "x", 1).event_id for _ in range(20)}
        with _read_only(place):
            _expect(problems, _events(home) == events, "not everything is read")
            _expect(problems, DataCollector(home).count(AGENT) == 20, "the count is wrong")
            pipeline = LearningPipeline(home, timeout=TIMEOUT)
            try:
                pipeline.record_action(AGENT, "x", 1)
                problems.append("a record was taken")
            except JournalError:
                pass
        pipeline.record_action(AGENT, "x", 1)
        pipeline.stop()
    return problems


def jumping_clock(folder: Path) -> list[str]:
    """Record episodes while the clock jumps by days in both directions; seal in between."""
    home = Home.create(folder / "home")
    observation = ObservationSpecification("object", (ObservationField("n"),))
    home.declare(AgentSpecification(AGENT, observation, ("x",), horizon=3, minimum_units=1))
    clock = [datetime(2026, 3, 1, tzinfo=UTC)]

    real, clock_module.time_ns = clock_module.time_ns, lambda: int(clock[0].timestamp()) * 1_000_000_000
    written = []
    try:
        with LearningPipeline(home) as pipeline:
            for number in range(30):
                for step in range(3):
                    clock[0] += timedelta(days=(1, -2, 3)[number % 3], seconds=step)
                    fields = {"episode_id": f"e{number}", "step": step, "reward": 1.0, "terminated": step == 2}
                    written.append(pipeline.record_action(AGENT, "x", {"n": number}, **fields).event_id)
                if number % 10 == 9:
                    seal(home)
    finally:
        clock_module.time_ns = real
    problems: list[str] = []
    read = [record.event_id for record in DataCollector(home).records(AGENT)]
    _expect(problems, read == written, "the order is not that of the recording")
    dataset, report = build_dataset(home, AGENT)
    _expect(problems, (report.episodes, report.broken_episodes) == (30, 0), f"episodes are missing: {report}")
    _expect(problems, dataset.lengths.tolist() == [3] * 30, "episodes are not whole")
    return problems


def cut_tail(folder: Path) -> list[str]:
    """Cut the write-ahead log, or the file itself, at random places."""
    problems: list[str] = []
    rng = random.Random(0)
    for number in range(DAMAGES):
        path, events = _journal(folder / str(number), closed=number % 2 == 0)
        cut = path if number % 2 == 0 else Path(f"{path}-wal")
        size = cut.stat().st_size
        kept = rng.uniform(0.5, 0.99)
        os.truncate(cut, int(size * kept))
        found = _opened(path, problems)
        # Commits follow one another in the log; in the file itself a row may stand before an earlier one.
        whole = set(found) <= set(events) if cut == path else found == events[: len(found)]
        _expect(problems, whole, f"cut to {kept:.2f}: what is left is not what was there")
        _expect(problems, len(found) >= (kept - 0.25) * len(events), f"cut to {kept:.2f}: {len(found)} are left")
    return problems


def flipped_page(folder: Path) -> list[str]:
    """Invert a page, or some bits of it, at random."""
    problems: list[str] = []
    rng = random.Random(1)
    for number in range(DAMAGES):
        path, events = _journal(folder / str(number), closed=True)
        content = bytearray(path.read_bytes())
        start = rng.randrange(len(content) // 4096) * 4096
        places = range(4096) if number % 2 else [rng.randrange(4096) for _ in range(30)]
        for place in places:
            content[start + place] ^= 0xFF
        path.write_bytes(content)
        found = _opened(path, problems)
        _expect(problems, set(found) <= set(events), "something is there that was never recorded")
        _expect(problems, len(events) - len(found) <= 16, f"{len(events) - len(found)} events went with one page")
    return problems


@contextmanager
def small_disk(folder: Path) -> Iterator[tuple[Path, Callable[[], None]]]:
    """A disk of half a megabyte, and what makes it larger."""
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 10, before[1]))
        try:
            yield folder, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        return
    try:
        yield folder, lambda: _remount(folder, "size=64m")
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)


@contextmanager
def _read_only(folder: Path) -> Iterator[None]:
    mounted = os.path.ismount(folder)
    inside = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    if mounted:
        _remount(folder, "ro")
    else:
        for path in inside:
            path.chmod(0o555)
    try:
        yield
    finally:
        if mounted:
            _remount(folder, "rw")
        else:
            for path in inside:
                path.chmod(0o755)


def _remount(folder: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(folder)], check=True, capture_output=True)


def _journal(folder: Path, *, closed: bool) -> tuple[Path, list[str]]:
    """A journal of three hundred events; not closed, the last of them are in its write-ahead log only."""
    folder.mkdir()
    source = Journal(folder / "source.sqlite")
    events = [f"e{index}" for index in range(300)]
    for start in range(0, 300, 20):
        source.append(
            DecisionRecord.from_mapping(
                {"event_id": event, "agent": AGENT, "observation": {"pad": "y" * 200}, "action": "x"}
            )
            for event in events[start : start + 20]
        )
        if not closed and start == 100:
            source.close()
    path = folder / "journal.sqlite"
    if closed:
        source.close()
    for ending in ("", "-wal"):
        if os.path.exists(f"{source.path}{ending}"):
            shutil.copy(f"{source.path}{ending}", f"{path}{ending}")
    source.close()
    return path, events


def _opened(path: Path, problems: list[str]) -> list[str]:
    """What a journal still has; it must open, go on recording, and keep that."""
    try:
        with Journal(path) as journal:
            found = [record.event_id for _, record in journal.read(AGENT)]
            after = {"event_id": "after", "agent": AGENT, "observation": 1, "action": "x"}
            journal.append([DecisionRecord.from_mapping(after)])
            _expect(problems, len(list(journal.read(AGENT))) == len(found) + 1, "it does not go on")
            return found
    except JournalError as error:
        problems.append(f"it does not open: {error}")
        return []


def _events(home: Home) -> set[str]:
    return {record.event_id for record in DataCollector(home).records(AGENT)}


def _expect(problems: list[str], holds: bool, otherwise: str) -> None:
    if not holds:
        problems.append(otherwise)
