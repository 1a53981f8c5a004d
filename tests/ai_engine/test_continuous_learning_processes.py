"""One pipeline in many threads and processes, and at the end of the program: nothing is lost or doubled."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from ai_engine.continuous_learning import DataCollector, LearningPipeline
from envs.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.create(tmp_path / "home")


@pytest.mark.parametrize("ending", ["pass", "del pipeline", "raise SystemExit(0)"])
def test_the_end_of_the_program_loses_nothing(home: Home, ending: str) -> None:
    script = textwrap.dedent(
        f"""
        import sys
        from ai_engine.continuous_learning import LearningPipeline
        pipeline = LearningPipeline(sys.argv[1], durability="buffered")
        for index in range(100):
            pipeline.record_action("a", "x", index)
        {ending}
        """
    )
    subprocess.run([sys.executable, "-c", script, str(home.path)], check=True)
    assert [record.observation for record in DataCollector(home).records("a")] == list(range(100))


@pytest.mark.parametrize("fault", ["locked", "refused"])
def test_what_cannot_be_written_at_the_end_of_the_program_is_said_in_one_line(home: Home, fault: str) -> None:
    script = f"""
import sqlite3, sys
from ai_engine.continuous_learning import LearningPipeline
pipeline = LearningPipeline(sys.argv[1], durability="buffered", timeout=0.1, flush_interval=60.0)
pipeline.record_action("a", "x", 1, event_id="e")
pipeline.flush()
if {fault == "locked"}:
    other = sqlite3.connect(pipeline.home.journal_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
for step in range(3):
    pipeline.record_action("a", "y", 1, event_id="e")
"""
    run = subprocess.run([sys.executable, "-c", script, str(home.path)], check=True, capture_output=True, text=True)
    (line,) = run.stderr.splitlines()
    assert line.startswith("error: 3 records were lost when the pipeline ended: ")
    assert ("is locked by another process" if fault == "locked" else "'e' was recorded before") in line
    assert run.stdout == "" and DataCollector(home).count("a") == 1


def _record(pipeline: LearningPipeline, worker: int) -> None:
    for index in range(40):
        pipeline.record_action("a", "x", index, event_id=f"{worker}-{index}")


@pytest.mark.parametrize("durability", ["full", "buffered"])
def test_forked_workers_share_a_pipeline(home: Home, durability: str) -> None:
    pipeline = LearningPipeline(home, durability=durability)
    pipeline.record_action("a", "x", 0, event_id="parent")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_record, args=(pipeline, worker)) for worker in range(3)]
    for worker in workers:
        worker.start()
    _record(pipeline, 9)
    for worker in workers:
        worker.join(30)
        assert worker.exitcode == 0
    pipeline.stop()
    events = [record.event_id for record in DataCollector(home).records("a")]
    assert sorted(events) == sorted(
        ["parent", *(f"{worker}-{index}" for worker in (0, 1, 2, 9) for index in range(40))]
    )


def test_threads_share_a_pipeline(home: Home) -> None:
    with LearningPipeline(home, durability="buffered") as pipeline:
        threads = [threading.Thread(target=_record, args=(pipeline, number)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert DataCollector(home).count("a") == 160
