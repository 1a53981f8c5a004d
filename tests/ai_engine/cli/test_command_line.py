"""Each command hands what was typed to its function, and prints one result."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import click
import pytest

from ai_engine.cli.application import SECTIONS, retrainer
from ai_engine.deciding import LIVE_TEST
from tests.ai_engine.cli.fakes import Calls, Result, Run

HOME = {"home": None}

TYPED: list[tuple[str, str, tuple[Any, ...], dict[str, Any]]] = [
    ("init", "init", (".",), {}),
    ("init --home there", "init", ("there",), {}),
    ("demo", "demo", (), {"seed": 0, "quick": False, "progress": ...}),
    (
        "demo --home h --seed 3 --quick --agents scaling,optimization",
        "demo",
        (),
        {"home": "h", "seed": 3, "quick": True, "agents": ("scaling", "optimization"), "progress": ...},
    ),
    (
        "import a x.jsonl y.parquet",
        "import_log",
        ("a", ["x.jsonl", "y.parquet"]),
        {"dry_run": False, "keep_good": False, "unknown": "error", "progress": ...},
    ),
    (
        "import a x --format csv --option 'delimiter=;' --option header=a=b",
        "import_log",
        ("a", ["x"]),
        {"dry_run": False, "keep_good": False, "unknown": "error", "progress": ..., "format": "csv"}
        | {"format_options": {"delimiter": ";", "header": "a=b"}},
    ),
    (
        "import a x --dry-run --keep-good --unknown metadata",
        "import_log",
        ("a", ["x"]),
        {"dry_run": True, "keep_good": True, "unknown": "metadata", "progress": ...},
    ),
    ("inspect a", "inspect", ("a",), {}),
    ("inspect a --page b.html", "inspect", ("a",), {"page": "b.html"}),
    ("inspect a --no-page", "inspect", ("a",), {"page": False}),
    ("export a a.parquet", "export", ("a", "a.parquet"), {"format": "parquet"}),
    ("export a --format minari a-v0 --home h", "export", ("a", "a-v0"), {"format": "minari", "home": "h"}),
    ("log path a", "log_path", ("a",), {}),
    (
        "log exclude a --from 2026-01-31T12:00:00Z --to 120 --reason 'bad sensor' --dry-run",
        "log_exclude",
        ("a",),
        {"start": "2026-01-31T12:00:00Z", "end": "120", "reason": "bad sensor", "undone": False, "dry_run": True},
    ),
    ("log exclude a --to 120 --undo", "log_exclude", ("a",), {"end": "120", "undone": True, "dry_run": False}),
    ("log forget --tenant t --yes", "log_forget", ("t",), {"dry_run": False}),
    ("log compact --yes", "log_compact", (), {"older_than": 604800.0, "dry_run": False}),
    ("log compact --dry-run --older-than 2h", "log_compact", (), {"older_than": 7200.0, "dry_run": True}),
    ("train a", "train", ("a",), {"seed": 0, "refit_all": False}),
    ("train a --algorithm q", "train", ("a",), {"algorithm": "q", "seed": 0, "refit_all": False}),
    (
        "train a --algorithm q --set n=8 --set kind=grid --step .25 --seed 7 --until 2026-01-31T12:00:00Z"
        " --fields cpu,queue --refit-all",
        "train",
        ("a",),
        {
            "algorithm": "q",
            "hyperparameters": {"n": 8, "kind": "grid", "fields": ("cpu", "queue")},
            "step": 0.25,
            "seed": 7,
            "until": "2026-01-31T12:00:00Z",
            "refit_all": True,
        },
    ),
    ("train a --track none", "train", ("a",), {"seed": 0, "refit_all": False, "track": ("none",)}),
    ("promote a@1 --track mlflow", "promote", ("a@1",), {"override": False, "track": ("mlflow",)}),
    ("rollback a --track mlflow", "rollback", ("a",), {"track": ("mlflow",)}),
    ("runs resume r --track mlflow", "runs_resume", ("r",), {"track": ("mlflow",), "progress": ...}),
    ("tune a", "tune", ("a",), {"seed": 0, "refit_all": False, "progress": ...}),
    (
        "tune a --trials 5 --time-budget 4m --algorithms dqn,ppo --seed 2 --refit-all --home h",
        "tune",
        ("a",),
        {
            "home": "h",
            "trials": 5,
            "time_budget": 240.0,
            "algorithms": ("dqn", "ppo"),
            "seed": 2,
            "refit_all": True,
            "progress": ...,
        },
    ),
    ("evaluate a@champion --on b", "evaluate", ("a@champion",), {"on": "b", "force": False}),
    (
        "evaluate a@14 --on b --force --confidence .9",
        "evaluate",
        ("a@14",),
        {"on": "b", "force": True, "confidence": 0.9},
    ),
    ("compare a@1 a@2 a@3", "compare", ("a@1", "a@2", "a@3"), {}),
    (
        "compare a@1 m:f --against a@rule --on a --reward '-cost' --html page.html",
        "compare",
        ("a@1", "m:f"),
        {"against": "a@rule", "on": "a", "reward": "-cost", "html": "page.html"},
    ),
    ("gate a", "gate", ("a",), {"least_power": 0.0}),
    ("gate a --least-power 0.5", "gate", ("a",), {"least_power": 0.5}),
    ("promote a@1", "promote", ("a@1",), {"override": False}),
    ("promote a@1 --override --reason 'I know'", "promote", ("a@1",), {"override": True, "reason": "I know"}),
    ("rollback a", "rollback", ("a",), {}),
    ("rollback a --to a@2 --reason worse", "rollback", ("a",), {"to": "a@2", "reason": "worse"}),
    ("hold a --reason sale", "hold", ("a",), {"reason": "sale"}),
    ("release a --reason over", "release", ("a",), {"reason": "over"}),
    ("history a", "history", ("a",), {}),
    ("verify a", "verify", ("a",), {}),
    ("status --home h", "status", (), {"home": "h"}),
    ("track sync", "track_sync", (None,), {}),
    ("track sync a b --track mlflow,tensorboard", "track_sync", (("a", "b"),), {"track": ("mlflow", "tensorboard")}),
    ("runs list", "runs_list", (), {}),
    ("runs show r", "runs_show", ("r",), {}),
    ("runs resume r", "runs_resume", ("r",), {"progress": ...}),
    ("runs stop r", "runs_stop", ("r",), {}),
    ("doctor", "doctor", (), {}),
]


def _leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, made in group.commands.items():
        if isinstance(made, click.Group):
            yield from _leaves(made, (*path, name))
        else:
            yield (*path, name), made


LEAVES = dict(_leaves(retrainer))


@pytest.mark.parametrize(("typed", "function", "arguments", "keywords"), TYPED, ids=[case[0] for case in TYPED])
def test_what_is_typed_reaches_the_function(
    run: Run, calls: Calls, typed: str, function: str, arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> None:
    calls.result = Result(decision="keep")
    answer = run(*shlex.split(typed))
    assert answer.exit_code == 0, answer.output
    assert answer.stdout == "a table\nOne plain sentence.\n"
    name, given, options = calls.last
    assert (name, given) == (function, arguments)
    assert options.keys() == keywords.keys()
    assert all(callable(options[key]) if value is ... else options[key] == value for key, value in keywords.items())
    assert len(calls.made) == 1


def test_every_command_is_tried_above() -> None:
    tried = {tuple(shlex.split(case[0])) for case in TYPED}
    for path in LEAVES:
        assert any(words[: len(path)] == path for words in tried), path


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_json_is_one_document_alone_on_standard_output(run: Run, calls: Calls, path: tuple[str, ...]) -> None:
    def chatter(**keywords: Any) -> None:
        print("a library prints")
        if "progress" in keywords:
            keywords["progress"]("variants 1 of 3")

    calls.act = chatter
    typed = next(case[0] for case in TYPED if tuple(shlex.split(case[0]))[: len(path)] == path)
    answer = run(*shlex.split(typed), "--json")
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.stdout) == {"schema_version": 1, "agent": "scaling"}
    assert "a library prints" not in answer.output


def test_json_has_a_schema_version_and_only_what_json_can_say(run: Run, calls: Calls) -> None:
    calls.result = Result(content={"value": float("nan"), "bound": float("-inf"), "files": (1, 2)})
    answer = run("status", "--json")
    assert json.loads(answer.stdout, parse_constant=pytest.fail) == {
        "schema_version": 1,
        "value": None,
        "bound": None,
        "files": [1, 2],
    }


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_help_has_one_sentence_an_example_that_works_and_the_common_options(
    run: Run, calls: Calls, path: tuple[str, ...]
) -> None:
    answer = run(*path, "--help")
    assert answer.exit_code == 0
    for option in ("--home", "--json", "--debug", "--help"):
        assert option in answer.stdout
    summary = " ".join((LEAVES[path].help or "").split())
    assert re.fullmatch(r"[A-Z][^.]+\.", summary), "one sentence"
    assert all(option.help for option in LEAVES[path].params if isinstance(option, click.Option))
    example = answer.stdout.partition("Example:")[2].strip()
    words = shlex.split(example)
    assert tuple(words[: len(path) + 1]) == ("retrainer", *path)
    assert run(*words[1:]).exit_code == 0
    assert len(calls.made) == 1


def test_the_first_help_names_every_command_in_its_section(run: Run) -> None:
    text = run("--help").stdout
    places = [text.index(f"\n{title}:") for title in SECTIONS]
    assert places == sorted(places)
    assert set(retrainer.commands) == {command.name for commands in SECTIONS.values() for command in commands}
    for name in retrainer.commands:
        assert re.search(rf"^  {name} ", text, re.MULTILINE), name


def test_version(run: Run) -> None:
    assert re.fullmatch(r"retrainer \d+\.\d+\.\d+\n", run("--version").stdout)


def test_init_follows_the_environment(run: Run, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRAINER_HOME", "elsewhere")
    run("init")
    assert calls.last[1] == ("elsewhere",)
    run("init", "--home", "here")
    assert calls.last[1] == ("here",)


@pytest.mark.parametrize(
    ("decision", "code"), [("promote", 0), ("keep", 3), ("inconclusive", 4), ("canary", 5), ("refused", 6)]
)
def test_gate_tells_its_decision_by_exit_code_only_when_asked(run: Run, calls: Calls, decision: str, code: int) -> None:
    calls.result = Result(decision=decision)
    assert run("gate", "scaling").exit_code == 0
    assert run("gate", "scaling", "--exit-status").exit_code == code
    answer = run("gate", "scaling", "--exit-status", "--json")
    assert answer.exit_code == code and "next:" not in answer.stdout
    assert json.loads(answer.stdout)["schema_version"] == 1


@pytest.mark.parametrize(
    ("decision", "held", "words", "last"),
    [
        ("promote", False, (), "next: retrainer promote scaling"),
        ("promote", False, ("--home", "a home"), "next: retrainer promote scaling --home 'a home'"),
        ("promote", True, (), "next: retrainer release scaling --reason TEXT"),
        ("canary", False, (), f"next: retrainer promote scaling@4 --override --reason TEXT  # {LIVE_TEST}"),
        ("keep", False, (), "One plain sentence."),
    ],
)
def test_a_passed_gate_names_the_next_command(
    run: Run, calls: Calls, decision: str, held: bool, words: tuple[str, ...], last: str
) -> None:
    calls.result = Result(decision=decision, held=held)
    assert run("gate", "scaling", *words).stdout.splitlines()[-1] == last
