"""``log path|exclude|forget|compact``: on a real home, by the function and by the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import ai_engine
from ai_engine.cli.application import retrainer
from envs.home import Home
from envs.journal.journal import Journal
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


def _utc(minutes: float) -> str:
    return moment(minutes).replace("+00:00", "Z")


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


def test_what_another_exclusion_covers_is_not_used_again(home: Home) -> None:
    """Episodes 1 to 3 are excluded twice, in part by a single decision of theirs, in part as a whole."""

    def exclude(start: str, end: str, *words: str) -> str:
        code, text = run(home, "log", "exclude", AGENT, "--from", start, "--to", end, *words)
        assert code == 0, text
        return text

    exclude(moment(60), moment(181), "--reason", "bad sensor")
    exclude(moment(120), moment(121), "--reason", "sale")
    exclude("7", "8", "--reason", "drill")
    undo = (moment(60), moment(181), "--undo")
    for dry_run, are, stay in (("--dry-run", "would be", "would stay"), ("--reason", "are", "stay")):
        words = (dry_run, "sensor was right") if dry_run == "--reason" else (dry_run,)
        first, second, *rest = exclude(*undo, *words).splitlines()
        why = "sensor was right" if dry_run == "--reason" else "undone"
        assert (
            first == f"6 decisions in 3 episodes of {AGENT} {are} used again (from {_utc(60)} to {_utc(181)}): {why}."
        )
        by = f"from {_utc(120)} to {_utc(121)}: sale; from 7 to 8: drill"
        assert second == f"6 decisions in 3 episodes {stay} excluded ({by})." and not rest
        assert ai_engine.inspect(AGENT, home=home).report.excluded_episodes == (6 if are == "would be" else 3)
    document = json.loads(exclude(moment(120), moment(121), "--undo", "--json"))
    assert document["staying"] == {"decisions": 0, "episodes": 0, "by": []}


def test_a_range_without_decisions_is_refused_unless_it_is_to_come(home: Home) -> None:
    before = Journal(home.journal_path).last_sequence(AGENT)
    for more in ((), ("--dry-run",)):
        words = ("--from", moment(5), "--to", moment(10), "--reason", "x", *more)
        code, text = run(home, "log", "exclude", AGENT, *words)
        assert code == 2 and f"agent {AGENT}: no decision is in the range from {_utc(5)} to {_utc(10)}" in text
        assert f"the log has the positions 1 to 20, {_utc(0)} to {_utc(240)}" in text
        assert Journal(home.journal_path).last_sequence(AGENT) == before
    code, text = run(home, "log", "exclude", AGENT, "--from", "900", "--to", "950", "--reason", "x")
    assert (code, text) == (0, f"0 decisions in 0 episodes of {AGENT} so far are excluded (from 900 to 950): x.\n")
    code, text = run(home, "log", "exclude", AGENT, "--from", "2199-01-01T00:00:00Z", "--reason", "x")
    assert code == 0 and "so far are excluded (from 2199-01-01T00:00:00Z): x." in text
    assert run(home, "log", "exclude", AGENT, "--to", "1999-01-01T00:00:00Z", "--reason", "x")[0] == 2


def test_a_dry_run_counts_what_would_be_sealed(home: Home) -> None:
    assert run(home, "log", "compact", "--dry-run")[1].startswith("20 events would be sealed; 0 files; 0 unused ones")
    seal(home, keep=3)
    ai_engine.log_exclude(AGENT, end=5, reason="it takes a position and is no event", home=home)
    assert run(home, "log", "compact", "--dry-run")[1].startswith("3 events would be sealed; ")
    assert run(home, "log", "compact", "--yes")[1].startswith("3 events sealed, ")
    assert run(home, "log", "compact", "--dry-run")[1].startswith("0 events would be sealed; ")


def test_a_compaction_that_does_nothing_says_why(home: Home) -> None:
    reasons = "all events are sealed, no small files are left to merge, and none has been unused for as long as"
    code, text = run(home, "log", "compact", "--yes")
    assert code == 0 and text.startswith("20 events sealed, ") and "Nothing was to be done" not in text
    code, text = run(home, "log", "compact", "--yes")
    assert code == 0 and text.startswith("0 events sealed, 1 file became 1, 0 unused ones removed; ")
    assert text.endswith(f". Nothing was to be done: {reasons} --older-than says.\n") and text.count("\n") == 1
    Journal(home.journal_path).append([record("alone")])
    code, text = run(home, "log", "compact", "--yes")
    assert text.startswith("1 event sealed, ") and "Nothing was to be done" not in text


def test_a_compaction_of_an_empty_log_says_so(tmp_path: Path) -> None:
    text = run(home_at(tmp_path), "log", "compact", "--yes")[1]
    assert (
        text.startswith("0 events sealed, 0 files became 0, ") and "Nothing was to be done: the log is empty." in text
    )


def test_one_decision_is_one_decision(tmp_path: Path) -> None:
    home = home_at(tmp_path)
    Journal(home.journal_path).append([record("e", tenant="a")])
    assert run(home, "log", "path", AGENT)[1].startswith(f"Nothing is sealed yet: the 1 decision of {AGENT} is in ")
    assert repr(ai_engine.log(AGENT, home=home)) == f"<log of {AGENT}: 1 decision>"
    text = run(home, "log", "forget", "--tenant", "a", "--yes")[1]
    assert text.startswith(f"1 decision of tenant a (1 of {AGENT}) is forgotten")


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
    for how in ("--yes", "--dry-run"):
        assert (
            run(home, "log", "forget", "--tenant", "a", how)[1]
            == "No decision is of tenant a; tenants of the log are b.\n"
        )
    code, text = run(home, "log", "compact", "--yes", "--older-than", "1s")
    assert code == 0 and "0 events sealed" in text and "versions that are named and stay: none" in text
