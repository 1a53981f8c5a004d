"""Parquet: what was exported imports as the same records, whatever they hold; other readers see typed columns."""

from __future__ import annotations

import gc
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import polars
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.errors import DataError
from envs.exporting import parquet
from envs.exporting.parquet import export_parquet
from envs.home import Home
from envs.importing.importer import import_files
from envs.record import DecisionRecord
from tests.envs.importing.import_samples import rows, stored


def exported(records: list[DecisionRecord], path: Path) -> Path:
    assert export_parquet(lambda: iter(records), path, agent="scaling") == len(records)
    return path


def made(content: list[dict[str, Any]]) -> list[DecisionRecord]:
    return [DecisionRecord.from_mapping(row, agent="scaling") for row in content]


def test_other_readers_see_typed_columns(tmp_path: Path) -> None:
    path = exported(made(rows()), tmp_path / "log.parquet")
    assert duckdb.sql(f"SELECT sum(reward), avg(observation[1]) FROM '{path}' WHERE action = 'up'").fetchall()[0] == (
        sum(row["reward"] for row in rows() if row["action"] == "up"),
        pytest.approx(3.25),
    )
    frame = polars.read_parquet(path)
    assert frame["observation"].dtype == polars.List(polars.Float64) and frame["step"].dtype == polars.Int64
    assert frame["timestamp"].dtype == polars.Datetime("us", "UTC") and "agent" not in frame.columns
    assert json.loads(pq.read_schema(path).metadata[b"retrainer"]) == {"agent": "scaling", "schema_version": 1}


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("aé\"\\\n.", max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab._", max_size=2), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
observed = (
    st.integers(0, 5)
    | st.lists(st.floats(-1e6, 1e6), max_size=3)
    | st.dictionaries(
        st.sampled_from(["a", "b", "a.c"]), st.floats(-9, 9) | st.text(max_size=2) | st.booleans(), max_size=3
    )
)
decisions = st.fixed_dictionaries(
    {"observation": observed, "action": st.sampled_from(["x", "y"]) | st.integers(0, 2) | st.just({"push": 0.5})},
    optional={
        "reward": st.floats(-1e9, 1e9),
        "outcome": st.dictionaries(st.sampled_from(["cost", "kind", "more"]), plain, max_size=3),
        "metadata": st.dictionaries(st.sampled_from(["m", "n"]), plain, max_size=2),
        "timestamp": st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)).map(
            lambda moment: f"{moment.isoformat()}+01:00"
        ),
        "propensity": st.floats(0.01, 1.0),
        "allowed_actions": st.just(None) | st.just(["x", "y", 0, 1, 2, {"push": 0.5}]),
        "truncated": st.booleans(),
        "policy_version": st.text("ab", min_size=1),
    },
)


@settings(max_examples=60, deadline=None)
@given(content=st.lists(decisions, min_size=1, max_size=5), alike=st.booleans())
def test_any_records_come_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, content: list[dict[str, Any]], alike: bool
) -> None:
    """Through the file and the reader; the content hashes are equal, so importing them again adds nothing."""
    from tests.envs.importing.import_reading import good, read

    if alike:
        content = [content[0]] * len(content)
    records = made([{**row, "event_id": f"e{place}"} for place, row in enumerate(content)])
    path = exported(records, tmp_path_factory.mktemp("round") / "log.parquet")
    again = made(good(read(path, "parquet")))
    assert [record.content_hash for record in again] == [record.content_hash for record in records]


def test_importing_the_export_adds_nothing(tmp_path: Path) -> None:
    source = tmp_path / "log.jsonl"
    mixed = rows(6, outcome={"cost": 1.5}) + [
        {"event_id": f"s{place}", "observation": [1.0, 2.0], "action": "up", "metadata": {"note": [place, "x"]}}
        for place in range(3)
    ]
    source.write_text("".join(json.dumps(row) + "\n" for row in mixed))
    home, other = (Home.create(tmp_path / name) for name in ("home", "other"))
    assert import_files(home, "scaling", [source]).added == 9
    path = exported(stored(home), tmp_path / "log.parquet")
    assert (import_files(home, "scaling", [path]).added, import_files(other, "scaling", [path]).added) == (0, 9)
    assert stored(other) == stored(home)
    assert import_files(other, "another", [exported(stored(home), tmp_path / "again.parquet")], dry_run=True).rows == 9


def test_memory_holds_one_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROWS", 10)

    def records() -> Any:
        for place in range(100):
            yield from made([{"event_id": f"e{place}", "observation": 1, "action": 0}])

    told: list[int] = []
    alive: list[int] = []

    def progress(count: int) -> None:
        told.append(count)
        alive.append(sum(isinstance(item, DecisionRecord) for item in gc.get_objects()))

    others = sum(isinstance(item, DecisionRecord) for item in gc.get_objects())
    export_parquet(records, tmp_path / "log.parquet", agent="scaling", progress=progress)
    assert pq.ParquetFile(tmp_path / "log.parquet").num_row_groups == 10 and told == list(range(10, 101, 10))
    assert max(alive) - others <= 2 * 10


def test_nothing_is_left_of_what_failed(tmp_path: Path) -> None:
    def fails() -> Any:
        yield from made(rows(4))
        raise DataError("the log broke off")

    with pytest.raises(DataError, match="broke off"):
        export_parquet(fails, tmp_path / "log.parquet", agent="scaling")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="agent scaling: has no decisions to export"):
        export_parquet(lambda: [], tmp_path / "log.parquet", agent="scaling")
    (tmp_path / "log.parquet").write_text("mine")
    with pytest.raises(DataError, match=r"log\.parquet: is there already"):
        exported(made(rows(2)), tmp_path / "log.parquet")
    assert (tmp_path / "log.parquet").read_text() == "mine"
