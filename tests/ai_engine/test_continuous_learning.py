"""Recording: the specification's example runs, nothing acknowledged is lost, a confidence is no propensity."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ai_engine.continuous_learning import DataCollector, LearningPipeline
from ai_engine.continuous_learning.declarations import NOTICED
from envs.errors import DuplicateRecordError, HomeError, JournalError, RecordError, RetrainerWarning
from envs.home import Home
from envs.journal.journal import AppendResult, Journal
from envs.observation import ObservationField, ObservationSpecification
from envs.record import DecisionRecord
from envs.specification import AgentSpecification

SPECIFICATION = AgentSpecification(
    "scaling",
    ObservationSpecification("object", (ObservationField("load", low=0.0, high=1.0),)),
    ("down", "hold", "up"),
    reward_range=(-10.0, 0.0),
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.create(tmp_path / "home")


def row(event: str, **changes: Any) -> dict[str, Any]:
    return {"event_id": event, "agent": "a", "observation": 1, "action": "x", **changes}


def test_the_example_of_the_specification(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RETRAINER_HOME", raising=False)
    data_collector = DataCollector()
    pipeline = LearningPipeline()
    pipeline.start()
    before = datetime.now(UTC).timestamp()
    pipeline.record_action(
        agent_name="self-healing",
        action_type="restart_service",
        input_data={"service": "api"},
        output_data={"status": "restarted"},
        success=True,
        execution_time=2.5,
        confidence=0.95,
        explanation="Service restarted",
    )
    assert (tmp_path / "retrainer.toml").is_file() and data_collector.home.path == tmp_path == pipeline.home.path
    assert data_collector.agents() == ["self-healing"]
    assert data_collector.count("self-healing") == 1 and data_collector.count("other") == 0
    (record,) = data_collector.records("self-healing")
    assert record.observation == {"service": "api"} and record.action == "restart_service"
    assert record.outcome == {"success": True, "execution_time": 2.5, "output": {"status": "restarted"}}
    assert record.metadata == {"confidence": 0.95, "explanation": "Service restarted"}
    assert record.propensity is None and not record.terminated and record.is_single and record.mode == "live"
    assert before - 1 <= record.seconds <= datetime.now(UTC).timestamp() + 1
    pipeline.stop()
    data_collector.close()
    assert sorted(os.listdir(tmp_path / "data")) == ["journal.sqlite", "split_key"]


def test_a_named_home_must_exist(tmp_path: Path) -> None:
    for kind in (LearningPipeline, DataCollector):
        with pytest.raises(HomeError, match="retrainer init"):
            kind(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_all_fields_and_positions(home: Home) -> None:
    fields: dict[str, Any] = {
        "event_id": "e", "episode_id": "ep", "step": 3, "tenant": "t", "timestamp": "2026-01-31T09:30:00Z",
        "propensity": 0.5, "action_probabilities": {"hold": 0.5, "up": 0.5}, "allowed_actions": ["hold", "up"],
        "reward": -1.0, "next_observation": {"load": 0.5}, "terminated": True, "truncated": True,
        "policy_version": "7", "experiment_arm": "b", "mode": "shadow", "executed_action": "up",
    }  # fmt: skip
    with LearningPipeline(home) as pipeline:
        record = pipeline.record_action(
            "scaling",
            "hold",
            {"load": 0.25},
            {"n": 1},
            False,
            0.5,
            0.9,
            "why",
            **fields,
            outcome={"cost": 2},
            metadata={"k": 1},
            new=3,
        )
        for name, value in fields.items():
            assert getattr(record, name) == value
        assert record.outcome == {"success": False, "execution_time": 0.5, "output": {"n": 1}, "cost": 2}
        assert record.metadata == {"confidence": 0.9, "explanation": "why", "k": 1, "new": 3}
        assert pipeline.unlearned == {"new": 1}
        assert list(DataCollector(home).records("scaling")) == [record]


@pytest.mark.parametrize(
    ("name", "value", "ours"),
    [
        ("rewrad", 1.0, "reward"),
        ("trunacted", True, "truncated"),
        ("Terminated", True, "terminated"),
        ("tenant_id", "acme", "tenant"),
        ("actionProbabilities", {"hold": 1.0}, "action_probabilities"),
        ("sucess", True, "success"),
    ],
)
def test_what_nearly_is_a_field_is_not_kept_as_metadata(home: Home, name: str, value: Any, ours: str) -> None:
    kept = f"metadata={{'{name}': …}}"
    said = f"{name}: is not a field of a decision record, {ours} is; spell it so, or keep it on purpose: {kept}"
    call = {"agent_name": "scaling", "action_type": "hold", "input_data": {"load": 0.25}}
    plain = {"agent": "scaling", "action": "hold", "observation": {"load": 0.25}}
    with LearningPipeline(home) as pipeline:
        with pytest.raises(RecordError, match=re.escape(f"agent scaling: {said}")):
            pipeline.record_action(**call, **{name: value})
        for item in (call, plain):
            with pytest.raises(RecordError, match=re.escape(f"record 1: {said}")):
                pipeline.record_many([item, item | {name: value}])
        assert DataCollector(home).count("scaling") == 0 and not pipeline.unlearned
        assert pipeline.record_action(**call, metadata={name: value}).metadata == {name: value}


def test_a_name_of_its_own_stays_metadata(home: Home) -> None:
    own = dict.fromkeys(("model", "code", "team", "customer", "region", "reason", "retries", "score"), 1)
    with LearningPipeline(home) as pipeline:
        assert pipeline.record_action("scaling", "hold", {"load": 0.25}, **own).metadata == own


def test_the_same_call_again_is_the_same_record(home: Home) -> None:
    with LearningPipeline(home) as pipeline:
        for _ in range(3):
            record = pipeline.record_action("scaling", "hold", {"load": 0.25}, event_id="e", success=True)
        assert record.timestamp is None
        with pytest.raises(DuplicateRecordError, match="event_id: 'e' was recorded before with other content"):
            pipeline.record_action("scaling", "hold", {"load": 0.25}, event_id="e", success=False)
        assert DataCollector(home).count("scaling") == 1


def test_records_of_a_declared_agent_are_checked(home: Home) -> None:
    with LearningPipeline(home) as pipeline:
        pipeline.record_action("scaling", "jump", {"load": 7})
        home.declare(SPECIFICATION)
        bad: list[tuple[dict[str, Any], str]] = [
            (
                {"action_type": "jump"},
                "agent scaling: action: 'jump' is not a declared action; declared are down, hold, up",
            ),
            ({"input_data": {"load": 7}}, "agent scaling: observation.load: 7 is outside"),
            ({"input_data": [1]}, "agent scaling: observation: list is not an object"),
            ({"reward": 5}, "agent scaling: reward: 5 is outside the declared reward_range"),
            ({"reward": float("nan")}, "agent scaling: reward: nan is not finite"),
            ({"propensity": 0}, "agent scaling: propensity: 0 is not a probability"),
            ({"input_data": None}, "agent scaling: observation: is missing"),
            ({"episode_id": "e"}, "agent scaling: step: is missing"),
            ({"observation": 1}, "agent scaling: observation: is given twice"),
        ]
        for change, message in bad:
            with pytest.raises(RecordError) as caught:
                pipeline.record_action(
                    **({"agent_name": "scaling", "action_type": "hold", "input_data": {"load": 0.5}} | change)
                )
            assert str(caught.value).startswith(message) and "\n" not in str(caught.value)
        record = pipeline.record_action("scaling", "up", {"load": 0.5}, action_probabilities=[0.25, 0.25, 0.5])
        assert record.propensity == 0.5 and record.action_probabilities == {"down": 0.25, "hold": 0.25, "up": 0.5}
        assert DataCollector(home).count("scaling") == 2


@pytest.mark.parametrize("durability", ["full", "buffered"])
def test_record_many_is_all_or_nothing(home: Home, durability: str) -> None:
    with LearningPipeline(home, durability=durability) as pipeline:
        pipeline.record(DecisionRecord.from_mapping(row("0")))
        batch: list[Any] = [
            row("1"),
            DecisionRecord.from_mapping(row("2")),
            {"agent_name": "a", "action_type": "x", "input_data": 3, "event_id": "3", "success": True},
        ]
        assert pipeline.record_many(iter(batch)) == AppendResult(3, 0)
        assert pipeline.record_many([*batch, row("4")]) == AppendResult(1, 3)
        for bad, message in (
            (row("6", propensity=0), "record 1: propensity: 0 is not"),
            ("text", "record 1: record: a str is no record"),
            ({"agent_name": "a", "action_type": "x"}, "record 1: input_data: is missing"),
            (row("1", reward=1.0), "agent a, event 1: event_id: '1' was recorded before"),
        ):
            with pytest.raises(RecordError) as caught:
                pipeline.record_many([row("5"), bad])
            assert str(caught.value).startswith(message)
    assert [record.event_id for record in DataCollector(home).records("a")] == ["0", "1", "2", "3", "4"]


def test_recording_before_start_and_after_stop(home: Home) -> None:
    pipeline = LearningPipeline(home)
    pipeline.record_action("a", "x", 1)
    assert pipeline.start() is pipeline
    pipeline.record_action("a", "x", 1)
    pipeline.stop()
    pipeline.stop()
    pipeline.record_action("a", "x", 1)
    assert DataCollector(home).count("a") == 3
    pipeline.stop()


def test_a_buffer_is_emptied_in_time_and_flush_waits_for_it(home: Home) -> None:
    collector = DataCollector(home)
    with LearningPipeline(home, durability="buffered") as pipeline:
        pipeline.record_action("a", "x", 1)
        deadline = time.monotonic() + 5
        while collector.count("a") < 1:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        for _ in range(500):
            pipeline.record_action("a", "x", 1)
        pipeline.flush()
        assert collector.count("a") == 501
        pipeline.record_action("a", "x", 1)
    assert collector.count("a") == 502
    assert not any(thread.name == "retrainer-journal" for thread in threading.enumerate())


def test_a_refused_record_does_not_take_the_others_with_it(home: Home) -> None:
    pipeline = LearningPipeline(home, durability="buffered")
    pipeline.record(DecisionRecord.from_mapping(row("0")))
    pipeline.flush()
    for event, reward in (("1", 0.0), ("0", 1.0), ("2", 0.0), ("1", 1.0)):
        pipeline.record(DecisionRecord.from_mapping(row(event, reward=reward)))
    with pytest.raises(DuplicateRecordError, match=r"event_id: '0' .*and 1 more record was refused"):
        pipeline.stop()
    pipeline.stop()
    assert [record.event_id for record in DataCollector(home).records("a")] == ["0", "1", "2"]


def test_what_cannot_be_written_now_is_kept(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = LearningPipeline(home, durability="buffered")
    with monkeypatch.context() as patch:

        def fail(*_: object, **__: object) -> None:
            raise JournalError("disk is full", where="journal.sqlite")

        patch.setattr(Journal, "append", fail)
        pipeline.record_action("a", "x", 1)
        time.sleep(0.5)
        with pytest.raises(JournalError, match="disk is full"):
            pipeline.flush()
    pipeline.flush()
    assert DataCollector(home).count("a") == 1
    pipeline.stop()


@pytest.mark.parametrize("durability", ["full", "buffered"])
@pytest.mark.parametrize("left", ["[agents.k", "[agents.scaling]\nactions = 3\n", None])
def test_a_declaration_that_is_being_edited_stops_nobody_who_records(
    home: Home, durability: str, left: str | None
) -> None:
    """An editor may leave half a file, a wrong one or none for a moment: records are checked as before, with a word."""
    home.declare(SPECIFICATION)
    whole = home.configuration_path.read_text()
    with LearningPipeline(home, durability=durability) as pipeline:
        pipeline.record_action("scaling", "up", {"load": 0.5})
        home.configuration_path.unlink() if left is None else home.configuration_path.write_text(left)
        time.sleep(1.5 * NOTICED)
        with pytest.warns(RetrainerWarning, match="as declared before.*retrainer.toml"):
            pipeline.record_action("scaling", "down", {"load": 0.5})
        with pytest.raises(RecordError, match="'jump' is not a declared action"):
            pipeline.record_action("scaling", "jump", {"load": 0.5})
        home.configuration_path.write_text(whole.replace('"down"', '"jump"'))
        time.sleep(1.5 * NOTICED)
        pipeline.record_action("scaling", "jump", {"load": 0.5})
    assert [record.action for record in DataCollector(home).records("scaling")] == ["up", "down", "jump"]


def test_the_same_event_by_either_call_is_the_same_record(home: Home) -> None:
    event = row("e", timestamp="2026-11-01T00:00:00Z")
    with LearningPipeline(home) as pipeline:
        assert pipeline.record_many([event, event]) == AppendResult(1, 1)
        pipeline.record_action("a", "x", 1, event_id="e", timestamp="2026-11-01T00:00:00Z")
        with pytest.raises(DuplicateRecordError, match=r"other content \(action was 'x', is 'y'\)"):
            pipeline.record_many([{**event, "action": "y"}])
    (found,) = DataCollector(home).records("a")
    assert found.mode == "live"


def test_an_undeclared_agent_becomes_a_draft_when_it_is_needed(home: Home) -> None:
    with LearningPipeline(home) as pipeline:
        for index in range(20):
            pipeline.record_action("a", ["x", "y"][index % 2], {"load": index / 20}, success=index % 3 == 0)
        assert home.agents() == []
        collector = DataCollector(home)
        draft = collector.specification("a")
        assert home.agents() == ["a"] and draft == home.specification("a") and draft.actions == ("x", "y")
        assert "actions" in draft.inferred
        # A draft binds nobody who records; what is declared does.
        pipeline.record_action("a", "z", {"load": 3.5}, success=True)
        text = home.configuration_path.read_text()
        home.configuration_path.write_text(re.sub(r"inferred = \[.*?\]", "", text, flags=re.DOTALL))
        with pytest.raises(RecordError, match="'w' is not a declared action"):
            pipeline.record_action("a", "w", {"load": 3.5}, success=True)


def test_nothing_heavy_is_imported() -> None:
    check = """
    import sys
    from ai_engine.continuous_learning import DataCollector, LearningPipeline
    assert not {'ray', 'torch', 'pyarrow', 'deltalake', 'gymnasium', 'pandas', 'scipy'} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(check)], check=True)


def test_unknown_durability() -> None:
    with pytest.raises(ValueError, match="durability"):
        LearningPipeline(durability="none")
