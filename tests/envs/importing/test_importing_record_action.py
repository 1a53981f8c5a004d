"""The specification's own records: what a file of calls becomes is what the calls themselves record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ai_engine.continuous_learning import LearningPipeline
from envs.home import Home
from envs.importing.importer import import_files
from tests.envs.importing.import_reading import DATA, good, problems, read, records
from tests.envs.importing.import_samples import jsonl, stored

CALL: dict[str, Any] = {
    "agent_name": "self-healing",
    "action_type": "restart_service",
    "input_data": {"service": "api", "errors": 3},
    "output_data": {"status": "restarted"},
    "success": True,
    "execution_time": 2.5,
    "confidence": 0.95,
    "explanation": "Service restarted",
    "event_id": "e1",
    "timestamp": "2026-01-01T00:00:00Z",
}


def calls() -> list[dict[str, Any]]:
    changes: list[dict[str, Any]] = [
        {},
        {"propensity": 0.25, "success": False, "confidence": None},
        {"episode_id": "incident", "step": 0, "terminated": True, "reward": -1.5, "team": "blue"},
        {"outcome": {"cost": 3}, "output_data": None, "metadata": {"shift": "night"}},
        {"action_type": "wait", "action_probabilities": {"wait": 0.5, "restart_service": 0.5}, "mode": "shadow"},
    ]
    return [{**CALL, **change, "event_id": f"e{place}"} for place, change in enumerate(changes)]


def test_the_kept_file_is_these_calls() -> None:
    assert [json.loads(line) for line in (DATA / "record_action.jsonl").read_text().splitlines()] == calls()


def test_a_file_of_calls_is_what_the_calls_record(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "calls.jsonl", calls())
    imported = records(good(read(path, "record_action")), "self-healing")
    with LearningPipeline(home=Home.create(tmp_path / "home"), durability="buffered") as pipeline:
        recorded = [pipeline.record_action(**call) for call in calls()]
    assert imported == recorded
    assert imported[0].propensity is None and imported[0].metadata["confidence"] == 0.95
    assert not imported[0].terminated and imported[0].outcome == {
        "success": True,
        "execution_time": 2.5,
        "output": {"status": "restarted"},
    }


def test_through_the_importer(tmp_path: Path) -> None:
    home = Home.create(tmp_path / "home")
    path = jsonl(tmp_path / "calls.jsonl", calls())
    assert import_files(home, "self-healing", [path], format_name="record_action").added == 5
    assert import_files(home, "self-healing", [path], format_name="record_action").duplicates == 5
    assert [record.event_id for record in stored(home, "self-healing")] == [f"e{place}" for place in range(5)]


def test_bad_lines_are_named_and_the_others_kept(tmp_path: Path) -> None:
    bad: list[Any] = [
        "not json",
        {**CALL, "action": "twice"},
        {**CALL, "outcome": 3},
        {**CALL, "outcome": {"success": False}},
        {**CALL, "rewrad": 1.0},
        json.dumps(CALL),
    ]
    rows = read(jsonl(tmp_path / "calls.jsonl", bad), "record_action")
    assert len(records([row.content for row in rows if row.rejected is None], "self-healing")) == 1
    assert [text.split()[:2] for text in problems(rows)] == [
        ["1", "row"],
        ["2", "action"],
        ["3", "outcome"],
        ["4", "outcome.success"],
        ["5", "rewrad"],
    ]


def test_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from envs.importing import reader_jsonl
    from envs.importing.readers import reader_of

    monkeypatch.setattr(reader_jsonl, "BATCH", 2)
    path = jsonl(tmp_path / "calls.jsonl", calls())
    whole = list(reader_of(str(path), "record_action").batches())
    assert len(whole) > 2
    for place, batch in enumerate(whole):
        rest = [row for later in reader_of(str(path), "record_action").batches(batch.position) for row in later.rows]
        assert rest == [row for later in whole[place + 1 :] for row in later.rows]
