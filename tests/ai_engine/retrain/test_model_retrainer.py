"""Retraining a home: readiness with reasons, promotion only through the gate, failures kept apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ai_engine
from ai_engine.continuous_learning import DataCollector, LearningPipeline
from ai_engine.deploy import Registry, load_policy
from ai_engine.interrupts import Interrupted
from ai_engine.retrain import ModelRetrainer
from ai_engine.runs import Run
from ai_engine.workspace import open_workspace
from envs.errors import BusyError, SpecificationError
from envs.home import Home
from tests import homes

AGENT = homes.AGENT


@pytest.fixture
def retrainer(home: Home) -> ModelRetrainer:
    return ModelRetrainer(DataCollector(home), trials=3)


def test_too_little_data_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The specification's examples, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RETRAINER_HOME", raising=False)
    data_collector = DataCollector()
    retrainer = ModelRetrainer(data_collector)
    result = retrainer.retrain_agent("self-healing", batch_size=32, epochs=10)
    assert result.refused and not result.promoted and result.reasons == ("has no records",)
    assert retrainer.retrain_all_ready_agents() == {}
    with LearningPipeline() as pipeline:
        pipeline.record_action("self-healing", "restart_service", {"service": "api"}, success=True, execution_time=2.5)
        assert not (state := retrainer.check_retraining_ready("self-healing"))
        assert "single action" in state.reasons[0] and state.episodes == 1
        for action in ("restart_service", "wait", "wait"):
            pipeline.record_action("self-healing", action, {"service": "api"}, success=True, execution_time=2.5)
    state = retrainer.check_retraining_ready("self-healing")
    assert not state and not state.sufficient and state.grade == "D"
    assert any("independent units" in reason for reason in state.reasons) and "not ready" in state.to_text()
    results = retrainer.retrain_all_ready_agents()
    assert results["self-healing"].reasons == state.reasons and results["self-healing"].refused
    assert retrainer.retrain_agent("self-healing").reasons == state.reasons
    # Nothing was declared, trained or decided.
    assert data_collector.home.agents() == [] and not list((tmp_path / "runs").iterdir())


def test_a_better_policy_is_promoted_through_the_gate(
    retrainer: ModelRetrainer, home: Home, without_ray: list[int]
) -> None:
    state = retrainer.check_retraining_ready(AGENT)
    assert state and state.sufficient and state.grade == "A" and state.episodes == homes.EPISODES
    lines: list[str] = []
    retrainer.progress = lines.append
    result = retrainer.retrain_agent(AGENT, batch_size=32, epochs=4)
    registry = Registry(home)
    assert result.decision == "promote" and result.promoted and not result.refused and not result.failed
    assert len(without_ray) == len(lines) == result.statistics["variants"] == 3
    assert result.champion == result.version == f"{AGENT}@{registry.champion(AGENT)}" and result.version != f"{AGENT}@0"
    assert [entry.kind for entry in registry.history(AGENT)][-2:] == ["gate", "promote"]
    assert result.statistics["gain_on_final"]["lower"] > 0 and result.statistics["look"] == 1
    assert result.statistics["decisions"] == homes.EPISODES * homes.HORIZON
    document = result.to_json()
    assert document["schema_version"] == 1 and document["statistics"]["grade"] == "A"
    assert "\n" not in result.to_text() and result.version in result.to_text()
    policy = load_policy(home.path / "models" / "retrained" / f"{AGENT}_model.json", base=homes.rule)
    assert policy.version == registry.champion(AGENT)
    assert policy.provenance.training["states"] == homes.STATES and policy.provenance.evaluation["gain"]
    # The same log says nothing new.
    again = retrainer.check_retraining_ready(AGENT)
    assert not again and again.sufficient and again.reasons == (f"nothing is new since run {result.run}",)
    assert retrainer.retrain_all_ready_agents()[AGENT].reasons == again.reasons
    homes.write(home, homes.records(20, seed=9))
    assert retrainer.check_retraining_ready(AGENT)


def test_only_a_passed_gate_moves_the_champion(
    retrainer: ModelRetrainer, home: Home, without_ray: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ai_engine.gate

    def keeps(name: str, **options: Any) -> Any:
        return replace(real(name, **options), decision="keep", reason="not enough")

    monkeypatch.setattr(ai_engine, "gate", keeps, raising=False)
    result = retrainer.retrain_agent(AGENT)  # the true gate would promote
    assert result.decision == "keep" and not result.promoted and result.champion == f"{AGENT}@0"
    assert Registry(home).champion(AGENT) == "0"


def test_a_hold_keeps_the_champion(retrainer: ModelRetrainer, home: Home, without_ray: list[int]) -> None:
    open_workspace(AGENT, home).champion()  # version 0, and with it a ledger
    ai_engine.hold(AGENT, reason="holiday", home=home)
    result = retrainer.retrain_agent(AGENT)
    assert result.decision == "promote" and not result.promoted and result.champion == f"{AGENT}@0"
    assert "held" in result.reasons[0] and Registry(home).champion(AGENT) == "0"


def test_one_failure_stops_no_other(retrainer: ModelRetrainer, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.declare(homes.specification(name="aaa", rule=""))
    homes.write(home, homes.records(60, seed=5, declared=homes.specification(name="aaa")))
    home.declare(homes.specification(name="empty"))
    asked: list[str] = []

    def broken(name: str, **options: Any) -> Any:
        asked.append(f"{name} {options['trials']}")
        raise BusyError("is being retrained by process 1", where=f"agent {name}") if name == "aaa" else OSError("disk")

    monkeypatch.setattr(ai_engine, "tune", broken, raising=False)
    results = retrainer.retrain_all_ready_agents()
    assert list(results) == ["aaa", AGENT, "empty"] and asked == ["aaa 3", f"{AGENT} 3"]
    assert results["aaa"].failed and results["aaa"].reasons[0].startswith("BusyError: agent aaa: is being retrained")
    assert results[AGENT].failed and results[AGENT].reasons == ("OSError: disk",)
    assert results["empty"].refused and results["empty"].reasons == ("has no records",)
    with pytest.raises(BusyError):
        retrainer.retrain_agent("aaa")


def test_the_user_may_stop_it(retrainer: ModelRetrainer, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(name: str, **_: Any) -> Any:
        raise Interrupted()

    monkeypatch.setattr(ai_engine, "tune", stopped, raising=False)
    with pytest.raises(Interrupted):
        retrainer.retrain_all_ready_agents()


def test_readiness_is_of_the_dataset_that_training_would_get(retrainer: ModelRetrainer, home: Home) -> None:
    ai_engine.log_exclude(AGENT, start=1, end=900, reason="poisoned", home=home)
    state, workspace = retrainer.check_retraining_ready(AGENT), open_workspace(AGENT, home)
    assert state.dataset == workspace.dataset.identifier
    assert state.episodes == workspace.dataset.episode_count < homes.EPISODES
    home.declare(homes.specification(version=2))
    assert retrainer.check_retraining_ready(AGENT).reasons == ("has no records of version 2 of its declaration",)


def test_arguments(retrainer: ModelRetrainer) -> None:
    for bad in ({"epochs": 0}, {"batch_size": 0}, {"epochs": True}):
        with pytest.raises(SpecificationError, match=next(iter(bad))):
            retrainer.retrain_agent(AGENT, **bad)
        with pytest.raises(SpecificationError, match=next(iter(bad))):
            retrainer.retrain_all_ready_agents(**bad)


def test_batch_size_and_epochs_reach_the_networks(tmp_path: Path, without_ray: list[int]) -> None:
    home = homes.make_home(tmp_path / "home", observation=homes.OBJECT)
    retrainer = ModelRetrainer(DataCollector(home), trials=2)
    result = retrainer.retrain_agent(AGENT, batch_size=700, epochs=2)
    played, table = Run.open(home, result.run).read("result.json")["variants"]
    assert played["algorithm"] == "ppo" and table["algorithm"] == "tabular_q"
    settings = played["hyperparameters"]
    assert (settings["minibatch_size"], settings["num_epochs"]) == (700, 2)
    assert "batch_size" not in table["hyperparameters"] and result.statistics["epochs"] == 2
    other = retrainer.retrain_agent(AGENT, epochs=1)  # asks for something else: a sweep of its own
    assert other.run != result.run and without_ray == [0, 1, 0, 1]


@pytest.mark.full
def test_with_real_trials(retrainer: ModelRetrainer, home: Home) -> None:
    results = retrainer.retrain_all_ready_agents()
    assert results[AGENT].promoted and results[AGENT].statistics["variants"] == 3
    assert results[AGENT].champion == f"{AGENT}@{Registry(home).champion(AGENT)}"
