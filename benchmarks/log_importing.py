"""How fast files are imported, beside what only reads (and for Parquet rewrites) the same file.

An import checks each row against its agent's declaration, the other rows and the log, and writes it durably where
it can be found by event, step and agent. The two take turns, round by round, and what is judged is the median over
the rounds of the ratio in each. Memory is the growth of the process that imports, measured in one of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.log_recording import FIELDS, new_home
from benchmarks.rows import Row
from envs.home import Home
from envs.importing.importer import import_files

CHUNK = 50_000
MEGABYTE = 1024
MOST_MEMORY = 400.0  # MB, of any number of rows


def measure(quick: bool) -> list[Row]:
    """All rows of this part."""
    rows, rounds = (50_000, 3) if quick else (200_000, 5)
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_DISK")) as folder:
        base = Path(folder)
        lines, columns = base / "log.jsonl", base / "log.parquet"
        _write(lines, columns, rows)
        found = [
            _in_turns(base, lines, rows, rounds, _parse, "orjson parse", "JSON Lines at least 0.3 x orjson's parse"),
            _in_turns(
                base,
                columns,
                rows,
                rounds,
                _rewrite,
                "pyarrow read and rewrite",
                "Parquet at least 0.3 x what pyarrow needs to read and rewrite the file",
            ),
        ]
        most = 200_000 if quick else 10_000_000
        _write(lines, None, most)
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.log_importing", str(lines), str(base / "large")],
            check=True,
            capture_output=True,
            text=True,
        )
        memory, seconds = map(float, done.stdout.split())
        goal = f"an import of any size grows the process by at most {MOST_MEMORY:.0f} MB"
        case = f"{most:,} rows"
        found.append(Row(case, "growth of the process", "MB", memory, "limit", MOST_MEMORY, goal, memory < MOST_MEMORY))
        rate = most / seconds
        found.append(Row(case, "rows imported", "/s", rate, "shown beside it", rate, "shown beside it", True))
    return found


def _write(lines: Path, columns: Path | None, count: int) -> None:
    generator = np.random.default_rng(0)
    writer: pq.ParquetWriter | None = None
    with open(lines, "wb") as file:
        for start in range(0, count, CHUNK):
            seen = generator.random((CHUNK, len(FIELDS))).tolist()
            rows = [
                {
                    "event_id": f"e{start + index}",
                    "timestamp": "2026-01-01T00:00:00Z",
                    "observation": dict(zip(FIELDS, seen[index], strict=True)),
                    "action": "up",
                    "action_probabilities": {"down": 0.25, "hold": 0.25, "up": 0.5},
                    "outcome": {"success": True, "execution_time": 0.5, "cost": 1.0},
                    "reward": -1.0,
                    "policy_version": "7",
                }
                for index in range(min(CHUNK, count - start))
            ]
            file.writelines(orjson.dumps(row) + b"\n" for row in rows)
            if columns is not None:
                table = pa.Table.from_pylist(rows)
                writer = writer or pq.ParquetWriter(columns, table.schema)
                writer.write_table(table)
    if writer is not None:
        writer.close()


def _in_turns(
    base: Path, path: Path, count: int, rounds: int, anchor: Callable[[Path], None], name: str, goal: str
) -> Row:
    pairs = []
    for number in range(rounds):
        home = new_home(base / f"{path.suffix[1:]}-{number}")
        pairs.append((_seconds(partial(_import, home, path, count)), _seconds(partial(anchor, path))))
    ratio = median(theirs / ours for ours, theirs in pairs)
    rates = [count / median(seconds) for seconds in zip(*pairs, strict=True)]
    return Row(path.suffix[1:], "rows imported", "/s", rates[0], name, rates[1], goal, ratio >= 0.3)


def _seconds(function: Callable[[], None]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def _import(home: Home, path: Path, count: int) -> None:
    assert import_files(home, "scaling", [path]).added == count


def _parse(path: Path) -> None:
    with open(path, "rb") as file:
        for line in file:
            orjson.loads(line)


def _rewrite(path: Path) -> None:
    pq.write_table(pq.read_table(path), path.with_suffix(".again"))


def main(path: str, folder: str) -> None:
    """Import one file into a new home; print how many MB the process grew and the seconds it took."""
    home = new_home(Path(folder))
    before = _peak()
    begin = time.perf_counter()
    assert import_files(home, "scaling", [path]).added
    seconds = time.perf_counter() - begin
    print((_peak() - before) / MEGABYTE, seconds)


def _peak() -> int:
    """Most memory that this program had so far, in kB; what its parent had is no part of it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main(*sys.argv[1:])
