"""``auto_retrain``: a process of its own that retrains, ends with its parent, and takes nothing down with it."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ai_engine.continuous_learning import LearningPipeline, RetrainingStatus, RetrainSchedule, retraining
from ai_engine.continuous_learning.retraining_status import LOCK, OUTPUT, read_status
from ai_engine.deploy import Registry
from ai_engine.runs import list_runs
from envs.errors import MissingExtraError, SpecificationError
from envs.home import Home
from tests import homes

PATIENCE = 180.0
QUICK = RetrainSchedule(every=3600.0, check_every=0.05)


@pytest.fixture
def empty(tmp_path: Path) -> Home:
    """A home whose one agent has too little data."""
    home = Home.create(tmp_path / "home")
    with LearningPipeline(home) as pipeline:
        pipeline.record_action("a", "x", 1, success=True)
    return home


def wait(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def after_pass(pipeline: LearningPipeline) -> RetrainingStatus:
    wait(lambda: pipeline.retraining_status().state not in ("never", "running"))
    return pipeline.retraining_status()


def is_retrained(home: Home) -> bool:
    """Whether a process holds the home's lock; one that has ended does not, even where nobody has reaped it."""
    with open(home.runs_path / LOCK, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
        except BlockingIOError:
            return True


def test_start_retrains_and_stop_ends_it(empty: Home) -> None:
    pipeline = LearningPipeline(empty)
    assert pipeline.start().retraining_status() == RetrainingStatus()  # it only records
    assert pipeline.start(auto_retrain=QUICK).retraining_status().alive
    pipeline.start()
    status = after_pass(pipeline)
    assert status.state == "finished" and status.alive and status.exit_code is None and is_retrained(empty)
    assert status.process != os.getpid() and "single action" in status.results["a"].reasons[0]
    pipeline.record_action("a", "y", 1, success=True)
    pipeline.stop()
    status = pipeline.retraining_status()
    assert not status.alive and status.exit_code == 0 and not is_retrained(empty)
    with pytest.raises(ProcessLookupError):
        os.kill(status.process, 0)
    with LearningPipeline(empty, auto_retrain=QUICK) as another:  # it is not due again
        time.sleep(0.5)
        assert another.retraining_status().process == status.process
        another.start(auto_retrain=RetrainSchedule(every=0.1, check_every=0.05))
        wait(lambda: another.retraining_status().process != status.process)
        assert "single" not in str(after_pass(another).results["a"].reasons)  # there are two by now
        another.start(auto_retrain=False)
        assert not is_retrained(empty)
    assert "Traceback" not in (empty.runs_path / OUTPUT).read_text()


def test_one_process_retrains_and_another_stands_by(empty: Home) -> None:
    often = RetrainSchedule(every=0.05, check_every=0.05)
    with LearningPipeline(empty, auto_retrain=often) as first, LearningPipeline(empty, auto_retrain=often) as second:
        one = after_pass(first).process
        time.sleep(0.5)
        assert second.retraining_status().alive and read_status(empty).process == one
        first.stop()
        wait(lambda: read_status(empty).process not in (0, one))
        assert second.retraining_status().alive


PARENT = """
import os, sys, time
from ai_engine.continuous_learning import LearningPipeline, RetrainSchedule
pipeline = LearningPipeline(sys.argv[1], auto_retrain=RetrainSchedule(every=3600.0, check_every=0.05)).start()
assert not {'ray', 'torch', 'pyarrow', 'scipy', 'gymnasium'} & set(sys.modules), sorted(sys.modules)
while pipeline.retraining_status().state != "finished":
    time.sleep(0.02)
"""


@pytest.mark.parametrize("fork", ["", "if os.fork() == 0: time.sleep(600)\n"])
def test_killing_the_parent_ends_it(empty: Home, fork: str) -> None:
    script = f"{PARENT}{fork}print(os.getpid(), flush=True)\ntime.sleep(600)\n"
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(empty.path)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert parent.stdout is not None
    try:
        assert parent.stdout.readline().strip() == str(parent.pid) and is_retrained(empty)
        parent.kill()
        parent.wait()
        wait(lambda: not is_retrained(empty))
    finally:
        os.killpg(parent.pid, signal.SIGKILL) if fork else parent.wait()
        parent.stdout.close()


@pytest.mark.parametrize("ending", ["", "raise SystemExit(0)", "del pipeline", "os.fork() or sys.exit(); os.wait()"])
def test_the_end_of_the_program_ends_it(empty: Home, ending: str) -> None:
    subprocess.run([sys.executable, "-c", PARENT + ending, str(empty.path)], check=True, timeout=PATIENCE)
    assert not is_retrained(empty) and read_status(empty).state == "finished"


def test_a_forks_end_leaves_it_alone(empty: Home) -> None:
    with LearningPipeline(empty, auto_retrain=QUICK) as pipeline:
        after_pass(pipeline)
        if (child := os.fork()) == 0:
            try:
                pipeline.stop()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert pipeline.retraining_status().alive and is_retrained(empty)


def test_what_is_missing_is_said_at_the_start(empty: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = LearningPipeline(empty, auto_retrain=True)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "ray", None)
        with pytest.raises(MissingExtraError, match=r'ray; install it: pip install "retrainer\[train\]"'):
            pipeline.start()
    with monkeypatch.context() as patch:
        patch.setattr(retraining, "MODULE", "ai_engine.no_such_module")
        with pytest.raises(
            retraining.RetrainingError, match=f"No module named ai_engine.no_such_module; see .*{OUTPUT}"
        ):
            pipeline.start()
    assert pipeline.retraining_status().exit_code == 1 and not pipeline.retraining_status().alive
    pipeline.record_action("a", "x", 2)  # recording goes on
    with pytest.raises(SpecificationError, match="auto_retrain"):
        pipeline.start(auto_retrain="daily")  # type: ignore[arg-type]
    pipeline.stop()


def test_one_that_does_not_end_is_ended(empty: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = """
        import os, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(1, b"ready\\n")
        time.sleep(600)
    """
    (tmp_path / "stuck_retraining.py").write_text(textwrap.dedent(stuck))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(retraining, "MODULE", "stuck_retraining")
    monkeypatch.setattr(retraining, "KILL_SECONDS", 0.2)
    process = retraining.RetrainingProcess(empty)
    process.start(QUICK)
    assert process.alive
    process.stop(0.2)
    assert process.status().exit_code == -signal.SIGKILL


def test_a_damaged_agent_stops_no_other(empty: Home) -> None:
    with LearningPipeline(empty, auto_retrain=QUICK) as pipeline:
        after_pass(pipeline)
        pipeline.record_action("aaa", "x", 1, success=True)
        with open(empty.configuration_path, "a") as file:
            file.write("[agents.aaa]\nactions = 3\n")
        pipeline.start(auto_retrain=RetrainSchedule(every=0.05, check_every=0.05))
        wait(lambda: "aaa" in pipeline.retraining_status().results)
        status = after_pass(pipeline)
        assert status.results["aaa"].failed and "SpecificationError" in status.results["aaa"].reasons[0]
        assert "single action" in status.results["a"].reasons[0] and status.alive


@pytest.mark.full
def test_with_real_trials_it_is_interrupted_and_goes_on(home: Home) -> None:
    schedule = RetrainSchedule(every=3600.0, check_every=0.1, trials=12)
    with LearningPipeline(home, auto_retrain=schedule) as pipeline:
        wait(lambda: any(list((run.path / "variants").glob("*.json")) for run in list_runs(home)))
    status = pipeline.retraining_status()
    assert status.state == "interrupted" and status.exit_code == 0 and Registry(home).champion(homes.AGENT) == "0"
    (run,) = list_runs(home)
    assert run.status == "interrupted"
    with LearningPipeline(home, auto_retrain=schedule) as pipeline:
        wait(lambda: pipeline.retraining_status().state == "finished")
        result = pipeline.retraining_status().results[homes.AGENT]
    assert result.promoted and result.run == run.identifier and [run.status for run in list_runs(home)] == ["finished"]
    assert result.champion == f"{homes.AGENT}@{Registry(home).champion(homes.AGENT)}"
    assert [entry.kind for entry in Registry(home).history(homes.AGENT)][-2:] == ["gate", "promote"]
