"""Depth, size and expansion: what docs/import.md states is refused row by row, in bounded memory."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from envs.home import Home
from envs.importing.checking import MAXIMUM_NAMES
from envs.importing.importer import import_files
from envs.importing.reader_parquet import BATCH_VALUES
from envs.importing.readers import MAXIMUM_ROW
from envs.infer import MAXIMUM_FIELDS
from envs.values import MAXIMUM_DEPTH
from tests.envs.importing.import_samples import SPECIFICATION, jsonl, refused, rows

DOCUMENT = Path(__file__).parents[3] / "docs" / "import.md"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.create(tmp_path / "home", split_key=bytes(32))
    home.declare(SPECIFICATION)
    return home


def test_the_limits_are_documented() -> None:
    text = DOCUMENT.read_text()
    for limit in (f"{MAXIMUM_DEPTH} levels", f"{MAXIMUM_ROW // 2**20} MB", f"{MAXIMUM_NAMES:,} fields"):
        assert limit in text
    assert MAXIMUM_FIELDS == MAXIMUM_NAMES


@pytest.mark.parametrize("surplus", [0, 1])
def test_depth(home: Home, tmp_path: Path, surplus: int) -> None:
    deep: Any = 1
    for _ in range(MAXIMUM_DEPTH - 1 + surplus):  # metadata itself is the first level
        deep = [deep]
    path = jsonl(tmp_path / "log.jsonl", [rows(1)[0] | {"metadata": {"x": deep}}])
    if surplus:
        assert "is nested deeper than 32 levels" in refused(home, path)
    else:
        assert import_files(home, "scaling", [path]).added == 1


@pytest.mark.parametrize("surplus", [0, 1])
def test_fields(home: Home, tmp_path: Path, surplus: int) -> None:
    row = rows(1)[0]
    many = {f"a fairly long name {index}": index for index in range(MAXIMUM_NAMES - len(row) - 2 + surplus)}
    path = jsonl(tmp_path / "log.jsonl", [row | {"metadata": {"x": many}}])
    if surplus:
        assert refused(home, path).startswith(f"{path}:1: row: has more than {MAXIMUM_NAMES} fields; ")
    else:
        assert import_files(home, "scaling", [path]).added == 1


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_long_rows(home: Home, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"log.{suffix}"
    good = json.dumps(rows(1)[0])
    if suffix == "jsonl":
        path.write_text(f'{{"metadata": {{"x": "{"y" * MAXIMUM_ROW}"}}}}\n{good}\n')
    else:
        head = "event_id,observation.0,observation.1,action,metadata.x"
        long = "y" * MAXIMUM_ROW
        path.write_text(f'{head}\na,1,2,up,"{long}"\nb,1,2,up,\n')
    report = import_files(home, "scaling", [path], keep_good=True)
    assert report.added == 1 and f"longer than {MAXIMUM_ROW // 2**20} MB" in report.rejected[0].problem


def test_compressed_files_are_refused_unread(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(gzip.compress(b"0" * 10**8))
    assert refused(home, path) == f"{path}: is compressed; unpack it first"


BOMB = """
import resource, sys
from envs.home import Home
from envs.importing.importer import import_files
resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))
report = import_files(Home(sys.argv[1]), "scaling", [sys.argv[2]], keep_good=True)
print(report.added, len(report.rejected), report.rejected[0].problem)
"""


@pytest.mark.parametrize("kind", ["array", "text", "dictionary"])
def test_a_small_file_of_huge_rows_is_read_in_bounded_memory(home: Home, tmp_path: Path, kind: str) -> None:
    """Some kilobytes of Parquet that stand for gigabytes, in 3 GB of address space."""
    path = tmp_path / "log.parquet"
    content = rows(12)
    if kind == "array":
        long: Any = pa.array([[1] * 2 * BATCH_VALUES], pa.list_(pa.int8()))
        column = pa.chunked_array([pa.array([[1]], pa.list_(pa.int8()))] * 8 + [long] * 4)
    elif kind == "dictionary":  # one value in the file, and one byte for each row that has it
        content = rows(200)
        texts = pa.array(["x", "x" * (MAXIMUM_ROW + 1)])
        column = pa.chunked_array([pa.DictionaryArray.from_arrays(pa.array([0] * 8 + [1] * 192), texts)])
    else:
        text = pa.array(["x" * (MAXIMUM_ROW + 1)])
        column = pa.chunked_array([pa.array(["x"])] * 8 + [text] * 4)
    table = pa.Table.from_pylist(content).append_column("metadata", _struct(column))
    pq.write_table(table, path, compression="zstd", dictionary_pagesize_limit=2**26, store_schema=False)
    assert path.stat().st_size < 2**20
    done = subprocess.run([sys.executable, "-c", BOMB, str(home.path), str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith(f"8 {len(content) - 8} is longer than 16 MB")


def _struct(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([pa.StructArray.from_arrays([chunk], ["x"]) for chunk in column.chunks])
