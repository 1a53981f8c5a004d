"""How a search is asked for on the command line: each option reaches its function, and what is wrong is refused."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from ai_engine.cli import learn
from tests.ai_engine.cli.fakes import Calls, Run
from tune_configs import strategy

TYPED: list[tuple[str, str, dict[str, Any]]] = [
    (
        "tune a --search tpe --scheduler asha --seeds 3 --space mine.py",
        "tune",
        {"search": "tpe", "scheduler": "asha", "seeds": 3, "space": "mine.py"},
    ),
    ("tune a --resources CPU=2 --resources GPU=.5", "tune", {"resources": {"CPU": 2.0, "GPU": 0.5}}),
    ("tune a --tag team=payments --tag 'why=a = b'", "tune", {"tags": {"team": "payments", "why": "a = b"}}),
    ("train a --tag team=payments", "train", {"tags": {"team": "payments"}}),
    ("runs list --tag team=payments", "runs_list", {"tags": {"team": "payments"}}),
    ("runs resume r --add 8", "runs_resume", {"add": 8}),
]


@pytest.mark.parametrize(("typed", "function", "keywords"), TYPED, ids=[case[0] for case in TYPED])
def test_what_is_typed_reaches_the_function(
    run: Run, calls: Calls, typed: str, function: str, keywords: dict[str, Any]
) -> None:
    answer = run(*shlex.split(typed))
    assert answer.exit_code == 0, answer.output
    name, _, given = calls.last
    assert name == function
    assert {key: given[key] for key in keywords} == keywords


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("tune a --search grid", "'grid' is not one of 'random', 'tpe'"),
        ("tune a --scheduler pb2", "'pb2' is not one of"),
        ("tune a --seeds 0", "0 is below 1"),
        ("tune a --resources CPU", "'CPU' is no name=amount above 0; write for instance CPU=2"),
        ("tune a --resources CPU=0", "no name=amount above 0"),
        ("tune a --resources CPU=nan", "no name=amount above 0"),
        ("tune a --resources CPU=1 --resources CPU=2", "CPU is given twice"),
        ("tune a --tag payments", "'payments' is not name=value"),
        ("runs list --tag =x", "'=x' is not name=value"),
        ("runs resume r --add 0", "0 is below 1"),
    ],
)
def test_what_is_wrong_is_refused(run: Run, calls: Calls, typed: str, words: str) -> None:
    answer = run(*shlex.split(typed))
    assert answer.exit_code == 2
    assert words in answer.stderr
    assert calls.made == []


def test_the_choices_of_the_command_line_are_those_that_there_are() -> None:
    assert (learn.SEARCHES, learn.SCHEDULERS) == (strategy.SEARCHES, strategy.SCHEDULERS)
