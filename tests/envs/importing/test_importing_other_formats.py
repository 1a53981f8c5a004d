"""Sources of another format than their name says: it is named, and no mapping is proposed that fits no row."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from envs.home import Home
from envs.importing.importer import import_files
from tests.envs.importing.import_reading import DATA
from tests.envs.importing.import_samples import jsonl, refused, rows

FILES = {
    "vowpal_wabbit.dsjson": "vowpal_wabbit",
    "record_action.jsonl": "record_action",
    "opentelemetry_spans.jsonl": "opentelemetry",
    "opentelemetry_logs.jsonl": "opentelemetry",
}
PARQUET = {f"rllib_{layout}/run-000000-00001/part-0.parquet": "rllib" for layout in ("columns", "episodes")}


@pytest.mark.parametrize("unknown", ["error", "metadata"])
@pytest.mark.parametrize("file", [*FILES, *PARQUET])
def test_rows_of_another_format_name_it(tmp_path: Path, file: str, unknown: str) -> None:
    own = {**FILES, **PARQUET}[file]
    home = Home.create(tmp_path / "home")
    report = import_files(home, "self-healing", [DATA / file], dry_run=True, unknown=unknown)
    assert report.proposed_mapping == "" and report.added == 0 and report.rejected
    assert {row.remedy for row in report.rejected} == {f"import the file with --format {own}"}
    assert not import_files(home, "self-healing", [DATA / file], dry_run=True, format_name=own).refused


@pytest.mark.parametrize("given", ["vowpal_wabbit", "record_action", "opentelemetry"])
@pytest.mark.parametrize("file", [*FILES, "ours.jsonl"])
def test_a_format_that_was_named_wrongly_is_corrected(tmp_path: Path, file: str, given: str) -> None:
    home = Home.create(tmp_path / "home")
    path, own = (DATA / file, FILES[file]) if file in FILES else (jsonl(tmp_path / file, rows(3)), "jsonl")
    if given in (own, "record_action" if own == "jsonl" else own):  # whose calls may have our fields beside theirs
        assert not import_files(
            home, "scaling" if own == "jsonl" else "self-healing", [path], format_name=given
        ).rejected
        return
    report = import_files(home, "self-healing", [path], dry_run=True, format_name=given)
    assert report.added == 0 and {(row.problem, row.remedy) for row in report.rejected} == {
        (f"is of the format {own}, not {given}", f"import the file with --format {own}")
    }


def test_what_is_wrong_with_a_row_of_the_format_itself_is_said_as_ever(tmp_path: Path) -> None:
    home = Home.create(tmp_path / "home")
    path = jsonl(tmp_path / "log.dsjson", [{"EventId": "e", "_label_cost": 1.0, "c": 3}])
    assert "c: is no object; write the context's features by name" in refused(home, path, format_name="vowpal_wabbit")


def test_one_row_of_another_format_spoils_no_proposal(tmp_path: Path) -> None:
    home = Home.create(tmp_path / "home")
    odd = {"EventId": "e", "RewardValue": 1.0, "_label_cost": 1.0}
    path = jsonl(tmp_path / "log.jsonl", [*rows(4, latency=0.5), odd])
    proposed = import_files(home, "scaling", [path], dry_run=True).proposed_mapping
    assert tomllib.loads(proposed)["agents"]["scaling"]["mapping"] == {"outcome": ["latency"]}


def test_a_table_with_such_names_gets_a_mapping(tmp_path: Path) -> None:
    # Only JSON Lines can be read as one of those formats.
    home = Home.create(tmp_path / "home")
    path = tmp_path / "log.csv"
    path.write_text('agent_name,action_type,input_data\nscaling,up,"{""load"": 1}"\n')
    proposed = import_files(home, "scaling", [path], dry_run=True).proposed_mapping
    mapping = {"agent": "agent_name", "action": "action_type", "observation": "input_data"}
    assert tomllib.loads(proposed)["agents"]["scaling"]["mapping"] == mapping


def test_a_record_may_have_a_field_of_such_a_name(tmp_path: Path) -> None:
    home = Home.create(tmp_path / "home")
    path = jsonl(tmp_path / "log.jsonl", rows(4, _label_cost=1.0))
    assert import_files(home, "scaling", [path], unknown="metadata").unlearned == {"_label_cost": 4}


def test_hdf5_and_folders_are_told_by_what_they_may_be(tmp_path: Path) -> None:
    home = Home.create(tmp_path / "home")
    line = refused(home, DATA / "d3rlpy_discrete.h5", agent="one")
    assert "is HDF5" in line and "--format d3rlpy" in line and "--format minari" in line
    for folder in ("minari", "rllib_episodes"):
        line = refused(home, DATA / folder, agent="one")
        assert "is a folder; " in line and "--format minari" in line and "--format rllib" in line
