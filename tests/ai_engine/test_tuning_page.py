"""The page on tuning says what the code does: its space is valid, its commands and its numbers are the code's."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

import ai_engine
from ai_engine.cli.application import retrainer
from ai_engine.tune_request import HEAD
from envs.observation import ObservationField, ObservationSpecification
from tests import homes
from tests.ai_engine.cli.fakes import Calls
from tests.snippets import run, snippets
from tune_configs import domains
from tune_configs.population import MUTABLE
from tune_configs.schedulers import QUANTILE, REDUCTION
from tune_configs.search_space import SearchSpace
from tune_configs.strategy import CHECKPOINTS, PERTURBATION, SCHEDULERS, SEARCHES
from tune_configs.tree_search import ROUND
from tune_configs.user_space import check_space

PAGE = Path(__file__).parents[2] / "docs" / "tuning.md"
TEXT = PAGE.read_text(encoding="utf-8")
COMMANDS = re.findall(r"^retrainer .*$", TEXT, re.MULTILINE)


def test_its_space_is_one() -> None:
    (snippet,) = snippets(PAGE)
    space = run(snippet.statements, {}, snippet.place)[0]["SPACE"]
    assert isinstance(space, SearchSpace)
    vector = ObservationSpecification("vector", (ObservationField("x"), ObservationField("y")))
    check_space(space, replace(homes.specification(), observation=vector))


@pytest.mark.parametrize("line", COMMANDS)
def test_its_commands_are_known(line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = Calls()
    for name in ("tune", "runs_list", "runs_show", "runs_stop", "runs_resume"):
        monkeypatch.setitem(vars(ai_engine), name, calls.fake(name))
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(retrainer, shlex.split(line, comments=True)[1:])
    assert answer.exit_code == 0, answer.output
    assert len(calls.made) == 1


def test_its_numbers_and_names_are_the_codes() -> None:
    assert CHECKPOINTS["none"] == CHECKPOINTS["asha"] == (1, 4, 12)
    assert CHECKPOINTS["pbt"] == (1, 2, 4, 6, 8, 10, 12)
    assert "after iterations 1, 4 and 12" in TEXT and "after 1, 2, 4, …, 12" in TEXT
    assert (HEAD, ROUND, REDUCTION, PERTURBATION, QUANTILE) == (6, 4, 3, 2, 0.25)
    for words in (
        "first six, then rounds of four",
        "about a third goes on",
        "every second iteration the worst quarter",
    ):
        assert words in TEXT
    for kind in domains.Domain.__args__:
        assert f"| `{kind.__name__}(" in TEXT
    for flag, names in (("search", SEARCHES), ("scheduler", SCHEDULERS)):
        assert all(f"| `--{flag} {name}` |" in TEXT for name in names)
    assert all(f"`{name}`" in TEXT for mutable in MUTABLE.values() for name in mutable)
