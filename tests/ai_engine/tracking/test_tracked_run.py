"""What is told of a run is what its files say: figures by name and step, refusals left out, nothing that moves."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ai_engine
from ai_engine.deploy.registry import Registry
from ai_engine.runs import INTERRUPTED, Run
from ai_engine.tracking.tracked_run import TrackedEntry, TrackedRun, tracked_run, tracked_version
from ai_engine.tune_result import TuneResult
from algorithms.policy import Policy
from envs.errors import RegistryError
from envs.home import Home
from tests import homes
from tune_configs.trial_result import TrialResult

AGENT = homes.AGENT


def told(home: Home, identifier: str) -> TrackedRun:
    return tracked_run(Run.open(home, identifier), Registry(home))


def standing(entry: TrackedEntry) -> dict[str, float]:
    """The figures that stand for a trial."""
    ways = ("training/", "checkpoints/", "statistics/")
    return {point.name: point.value for point in entry.points if not point.name.startswith(ways)}


def series(entry: TrackedEntry, name: str) -> dict[int, float]:
    return {point.step: point.value for point in entry.points if point.name == name}


def test_every_trial_is_told_as_it_was_judged(swept: tuple[Home, TuneResult]) -> None:
    home, result = swept
    run = told(home, result.run)
    trials = {entry.key: entry for entry in run.entries if entry.key.isdigit()}
    assert sorted(map(int, trials)) == list(range(homes.TRIALS))
    judged = {str(variant.index): variant for variant in result.variants}
    usable = 0
    for key, entry in trials.items():
        figures = standing(entry)
        kept = TrialResult.load(home.runs_path / result.run / "variants" / f"{int(key):04d}.json")
        gain = kept.best.gain
        assert figures["model_gain"] == kept.best.model_gain
        assert figures["effective_sample_size"] == gain.effective_sample_size
        assert figures["metric"] == kept.best.metric
        assert entry.parameters["algorithm"] == judged[key].algorithm
        assert entry.parameters["step"] == judged[key].step
        assert entry.parameters["seeds"] == "[0]"
        effective = kept.best.hyperparameters
        assert all(entry.parameters[name] == value for name, value in effective.items() if type(value) is float)
        assert series(entry, f"training/{kept.curve.metric}") == dict(enumerate(kept.curve.values, start=1))
        assert series(entry, "checkpoints/metric") == {each.iteration: each.metric for each in kept.checkpoints}
        assert {point.step for point in entry.points if point.name == "metric"} == {kept.best.iteration}
        if gain.usable:
            usable += 1
            assert [figures[f"gain/{end}"] for end in ("lower", "value", "upper")] == [
                gain.lower,
                gain.value,
                gain.upper,
            ]
            assert (entry.tags["evidence"], "refused" in entry.tags) == ("log", False)
        else:
            assert entry.tags["refused"] == gain.refused and entry.tags["evidence"] == "model"
    assert 0 < usable < homes.TRIALS, "both kinds are to be tried"


def test_a_refused_number_is_not_told_even_where_it_was_forced(
    swept: tuple[Home, TuneResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, result = swept
    load = TrialResult.load

    def forced(path: Path) -> TrialResult:
        trial = load(path)
        changed = tuple(replace(c, gain=replace(c.gain, value=1.0, refused="forced")) for c in trial.checkpoints)
        return replace(trial, checkpoints=changed)

    monkeypatch.setattr(TrialResult, "load", forced)
    names = {point.name for entry in told(home, result.run).entries for point in entry.points}
    assert not [name for name in names if "gain/" in name]
    assert "model_gain" in names


def test_the_models_range_does_not_pose_as_an_interval(swept: tuple[Home, TuneResult]) -> None:
    home, result = swept
    by_model = [v for v in result.variants if v.estimate.evidence == "model" and v.index < homes.TRIALS]
    entries = {entry.key: standing(entry) for entry in told(home, result.run).entries}
    assert by_model
    for variant in by_model:
        figures = entries[str(variant.index)]
        assert figures["model_estimate"] == variant.estimate.value
        assert not [name for name in figures if name.startswith("estimate/")]


def test_versions_finalists_and_the_recommendation_are_named(swept: tuple[Home, TuneResult]) -> None:
    home, result = swept
    run = told(home, result.run)
    tagged = {entry.tags["version"]: entry for entry in run.entries if entry.version}
    assert set(tagged) == {*result.finalists, result.recommended}
    assert {name for name, entry in tagged.items() if entry.tags["finalist"] == "yes"} == set(result.finalists)
    assert [name for name, entry in tagged.items() if entry.tags["recommended"] == "yes"] == [result.recommended]
    for entry in run.entries:
        assert entry.tags["champion"] == f"{AGENT}@0" and entry.tags["grade"] == "A"
        policy = Policy.from_bytes(entry.artefact.read_bytes())
        assert policy.version == (entry.version or "candidate"), "a version's policy is the one that is promoted"
    assert run.tags["recommended"] == result.recommended
    assert {point.name: point.value for point in run.points}["trials"] == homes.TRIALS


def test_a_home_that_moved_tells_the_same(swept: tuple[Home, TuneResult], tmp_path: Path) -> None:
    home, result = swept
    moved = Home(shutil.copytree(home.path, tmp_path / "elsewhere" / "moved"))
    assert told(moved, result.run).digest == told(home, result.run).digest


def test_what_changes_is_noticed(swept: tuple[Home, TuneResult]) -> None:
    home, result = swept
    before = told(home, result.run)
    run = Run.open(home, result.run)
    run.update(tags={"team": "payments", "agent": "not mine"})
    tagged = told(home, result.run)
    assert tagged.digest != before.digest
    assert tagged.tags["team"] == tagged.entries[0].tags["team"] == "payments"
    assert tagged.tags["agent"] == AGENT, "what is ours stays ours"
    run.update(tags={})
    run.write("gate.json", {"decision": "keep"})
    judged = told(home, result.run)
    assert judged.tags["gate"] == "keep"
    assert judged.digest != before.digest
    assert [entry.digest for entry in judged.entries] == [entry.digest for entry in before.entries]


def test_an_interrupted_sweep_tells_what_has_finished(swept: tuple[Home, TuneResult]) -> None:
    home, result = swept
    path = home.runs_path / result.run
    (path / "result.json").unlink()
    (path / "variants" / "0001.json").unlink()
    Run.open(home, result.run).update(status=INTERRUPTED, versions={})
    run = told(home, result.run)
    assert [entry.key for entry in run.entries] == ["0", "2", "3"]
    assert (run.status, run.tags["status"]) == (INTERRUPTED, INTERRUPTED)
    assert not any(entry.version for entry in run.entries)


def test_a_damaged_trial_is_named(swept: tuple[Home, TuneResult]) -> None:
    home, result = swept
    damaged = home.runs_path / result.run / "variants" / "0002.json"
    damaged.write_text("{}")
    with pytest.raises(RegistryError, match=r"0002\.json.*damaged"):
        told(home, result.run)


def test_a_training_is_told_with_its_figures(home: Home) -> None:
    made: Any = ai_engine.train(AGENT, algorithm="tabular_q", hyperparameters={"resolution": 8}, step=0.5, home=home)
    (identifier,) = [run.identifier for run in ai_engine.runs_list(home).runs]
    run = told(home, identifier)
    (entry,) = run.entries
    assert entry.tags["version"] == made.version
    assert (entry.parameters["resolution"], entry.parameters["step"]) == (8, 0.5)
    told_of = {point.name: point.value for point in entry.points}
    assert told_of == {f"statistics/{name}": value for name, value in made.statistics.items()}


def test_a_version_that_no_run_brought_is_told_by_itself(swept: tuple[Home, TuneResult]) -> None:
    home, _ = swept
    entry = tracked_version(Registry(home), AGENT, "0")
    assert entry.artefact.read_bytes() == Registry(home).path(AGENT, "0").read_bytes()
    assert (entry.key, entry.tags["version"]) == ("version 0", f"{AGENT}@0")
