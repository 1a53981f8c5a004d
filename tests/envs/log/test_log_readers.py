"""Others read the sealed table directly; ``ai_engine.log`` reads journal and table as one."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pytest
from deltalake import DeltaTable

import ai_engine
from envs.errors import DataError, SpecificationError
from envs.home import Home
from envs.journal.journal import Journal
from envs.log.exclusions import exclude
from envs.log.sealing import seal
from tests.envs.log.logs import AGENT, home_at, moment, outcome, record


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = home_at(tmp_path / "home")
    journal = Journal(home.journal_path)
    journal.append(
        record(f"e{index}", observation={"load": index, "region": "eu"}, reward=float(index), timestamp=moment(index),
               action_probabilities={"down": 0.25, "hold": 0.75}, metadata={"note": f"n{index}"})
        for index in range(20)
    )  # fmt: skip
    journal.append([outcome("e3", outcome={"lost": 2, "output": {"a": [1]}})])
    seal(home, keep=4)
    return home


def test_duckdb_reads_the_table(home: Home) -> None:
    table = DeltaTable(ai_engine.log_path(AGENT, home=home).table)
    decisions = table.to_pyarrow_dataset()  # noqa: F841 - DuckDB finds it by its name
    query = """
        SELECT action, COUNT(*), SUM(reward), SUM(CAST(content ->> '$.observation.load' AS DOUBLE))
        FROM decisions WHERE agent = 'scaling' AND date = DATE '2024-01-01' GROUP BY action
    """
    assert duckdb.sql(query).fetchall() == [("hold", 17, 136.0, 136.0)]
    files = duckdb.read_parquet(table.file_uris(), hive_partitioning=True)  # type: ignore[arg-type]
    assert duckdb.sql("SELECT COUNT(*), MIN(agent) FROM files").fetchall() == [(17, "scaling")]
    assert files is not None


def test_polars_reads_the_table(home: Home) -> None:
    place = ai_engine.log_path(AGENT, home=home).table
    lazy = pl.scan_delta(place).filter(pl.col("agent") == AGENT, pl.col("decision_id").is_null())
    load = pl.col("content").str.json_path_match("$.observation.load").cast(pl.Float64)
    found = lazy.select(pl.len().alias("n"), pl.col("reward").sum(), load.sum().alias("load")).collect()
    assert found.rows() == [(17, 136.0, 136.0)]


def test_polars_reads_the_table_by_way_of_pyarrow_where_its_path_has_odd_characters(tmp_path: Path) -> None:
    """Of itself it takes an = for a partition, and looks for "%20" where there is a space."""
    home = home_at(tmp_path / "run=1 of 2")
    Journal(home.journal_path).append([record("e", reward=1.0)])
    seal(home)
    place = ai_engine.log_path(AGENT, home=home).table
    found = pl.scan_delta(place, use_pyarrow=True).filter(pl.col("agent") == AGENT).collect()
    assert found["event_id"].to_list() == ["e"]


@pytest.mark.parametrize("name", ["a%20b", "[a]", "a|b", "a^b"])
def test_a_folder_that_the_table_cannot_be_in_is_named(tmp_path: Path, name: str) -> None:
    home = home_at(tmp_path / name)
    Journal(home.journal_path).append([record("e", reward=1.0)])
    with pytest.raises(DataError, match=r"no table can be where the path has .*; rename the folder"):
        seal(home)
    assert ai_engine.log(AGENT, home=home).to_arrow()["event_id"].to_pylist() == ["e"], "the journal keeps it"


def test_arrow_and_pandas_join_journal_and_table(home: Home) -> None:
    exclude(Journal(home.journal_path), AGENT, moment(2), moment(4), "bad sensor")
    found = ai_engine.log(AGENT, home=home)
    table = found.to_arrow()
    assert table.num_rows == len(found) == 20 and found.sealed == 17
    assert table["event_id"].to_pylist() == [f"e{index}" for index in range(20)]
    assert table["observation.load"].to_pylist() == list(range(20)) and table["observation.region"][0].as_py() == "eu"
    assert table["probability.hold"].to_pylist() == [0.75] * 20
    assert table["outcome.lost"].to_pylist() == [2 if index == 3 else None for index in range(20)]
    assert table["outcome.output.a"][3].as_py() == [1.0]
    assert table["timestamp"][1].as_py() == datetime(2024, 1, 1, 12, 1, tzinfo=UTC)
    frame = found.to_pandas()
    assert isinstance(frame, pd.DataFrame) and frame["reward"].sum() == 190.0
    assert frame["excluded"].tolist() == [index in (2, 3) for index in range(20)]
    assert [item.event_id for item in found] == table["event_id"].to_pylist()


def test_columns_of_mixed_kinds_are_json_and_of_numbers_are_numbers(tmp_path: Path) -> None:
    home = home_at(tmp_path)
    Journal(home.journal_path).append(
        [
            record("a", outcome={"x": 1, "y": "text", "z": True}, action="2"),
            record("b", outcome={"x": 1.5, "y": 2, "z": None}, observation={"load": 1.0, "new": "s"}),
        ]
    )
    table = ai_engine.log(AGENT, home=home).to_arrow()
    assert table["outcome.x"].to_pylist() == [1.0, 1.5] and table["outcome.y"].to_pylist() == ['"text"', "2"]
    assert table["outcome.z"].to_pylist() == [True, None] and table["observation.new"].to_pylist() == [None, "s"]
    assert table["action"].to_pylist() == ["2", "hold"]


def test_what_a_notebook_shows(home: Home) -> None:
    Journal(home.journal_path).append(
        [record("x", metadata={"a": 1}, outcome={"text": "<script>"}, timestamp=moment(-5))]
    )
    found = ai_engine.log(AGENT, home=home)
    page = found._repr_html_()
    assert page.count("<tr>") == 6 and "and 16 more" in page and "21 decisions, 17 of them sealed in" in page
    other = Home.create(home.path.parent / "other")
    Journal(other.journal_path).append([record("x", outcome={"text": "<script>"})])
    page = ai_engine.log(AGENT, home=other)._repr_html_()
    assert "&lt;script&gt;" in page and "<script>" not in page
    assert repr(ai_engine.log(AGENT, home=other)) == "<log of scaling: 1 decision>"
    with pytest.raises(SpecificationError, match="agent nobody: has no log; agents with decisions: scaling"):
        ai_engine.log("nobody", home=home)


def test_looking_at_a_log_imports_no_library_of_the_table() -> None:
    check = (
        "import sys, ai_engine; ai_engine.log; "
        "assert not {'pyarrow', 'deltalake', 'pandas', 'ray', 'torch'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
