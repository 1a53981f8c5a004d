"""How fast decisions are recorded, beside a bare SQLite insert and RLlib's JsonWriter on the same disk.

Both are given the same decision records and write them as JSON; ours checks each against its agent's
declaration and the log before it, and keeps it findable by event, step and agent. They take turns, round by
round, so that both meet the same disk and the same neighbours; what is judged is the median over the
rounds of the ratio in each.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from itertools import cycle
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median

import numpy as np

from ai_engine.continuous_learning import LearningPipeline
from ai_engine.continuous_learning.writer import CAPACITY
from benchmarks.rows import Row
from envs.home import Home
from envs.observation import ObservationField, ObservationSpecification
from envs.record import DecisionRecord, stored_text
from envs.specification import AgentSpecification

FIELDS = tuple(f"f{index}" for index in range(6))
BATCH = 100
SYNCED = 800  # records of one turn that are synced one by one
LIMIT_MICROSECONDS = 50.0


def measure(quick: bool) -> list[Row]:
    """All rows of this part."""
    rounds = 3 if quick else 9
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_DISK")) as folder:
        base = Path(folder)
        for writers in (1, 4):
            for batch in (1, BATCH):
                rows.append(_against_sqlite(base, writers, batch, rounds))
            rows.append(_against_json_writer(base, writers, rounds))
        rows += _buffered(base, 20_000 if quick else 100_000)
    return rows


def new_home(path: Path) -> Home:
    """A home whose agent is declared: every record is checked against it."""
    home = Home.create(path)
    observation = ObservationSpecification("object", tuple(ObservationField(name) for name in FIELDS))
    home.declare(AgentSpecification("scaling", observation, ("down", "hold", "up"), reward_range=(-100.0, 100.0)))
    return home


def _records(writer: int, batch: int, batches: int) -> list[list[DecisionRecord]]:
    return [[_record(f"{writer}-{number}-{index}") for index in range(batch)] for number in range(batches)]


def _record(event: str) -> DecisionRecord:
    mapping = {
        "event_id": event,
        "agent": "scaling",
        "timestamp": "2026-01-01T00:00:00Z",
        "observation": {name: index / 7 for index, name in enumerate(FIELDS)},
        "action": "up",
        "action_probabilities": {"down": 0.25, "hold": 0.25, "up": 0.5},
        "outcome": {"success": True, "execution_time": 0.5, "cost": 1.0},
        "reward": -1.0,
        "policy_version": "7",
    }
    return DecisionRecord.from_mapping(mapping)


def _ours(folder: str, writer: int, batch: int, batches: int, barrier: Barrier) -> None:
    pipeline = LearningPipeline(Path(folder) / "home", timeout=120.0)
    pipeline.start()
    records = _records(writer, batch, batches)
    barrier.wait()
    for rows in records:
        pipeline.record_many(rows)
    barrier.wait()
    pipeline.stop()


def _bare(folder: str, writer: int, batch: int, batches: int, barrier: Barrier) -> None:
    connection = sqlite3.connect(Path(folder) / "bare.sqlite", timeout=120.0, isolation_level=None)
    connection.execute("PRAGMA synchronous = FULL")
    records = _records(writer, batch, batches)
    barrier.wait()
    for rows in records:
        contents = [(json.dumps(record.to_mapping()),) for record in rows]
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO log (content) VALUES (?)", contents)
        connection.execute("COMMIT")
    barrier.wait()
    connection.close()


def _json_writer(folder: str, writer: int, batch: int, batches: int, barrier: Barrier) -> None:
    from ray.rllib.offline.io_context import IOContext
    from ray.rllib.offline.json_writer import JsonWriter
    from ray.rllib.policy.sample_batch import SampleBatch

    path = Path(folder) / f"rllib-{writer}"
    output = JsonWriter(str(path), IOContext(str(path)), compress_columns=[])
    records = [record for rows in _records(writer, batch, batches) for record in rows]
    barrier.wait()
    for record in records:
        output.write(
            SampleBatch(
                {
                    "obs": np.array([list(record.observation.values())], dtype=np.float32),
                    "actions": np.array([2]),
                    "action_prob": np.array([record.propensity]),
                    "rewards": np.array([record.reward]),
                    "terminateds": np.array([True]),
                    "infos": np.array([json.dumps(record.outcome)]),
                }
            )
        )
        file = output._get_file()
        file.flush()
        os.fsync(file.fileno())
    barrier.wait()


def _rate(function: Callable[..., None], folder: Path, writers: int, batch: int, batches: int) -> float:
    """Records a second by so many processes, from the moment all are ready until the last is done."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(writers + 1)
    processes = [
        context.Process(target=function, args=(str(folder), writer, batch, batches, barrier))
        for writer in range(writers)
    ]
    for process in processes:
        process.start()
    barrier.wait()
    begin = time.perf_counter()
    barrier.wait()
    elapsed = time.perf_counter() - begin
    for process in processes:
        process.join()
    return writers * batch * batches / elapsed


def _prepared(base: Path, name: str) -> Path:
    folder = base / name
    folder.mkdir()
    new_home(folder / "home")
    with sqlite3.connect(folder / "bare.sqlite") as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE log (sequence INTEGER PRIMARY KEY AUTOINCREMENT, content TEXT NOT NULL)")
    connection.close()
    return folder


def _in_turns(
    base: Path, name: str, writers: int, batch: int, rounds: int, anchor: Callable[..., None], anchor_batch: int
) -> tuple[float, float, float]:
    """Median rates of ours and of the anchor, and the median of their ratio."""
    pairs = []
    for number in range(rounds):
        folder = _prepared(base, f"{name}-{writers}-{batch}-{number}")
        turns = [
            (function, size, max(SYNCED // writers, 20) if size == 1 else 20)
            for function, size in ((_ours, batch), (anchor, anchor_batch))
        ]
        # Each is first every other round: what a flush takes changes from one second to the next.
        rates = [_rate(function, folder, writers, *size) for function, *size in turns[:: 1 - 2 * (number % 2)]]
        ours, theirs = rates[:: 1 - 2 * (number % 2)]
        pairs.append((ours, theirs))
    return (
        median(ours for ours, _ in pairs),
        median(theirs for _, theirs in pairs),
        median(ours / theirs for ours, theirs in pairs),
    )


def _against_sqlite(base: Path, writers: int, batch: int, rounds: int) -> Row:
    ours, bare, ratio = _in_turns(base, "sqlite", writers, batch, rounds, _bare, batch)
    goal = "durable recording at least 0.5 x a bare SQLite insert of the same batch size"
    case = f"{writers} writer{'s' * (writers > 1)}, batch {batch}"
    return Row(case, "durable records", "/s", ours, "bare SQLite insert", bare, goal, ratio >= 0.5)


def _against_json_writer(base: Path, writers: int, rounds: int) -> Row:
    ours, theirs, ratio = _in_turns(base, "rllib", writers, BATCH, rounds, _json_writer, 1)
    goal = "durable recording at least 5 x RLlib's JsonWriter synced per record"
    case = f"{writers} writer{'s' * (writers > 1)}, batch {BATCH}"
    return Row(case, "durable records", "/s", ours, "RLlib JsonWriter, synced", theirs, goal, ratio >= 5.0)


def _buffered(base: Path, calls: int) -> list[Row]:
    """``record_action`` while a thread empties the buffer; beside it a loop of the interpreter that takes as long.

    The loop only writes as much as a record leaves in the buffer, into memory that it had written before: what
    its slowest turns take more than its usual ones is the machine's doing. On a machine that is watched page by page
    from outside, nothing shows in a loop that writes nothing.
    """
    observation = {name: index / 7 for index, name in enumerate(FIELDS)}
    pipeline = LearningPipeline(new_home(base / "buffered"), durability="buffered")
    pipeline.start()

    def record() -> None:
        pipeline.record_action("scaling", "up", observation, {"n": 1}, True, 0.5, 0.9, propensity=0.5, reward=-1.0)

    slowest, usual = _slowest_and_usual(record, calls)
    pipeline.stop()
    text = stored_text(_record("0")).encode()
    places = cycle(range(0, len(text) * CAPACITY, len(text)))
    memory = bytearray(text * CAPACITY)

    def write(turns: int) -> None:
        place = next(places)
        memory[place : place + len(text)] = text
        for _ in range(turns):
            pass

    turn = _slowest_and_usual(lambda: write(1_000), calls // 10)[1] / 1_000
    noise = _slowest_and_usual(lambda: write(round(usual / turn)), calls)[0]
    goal = "record_action buffered: 99 % of calls within 50 us"
    return [
        Row(
            "buffered",
            "p99 of record_action",
            "us",
            slowest,
            "limit",
            LIMIT_MICROSECONDS,
            goal,
            slowest <= LIMIT_MICROSECONDS,
        ),
        Row("buffered", "p50 of record_action", "us", usual, "limit", LIMIT_MICROSECONDS, "shown beside it", True),
        Row("buffered", "p99 of a loop that writes as much", "us", noise, "its p50", usual, "shown beside it", True),
    ]


def _slowest_and_usual(function: Callable[[], None], calls: int) -> tuple[float, float]:
    """99 and 50 % of the calls take at most so many microseconds; some before them are not counted."""
    for _ in range(500):
        function()
    taken = np.empty(calls)
    for index in range(calls):
        begin = time.perf_counter_ns()
        function()
        taken[index] = time.perf_counter_ns() - begin
    slowest, usual = np.quantile(taken / 1e3, (0.99, 0.5))
    return float(slowest), float(usual)
