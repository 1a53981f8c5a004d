"""Parquet gives the same records as JSON Lines, and damage is named by its row."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.home import Home
from envs.importing.importer import import_files
from envs.importing.reader_parquet import BATCH, DECODED_BYTES, open_reader
from envs.record import DecisionRecord
from tests.envs.importing.import_samples import SPECIFICATION, jsonl, refused, rows, stored


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.create(tmp_path / "home", split_key=bytes(32))
    home.declare(SPECIFICATION)
    return home


def table(**changes: Any) -> pa.Table:
    content = rows()
    columns: dict[str, Any] = {name: [row[name] for row in content] for name in content[0]}
    columns["timestamp"] = pa.array(
        [datetime.fromisoformat(item) for item in columns["timestamp"]], pa.timestamp("ns", "UTC")
    )
    return pa.table({name: value for name, value in (columns | changes).items() if value is not None})


def test_parquet_columns_of_all_kinds(home: Home, tmp_path: Path) -> None:
    probabilities = [{"down": 0.5, "hold": 0.5, "up": None}, {"down": None, "hold": 0.5, "up": 0.5}] * 6
    actions = ["down", "up"] * 6
    pq.write_table(
        table(
            action=pa.array(actions).dictionary_encode(),
            allowed_actions=[["down", "hold"], ["hold", "up"]] * 6,
            action_probabilities=probabilities,
            observation=pa.array([[1.0, index] for index in range(12)], pa.list_(pa.float32(), 2)),
            outcome=pa.array([[("cost", 1.0)]] * 12, pa.map_(pa.string(), pa.float64())),
            metadata=[{"when": timedelta(0).total_seconds(), "tags": ["a"]}] * 12,
            reward=pa.array([None] * 11 + [2.0]),
            step=pa.array([index % 4 for index in range(12)], pa.int8()),
        ),
        tmp_path / "log.parquet",
    )
    report = import_files(home, "scaling", [tmp_path / "log.parquet"])
    assert report.added == 12
    first, *_, last = stored(home)
    assert first.action_probabilities == {"down": 0.5, "hold": 0.5} and first.allowed_actions == ["down", "hold"]
    assert first.timestamp == "2026-01-31T09:30:00Z" and first.outcome == {"cost": 1.0} and first.reward is None
    assert last.reward == 2.0 and last.observation == [1.0, 11.0] and last.metadata == {"when": 0.0, "tags": ["a"]}
    assert type(last.step) is int and type(last.observation[0]) is float


def test_bad_parquet_rows(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    naive = pa.array([datetime(2026, 1, 31)] * 12, pa.timestamp("us"))
    for change, row, field in (
        ({"timestamp": naive}, 1, "timestamp"),
        ({"reward": pa.array([1.0] * 5 + [float("nan")] * 7)}, 6, "reward"),
        ({"propensity": pa.array([0.5] * 11 + [0.0])}, 12, "propensity"),
        ({"observation": pa.array([[1.0, 2.0]] * 3 + [[1.0]] * 9)}, 4, "observation"),
    ):
        pq.write_table(table(**change), path)
        assert refused(home, path).startswith(f"{path}:{row}: {field}: ")
    assert refused(home, path, keep_good=False).count("more in 1 cause;") == 1


def test_damaged_parquet_is_named_by_row(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    big = [
        row | {"event_id": f"x{index}", "episode_id": f"y{index}", "step": 0} for index, row in enumerate(rows(9000))
    ]
    whole = pa.Table.from_pylist(big)
    pq.write_table(whole, path, row_group_size=3000, compression="gzip", use_dictionary=False)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    line = refused(home, path)
    assert line.startswith(f"{path}:1: row: cannot be read (") and "copy the file again" in line
    path.write_bytes(content)
    column = pq.ParquetFile(path).metadata.row_group(1).column(4)
    start = column.data_page_offset
    path.write_bytes(
        content[:start] + bytes(column.total_compressed_size) + content[start + column.total_compressed_size :]
    )
    line = refused(home, path)
    assert line.startswith(f"{path}:3001: row: cannot be read (")
    kept = import_files(home, "scaling", [path], keep_good=True)
    assert kept.added == 6000 and "nor can the 2999 rows behind it" in kept.rejected[0].problem


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b' {"observation": 1, "action": 2}\n', "is not Parquet, it looks like JSON Lines; give --format jsonl"),
        (b'\xef\xbb\xbf{"note": "' + "é".encode() * 3000 + b'"}', "it looks like JSON Lines; give --format jsonl"),
        (b"state;action\r\n1;2\r\n", "is not Parquet, it looks like CSV; give --format csv"),
        (b"\x89HDF\r\n\x1a\n....", "is not Parquet, it looks like HDF5; give --format d3rlpy"),
        (b"\x00\x01,\x02", "is not Parquet; check which file it is"),
    ],
)
def test_a_file_of_another_format_is_not_called_damaged(home: Home, tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "log.parquet"
    path.write_bytes(content)
    line = refused(home, path)
    assert line.startswith(f"{path}: is not Parquet") and told in line and "damaged" not in line


def test_a_damaged_end_of_a_file_is_still_damage(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(table(), path)
    content = path.read_bytes()
    for damaged in (content[:-9], b"\0\0\0\0" + content[4:-20] + b"\0" * 16 + content[-4:]):
        path.write_bytes(damaged)
        assert "cannot be read (" in refused(home, path)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_what_is_imported_is_what_was_written(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Through JSON Lines and through Parquet the same records come in, and each is the other's duplicate."""
    folder = tmp_path_factory.mktemp("round")
    number = st.floats(-1e6, 1e6) | st.integers(-1000, 1000)
    content = []
    for index in range(data.draw(st.integers(1, 6))):
        row: dict[str, Any] = {
            "observation": data.draw(st.lists(number, min_size=2, max_size=2)),
            "action": data.draw(st.integers(0, 3)),
        }
        row |= {"event_id": f"e{index}", "propensity": data.draw(st.floats(0.01, 1)), "reward": data.draw(number)}
        row |= {"outcome": {"cost": data.draw(number), "kind": data.draw(st.text('aé"\\', max_size=3))}}
        row["timestamp"] = data.draw(st.datetimes(datetime(1980, 1, 1), datetime(2050, 1, 1))).isoformat() + "+01:00"
        content.append(row)
    lines = jsonl(folder / "log.jsonl", content)
    columns: dict[str, Any] = {name: [row[name] for row in content] for name in ("event_id", "action", "outcome")}
    for name in ("propensity", "reward"):
        columns[name] = pa.array([float(row[name]) for row in content])
    columns["observation"] = pa.array(
        [[float(item) for item in row["observation"]] for row in content], pa.list_(pa.float64())
    )
    columns["outcome"] = pa.array([{**row["outcome"], "cost": float(row["outcome"]["cost"])} for row in content])
    moments = [datetime.fromisoformat(row["timestamp"]) for row in content]
    columns["timestamp"] = pa.array(moments, pa.timestamp("us", "Europe/Berlin"))
    pq.write_table(pa.table(columns), folder / "log.parquet")
    home = Home.create(folder / "home")
    assert import_files(home, "taxi", [lines]).added == len(content)
    for record, row in zip(stored(home, "taxi"), content, strict=True):
        assert record == DecisionRecord.from_mapping({**row, "agent": "taxi"})
    report = import_files(home, "taxi", [folder / "log.parquet"])
    assert (report.added, report.duplicates) == (0, len(content))


def test_the_importer_loads_parquet_support_only_for_parquet() -> None:
    check = (
        "import sys, envs.importing.importer; assert not {'pyarrow', 'ray', 'torch', 'deltalake'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], check=True)


def test_batches_are_as_large_as_the_longest_value_allows(tmp_path: Path) -> None:
    """A large dictionary of short texts or of numbers is no reason to read few rows at once; a long text is."""
    count = 20_000
    numbers = [index / 7 for index in range(count)]
    for longest, most in (("e", BATCH), ("e" * 300_000, DECODED_BYTES // 300_000)):
        names = [*(f"e{index}" for index in range(count - 1)), longest]
        path = tmp_path / f"{len(longest)}.parquet"
        written = pa.table({"event_id": names, "reward": numbers})
        pq.write_table(written, path, dictionary_pagesize_limit=2**26)
        sizes = [len(batch.rows) for batch in open_reader(str(path), {}).batches()]
        assert sum(sizes) == count and max(sizes) == most
