"""Outcomes recorded later, and a buffer that says what it cannot do."""

from __future__ import annotations

import gc
import sqlite3
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ai_engine.continuous_learning import DataCollector, LearningPipeline
from ai_engine.continuous_learning import writer as writing
from ai_engine.continuous_learning.declarations import NOTICED
from envs.build import build_dataset
from envs.errors import DuplicateRecordError, RecordError
from envs.home import Home
from envs.journal.errors import JournalLockedError
from envs.observation import ObservationField, ObservationSpecification
from envs.specification import AgentSpecification


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.create(tmp_path / "home")
    observation = ObservationSpecification("object", (ObservationField("load", low=0.0, high=1.0),))
    home.declare(AgentSpecification("scaling", observation, ("up", "down"), reward_range=(-1.0, 1.0)))
    return home


@pytest.mark.parametrize("durability", ["full", "buffered"])
def test_an_outcome_is_recorded_later(home: Home, durability: str) -> None:
    with LearningPipeline(home, durability=durability) as pipeline:
        decided = pipeline.record_action("scaling", "up", {"load": 0.5})
        told = pipeline.record_outcome(
            "scaling", decided.event_id, {"status": "ok"}, True, 2.5, reward=0.5, terminated=True, outcome={"cost": 3}
        )
        assert told.decision_id == decided.event_id
        pipeline.record_outcome("scaling", decided.event_id, success=True)
    (found,) = DataCollector(home).records("scaling")
    assert found.outcome == {"output": {"status": "ok"}, "success": True, "execution_time": 2.5, "cost": 3}
    assert found.reward == 0.5 and found.terminated and found.event_id == decided.event_id
    assert DataCollector(home).count("scaling") == 1


def test_what_an_outcome_computes_is_checked_once_it_is_all_there(home: Home) -> None:
    declared = replace(home.specification("scaling"), reward="-cost - 5 * dropped", reward_range=(-10.0, 0.0))
    home.declare(replace(declared, worst_class="dropped > 0"))
    with LearningPipeline(home) as pipeline:
        decided = pipeline.record_action("scaling", "up", {"load": 0.5})
        for outcome, message in (
            ({"cost": "cheap", "dropped": 0}, "agent scaling: outcome.cost: 'cheap' is not a number"),
            ({"cost": 11.0, "dropped": 0}, "agent scaling: reward: -11 is outside the declared reward_range"),
            ({"dropped": "none"}, "agent scaling: outcome.dropped: 'none' is not a number"),
        ):
            with pytest.raises(RecordError, match=message):
                pipeline.record_outcome("scaling", decided.event_id, outcome=outcome)
        pipeline.record_outcome("scaling", decided.event_id, outcome={"dropped": 1})
        pipeline.record_outcome("scaling", decided.event_id, outcome={"cost": 2})
    dataset, _ = build_dataset(home, "scaling")
    assert dataset.rewards.tolist() == [-7.0]


def test_what_is_wrong_with_an_outcome_is_said_at_once(home: Home) -> None:
    with LearningPipeline(home) as pipeline:
        decided = pipeline.record_action("scaling", "up", {"load": 0.5})
        for fields, message in (
            ({"reward": 3.0}, "agent scaling: reward: 3 is outside the declared reward_range"),
            ({"next_observation": {"load": 2.0}}, r"agent scaling: next_observation.load: 2 is outside"),
            ({"cost": 3.0}, "agent scaling: cost: is not a field of an outcome; put it under outcome"),
            ({}, "agent scaling: outcome: is missing; say what became known"),
            ({"outcome": None}, "agent scaling: outcome: is missing; say what became known"),
            ({"outcome": "good"}, "agent scaling: outcome: 'good' is not an object; give named values"),
        ):
            with pytest.raises(RecordError, match=message):
                pipeline.record_outcome("scaling", decided.event_id, **fields)
        pipeline.record_outcome("scaling", decided.event_id, reward=0.5)
        with pytest.raises(DuplicateRecordError, match=r"reward: 0.25, but 0.5 was recorded before"):
            pipeline.record_outcome("scaling", decided.event_id, reward=0.25)
    assert [record.reward for record in DataCollector(home).records("scaling")] == [0.5]


def test_what_the_caller_changes_afterwards_is_not_recorded(home: Home) -> None:
    seen = {"load": 0.5}
    pipeline = LearningPipeline(home, durability="buffered", flush_interval=60.0)
    record = pipeline.record_action("scaling", "up", seen, metadata={"list": [1]})
    seen["load"] = 0.9
    record.metadata["list"].append(2)
    pipeline.stop()
    (found,) = DataCollector(home).records("scaling")
    assert found.observation == {"load": 0.5} and found.metadata == {"list": [1]}


def test_a_buffered_record_waits_no_longer_than_it_was_said(home: Home) -> None:
    pipeline = LearningPipeline(home, durability="buffered", flush_interval=0.05)
    pipeline.record_action("scaling", "up", {"load": 0.5})
    begin = time.monotonic()
    while DataCollector(home).count("scaling") < 1:
        assert time.monotonic() - begin < 5.0
        time.sleep(0.01)
    pipeline.stop()


def test_a_full_buffer_refuses_by_name_and_keeps_what_it_holds(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "CAPACITY", 20)
    pipeline = LearningPipeline(home, durability="buffered", timeout=0.3)
    pipeline.start()
    holder = sqlite3.connect(home.journal_path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    events = [pipeline.record_action("scaling", "up", {"load": 0.5}).event_id for _ in range(20)]
    begin = time.monotonic()
    for _ in range(3):
        with pytest.raises(
            JournalLockedError, match=r"locked by another process .*; 20 records wait, and this one was not taken"
        ):
            pipeline.record_action("scaling", "up", {"load": 0.5})
    assert time.monotonic() - begin < 6.0
    holder.execute("ROLLBACK")
    pipeline.flush()
    assert [record.event_id for record in DataCollector(home).records("scaling")] == events, (
        "what was refused is not there"
    )
    events.append(pipeline.record_action("scaling", "up", {"load": 0.5}).event_id)
    pipeline.stop()
    assert DataCollector(home).count("scaling") == len(events)
    holder.close()


def test_what_waits_is_of_the_version_under_which_it_was_recorded(home: Home) -> None:
    pipeline = LearningPipeline(home, durability="buffered", flush_interval=60.0)
    for reward in (0.25, 0.5):  # the second still waits when the declaration changes
        pipeline.record_action("scaling", "up", {"load": 0.5}, reward=reward)
        if reward == 0.25:
            pipeline.flush()
    text = home.configuration_path.read_text()
    home.configuration_path.write_text(text.replace("[agents.scaling]\n", "[agents.scaling]\nversion = 2\n"))
    time.sleep(2.0 * NOTICED)
    pipeline.record_action("scaling", "up", {"load": 0.5}, reward=0.75)
    pipeline.stop()
    dataset, report = build_dataset(home, "scaling")
    assert dataset.rewards.tolist() == [0.75] and report.other_versions == 2


def test_what_waits_is_not_looked_through_by_the_garbage_collector(home: Home) -> None:
    calls, seen = 3 * gc.get_threshold()[0], []
    with LearningPipeline(home, durability="buffered", flush_interval=60.0) as pipeline:
        gc.collect()
        gc.callbacks.append(lambda phase, info: seen.append((phase, info["generation"])))
        try:
            for _ in range(calls):
                pipeline.record_action("scaling", "up", {"load": 0.5}, {"n": 1}, reward=0.25)
        finally:
            gc.callbacks.pop()
    assert len(seen) <= 2, "a record that waits leaves nothing to collect"
    assert DataCollector(home).count("scaling") == calls


def test_the_thread_that_writes_outlives_what_it_meets(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = LearningPipeline(home, durability="buffered", flush_interval=0.02)
    met = threading.Event()

    def trouble(_: int) -> None:
        met.set()
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(pipeline._writer, "_written", trouble)
        pipeline.record_action("scaling", "up", {"load": 0.5})
        assert met.wait(5.0)
        time.sleep(0.05)
    pipeline.record_action("scaling", "up", {"load": 0.5})
    begin = time.monotonic()
    while DataCollector(home).count("scaling") < 2:
        assert time.monotonic() - begin < 5.0
        time.sleep(0.01)
    pipeline.stop()


def test_threads_that_record_durably_share_flushes(home: Home) -> None:
    """What has queued up while the journal was taken is one transaction."""
    pipeline = LearningPipeline(home)
    pipeline.start()
    journal = pipeline._writer.journal
    commits: list[str] = []
    journal.file.run(lambda connection: connection.set_trace_callback(commits.append))
    threads = [
        threading.Thread(target=pipeline.record_action, args=("scaling", "up", {"load": number / 8}))
        for number in range(8)
    ]
    with journal.file.lock:
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 4.0
        while len(journal._queue._waiting) < 8:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        commits.clear()
    for thread in threads:
        thread.join()
    pipeline.stop()
    assert DataCollector(home).count("scaling") == 8
    assert sum(statement.startswith("COMMIT") for statement in commits) == 1
