"""A declaration may gain and lose fields while its log goes on; what a field means may not change under its name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ai_engine.continuous_learning import LearningPipeline
from envs.build import build_dataset
from envs.errors import DataError, SpecificationError
from envs.home import Home
from envs.importing.importer import import_files
from envs.journal.journal import Journal
from envs.log import rows
from envs.log import table as tables
from envs.log.sealing import seal
from envs.observation import ObservationField, ObservationSpecification
from envs.specification import AgentSpecification
from tests.envs.log.logs import ACTIONS, AGENT, KEY, record


def declared(*fields: ObservationField, **changes: Any) -> AgentSpecification:
    return AgentSpecification(AGENT, ObservationSpecification("object", fields), ACTIONS, **changes)


LOAD, QUEUE = ObservationField("load", unit="requests/s"), ObservationField("queue", "integer")


def write(home: Home, name: str, observation: dict[str, Any]) -> None:
    with LearningPipeline(home) as pipeline:
        pipeline.record(record(name, observation=observation, reward=1.0))


@pytest.mark.parametrize("sealed", [False, True])
def test_new_and_retired_fields_leave_old_records_readable(tmp_path: Path, sealed: bool) -> None:
    home = Home.create(tmp_path, split_key=KEY)
    home.declare(declared(LOAD, QUEUE))
    write(home, "old", {"load": 1.0, "queue": 2})
    if sealed:
        seal(home)
    fresh = ObservationField("memory", optional=True)
    home.declare(declared(LOAD, fresh))
    write(home, "new", {"load": 3.0, "memory": 4.0})
    if sealed:
        seal(home)
    dataset, _ = build_dataset(home, AGENT)
    rows_ = {name: dataset.observations[2 * index] for index, name in enumerate(u.split("/")[1] for u in dataset.units)}
    np.testing.assert_array_equal(rows_["old"], [1.0, np.nan])
    np.testing.assert_array_equal(rows_["new"], [3.0, 4.0])
    home.declare(declared(LOAD, replace(fresh, optional=False)))
    with pytest.raises(
        Exception, match=r"event old at position 1: observation\.memory: is missing; give it, or declare it optional"
    ):
        build_dataset(home, AGENT)


@pytest.mark.parametrize(
    ("now", "message"),
    [
        (replace(LOAD, type="category", categories=("a",)), "observation.load: was a number, is a category"),
        (replace(LOAD, unit="requests/min"), "observation.load: was in requests/s, is in requests/min"),
    ],
)
def test_another_meaning_is_refused_until_the_version_rises(
    tmp_path: Path, now: ObservationField, message: str
) -> None:
    home = Home.create(tmp_path, split_key=KEY)
    home.declare(declared(LOAD))
    write(home, "old", {"load": 1.0})
    text = home.configuration_path.read_text()
    with pytest.raises(SpecificationError, match=message):
        home.declare(declared(now))
    assert home.configuration_path.read_text() == text
    home.configuration_path.write_text("")  # by hand
    Home.create(tmp_path / "other").declare(declared(now))
    home.configuration_path.write_text((tmp_path / "other" / "retrainer.toml").read_text())
    for act in (lambda: build_dataset(home, AGENT), lambda: write(home, "new", {"load": 2.0})):
        with pytest.raises(SpecificationError, match=f"{message}; declare version = 2 if it means something else"):
            act()
    assert Journal(home.journal_path).counts() == {AGENT: 1}
    home.declare(declared(now, version=2))
    with pytest.raises(DataError, match="has no records"):
        build_dataset(home, AGENT)
    write(home, "new", {"load": 2.0} if now.type == "number" else {"load": "a"})
    for _ in range(2):
        dataset, report = build_dataset(home, AGENT)
        assert [unit.split("/")[1] for unit in dataset.units] == ["new"] and report.other_versions == 1
        seal(home)


@pytest.mark.parametrize("sealed", [False, True])
def test_an_earlier_version_is_not_taken_up_again_behind_a_later_one(tmp_path: Path, sealed: bool) -> None:
    home = Home.create(tmp_path, split_key=KEY)
    home.declare(declared(LOAD))
    write(home, "old", {"load": 1.0})
    first = home.configuration_path.read_text()
    home.declare(declared(replace(LOAD, unit="requests/min"), version=2))
    home.configuration_path.write_text(first)
    assert len(build_dataset(home, AGENT)[0]) == 1, "nothing was recorded under the later one"
    home.declare(declared(replace(LOAD, unit="requests/min"), version=2))
    write(home, "new", {"load": 60.0})
    if sealed:
        seal(home)
    home.configuration_path.write_text(first)  # such as an older commit
    for act in (lambda: build_dataset(home, AGENT), lambda: write(home, "third", {"load": 1.0})):
        with pytest.raises(SpecificationError, match="version: is 1, but version 2 has been recorded under; declare"):
            act()
    home.declare(declared(LOAD, version=3))
    write(home, "third", {"load": 1.0})
    assert build_dataset(home, AGENT)[1].other_versions == 2


@pytest.mark.parametrize("rows", [3, 3000])
def test_an_import_begins_the_version_that_is_declared(tmp_path: Path, rows: int) -> None:
    home = Home.create(tmp_path / "home", split_key=KEY)
    home.declare(declared(LOAD))
    write(home, "old", {"load": 1.0})
    changed = replace(LOAD, type="category", categories=("a",), unit="")
    Home.create(tmp_path / "other").declare(declared(changed, version=2))
    home.configuration_path.write_text((tmp_path / "other" / "retrainer.toml").read_text())  # by hand
    frame = pa.Table.from_pylist(
        [
            {"event_id": f"n{index}", "observation": {"load": "a"}, "action": ACTIONS[0], "reward": 1.0}
            for index in range(rows)
        ]
    )
    assert import_files(home, AGENT, [frame]).added == rows
    dataset, report = build_dataset(home, AGENT)
    assert (len(dataset), report.other_versions) == (rows, 1)


def test_wider_types_and_drafts_may_be_corrected(tmp_path: Path) -> None:
    home = Home.create(tmp_path, split_key=KEY)
    home.declare(declared(replace(LOAD, type="integer", unit="")))
    home.declare(declared(LOAD))
    home.declare(declared(ObservationField("text", "category", categories=("a",)), inferred=("observation",)))
    home.declare(declared(LOAD, ObservationField("text", "boolean")))
    with pytest.raises(SpecificationError, match=r"observation.load: was a number, is an integer"):
        home.declare(declared(replace(LOAD, type="integer")))
    with pytest.raises(SpecificationError, match="observation: was of kind object, is of kind vector"):
        home.declare(replace(declared(LOAD), observation=ObservationSpecification("vector", (LOAD,))))


def test_a_table_of_an_earlier_version_of_this_library_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home.create(tmp_path, split_key=KEY)
    home.declare(declared(LOAD))
    write(home, "old", {"load": 1.0})
    with monkeypatch.context() as patch:  # a version that did not know these columns yet
        fewer = pa.schema([field for field in rows.SCHEMA if field.name not in ("overridden", "contradictory")])
        patch.setattr(rows, "SCHEMA", fewer)
        patch.setattr(tables, "SCHEMA", fewer)
        patch.setattr(
            rows.SealingRows,
            "table",
            lambda self: pa.table({f.name: pa.array(self.columns[f.name], f.type) for f in fewer}),
        )
        seal(home)
    write(home, "new", {"load": 2.0})
    seal(home)
    dataset, report = build_dataset(home, AGENT)
    assert sorted(dataset.observations[:, 0][::2]) == [1.0, 2.0] and report.overridden == 0
