"""The scripts do what their docstrings say, from ``main(arguments)``."""

from __future__ import annotations

import importlib
import sys

import pytest

import ai_engine
from ai_engine.deploy import Registry
from ai_engine.tune_result import TuneResult
from envs.home import Home
from scripts import compare_variants, demo, launch_cluster_job, tune_hyperparameters
from tests import homes

NAMES = ("compare_variants", "demo", "launch_cluster_job", "tune_hyperparameters")


def test_tuning_prints_progress_and_the_table(
    home: Home, without_ray: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    tune_hyperparameters.main([homes.AGENT, "--trials", "2", "--home", str(home.path), "--seed", "3"])
    out = capsys.readouterr().out
    assert without_ray == [0, 1]
    assert "variants 2 of 2" in out
    assert "Recommended is" in out.splitlines()[-1]


def test_comparing_prints_one_sentence_at_the_end(
    swept: tuple[Home, TuneResult], capsys: pytest.CaptureFixture[str]
) -> None:
    home, tuned = swept
    compare_variants.main([f"{homes.AGENT}@rule", tuned.finalists[0], "--home", str(home.path)])
    assert capsys.readouterr().out.splitlines()[-1].startswith("On select, better than ")


def test_the_cluster_job_tunes_gates_and_promotes(
    home: Home, without_ray: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [homes.AGENT, "--home", str(home.path), "--trials", str(homes.TRIALS)]
    assert launch_cluster_job.main(arguments) == 0
    out = capsys.readouterr().out
    assert "promote: " in out
    assert Registry(home).champion(homes.AGENT) != "0"
    # The log is spent: the champion stays, and the exit code says so.
    assert launch_cluster_job.main(arguments) == launch_cluster_job.STAYED == 3
    assert "Ledger entry" not in capsys.readouterr().out


def test_the_demo_script_passes_its_arguments_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[dict[str, object]] = []

    class Result:
        def to_text(self) -> str:
            return "the end"

    def fake(**arguments: object) -> Result:
        asked.append(arguments)
        return Result()

    monkeypatch.setitem(vars(ai_engine), "demo", fake)
    demo.main(["--quick", "--seed", "4", "--home", "there", "--agents", "scaling"])
    assert asked == [{"home": "there", "seed": 4, "quick": True, "agents": ["scaling"], "progress": print}]
    assert capsys.readouterr().out == "the end\n"


@pytest.mark.parametrize("name", NAMES)
def test_a_script_says_how_to_run_it_and_reads_no_argument_on_import(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["python", "--nonsense"])
    module = importlib.reload(importlib.import_module(f"scripts.{name}"))
    assert f"python -m scripts.{name}" in (module.__doc__ or "")
    assert "What to expect" in (module.__doc__ or "") or "what to expect" in (module.__doc__ or "").lower()
    with pytest.raises(SystemExit) as stopped:
        module.main(["--help"])
    assert stopped.value.code == 0
    assert "--home" in capsys.readouterr().out
