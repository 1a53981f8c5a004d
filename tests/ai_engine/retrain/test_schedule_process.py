"""Passes over a home's agents: when they are due, what they write down, what ends them and what does not."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import ai_engine
from ai_engine.continuous_learning import RetrainingStatus, RetrainSchedule
from ai_engine.continuous_learning.retraining_status import OUTCOMES, STATE, read_status, write_status
from ai_engine.deploy import Registry
from ai_engine.retrain import schedule_process
from ai_engine.retrain.schedule_process import is_due, make_pass, retrain_on_schedule
from ai_engine.runs import list_runs
from envs.errors import DataError, SpecificationError
from envs.home import Home
from tests import homes

AGENT = homes.AGENT
DAILY = RetrainSchedule(trials=3, check_every=0.01)


def lines(home: Home) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (home.runs_path / OUTCOMES).read_text().splitlines()]


def test_a_pass_moves_the_champion_through_the_gate(home: Home, without_ray: list[int]) -> None:
    assert read_status(home) == RetrainingStatus() and read_status(home).to_text() == "No agent was retrained yet."
    status = make_pass(home, DAILY)
    result = status.results[AGENT]
    assert result.promoted and result.champion == f"{AGENT}@{Registry(home).champion(AGENT)}" != f"{AGENT}@0"
    assert [entry.kind for entry in Registry(home).history(AGENT)][-2:] == ["gate", "promote"]
    assert without_ray == [0, 1, 2] and status.state == "finished" and not status.error
    assert status.started and status.due == status.started + timedelta(days=1)
    kept = read_status(home)
    assert kept.to_json() == status.to_json() and kept.results[AGENT].statistics["gain_on_final"]["lower"] > 0
    assert result.to_text() in kept.to_text() and "finished at " in kept.to_text()
    again = make_pass(home, DAILY)  # the log is the same
    assert again.results[AGENT].refused and "nothing is new" in again.results[AGENT].reasons[0]
    assert [(line["agent"], line["decision"]) for line in lines(home)] == [(AGENT, "promote"), (AGENT, "refused")]


def test_when_a_pass_is_due(home: Home) -> None:
    now = datetime.now(UTC)
    assert is_due(home, DAILY)
    for state, started, expected in (
        ("finished", now - timedelta(hours=23), False),
        ("finished", now - timedelta(hours=25), True),
        ("finished", now + timedelta(hours=5), True),  # the clock was put back: it must not wait for years
        ("failed", now - timedelta(hours=1), False),
        ("interrupted", now, True),
        ("running", now, True),  # by a process that was killed, for ours holds the lock
    ):
        write_status(home, RetrainingStatus(state, started=started, due=started + timedelta(days=1)))
        assert is_due(home, DAILY) is expected, (state, started)
    assert read_status(home).state == "interrupted" and read_status(home).due is None  # nobody runs
    assert is_due(home, replace(DAILY, every=0.5))
    (home.runs_path / STATE).write_text('{"state": 3')
    with pytest.raises(DataError, match="damaged"):
        read_status(home)
    assert is_due(home, DAILY)


def test_a_restart_does_not_retrain_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    stop = threading.Event()
    monkeypatch.setattr(schedule_process, "make_pass", lambda *_: passes.append(read_status(home).state))
    write_status(home, RetrainingStatus("finished", started=datetime.now(UTC) - timedelta(seconds=0.2)))
    threading.Timer(0.15, stop.set).start()
    retrain_on_schedule(home, DAILY, stop)
    assert passes == []
    stop.clear()
    threading.Timer(0.15, stop.set).start()
    retrain_on_schedule(home, replace(DAILY, every=0.2), stop)
    assert passes


def test_one_failure_stops_no_other(home: Home, without_ray: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    home.declare(homes.specification(name="aaa", rule=""))
    homes.write(home, homes.records(60, seed=5, declared=homes.specification(name="aaa")))
    real = ai_engine.tune

    def broken(name: str, **options: Any) -> Any:
        if name == "aaa":
            raise MemoryError("no room")
        return real(name, **options)

    monkeypatch.setattr(ai_engine, "tune", broken, raising=False)
    status = make_pass(home, DAILY)
    assert status.state == "finished" and list(status.results) == ["aaa", AGENT]
    assert status.results["aaa"].failed and status.results["aaa"].reasons == ("MemoryError: no room",)
    assert status.results[AGENT].promoted
    only = make_pass(home, replace(DAILY, agents=("aaa",)))
    assert list(only.results) == ["aaa"]


def test_a_home_that_cannot_be_read_ends_a_pass_and_not_the_process(home: Home) -> None:
    text = home.configuration_path.read_text()
    home.configuration_path.write_text("[agents")
    status = make_pass(home, DAILY)
    assert status.state == "failed" and status.error.startswith("HomeError") and "failed at " in status.to_text()
    assert not is_due(home, DAILY) and is_due(home, replace(DAILY, every=1e-6))
    home.configuration_path.write_text(text)
    assert make_pass(home, replace(DAILY, agents=("nobody",))).results["nobody"].refused


def test_an_interrupted_sweep_is_gone_on_with(
    home: Home, without_ray: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = homes.run_variant

    def interrupted(plan: Any, index: int) -> Any:
        if index == 1:
            raise KeyboardInterrupt
        return real(plan, index)

    with monkeypatch.context() as patch:
        patch.setattr(homes, "run_variant", interrupted)
        with pytest.raises(BaseException, match="interrupted"):
            make_pass(home, DAILY)
    status = read_status(home)
    assert status.state == "interrupted" and status.results == {} and status.due is None and is_due(home, DAILY)
    (run,) = list_runs(home, AGENT)
    assert run.status == "interrupted" and without_ray == [0, 1]
    result = make_pass(home, DAILY).results[AGENT]
    assert result.promoted and result.run == run.identifier and without_ray == [0, 1, 1, 2]


@pytest.mark.parametrize(("asked", "ran", "decision"), [(3, [0, 1, 2], "promote"), (2, [0, 1, 2, 0, 1], "canary")])
def test_a_sweep_that_no_gate_has_judged_is_judged_if_it_is_the_one_wanted(
    home: Home, without_ray: list[int], monkeypatch: pytest.MonkeyPatch, asked: int, ran: list[int], decision: str
) -> None:
    with monkeypatch.context() as patch:

        def interrupted(name: str, **_: Any) -> Any:
            raise KeyboardInterrupt

        patch.setattr(ai_engine, "gate", interrupted, raising=False)
        with pytest.raises(KeyboardInterrupt):
            make_pass(home, DAILY)
    result = make_pass(home, replace(DAILY, trials=asked)).results[AGENT]
    assert result.decision == decision and without_ray == ran
    assert "nothing is new" in make_pass(home, DAILY).results[AGENT].reasons[0]


@pytest.mark.parametrize(
    "bad",
    [
        {"every": 0.0},
        {"every": timedelta(seconds=-1)},
        {"every": True},
        {"every": None},
        {"check_every": float("inf")},
        {"trials": 0},
        {"trials": 1.5},
        {"time_budget": -1.0},
        {"batch_size": False},
        {"epochs": 0},
        {"agents": "scaling"},
        {"agents": ()},
    ],
)
def test_a_wrong_schedule_names_its_setting(bad: dict[str, Any]) -> None:
    with pytest.raises(SpecificationError, match=next(iter(bad))):
        RetrainSchedule(**bad)


def test_a_schedule_survives_its_json() -> None:
    schedule = RetrainSchedule(every=timedelta(hours=2), agents=["b", "a"], trials=3, time_budget=60.0, seed=4)  # type: ignore[arg-type]
    assert RetrainSchedule.from_json(json.loads(json.dumps(schedule.to_json()))) == replace(schedule, every=7200.0)
    assert schedule.agents == ("b", "a") and RetrainSchedule().seconds == 86400.0
