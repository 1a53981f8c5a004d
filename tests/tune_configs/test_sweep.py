"""Sweeps through Ray Tune: loud failures, nothing lost, the budget of time, and going on after a kill."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import ai_engine
from ai_engine.runs import INTERRUPTED, list_runs
from ai_engine.tune_result import TuneResult
from ai_engine.workspace import open_workspace
from envs.columns import save_columns
from envs.home import Home
from tests import homes
from tune_configs.ray_session import ray_session
from tune_configs.spaces import search_space
from tune_configs.sweep import SweepError, SweepResult, causes_of, run_sweeps
from tune_configs.trial_plan import TrialPlan
from tune_configs.trial_result import TrialResult
from tune_configs.variant import VariantSpecification

GOOD = VariantSpecification("behavior_cloning", {"model": "table", "discretizer": "integer"})
BAD = VariantSpecification("tabular_q", {"discretizer": "integer", "pessimism": -1.0})
WORSE = VariantSpecification("tabular_q", {"discretizer": "grid", "fields": ("nobody",)})


def run_sweep(plan: TrialPlan, **arguments: Any) -> SweepResult:
    """The sweep of one plan."""
    (outcome,) = run_sweeps([plan], **arguments)
    if isinstance(outcome, SweepError):
        raise outcome
    return outcome


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    """One Ray for the sweeps of this file; they use it and leave it running."""
    with ray_session(2):
        yield


@pytest.fixture
def plan(home: Home) -> TrialPlan:
    """A plan on the small log, its variants still to be named."""
    workspace = open_workspace(homes.AGENT, home)
    folder = home.runs_path / "sweep"
    folder.mkdir()
    (folder / "champion.json").write_bytes(workspace.champion().to_bytes())
    save_columns(workspace.dataset.split("train", "select"), folder / "dataset")
    return TrialPlan(folder, folder / "dataset", folder / "champion.json", (GOOD,))


def test_a_failed_trial_fails_loudly_and_the_others_are_kept(ray: None, plan: TrialPlan) -> None:
    several = replace(plan, variants=(GOOD, BAD, replace(GOOD, step=0.5), WORSE))
    told: list[tuple[int, int]] = []
    with pytest.raises(SweepError) as raised:
        run_sweep(several, progress=lambda done, count, best: told.append((done, count)))
    message = str(raised.value)
    assert "\n" not in message
    assert "2 of 4 trials failed" in message
    assert "variant 1" in message and "pessimism" in message
    assert "variant 3" in message and "nobody" in message
    assert raised.value.exit_code == 1
    assert [several.result_path(index).exists() for index in range(4)] == [True, False, True, False]
    assert told[-1] == (2, 4)


def test_a_trial_that_died_before_it_began_is_one_of_those_without_a_result(plan: TrialPlan) -> None:
    """Its process was killed for lack of memory: Tune does not say what it was asked for."""
    folder = plan.directory.parent / "finished"
    folder.mkdir()
    finished = replace(plan, directory=folder)
    finished.result_path(0).parent.mkdir(parents=True, exist_ok=True)
    finished.result_path(0).write_text("{}")
    dead = SimpleNamespace(error=RuntimeError("long story\nkilled for lack of memory"), config=None)
    named = SimpleNamespace(error=RuntimeError("broken"), config={"trial": {"plan": 1, "index": 1}})
    well = SimpleNamespace(error=None, config=None)
    found = causes_of([well, dead, named], [finished, replace(plan, variants=(GOOD, BAD))])  # type: ignore[list-item]
    assert found == {1: ["variant 1: broken", "a variant that did not begin: killed for lack of memory"]}
    # Where every result is there, nothing was lost.
    assert causes_of([dead], [finished]) == {}  # type: ignore[list-item]


@pytest.mark.full
def test_the_plans_of_one_experiment_fail_apart(ray: None, plan: TrialPlan) -> None:
    folder = plan.directory.parent / "other"
    folder.mkdir()
    other = replace(plan, directory=folder, variants=(replace(GOOD, step=0.5), GOOD))
    told: list[tuple[int, int]] = []
    failed, found = run_sweeps(
        [replace(plan, variants=(BAD, GOOD)), other], progress=lambda done, count, best: told.append((done, count))
    )
    assert isinstance(failed, SweepError) and "1 of 2 trials failed: variant 0" in str(failed)
    assert isinstance(found, SweepResult) and [trial.variant.step for trial in found.trials] == [0.5, 1.0]
    assert plan.result_path(1).exists()
    assert told[-1] == (3, 4)


@pytest.mark.full
def test_put_right_only_the_missing_ones_run(ray: None, plan: TrialPlan) -> None:
    several = replace(plan, variants=(GOOD, BAD, replace(GOOD, step=0.5), WORSE))
    with pytest.raises(SweepError):
        run_sweep(several)
    kept = several.result_path(0).stat().st_mtime_ns
    right = replace(several, variants=(GOOD, replace(GOOD, step=0.1), several.variants[2], replace(GOOD, step=0.25)))
    found = run_sweep(right)
    assert [trial.index for trial in found.trials] == [0, 1, 2, 3]
    assert [trial.variant.step for trial in found.trials] == [1.0, 0.1, 0.5, 0.25]
    assert several.result_path(0).stat().st_mtime_ns == kept
    assert found.skipped == ()


def test_a_finished_sweep_needs_no_ray(plan: TrialPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    result = homes.run_variant(plan, 0)
    monkeypatch.setattr("tune_configs.sweep.ray_session", None)
    assert run_sweep(plan).trials == (result,) == (TrialResult.load(plan.result_path(0)),)


def test_the_time_budget_is_kept_and_what_is_finished_counts(ray: None, plan: TrialPlan) -> None:
    space = search_space(homes.specification())
    many = tuple(itertools.islice(space.variants(0), 60))
    slow = {"model": "network", "hidden": (64, 64), "updates_per_iteration": 1500}
    long = tuple(VariantSpecification("behavior_cloning", slow, 1.0, (seed,)) for seed in range(20))
    budget = 8.0
    started = time.monotonic()
    found = run_sweep(replace(plan, variants=many[:4] + long), time_budget=budget)
    assert time.monotonic() - started < budget + 40.0  # all of them would take minutes
    assert found.trials, "nothing finished in time"
    assert found.skipped, "the budget did not end the sweep"
    assert sorted([*(trial.index for trial in found.trials), *found.skipped]) == list(range(24))


DRIVER = """
import sys, time
import ai_engine
from tune_configs import sweep

original = sweep.run_trial

def only_the_first(plans, config):
    if config["trial"]["index"]:
        time.sleep(600.0)
    original(plans, config)

sweep.run_trial = only_the_first
ai_engine.tune(sys.argv[1], trials=int(sys.argv[2]), home=sys.argv[3], seed=0)
"""


def test_after_a_kill_only_the_missing_variants_run_and_the_result_is_the_same(
    home: Home, swept_home: tuple[Path, TuneResult], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    arguments = [sys.executable, "-c", DRIVER, homes.AGENT, str(homes.TRIALS), str(home.path)]
    # What a killed Ray leaves behind is removed with this; a longer name than that has no room for its sockets.
    scratch = tempfile.mkdtemp(prefix="rt-")
    request.addfinalizer(lambda: shutil.rmtree(scratch, ignore_errors=True))
    environment = {
        **os.environ,
        "TMPDIR": scratch,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "OMP_NUM_THREADS": "1",
    }
    driver = subprocess.Popen(arguments, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        finished: list[Path] = []
        until = time.monotonic() + 120
        while not finished and driver.poll() is None and time.monotonic() < until:
            finished = sorted(home.runs_path.glob("*/variants/*.json"))
            time.sleep(0.05)
        assert finished, driver.stderr.read() if driver.poll() is not None and driver.stderr else "too slow"
        (run,) = list_runs(home)
        assert run.status == "running"
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    finally:
        driver.kill()
        driver.wait()
        if driver.stderr:
            driver.stderr.close()
    (run,) = list_runs(home)
    assert run.status == INTERRUPTED
    assert not (run.path / "result.json").exists()
    done = {path: path.stat().st_mtime_ns for path in sorted((run.path / "variants").glob("*.json"))}
    assert 0 < len(done) < homes.TRIALS

    ran = homes.run_here(monkeypatch)
    resumed = ai_engine.runs_resume(run.identifier, home=home)
    missing = set(range(homes.TRIALS)) - {int(path.stem) for path in done}
    # A worker that outlives its driver for a moment may finish one more.
    assert set(ran) <= missing
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert homes.comparable(resumed.to_json()) == homes.comparable(swept_home[1].to_json())
    # Once more gives the stored result, and registers nothing.
    versions = open_workspace(homes.AGENT, home).registry.versions(homes.AGENT)
    assert ai_engine.runs_resume(run.identifier, home=home).to_json() == resumed.to_json()
    assert open_workspace(homes.AGENT, home).registry.versions(homes.AGENT) == versions
