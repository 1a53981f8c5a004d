"""The embedded MLflow store, for real: a run a sweep, a nested run a trial, and the alias where the ledger says."""

from __future__ import annotations

import ast
import importlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ai_engine
from ai_engine.deploy import Registry, load_policy
from ai_engine.runs import Run
from ai_engine.tracking import TrackingError, track_sync, tracked_run
from ai_engine.tracking.mlflow_client import QUIET, mlflow_client, pages
from ai_engine.tracking.settings import TrackingSettings, embedded_uri
from ai_engine.tune_result import TuneResult
from algorithms.policy import Policy
from envs.home import Home
from tests import homes, snippets
from tests.ai_engine.tracking.stores import artefacts, champion_of, client_of, content, give_store, runs_of

AGENT = homes.AGENT
DOCUMENT = Path(__file__).parents[3] / "docs" / "tracking.md"
Stored = tuple[Home, TuneResult]


def told(home: Home) -> Any:
    (done,) = track_sync(track=["mlflow"], home=home).done
    return done


def test_a_sweep_is_a_run_and_its_trials_are_nested(stored: Stored) -> None:
    home, result = stored
    Run.open(home, result.run).update(tags={"team": "payments", "mlflow.parentRunId": "nonsense", "größe": "klein"})
    beside = [key for key in Run.open(home, result.run).record["versions"] if not key.isdigit()]
    assert told(home).trials == homes.TRIALS + len(beside)
    runs = runs_of(home)
    sweep = runs["run"]
    assert (sweep.info.run_name, sweep.info.status) == (result.run, "FINISHED")
    assert sweep.data.tags["team"] == "payments"
    assert sweep.data.tags["recommended"] == result.recommended
    assert (sweep.data.params["search"], sweep.data.params["seed"]) == ("random", "0")
    assert sweep.data.metrics["trials"] == homes.TRIALS
    for variant in result.variants:
        if variant.index >= homes.TRIALS:
            continue
        trial = runs[str(variant.index)]
        tags, metrics = trial.data.tags, trial.data.metrics
        assert tags["mlflow.parentRunId"] == sweep.info.run_id
        assert (tags["agent"], tags["run"], tags["grade"], tags["champion"]) == (AGENT, result.run, "A", f"{AGENT}@0")
        assert (tags["team"], tags["tag.mlflow.parentRunId"]) == ("payments", "nonsense")
        assert trial.data.params["algorithm"] == variant.algorithm
        assert float(trial.data.params["step"]) == variant.step
        for name, value in variant.hyperparameters.items():
            assert trial.data.params[name] == str(value)
        assert metrics["effective_sample_size"] == variant.gain.effective_sample_size
        assert ("gain/lower" in metrics) == variant.gain.usable
        if variant.gain.usable:
            assert metrics["gain/lower"] == variant.gain.lower
        client = client_of(home)
        curve = client.get_metric_history(trial.info.run_id, f"training/{variant.curve.metric}")
        assert [(point.step, point.value) for point in curve] == list(enumerate(variant.curve.values, start=1))
        (standing,) = client.get_metric_history(trial.info.run_id, "metric")
        assert standing.step == trial_best(result, variant.index)


def trial_best(result: TuneResult, index: int) -> int:
    """The iteration of a trial's best checkpoint, by the definition."""
    checkpoints = next(v for v in result.variants if v.index == index).checkpoints
    return max(enumerate(checkpoints), key=lambda item: (item[1].metric, item[0]))[1].iteration


def test_the_policies_are_files_of_json_that_load_and_nothing_is_pickled(stored: Stored, tmp_path: Path) -> None:
    home, _ = stored
    told(home)
    files = artefacts(home)
    assert {Path(name).name for name in files} == {"policy.json"}
    for key, run in runs_of(home).items():
        if key == "run":
            continue
        path = tmp_path / key / "policy.json"
        path.parent.mkdir()
        path.write_bytes(files[f"{AGENT}/{run.info.run_id}/artifacts/policy/policy.json"])
        if version := run.data.tags.get("version", "").rpartition("@")[2]:
            assert path.read_bytes() == Registry(home).path(AGENT, version).read_bytes()
        assert load_policy(path, base=homes.rule).act(1).action in homes.ACTIONS


def test_telling_it_again_changes_no_row(stored: Stored) -> None:
    home, _ = stored
    told(home)
    rows, files = content(home), artefacts(home)
    again = told(home)
    assert (again.trials, again.versions, again.moved) == (0, 0, False)
    assert (content(home), artefacts(home)) == (rows, files)


def champion_by_the_document(home: Home, monkeypatch: pytest.MonkeyPatch) -> Policy:
    """The policy as ``docs/tracking.md`` gets it from MLflow."""
    (block,) = snippets.snippets(DOCUMENT)
    code = block.code.replace("models:/scaling@", f"models:/{AGENT}@")
    code = code.replace('"policy.json")', '"policy.json", base=base)')
    with monkeypatch.context() as patched:
        patched.setenv("MLFLOW_TRACKING_URI", embedded_uri(home))
        namespace, _ = snippets.run(ast.parse(code).body, {"base": homes.rule}, block.place)
    return namespace["policy"]


def test_the_alias_follows_promotion_and_rollback(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    home, result = stored
    first = told(home)
    assert (first.champion, first.moved) == (f"{AGENT}@0", True)
    assert champion_of(home) == "0"
    version = result.finalists[0].partition("@")[2]
    Registry(home).override(AGENT, version, "a test")
    assert told(home).moved
    assert champion_of(home) == version
    found = client_of(home).get_model_version_by_alias(AGENT, "champion")
    assert client_of(home).get_run(found.run_id).data.tags["version"] == result.finalists[0]
    assert champion_by_the_document(home, monkeypatch).version == version
    Registry(home).rollback(AGENT, reason="a test")
    told(home)
    assert champion_of(home) == "0"


def test_an_alias_that_somebody_moved_is_put_back(stored: Stored) -> None:
    home, _ = stored
    told(home)
    client = client_of(home)
    client.set_registered_model_alias(AGENT, "champion", "2")
    assert champion_of(home) != "0"
    assert told(home).moved
    assert champion_of(home) == "0"
    client.delete_registered_model_alias(AGENT, "champion")
    told(home)
    assert champion_of(home) == "0"


class Failing:
    """A client whose n-th writing call fails; counts them."""

    WRITING = ("create_", "log_", "set_")

    def __init__(self, client: Any, fail_at: int) -> None:
        self._client, self.left = client, fail_at

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not name.startswith(self.WRITING):
            return found

        def called(*arguments: Any, **keywords: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                raise ConnectionError("the line went dead")
            return found(*arguments, **keywords)

        return called


def essence(home: Home) -> dict[str, Any]:
    """What the store says, without MLflow's own numbers and times."""
    told_of = {}
    for key, run in runs_of(home).items():
        tags = {name: value for name, value in run.data.tags.items() if name != "mlflow.parentRunId"}
        told_of[key] = (run.info.run_name, run.info.status, run.data.params, run.data.metrics, tags)
    versions = client_of(home).search_model_versions(f"name = '{AGENT}'")
    numbers = sorted(version.tags["retrainer.version"] for version in versions)
    return {"runs": told_of, "versions": numbers, "champion": champion_of(home)}


@pytest.mark.parametrize("fail_at", [7, 12])
def test_what_a_dead_line_left_half_written_is_completed(
    stored: Stored, fail_at: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home, _ = stored
    whole = Home(shutil.copytree(home.path, tmp_path / "whole"))
    told(whole)
    mlflow = importlib.import_module("mlflow")
    plain, failures = mlflow.MlflowClient, 0
    monkeypatch.setattr(mlflow, "MlflowClient", lambda uri: Failing(plain(uri), fail_at))
    while failures < 50:
        try:
            told(home)
            break
        except TrackingError as error:
            assert error.problem == "ConnectionError: the line went dead"
            failures += 1
    assert 3 < failures < 50, "each time a little more is written"
    monkeypatch.setattr(mlflow, "MlflowClient", plain)
    assert essence(home) == essence(whole)
    rows = content(home)
    told(home)
    assert content(home) == rows


def test_what_somebody_deleted_stays_deleted(stored: Stored) -> None:
    home, result = stored
    told(home)
    client = client_of(home)
    client.delete_run(runs_of(home)["1"].info.run_id)
    Run.open(home, result.run).update(tags={"team": "payments"})  # so that all of it is written again
    assert told(home).trials == homes.TRIALS
    assert "1" not in runs_of(home)
    assert runs_of(home)["2"].data.tags["team"] == "payments"
    client.delete_run(runs_of(home)["run"].info.run_id)
    Run.open(home, result.run).update(tags={"team": "search"})
    assert told(home).trials == 0
    assert champion_of(home) == "0"


def test_a_version_whose_run_was_deleted_gets_one_of_its_own(stored: Stored) -> None:
    home, _ = stored
    told(home)
    client = client_of(home)
    client.delete_registered_model(AGENT)
    for run in runs_of(home).values():
        client.delete_run(run.info.run_id)
    assert told(home).versions == len(Registry(home).versions(AGENT))
    runs = runs_of(home)
    assert set(runs) == {f"version {version}" for version in Registry(home).versions(AGENT)}
    assert champion_of(home) == "0"


def test_further_trials_of_a_finished_sweep_come_to_the_same_run(stored: Stored, without_ray: list[int]) -> None:
    home, result = stored
    told(home)
    before = {key: run.info.run_id for key, run in runs_of(home).items()}
    again = ai_engine.runs_resume(result.run, add=1, home=home)
    told(home)
    runs = runs_of(home)
    assert before.items() <= {key: run.info.run_id for key, run in runs.items()}.items()
    assert str(homes.TRIALS) in runs
    assert runs["run"].data.metrics["trials"] == homes.TRIALS + 1
    recommended = [run.data.tags["version"] for run in runs.values() if run.data.tags.get("recommended") == "yes"]
    assert recommended == [again.recommended]


def test_a_parameter_that_is_told_otherwise_than_before_stays(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow refuses to change one; after an update that words it otherwise, the rest must still be told."""
    home, _ = stored
    told(home)
    with monkeypatch.context() as patched:
        patched.setattr(tracked_run, "_parameter", lambda value: f"now {value}")
        patched.setattr(tracked_run, "NOTES", dict.fromkeys(tracked_run.NOTES, "another note"))
        assert told(home).trials > 0
    runs = runs_of(home)
    assert runs["0"].data.params["discretizer"] == "integer"
    assert [run.data.tags["note"] for run in runs.values() if " again" in run.data.tags["retrainer.key"]] == [
        "another note"
    ]


def test_a_model_of_another_home_is_left_alone(stored: Stored, tmp_path: Path) -> None:
    home, _ = stored
    told(home)
    other = homes.make_home(tmp_path / "other", homes.records(60))
    (other.data_path / "split_key").write_text("ab" * 32)
    ai_engine.train(AGENT, algorithm="tabular_q", home=other)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MLFLOW_TRACKING_URI", embedded_uri(home))
        before = content(home)
        with pytest.raises(TrackingError, match=r"model dial is not of this home; set prefix = "):
            told(other)
        assert content(home) == before
        with open(other.configuration_path, "a") as file:
            file.write('\n[tracking]\nprefix = "staging-"\n')
        assert told(other).versions == 2
        assert champion_of(home) == "0"
        assert champion_of(home, f"staging-{AGENT}") == "0"


def test_a_home_that_moved_says_how_its_store_is_made_anew(stored: Stored, tmp_path: Path, empty_store: Path) -> None:
    home, _ = stored
    told(home)
    moved = Home(shutil.move(home.path, tmp_path / "moved"))
    with pytest.raises(TrackingError, match="where the home no longer is; remove the folder and run retrainer track"):
        told(moved)
    # In a third place, for this process still holds the database that would have to be removed.
    fresh = Home(shutil.copytree(moved.path, tmp_path / "fresh", ignore=shutil.ignore_patterns("mlflow")))
    give_store(fresh, empty_store)
    assert told(fresh).trials > 0
    assert champion_of(fresh) == "0"


def test_a_place_with_blanks_and_signs_is_a_place(swept: Stored, empty_store: Path, tmp_path: Path) -> None:
    home = Home(shutil.copytree(swept[0].path, tmp_path / "100 % of it, é"))
    give_store(home, empty_store)
    assert told(home).trials > 0
    assert champion_of(home) == "0"
    assert artefacts(home)


def test_mlflows_settings_are_ours_only_within(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path
) -> None:
    home = Home.create(tmp_path / "home")
    give_store(home, empty_store)
    for name in QUIET:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "99")
    with mlflow_client(TrackingSettings.of(home, ["mlflow"])):
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "99", "what the user set stays"
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "1"
    assert {name: os.environ.get(name) for name in QUIET if name in os.environ} == {"MLFLOW_HTTP_REQUEST_TIMEOUT": "99"}


def test_a_search_is_read_to_its_last_page() -> None:
    class Page(list[int]):
        token: str | None = None

    def search(page_token: str | None, **_: Any) -> Page:
        start = int(page_token or 0)
        page = Page(range(start, min(start + 2, 5)))
        page.token = str(start + 2) if start + 2 < 5 else None
        return page

    searching: Callable[..., Any] = search
    assert list(pages(searching)) == [0, 1, 2, 3, 4]
