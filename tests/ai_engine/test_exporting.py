"""``export`` as a function and as a command: completed by outcomes, without excluded ranges, and home again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import ai_engine
from ai_engine.cli.application import retrainer
from ai_engine.continuous_learning import DataCollector, LearningPipeline
from envs.build import build_dataset
from envs.errors import DataError, SpecificationError
from envs.home import Home
from envs.importing.importer import import_files
from envs.journal.journal import Journal
from envs.journal.reading import LogReader
from envs.record import DecisionRecord


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.create(tmp_path / "home")
    with LearningPipeline(home=home) as pipeline:
        for place in range(8):
            pipeline.record_action(
                "scaling",
                ("up", "hold")[place % 2],
                {"load": place / 4},
                event_id=f"e{place}",
                timestamp=f"2026-01-0{place + 1}T00:00:00Z",
                episode_id=f"episode {place // 4}",
                step=place % 4,
                terminated=place % 4 == 3,
                reward=float(place),
            )
        pipeline.record_outcome("scaling", "e1", success=True)
    return home


def completed(home: Home) -> list[DecisionRecord]:
    with Journal(home.journal_path) as journal:
        return [record for _, record in LogReader(journal, "scaling")]


def test_parquet_and_home_again(home: Home, tmp_path: Path) -> None:
    result = ai_engine.export("scaling", tmp_path / "log.parquet", home=home)
    assert result.decisions == 8 and result.to_text() == f"8 decisions of scaling are in {tmp_path / 'log.parquet'}."
    other = Home.create(tmp_path / "other")
    import_files(other, "scaling", [tmp_path / "log.parquet"])
    assert completed(other) == completed(home)
    assert completed(other)[1].outcome == {"success": True}
    ai_engine.log_exclude("scaling", end="2026-01-03T00:00:00Z", reason="bad sensor", home=home)
    less = ai_engine.export("scaling", tmp_path / "less.parquet", home=home)
    assert (less.decisions, less.excluded) == (4, 4) and "Left out: 4 excluded decisions." in less.to_text()


@pytest.mark.parametrize("format_name", ["parquet", "minari"])
def test_excluded_is_what_no_dataset_has(home: Home, tmp_path: Path, format_name: str) -> None:
    with LearningPipeline(home=home) as pipeline:
        for day in (1, 2):
            moment = f"2026-02-0{day}T00:00:00Z"
            pipeline.record_action("scaling", "up", {"load": 1.0}, timestamp=moment, reward=1.0)
        shadow = {"timestamp": "2026-02-03T00:00:00Z", "mode": "shadow", "episode_id": "episode 1", "step": 0}
        pipeline.record_action("scaling", "up", {"load": 1.0}, reward=1.0, **shadow)
    DataCollector(home).specification("scaling")
    ranges = (  # one decision of an episode; a decision that is its own episode; a shadow decision
        ("2026-01-02T12:00:00Z", "2026-01-03T12:00:00Z", 6),
        ("2026-02-01T12:00:00Z", "2026-02-02T12:00:00Z", 9),
        ("2026-02-02T12:00:00Z", None, 10),
    )
    for start, end, left in ranges:
        ai_engine.log_exclude("scaling", start=start, end=end, reason="bad sensor", home=home)
        dataset, _ = build_dataset(home, "scaling")
        result = ai_engine.export("scaling", tmp_path / f"log{left}-v0", format=format_name, home=home)
        assert len(dataset.actions) == left
        assert result.decisions == left + (format_name == "parquet" and end is not None), "Parquet has shadows too"
        assert result.decisions + result.excluded == 11 - (format_name == "minari" and end is not None)
        ai_engine.log_exclude("scaling", start=start, end=end, undone=True, home=home)
        ai_engine.log_compact(home=home)  # the next range is read from the table


def test_sealed_and_unsealed_are_one_log(home: Home, tmp_path: Path) -> None:
    ai_engine.log_compact(home=home)
    with LearningPipeline(home=home) as pipeline:
        pipeline.record_action("scaling", "up", {"load": 9.0}, event_id="e8", reward=1.0)
    assert ai_engine.export("scaling", tmp_path / "log.parquet", home=home).decisions == 9


def test_as_a_command(home: Home, tmp_path: Path) -> None:
    ai_engine.export("scaling", tmp_path / "log.parquet", home=home)
    declared = Home.create(tmp_path / "declared")
    import_files(declared, "healing", [tmp_path / "log.parquet"])
    target = tmp_path / "healing-v0"
    arguments = ["export", "healing", "--format", "minari", str(target), "--home", str(declared.path), "--json"]
    answer = CliRunner().invoke(retrainer, arguments, standalone_mode=False)
    assert answer.exit_code == 0, answer.output
    told = json.loads(answer.stdout)
    assert (told["decisions"], told["episodes"], told["path"]) == (8, 2, str(target))
    assert (target / "data" / "metadata.json").is_file()
    again = CliRunner().invoke(retrainer, arguments)
    assert again.exit_code == 2 and "is there already" in again.output


def test_what_is_refused(home: Home, tmp_path: Path) -> None:
    for name, format_name in (("o.csv", "parquet"), ("o.JSONL", "parquet"), ("o.parquet", "minari")):
        with pytest.raises(DataError, match=r"is not the suffix of the format .* formats are parquet, minari"):
            ai_engine.export("scaling", tmp_path / name, format=format_name, home=home)
    with pytest.raises(DataError, match=r"none/o.parquet: there is no folder .*/none; create it") as caught:
        ai_engine.export("scaling", tmp_path / "none" / "o.parquet", home=home)
    assert "partial" not in str(caught.value)
    with pytest.raises(SpecificationError, match="agent nobody: has no log; agents with decisions: scaling"):
        ai_engine.export("nobody", tmp_path / "log.parquet", home=home)
    with pytest.raises(DataError, match="'xlsx' is not a format; known are parquet, minari"):
        ai_engine.export("scaling", tmp_path / "log.xlsx", format="xlsx", home=home)
