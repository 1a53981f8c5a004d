"""A tracker follows and never leads: what it fails at is warned of once, remembered, and made good later."""

from __future__ import annotations

import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import ai_engine
from ai_engine.cli.application import retrainer
from ai_engine.deploy import Registry
from ai_engine.runs import list_runs
from ai_engine.tracking import TrackingError, TrackingWarning, following, settings, synchronising, track_sync
from ai_engine.tracking.problems import behind
from ai_engine.tune_result import TuneResult
from envs.errors import DataError, MissingExtraError, RegistryError, SpecificationError
from envs.home import Home
from tests import homes
from tests.ai_engine.tracking.stores import champion_of, give_store, runs_of

AGENT = homes.AGENT
Stored = tuple[Home, TuneResult]


@pytest.fixture
def dead_server(monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a server that is down."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{port}")
    return f"127.0.0.1:{port}"


@contextmanager
def warned() -> Iterator[list[str]]:
    """The warnings of tracking within; all of them, however often the same."""
    told: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield told
    told += [str(each.message) for each in caught if issubclass(each.category, TrackingWarning)]


def champion(home: Home) -> str:
    return Registry(home).champion(AGENT)


def finalist(result: TuneResult) -> str:
    return result.finalists[0]


def test_nothing_is_touched_where_nothing_is_asked(
    home: Home, without_ray: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "synchronise", lambda *_: pytest.fail("nobody asked"))
    result = ai_engine.tune(AGENT, trials=3, home=home)
    ai_engine.gate(AGENT, home=home)
    ai_engine.promote(result.recommended, home=home, override=True, reason="a test")
    ai_engine.rollback(AGENT, home=home)
    assert not (home.path / "mlflow").exists()
    assert not list(home.runs_path.rglob("tensorboard"))


def test_tune_gate_promote_and_rollback_are_followed(
    home: Home, without_ray: list[int], empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_store(home, empty_store)
    monkeypatch.setenv("RETRAINER_TRACK", "mlflow")
    with warned() as told:
        result = ai_engine.tune(AGENT, trials=3, home=home, track=["mlflow", "tensorboard"])
        assert len(list((home.runs_path / result.run / "tensorboard").iterdir())) >= 3
        assert {"0", "1", "2", "run"} <= set(runs_of(home))
        decided = ai_engine.gate(AGENT, home=home)
        assert runs_of(home)["run"].data.tags["gate"] == decided.decision == "promote"
        ai_engine.promote(decided.version, home=home)
        assert f"{AGENT}@{champion_of(home)}" == decided.version
        ai_engine.rollback(AGENT, home=home)
        assert champion_of(home) == champion(home) == "0"
        ai_engine.promote(f"{AGENT}@{result.recommended.partition('@')[2]}", home=home, override=True, reason="a test")
        assert f"{AGENT}@{champion_of(home)}" == result.recommended
    assert told == []


def test_a_dead_server_delays_a_promotion_by_seconds_and_stops_nothing(swept: Stored, dead_server: str) -> None:
    home, result = swept
    started = time.monotonic()
    with warned() as told:
        moved = ai_engine.promote(finalist(result), home=home, override=True, reason="a test", track=["mlflow"])
    assert time.monotonic() - started < 60
    assert f"{AGENT}@{champion(home)}" == moved.to_json()["champion"] == finalist(result)
    (line,) = told
    assert line == (
        f"not tracked: mlflow at http://{dead_server}: cannot be reached; nothing else is affected,"
        " retrainer track sync --track mlflow repairs it"
    )
    (what, why), *others = behind(home).items()
    assert (what, others) == (f"{AGENT} in mlflow", []) and "secret" not in why
    text = ai_engine.status(home).to_text()
    assert f"Not tracked is {AGENT} in mlflow (mlflow at http://{dead_server}: cannot be reached).\n" in text
    with warned() as told:
        ai_engine.rollback(AGENT, home=home, track=["mlflow"])
    assert len(told) == 1 and champion(home) == "0"


def test_what_was_missed_is_made_good_by_sync(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    home, result = stored
    with monkeypatch.context() as patched, warned() as told:
        patched.setattr(synchronising, "mlflow_client", broken)
        ai_engine.promote(finalist(result), home=home, override=True, reason="a test", track=["mlflow"])
    assert len(told) == 1 and behind(home)
    done = track_sync(track=["mlflow"], home=home)
    assert f"{AGENT}@{champion_of(home)}" == finalist(result)
    assert behind(home) == {}
    assert "Not tracked" not in ai_engine.status(home).to_text()
    assert done.to_text().endswith("What was missing is there now.")
    assert track_sync([AGENT], track=["mlflow"], home=home).to_text().endswith("All was there already.")


def broken(_: Any) -> Any:
    raise RuntimeError("the\nlibrary\nis broken")


@pytest.mark.parametrize(
    "failure", [RuntimeError("broken"), KeyboardInterrupt(), OSError(28, "No space"), MemoryError()]
)
def test_no_failure_of_a_tracker_reaches_a_promotion(
    swept: Stored, failure: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, result = swept

    def fail(*_: Any) -> None:
        raise failure

    monkeypatch.setattr(following, "synchronise", fail)
    with warned() as told:
        ai_engine.promote(finalist(result), home=home, override=True, reason="a test", track=["mlflow", "tensorboard"])
    assert f"{AGENT}@{champion(home)}" == finalist(result)
    assert len(told) == 1
    assert set(behind(home)) == {f"{AGENT} in mlflow", f"{AGENT} in tensorboard"}


def test_one_tracker_that_fails_does_not_take_the_other_with_it(swept: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    home, result = swept
    monkeypatch.setattr(synchronising, "mlflow_client", broken)
    with warned() as told:
        following.follow(home, AGENT, ["mlflow", "tensorboard"])
    assert len(told) == 1 and set(behind(home)) == {f"{AGENT} in mlflow"}
    assert (home.runs_path / result.run / "tensorboard" / "0000").is_dir()


def test_a_server_that_is_down_is_asked_once_for_all_agents(swept: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    home, _ = swept
    asked: list[Any] = []

    def fail(*arguments: Any) -> None:
        asked.append(arguments)
        raise TrackingError("is down")

    monkeypatch.setattr(following, "synchronise", fail)
    with warned() as told, following.tracked(home, [AGENT, "other"], ["mlflow"]):
        pass
    assert len(asked) == len(told) == 1
    assert behind(home) == {f"{AGENT} in mlflow": "is down", "other in mlflow": "is down"}


def test_a_sweep_with_a_dead_tracker_still_gives_its_result(
    home: Home, without_ray: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synchronising, "mlflow_client", broken)
    with warned() as told:
        result = ai_engine.tune(AGENT, trials=3, home=home, track=["mlflow"])
    assert len(told) == 1 and "\n" not in told[0]
    assert list_runs(home)[-1].status == "finished" and result.recommended


def test_a_missing_extra_is_said_before_a_sweep_begins_and_never_stops_a_promotion(
    swept: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, result = swept
    monkeypatch.setattr(settings, "find_spec", lambda module: None)
    monkeypatch.setenv("RETRAINER_TRACK", "mlflow")
    for begin in (
        lambda: ai_engine.tune(AGENT, trials=3, home=home),
        lambda: ai_engine.train(AGENT, home=home),
        lambda: ai_engine.runs_resume(result.run, add=1, home=home),
    ):
        with pytest.raises(MissingExtraError, match=r'pip install "retrainer\[mlflow\]"'):
            begin()
    assert len(list_runs(home)) == 1 and list_runs(home)[0].status == "finished"
    with warned() as told:
        ai_engine.promote(finalist(result), home=home, override=True, reason="a test")
    assert len(told) == 1 and "retrainer[mlflow]" in told[0]
    assert f"{AGENT}@{champion(home)}" == finalist(result)


def test_sync_says_what_it_needs(swept: Stored) -> None:
    home, _ = swept
    with pytest.raises(DataError, match="nothing says where to track"):
        track_sync(home=home)
    with pytest.raises(SpecificationError, match="'wandb' is no tracker"):
        track_sync(track=["wandb"], home=home)
    with pytest.raises(RegistryError, match="agent nobody: has no champion yet"):
        track_sync(["nobody"], track=["tensorboard"], home=home)


def test_two_at_once_take_turns(swept: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    home, _ = swept
    monkeypatch.setattr(synchronising, "LOCK_SECONDS", 0.2)
    with synchronising._lock(home), pytest.raises(TrackingError, match="another process is tracking"):
        track_sync(track=["tensorboard"], home=home)
    assert track_sync(track=["tensorboard"], home=home).done[0].trials > 0


def test_a_wrong_name_ends_the_command_before_it_promotes(swept: Stored) -> None:
    home, result = swept
    typed = ["promote", finalist(result), "--override", "--reason", "a test", "--home", str(home.path)]
    answer = CliRunner().invoke(retrainer, [*typed, "--track", "mlflow,wandb"])
    assert answer.exit_code == 2 and "'wandb' is no tracker; name mlflow, tensorboard, or none" in answer.stderr
    assert champion(home) == "0"


def test_the_command_warns_once_on_standard_error_and_succeeds(swept: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    home, result = swept
    monkeypatch.setattr(synchronising, "mlflow_client", broken)
    typed = [
        "promote",
        finalist(result),
        "--override",
        "--reason",
        "a test",
        "--track",
        "mlflow",
        "--home",
        str(home.path),
    ]
    answer = CliRunner().invoke(retrainer, [*typed, "--json"])
    assert answer.exit_code == 0, answer.output
    assert answer.stdout.count("\n") == 1 and f'"champion": "{finalist(result)}"' in answer.stdout
    assert answer.stderr.splitlines() == [
        "warning: not tracked: RuntimeError: the library is broken; nothing else is affected,"
        " retrainer track sync --track mlflow repairs it"
    ]
    failed = CliRunner().invoke(retrainer, ["track", "sync", "--track", "mlflow", "--home", str(home.path)])
    assert failed.exit_code == 1 and "the library is broken" in failed.stderr
