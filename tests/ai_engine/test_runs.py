"""Runs: what became of them, in which order, and how one is stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import Mock

import pytest

from ai_engine.locking import refuse_busy, retraining_lock
from ai_engine.runs import FAILED, FINISHED, INTERRUPTED, RUNNING, Run, list_runs, runs_list, runs_show, runs_stop
from ai_engine.tune_result import TuneResult
from envs.errors import BusyError, DataError, RegistryError
from envs.home import Home
from tests import homes

AGENT = homes.AGENT


def test_runs_of_one_second_stay_in_their_order(home: Home) -> None:
    made = [Run.create(home, AGENT, "tune", {"number": index}).identifier for index in range(20)]
    assert len(set(made)) == 20
    assert [run.identifier for run in list_runs(home)] == made
    assert [run.identifier for run in list_runs(home, "other")] == []


def test_a_run_takes_no_name_that_is_taken(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter(["aaaa", "aaaa", "aaaa", "bbbb"])
    monkeypatch.setattr("ai_engine.runs.secrets.token_hex", lambda _: next(drawn))
    monkeypatch.setattr("ai_engine.runs.datetime", Mock(now=lambda _: datetime(2026, 1, 1, tzinfo=UTC)))
    first, second = (Run.create(home, AGENT, "tune", {}) for _ in range(2))
    assert (first.identifier[-4:], second.identifier[-4:]) == ("aaaa", "bbbb")


def test_a_run_is_what_was_written(home: Home) -> None:
    run = Run.create(home, AGENT, "tune", {"seed": 1, "steps": (0.1, float("nan"))})
    run.update(status=FINISHED, since=7)
    run.write("result.json", {"value": float("inf")})
    again = Run.open(home, run.identifier)
    assert again.record == run.record
    assert again.record["request"] == {"seed": 1, "steps": [0.1, None]}
    assert (again.agent, again.status, again.record["since"]) == (AGENT, FINISHED, 7)
    assert again.read("result.json") == {"value": None}
    assert again.read("nothing.json") is None
    with pytest.raises(RegistryError, match=run.identifier):
        Run.open(home, "dial-1999")


def test_a_run_runs_while_its_process_holds_the_agent(home: Home) -> None:
    with retraining_lock(home, AGENT):
        run = Run.create(home, AGENT, "tune", {})
        assert run.status == RUNNING
        other = Run.create(home, AGENT, "tune", {})
        other.update(process=os.getpid() + 100_000)  # one whose process is gone, while another is at work
        assert other.status == INTERRUPTED
    assert run.status == INTERRUPTED
    for status in (FINISHED, FAILED, INTERRUPTED):
        run.update(status=status)
        assert run.status == status


def test_tidying_drops_what_only_the_trials_needed(home: Home) -> None:
    run = Run.create(home, AGENT, "tune", {})
    for name in ("dataset", "dataset-all", "tune", "artefacts", "variants"):
        (run.path / name).mkdir()
        (run.path / name / "file").write_text("content")
    run.tidy()
    assert {path.name for path in run.path.iterdir()} == {"run.json", "artefacts", "variants"}


def test_listing_and_showing(swept: tuple[Home, TuneResult]) -> None:
    home, tuned = swept
    Run.create(home, AGENT, "train", {})
    listed = runs_list(home).to_json()["runs"]
    assert [(item["kind"], item["status"]) for item in listed] == [("tune", FINISHED), ("train", INTERRUPTED)]
    assert tuned.run in runs_list(home).to_text()
    assert runs_list(home).to_text().splitlines()[-1] == "2 runs."
    shown = runs_show(tuned.run, home)
    assert json.loads(json.dumps(shown.to_json()))["result"] == tuned.to_json()
    assert f"{homes.TRIALS} of {homes.TRIALS} finished" in shown.to_text()
    assert shown.to_text().splitlines()[-1] == "This run is finished."
    with pytest.raises(RegistryError):
        runs_show("nothing", home)


def test_tags_find_runs(home: Home) -> None:
    first = Run.create(home, AGENT, "tune", {}, {"team": "payments", "try": "1"})
    second = Run.create(home, AGENT, "tune", {}, {"team": "payments"})
    Run.create(home, AGENT, "train", {})

    def found(**tags: str) -> list[str]:
        return [run.identifier for run in runs_list(home, tags=tags).runs]

    assert found(team="payments") == [first.identifier, second.identifier]
    assert found(team="payments", **{"try": "1"}) == [first.identifier]
    assert found(team="search") == []
    assert len(found()) == 3
    assert "team=payments try=1" in runs_list(home).to_text()
    assert Run.open(home, first.identifier).tags == {"team": "payments", "try": "1"}
    with pytest.raises(DataError, match="is no tag"):
        Run.create(home, AGENT, "tune", {}, {"a=b": "c"})
    assert len(found()) == 3


def test_a_failed_run_says_why(home: Home) -> None:
    run = Run.create(home, AGENT, "tune", {})
    run.update(status=FAILED, error="1 of 4 trials failed: variant 2: no")
    assert runs_show(run.identifier, home).to_text().splitlines()[-1].endswith("failed: variant 2: no")


def test_an_empty_home_has_no_run(home: Home) -> None:
    assert runs_list(home).to_text() == "No run."


def test_only_a_running_run_can_be_stopped(swept: tuple[Home, TuneResult]) -> None:
    home, tuned = swept
    with pytest.raises(DataError, match="is finished"):
        runs_stop(tuned.run, home=home)
    # The number of a process that is gone may be another's by now: it is left in peace.
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        run = Run.create(home, AGENT, "tune", {})
        run.update(process=bystander.pid)
        with pytest.raises(DataError, match="is interrupted"):
            runs_stop(run.identifier, home=home)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_stopping_interrupts_the_process_at_work(home: Home) -> None:
    work = (
        "import sys, time\n"
        "from ai_engine.locking import retraining_lock\n"
        "from ai_engine.runs import Run\n"
        "from envs.home import Home\n"
        "home = Home(sys.argv[1])\n"
        f"with retraining_lock(home, {AGENT!r}):\n"
        f"    Run.create(home, {AGENT!r}, 'tune', {{}})\n"
        "    try:\n"
        "        print('at work', flush=True)\n"
        "        time.sleep(60)\n"
        "    except KeyboardInterrupt:\n"
        "        print('stopped')\n"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", work, str(home.path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )
    try:
        assert worker.stdout is not None and worker.stdout.readline() == "at work\n"
        (run,) = list_runs(home)
        assert run.status == RUNNING
        with pytest.raises(BusyError, match=f"stop it with `retrainer runs stop {run.identifier}`"):
            refuse_busy(home, AGENT)
        started = time.monotonic()
        asked = runs_stop(run.identifier, home=home).to_text().splitlines()[-1]
        assert "asked to stop" in asked and asked.endswith(f"retrainer runs resume {run.identifier}")
        assert worker.stdout.read() == "stopped\n"
        assert time.monotonic() - started < 30
    finally:
        worker.kill()
        worker.wait()
        assert worker.stdout is not None
        worker.stdout.close()
    assert Run.open(home, run.identifier).status == INTERRUPTED
