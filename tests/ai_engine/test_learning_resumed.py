"""Sweeps that were interrupted, failed or are gone on with: nothing that was finished is lost or done twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ai_engine
from ai_engine import concluding, learning
from ai_engine.interrupts import Interrupted
from ai_engine.runs import FAILED, FINISHED, INTERRUPTED, Run, list_runs
from ai_engine.tune_result import TuneResult
from envs.errors import DataError, RegistryError
from envs.guardrail import GuardrailSpecification
from envs.home import Home
from tests import homes
from tests.ai_engine.sweeping import tuned, versions
from tune_configs.resources import ResourceError
from tune_configs.trial_plan import TrialPlan


def test_an_interruption_keeps_what_is_finished_and_names_the_command(
    home: Home, monkeypatch: pytest.MonkeyPatch, without_ray: list[int]
) -> None:
    real = homes.run_variant

    def interrupted(plan: TrialPlan, index: int) -> Any:
        if index == 2:
            raise KeyboardInterrupt
        return real(plan, index)

    monkeypatch.setattr(homes, "run_variant", interrupted)
    with pytest.raises(Interrupted) as raised:
        tuned(home)
    (run,) = list_runs(home)
    assert run.status == INTERRUPTED
    assert raised.value.resume_command == f"retrainer runs resume {run.identifier} --home {home.path}"
    assert versions(home) == ["0"]
    monkeypatch.setattr(homes, "run_variant", real)
    without_ray.clear()
    result = learning.runs_resume(run.identifier, home=home)
    assert without_ray == [2, 3]
    assert result.run == run.identifier


@pytest.mark.parametrize("step", ["_register", "_recommend", "prepare"])
def test_an_interruption_anywhere_leaves_a_run_that_ends_alike(
    step: str, home: Home, swept_home: tuple[Path, TuneResult], monkeypatch: pytest.MonkeyPatch, without_ray: list[int]
) -> None:
    module = learning if step == "prepare" else concluding
    real = getattr(module, step)

    def late(*arguments: Any, **keywords: Any) -> Any:
        real(*arguments, **keywords)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, step, late)
    with pytest.raises((Interrupted, KeyboardInterrupt)):
        tuned(home)
    monkeypatch.setattr(module, step, real)
    left = list_runs(home)
    result = learning.runs_resume(left[0].identifier, home=home) if left else tuned(home)
    assert homes.comparable(result.to_json()) == homes.comparable(swept_home[1].to_json())
    # No version twice, however often it was begun.
    assert versions(home) == versions(Home(swept_home[0]))


def test_a_failed_sweep_says_so_and_can_be_finished(
    home: Home, monkeypatch: pytest.MonkeyPatch, without_ray: list[int]
) -> None:
    def broken(trials: Any) -> Any:
        raise DataError("broken", where="here", remedy="none")

    choose = concluding.select
    monkeypatch.setattr(concluding, "select", broken)
    with pytest.raises(DataError, match="broken"):
        tuned(home)
    (run,) = list_runs(home)
    assert run.status == FAILED
    monkeypatch.setattr(concluding, "select", choose)
    without_ray.clear()
    assert learning.runs_resume(run.identifier, home=home).variants
    assert without_ray == []
    assert Run.open(home, run.identifier).status == FINISHED


def test_resuming_what_is_no_sweep_is_refused(home: Home, without_ray: list[int]) -> None:
    tabular = {"discretizer": "integer"}
    ai_engine.train(homes.AGENT, algorithm="tabular_q", home=home, hyperparameters=tabular)
    (run,) = list_runs(home)
    with pytest.raises((DataError, RegistryError)) as raised:
        learning.runs_resume(run.identifier, home=home)
    assert run.identifier in str(raised.value)
    with pytest.raises(RegistryError, match="is no run"):
        learning.runs_resume("nothing", home=home)


def test_further_variants_in_a_finished_run_are_those_of_a_longer_one(
    home: Home, tmp_path: Path, swept: tuple[Home, TuneResult], without_ray: list[int]
) -> None:
    longer = tuned(home, trials=homes.TRIALS + 2)
    finished, result = swept
    ai_engine.gate(homes.AGENT, home=finished)
    kept = {path: path.stat().st_mtime_ns for path in (Run.open(finished, result.run).path / "variants").iterdir()}
    without_ray.clear()
    extended = learning.runs_resume(result.run, home=finished, add=2)
    assert without_ray == [homes.TRIALS, homes.TRIALS + 1]
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert extended.run == result.run
    # A version that was registered before keeps its number; for the rest it is the longer run.
    numbers = [{v.index: v.version for v in each.variants if v.version} for each in (extended, result)]
    assert all(numbers[0][index] == version for index, version in numbers[1].items() if version in result.finalists)
    documents = [homes.comparable(each.to_json())["variants"] for each in (extended, longer)]
    for variant in (*documents[0], *documents[1]):
        variant.pop("version")
    assert documents[0] == documents[1]
    run = Run.open(finished, result.run)
    assert run.status == FINISHED and not (run.path / "gate.json").exists()
    assert run.read("result.json") == extended.to_json()


def test_further_variants_that_could_not_be_compared_are_refused(
    swept: tuple[Home, TuneResult], without_ray: list[int]
) -> None:
    home, result = swept
    run = Run.open(home, result.run)
    run.update(status=INTERRUPTED)
    with pytest.raises(DataError, match="is interrupted; resume it first"):
        learning.runs_resume(result.run, home=home, add=1)
    run.update(status=FINISHED)
    with pytest.raises(DataError, match="add at least one"):
        learning.runs_resume(result.run, home=home, add=0)
    declared = home.specification(homes.AGENT)
    home.declare(replace(declared, guardrails=(GuardrailSpecification("misses", "gain < 0.5", "lower", margin=0.1),)))
    with pytest.raises(DataError, match=r"the declaration \(guardrails\) has changed since"):
        learning.runs_resume(result.run, home=home, add=1)
    home.declare(declared)
    homes.write(home, homes.records(5, seed=99))
    with pytest.raises(DataError, match="the log has changed since"):
        learning.runs_resume(result.run, home=home, add=1)
    assert Run.open(home, result.run).status == FINISHED
    assert without_ray == []


def test_what_can_never_run_leaves_no_run(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def impossible(plans: Any, **arguments: Any) -> Any:
        raise ResourceError("each trial asks for 9 CPU", where="resources", remedy="ask for less")

    monkeypatch.setattr(learning, "run_sweeps", impossible)
    with pytest.raises(ResourceError, match="9 CPU"):
        tuned(home, resources={"CPU": 9})
    assert list_runs(home) == []
