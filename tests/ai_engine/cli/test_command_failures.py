"""Whatever goes wrong: one line that names the remedy, the right exit code, and JSON where JSON was asked for."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from ai_engine.cli.failures import TRAINING_MODULES
from ai_engine.interrupts import Interrupted
from envs.errors import BusyError, RecordError, RetrainerError
from tests.ai_engine.cli.fakes import Calls, Run
from tune_configs.sweep import SweepError

BAD = [
    ("tune a --trials 0", "16"),
    ("tune a --trials -3", "16"),
    ("tune a --trials many", "16"),
    ("tune a --trials 99999999999999", "16"),
    ("tune a --time-budget 0s", "4m"),
    ("tune a --time-budget -4m", "4m"),
    ("tune a --time-budget 4", "4m"),
    ("tune a --time-budget nan", "4m"),
    ("tune a --seed -1", "--seed"),
    ("tune", "NAME"),
    ("train a --algorithm q --set resolution", "resolution=8"),
    ("train a --algorithm q --set =8", "resolution=8"),
    ("train a --algorithm q --set n=1 --set n=2", "twice"),
    ("train a --algorithm q --set fields=x --fields y", "twice"),
    ("train a --algorithm q --set rate=NaN", "rate"),
    ("train a --algorithm q --step 0", "0.25"),
    ("train a --algorithm q --step 1.5", "0.25"),
    ("train a --algorithm q --step nan", "0.25"),
    ("train a --algorithm q --until yesterday", "2026-01-31T12:00:00Z"),
    ("train a --algorithm q --until 2026-01-31T12:00:00", "2026-01-31T12:00:00Z"),
    ("train a --algorithm q --fields a,,b", "cpu,queue"),
    ("evaluate a", "--on"),
    ("evaluate a --on b --confidence 1", "0.95"),
    ("compare a@1", "second"),
    ("promote a@1 --override", "--reason"),
    ("promote a@1 --override --reason ' '", "--reason"),
    ("hold a", "--reason"),
    ("release a", "--reason"),
    ("import a", "FILE"),
    ("import a f --unknown ignore", "metadata"),
    ("status --home ''", "empty"),
    ("status --nonsense", "--help"),
    ("tuna", "--help"),
    ("runs show", "RUN"),
]


@pytest.mark.parametrize(("typed", "named"), BAD, ids=[case[0] for case in BAD])
def test_bad_usage_is_one_line_with_the_remedy_and_nothing_is_called(
    run: Run, calls: Calls, typed: str, named: str
) -> None:
    answer = run(*shlex.split(typed))
    assert answer.exit_code == 2
    assert answer.stdout == ""
    assert answer.stderr.startswith("error: ") and answer.stderr.count("\n") == 1
    assert named in answer.stderr and "--help" in answer.stderr
    document = json.loads(run(*shlex.split(typed), "--json").stdout)
    assert document["schema_version"] == 1
    assert document["error"] == {"type": "UsageError", "message": answer.stderr.removeprefix("error: ").rstrip("\n")}
    assert calls.made == []


@pytest.mark.parametrize("typed", ["", "runs"])
def test_a_group_without_a_command_shows_its_help(run: Run, typed: str) -> None:
    answer = run(*typed.split())
    assert answer.exit_code == 2
    assert answer.stdout == "" and "Example:" in answer.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RetrainerError("is not declared", where="agent x", remedy="declare it"), 2),
        (RecordError("2 is above 1", field="propensity", where="log.jsonl:7", remedy="give (0, 1]"), 2),
        (BusyError("is being retrained", where="agent x", remedy="wait"), 2),
        (SweepError("2 of 8 trials failed", where="run r", remedy="the others are kept"), 1),
        (RetrainerError("two\nlines"), 2),
    ],
)
def test_an_error_for_the_user_is_its_line(
    run: Run, calls: Calls, tmp_path: Path, error: RetrainerError, code: int
) -> None:
    def fail(**keywords: Any) -> None:
        raise error

    calls.act = fail
    answer = run("tune", "x", "--json")
    assert answer.exit_code == code
    assert answer.stderr.count("\n") == 1
    assert answer.stderr.startswith("error: " + " ".join(str(error).split()))
    told = json.loads(answer.stdout)
    assert told["schema_version"] == 1
    assert told["error"]["type"] == type(error).__name__
    assert told["error"]["message"] == answer.stderr.removeprefix("error: ").rstrip("\n")
    logs = list(tmp_path.glob("*.log"))
    assert len(logs) == (code == 1), "bad input leaves no file behind, a failure leaves its log"
    assert all(str(log) in answer.stderr for log in logs)


def test_an_unexpected_error_is_one_line_and_its_traceback_is_kept(run: Run, calls: Calls, tmp_path: Path) -> None:
    def fail(**keywords: Any) -> None:
        print("the library's last words")
        raise KeyError("weights")

    calls.act = fail
    answer = run("tune", "x")
    assert answer.exit_code == 1
    assert answer.stdout == "" and answer.stderr.count("\n") == 1
    assert "KeyError: 'weights'" in answer.stderr and "--debug" in answer.stderr
    (log,) = tmp_path.glob("*.log")
    assert str(log) in answer.stderr
    assert "the library's last words" in log.read_text()
    assert "Traceback" in log.read_text()


def test_debug_shows_the_traceback_and_leaves_standard_output_pure(run: Run, calls: Calls, tmp_path: Path) -> None:
    def fail(**keywords: Any) -> None:
        raise KeyError("weights")

    calls.act = fail
    answer = run("tune", "x", "--debug", "--json")
    assert answer.exit_code == 1
    assert "Traceback" in answer.stderr and "test_command_failures" in answer.stderr
    assert json.loads(answer.stdout)["error"]["type"] == "KeyError"
    assert not list(tmp_path.glob("*.log"))


@pytest.mark.parametrize("module", sorted(TRAINING_MODULES))
def test_a_missing_training_library_is_the_install_line(run: Run, calls: Calls, tmp_path: Path, module: str) -> None:
    def fail(**keywords: Any) -> None:
        raise ModuleNotFoundError(f"No module named '{module}.part'", name=f"{module}.part")

    calls.act = fail
    for command in (["tune", "x"], ["import", "x", "log.jsonl"], ["status"]):
        answer = run(*command)
        assert answer.exit_code == 2
        assert answer.stderr.count("\n") == 1
        assert module in answer.stderr and 'pip install "retrainer[train]"' in answer.stderr
    assert not list(tmp_path.glob("*.log"))


def test_another_missing_module_is_not_blamed_on_the_extra(run: Run, calls: Calls) -> None:
    def fail(**keywords: Any) -> None:
        raise ModuleNotFoundError("No module named 'myrules'", name="myrules")

    calls.act = fail
    answer = run("tune", "x")
    assert answer.exit_code == 1
    assert "myrules" in answer.stderr and "pip" not in answer.stderr


def test_an_interruption_says_how_to_resume(run: Run, calls: Calls, tmp_path: Path) -> None:
    def fail(**keywords: Any) -> None:
        raise Interrupted("3 of 8 variants are kept in run r1", resume_command="retrainer runs resume r1 --home h")

    calls.act = fail
    answer = run("tune", "x", "--json")
    assert answer.exit_code == 130
    assert answer.stderr.splitlines() == [
        "3 of 8 variants are kept in run r1",
        "resume with: retrainer runs resume r1 --home h",
    ]
    told = json.loads(answer.stdout)["error"]
    assert told["type"] == "Interrupted"
    assert told["resume_command"] == "retrainer runs resume r1 --home h"
    assert not list(tmp_path.glob("*.log"))


@pytest.mark.parametrize("attached", [None, "retrainer runs resume r2"])
def test_a_plain_interrupt_names_the_attached_command_or_the_one_typed(
    run: Run, calls: Calls, attached: str | None
) -> None:
    def fail(**keywords: Any) -> None:
        error = KeyboardInterrupt()
        if attached:
            error.resume_command = attached  # type: ignore[attr-defined]
        raise error

    calls.act = fail
    answer = run("import", "x", "my log.jsonl")
    assert answer.exit_code == 130
    assert answer.stdout == ""
    typed = "retrainer import x 'my log.jsonl'"
    assert answer.stderr.splitlines() == ["interrupted", f"resume with: {attached or typed}"]


@pytest.mark.parametrize("error", [EOFError("Ran out of input"), BrokenPipeError(32, "Broken pipe")])
def test_what_click_would_answer_silently_is_reported(run: Run, calls: Calls, error: Exception) -> None:
    def fail(**keywords: Any) -> None:
        raise error

    calls.act = fail
    answer = run("tune", "x")
    assert answer.exit_code == 1
    assert answer.stderr.startswith(f"error: {type(error).__name__}")
    assert answer.stderr.count("\n") == 1


def test_a_users_error_inside_a_remote_one_keeps_its_line(run: Run, calls: Calls) -> None:
    class RemoteError(RetrainerError):
        cause = BusyError("is being retrained", where="agent x", remedy="wait")

    def fail(**keywords: Any) -> None:
        raise RemoteError("ray::trial()\n  File 'somewhere'")

    calls.act = fail
    answer = run("tune", "x")
    assert answer.exit_code == 2
    assert answer.stderr == "error: agent x: is being retrained; wait\n"
