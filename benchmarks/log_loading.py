"""How fast a sealed log becomes a dataset, beside pyarrow reading the same columns of the same files.

The log is real in every column that is read: twenty thousand records are sealed as any are, and copied
with episodes, hashes and times of their own. Each load runs in a process of its own, which reports its
peak of memory.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import fields
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.rows import Row

AGENT = "big"
HORIZON, FIELDS = 10, 8
SOURCE = 20_000
PIECES = 50
BUFFERS = 0.3e9


def measure(quick: bool) -> list[Row]:
    """All rows of this part."""
    sizes = (100_000, 1_000_000) if quick else (100_000, 1_000_000, 10_000_000)
    rounds = 1 if quick else 3
    found: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_DISK")) as folder:
        for size in sizes:
            home = Path(folder) / str(size)
            _child("write", str(home), str(size))
            pairs = [(_child("load", str(home)), _child("read", str(home))) for _ in range(rounds)]
            found[size] = {
                "ours": median(ours["seconds"] for ours, _ in pairs),
                "theirs": median(theirs["seconds"] for _, theirs in pairs),
                "ratio": median(ours["seconds"] / theirs["seconds"] for ours, theirs in pairs),
                "memory": max(ours["peak"] - ours["before"] for ours, _ in pairs),
                "columns": pairs[0][0]["columns"],
            }
    rows = []
    for size, figures in found.items():
        case = f"{size:,} decisions"
        goal = "load of a sealed log at most 2 x pyarrow's read"
        holds = figures["ratio"] <= 2.0
        rows.append(Row(case, "load", "s", figures["ours"], "pyarrow's read", figures["theirs"], goal, holds))
    largest, smallest = found[max(sizes)], found[min(sizes)]
    # What is held beside the columns does not grow with them; it counts where they are small.
    spare = 0.0 if max(sizes) >= 10_000_000 else BUFFERS
    bounded = largest["memory"] <= 1.5 * largest["columns"] + spare
    exponent = math.log(largest["ours"] / smallest["ours"]) / math.log(max(sizes) / min(sizes))
    case = f"{min(sizes):,} to {max(sizes):,}"
    rows += [
        Row(
            f"{max(sizes):,} decisions", "peak of memory", "GB", largest["memory"] / 1e9, "its columns",
            largest["columns"] / 1e9, "peak at most 1.5 x the columns (and 0.3 GB below 10^7 rows)", bounded,
        ),
        Row(case, "time exponent", "", exponent, "linear", 1.0, "time exponent at most 1.2", exponent <= 1.2),
    ]  # fmt: skip
    return rows


def _child(job: str, *arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.log_loading", job, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def write(path: str, size: str) -> dict[str, float]:
    """A home whose log of so many decisions is sealed."""
    import pyarrow as pa

    from envs.home import Home
    from envs.journal.journal import Journal
    from envs.log.recounting import state_of
    from envs.log.rows import SCHEMA
    from envs.log.sealing import _identity, _noted
    from envs.log.table import SealedTable

    home = Home.create(path, split_key=bytes(range(32)))
    home.declare(specification())
    journal = Journal(home.journal_path)
    journal.open()
    identity = _identity(journal)
    table = SealedTable.create(str(home.data_path / "table"), identity)
    source, count, pieces = _source(home.split_key), int(size), []
    for start in range(0, count, SOURCE):
        pieces.append(_copied(source.slice(0, min(SOURCE, count - start)), start, home.split_key))
        if len(pieces) == PIECES or start + SOURCE >= count:
            rows = pa.concat_tables(pieces).select(SCHEMA.names).cast(SCHEMA)
            table = table.append(rows, identity, start + len(pieces[-1]))
            pieces = []
    _noted(journal, state_of(table, "table", count))
    return {}


def specification() -> Any:
    """An agent that sees eight numbers and takes one of three actions."""
    from envs.observation import ObservationField, ObservationSpecification
    from envs.specification import AgentSpecification

    observation = ObservationSpecification("object", tuple(ObservationField(f"f{i}") for i in range(FIELDS)))
    return AgentSpecification(AGENT, observation, ("down", "hold", "up"), horizon=HORIZON, explore=0.3)


def _source(split_key: bytes) -> Any:
    from datetime import date

    from envs.journal.rows import row_of
    from envs.log.rows import SealingRows
    from envs.outcome import join
    from envs.record import DecisionRecord

    rng = np.random.default_rng(0)
    rows = SealingRows(split_key, date(2024, 1, 1))
    for index in range(SOURCE):
        episode, step = divmod(index, HORIZON)
        seen = rng.normal(size=(2, FIELDS)).tolist()
        last = step == HORIZON - 1
        record = DecisionRecord.from_mapping(
            {
                "event_id": f"d{index}", "agent": AGENT, "episode_id": f"e{episode}", "step": step, "action": "up",
                "observation": {f"f{i}": value for i, value in enumerate(seen[0])},
                "next_observation": {f"f{i}": value for i, value in enumerate(seen[1])} if last else None,
                "timestamp": "2024-01-01T00:00:00Z", "reward": float(rng.normal()), "outcome": {"cost": 1.0},
                "action_probabilities": {"down": 0.1, "hold": 0.1, "up": 0.8}, "policy_version": "rule-1",
                "truncated": last,
            }
        )  # fmt: skip
        rows.add_decision(index + 1, join(index + 1, record, []), row_of(record).content)
    return rows.table()


def _copied(source: Any, start: int, split_key: bytes) -> Any:
    """The source's rows as other episodes, half a minute after the one before."""
    import pyarrow as pa

    from envs.log.rows import episode_key
    from envs.splits import split_of

    count, begin = len(source), start // HORIZON
    names = [f"e{begin + index}" for index in range(-(-count // HORIZON))]
    owner = np.arange(count) // HORIZON
    moments = np.datetime64("2024-01-01") + (np.arange(start, start + count) * 3).astype("timedelta64[s]")
    hashes = np.random.default_rng(start).integers(0, 256, size=(count, 32), dtype=np.uint8)
    places = pa.array(np.arange(start + 1, start + count + 1))
    changed = {
        "sequence": places,
        "position": places,
        "event_id": pa.array([f"d{start + index}" for index in range(count)]),
        "episode_id": pa.array(names).take(pa.array(owner)),
        "episode_key": pa.array(np.array([episode_key("default", name) for name in names])[owner]),
        "side": pa.array(np.array([split_of(split_key, "default", name) for name in names], dtype=np.int8)[owner]),
        "content_hash": pa.array([row.tobytes() for row in hashes], pa.binary()),
        "timestamp": pa.array(moments.astype("datetime64[us]"), pa.timestamp("us", "UTC")),
        "date": pa.array(moments.astype("datetime64[D]")),
    }
    return pa.table({name: changed.get(name, source[name]) for name in source.schema.names})


def load(path: str) -> dict[str, float]:
    """Build the dataset."""
    from envs.build import build_dataset
    from envs.dataset import Dataset
    from envs.home import Home
    from envs.log import loading, reading  # noqa: F401 - imports are not what is measured

    _import_lazily()
    home, before = Home(path), _peak()
    begin = time.perf_counter()
    dataset, _ = build_dataset(home, AGENT)
    seconds = time.perf_counter() - begin
    arrays = [getattr(dataset, column.name) for column in fields(Dataset)]
    columns = sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))
    return {"seconds": seconds, "peak": _peak(), "before": before, "columns": float(columns)}


def read(path: str) -> dict[str, float]:
    """Let pyarrow read the columns that a dataset is made of."""
    import pyarrow.parquet as pq

    from envs.home import Home
    from envs.log import earning, grouping, loading, source
    from envs.log.store import local_path
    from envs.log.table import SealedTable

    _import_lazily()
    used = (*source.CHOOSING, *grouping.SCANNED, *earning.EARNED, *loading.SEEN, *loading.NEXT, *loading.CHOSEN)
    columns, before = list(dict.fromkeys(used)), _peak()
    begin = time.perf_counter()
    files = SealedTable.open(str(Home(path).data_path / "table")).files(AGENT)
    tables = [pq.read_table(local_path(uri), columns=columns, partitioning=None) for uri in files]
    return {
        "seconds": time.perf_counter() - begin,
        "peak": _peak(),
        "before": before,
        "rows": float(sum(map(len, tables))),
    }


def _import_lazily() -> None:
    """Let pyarrow import pandas, which it does with its first array, where that is installed."""
    import pyarrow as pa

    pa.array([0])


def _peak() -> float:
    """The most memory that this process has held so far, bytes."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


if __name__ == "__main__":
    jobs = {"write": write, "load": load, "read": read}
    print(json.dumps(jobs[sys.argv[1]](*sys.argv[2:])))
