"""``log path|exclude|forget|compact``: on a real home, by the function and by the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import ai_engine
from ai_engine.cli.application import retrainer
from envs.home import Home
from envs.journal import Journal
from envs.log.sealing import seal
from tests.envs.log.logs import AGENT, home_at, moment, record


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = home_at(tmp_path / "home", reward="", worst_class="", guardrails=())
    Journal(home.journal_path).append(
        record(f"{tenant}{number}-{step}", f"{tenant}{number}", step, tenant=tenant, reward=1.0,
               timestamp=moment(60 * number), terminated=step == 1)
        for tenant in ("a", "b") for number in range(5) for step in range(2)
    )  # fmt: skip
    return home


def run(home: Home, *words: str) -> tuple[int, str]:
    answer = CliRunner().invoke(retrainer, [*words, "--home", str(home.path)])
    return answer.exit_code, answer.output


def test_path_is_the_table_alone_once_there_is_one(home: Home) -> None:
    assert run(home, "log", "path", AGENT) == (
        0,
        f"Nothing is sealed yet: the 20 decisions of {AGENT} are in {home.journal_path}.\n",
    )
    seal(home)
    assert run(home, "log", "path", AGENT) == (0, f"{home.data_path / 'table'}\n")
    code, text = run(home, "log", "path", "nobody")
    assert code == 2 and "agent nobody: has no log; agents with decisions: scaling" in text


def test_exclude_and_undo(home: Home) -> None:
    words = ("log", "exclude", AGENT, "--from", moment(60), "--to", moment(121), "--reason", "bad sensor")
    code, text = run(home, *words, "--dry-run")
    assert code == 0 and text.startswith(f"8 decisions in 4 episodes of {AGENT} would be excluded (from ")
    assert ai_engine.inspect(AGENT, home=home).report.excluded_episodes == 0
    assert run(home, *words)[1].startswith(f"8 decisions in 4 episodes of {AGENT} are excluded")
    assert ai_engine.inspect(AGENT, home=home).report.excluded_episodes == 4
    code, text = run(home, "log", "exclude", AGENT, "--from", moment(60), "--to", moment(121), "--undo", "--json")
    document = json.loads(text)
    assert (document["undone"], document["decisions"], document["reason"]) == ("undone", 8, "bad sensor")
    assert ai_engine.inspect(AGENT, home=home).report.excluded_episodes == 0
    for words, message in (
        (("--from", "5"), "--reason TEXT is needed"),
        (("--reason", "x"), "a range needs a bound; give --from, --to or both"),
        (("--from", moment(60), "--undo"), "those that hold are: none"),
    ):
        code, text = run(home, "log", "exclude", AGENT, *words)
        assert code == 2 and message in text


def test_what_removes_asks_first(home: Home) -> None:
    seal(home)
    for words in (("forget", "--tenant", "a"), ("compact",)):
        code, text = run(home, "log", *words)
        assert code == 2 and "add --yes, or see --dry-run" in text
    assert Journal(home.journal_path).counts() == {AGENT: 20}
    assert (
        "10 decisions of tenant a (10 of scaling) would be forgotten"
        in run(home, "log", "forget", "--tenant", "a", "--dry-run")[1]
    )
    assert Journal(home.journal_path).counts() == {AGENT: 20}
    assert (
        "10 decisions of tenant a (10 of scaling) are forgotten"
        in run(home, "log", "forget", "--tenant", "a", "--yes")[1]
    )
    assert Journal(home.journal_path).counts() == {AGENT: 10}
    assert "0 decisions of tenant a (none) are forgotten." in run(home, "log", "forget", "--tenant", "a", "--yes")[1]
    code, text = run(home, "log", "compact", "--yes", "--older-than", "1s")
    assert code == 0 and "0 events sealed" in text and "versions that are named and stay: none" in text
