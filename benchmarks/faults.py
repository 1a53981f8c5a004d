"""Faults: processes killed at random moments, full disks, cut and damaged files, clocks that jump.

python -m benchmarks.faults [--kills N] [--quick] [--json]
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import tempfile
import time
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.fault_disks import measure
from benchmarks.fault_roles import IMPORTED, RECORDED, ROLES, champion_problem, prepare
from benchmarks.rows import Row, arguments, publish
from envs.build import build_dataset
from envs.home import Home
from envs.journal.journal import Journal
from envs.journal.reading import LogReader
from envs.log.sealing import seal
from envs.log.table import SealedTable

LONGEST_LIFE = 0.6  # seconds that a process lives at the most before it is killed
FORK = multiprocessing.get_context("fork")


@dataclass(slots=True)
class Found:
    """What was found after the kills.

    Attributes:
        kills: how often a process was killed, by role.
        acknowledged: decisions and outcomes that a call had returned for.
        lost: those of them that are not in the log.
        doubled: events that are in it twice, wherever.
        champions: how often there was no loadable champion, and what was wrong first.
        failures: what did not open or run by itself afterwards.
        done: what the processes finished, by role.
    """

    kills: Counter[str]
    acknowledged: int
    lost: int
    doubled: int
    champions: list[str]
    failures: list[str]
    done: Counter[str]


def run_kills(folder: Path, kills: int, seed: int = 0) -> Found:
    """Let all roles work in one home, kill one after the other, then look at what is there."""
    home, rng = prepare(folder), random.Random(seed)
    running: dict[str, Any] = {}
    begun = Counter[str]()
    killed, champions = Counter[str](), []

    def start(role: str) -> None:
        begun[role] += 1
        process = FORK.Process(target=_work, args=(role, folder, seed * 1000 + begun[role]))
        process.start()
        running[role] = process

    for role in ROLES:
        start(role)
    failures = []
    for _ in range(kills):
        time.sleep(rng.uniform(0.0, LONGEST_LIFE))
        role = rng.choice(list(ROLES))
        process = running[role]
        if process.exitcode is not None:  # it should run until it is killed
            failures.append(f"{role} ended by itself with {process.exitcode}")
        process.kill()
        process.join()
        killed[role] += 1
        if problem := champion_problem(home):
            champions.append(problem)
        start(role)
    for process in running.values():
        process.kill()
    for process in running.values():
        process.join()
    return _inspect(folder, home, killed, champions, failures)


def _work(role: str, folder: Path, seed: int) -> None:
    os.setpgid(0, 0)
    with open(folder / f"{role}.log", "ab") as log:
        os.dup2(log.fileno(), 2)
        ROLES[role](folder, role, seed)


def _inspect(folder: Path, home: Home, killed: Counter[str], champions: list[str], failures: list[str]) -> Found:
    """Open everything as anybody would, and compare it with what was acknowledged."""
    told = {path.name: path.read_text().split() for path in (folder / "acknowledged").iterdir()}
    events = {name: listed for name, listed in told.items() if listed and "-" in listed[0]}
    decided = {event for name, listed in events.items() if not name.endswith(".outcomes") for event in listed}
    completed = {event for name, listed in events.items() if name.endswith(".outcomes") for event in listed}
    journal = Journal(home.journal_path)
    lost = doubled = 0
    for stage in ("as it was left", "sealed"):
        found: Counter[str] = Counter()
        scored: set[str] = set()
        for agent in (RECORDED, IMPORTED):
            for _, record in LogReader(journal, agent):
                found[record.event_id] += 1
                if record.reward is not None:
                    scored.add(record.event_id)
        lost += len(decided - found.keys()) + len(completed - scored)
        doubled += sum(count > 1 for count in found.values())
        if sum(found.values()) != sum(journal.counts().values()):
            failures.append(f"{stage}: {sum(found.values())} decisions are read, {journal.counts()} are counted")
        if stage == "as it was left":
            failures += _tried("sealing", lambda: seal(home))
    table = SealedTable.open(str(home.data_path / "table"))
    rows: Counter[str] = Counter()
    for batch in table.batches(None, ("event_id",)):
        rows.update(batch["event_id"].to_pylist())
    doubled += sum(count > 1 for count in rows.values())
    for agent in (RECORDED, IMPORTED):
        failures += _tried(f"dataset of {agent}", lambda agent=agent: build_dataset(home, agent))  # type: ignore[misc]
    if problem := champion_problem(home):
        champions.append(problem)
    done = Counter({name: len(listed) for name, listed in told.items()})
    return Found(killed, len(decided) + len(completed), lost, doubled, champions, failures, done)


def _tried(what: str, work: Any) -> list[str]:
    try:
        work()
    except Exception as error:
        return [f"{what}: {type(error).__name__}: {error}"]
    return []


def kill_rows(found: Found) -> list[Row]:
    """The figures as rows."""
    kills = sum(found.kills.values())
    case = f"{kills} kills, {found.acknowledged:,} acknowledged"
    problems = "; ".join([*found.failures[:2], *found.champions[:2]])
    said = f" ({problems})" if problems else ""
    figures = (
        ("acknowledged lost", found.lost, "0 acknowledged records lost"),
        ("events doubled", found.doubled, "0 duplicated"),
        ("without a champion", len(found.champions), "always exactly one loadable champion"),
        ("needed help", len(found.failures), f"everything opens without help{said}"),
    )
    return [Row(case, metric, "", count, "goal", 0, goal, count == 0) for metric, count, goal in figures]


def main() -> None:
    """Measure."""
    options = arguments(
        __doc__, kills=(int, 0, "how many; 200 by default, 30 with --quick"), only=(str, "", "kills or disks")
    )
    kills, rows = options.kills or (30 if options.quick else 200), []
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_DISK")) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a damaged journal says that it was mended
        if options.only in ("", "kills"):
            rows += kill_rows(run_kills(Path(folder), kills))
        if options.only in ("", "disks"):
            rows += measure(Path(folder))
    publish("faults", rows, options.json)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    main()
