"""The commands that have a body of their own: history, verify, doctor, and how an import is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ai_engine.deploy.registry import Registry
from ai_engine.import_result import SHOWN_CAUSES, ImportResult
from algorithms.policy import BaseReference, Policy
from envs.home import Home
from envs.importing.rows import Group, RejectedRow
from envs.observation import ObservationField, ObservationSpecification
from tests.ai_engine.cli.fakes import Run

KEEP = ("--keep-good",)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home whose agent has a champion and was held once."""
    found = Home.create(tmp_path / "home")
    observation = ObservationSpecification("object", (ObservationField("load"),))
    registry = Registry(found)
    registry.initialise(Policy("scaling", "", observation, ("down", "up"), 0.1, BaseReference("rule-1")))
    registry.hold("scaling", "sale on Friday")
    return found


def test_history_lists_every_entry(run: Run, home: Home) -> None:
    document = json.loads(run("history", "scaling", "--home", str(home.path), "--json").stdout)
    assert document["schema_version"] == 1 and document["agent"] == "scaling"
    assert [entry["kind"] for entry in document["entries"]] == ["version0", "hold"]
    assert [entry["number"] for entry in document["entries"]] == [1, 2]
    text = run("history", "scaling", "--home", str(home.path)).stdout
    assert "sale on Friday" in text
    assert text.splitlines()[-1] == "The champion is scaling@0."


def test_history_says_what_a_gate_answered(run: Run, home: Home) -> None:
    registry, reason = Registry(home), "gain 0.3 [0.1, 0.5], but the log is grade B"
    registry.record_gate("scaling", decision="canary", candidate="0", champion="0", look=None, reason=reason)
    assert "canary: gain 0.3 [" in run("history", "scaling", "--home", str(home.path)).stdout


def test_history_of_an_unknown_agent_is_an_error(run: Run, home: Home) -> None:
    answer = run("history", "scalling", "--home", str(home.path))
    assert answer.exit_code == 2
    assert answer.stderr.startswith("error: ") and "scaling" in answer.stderr


def test_verify_passes_what_is_intact_and_names_what_is_not(run: Run, home: Home) -> None:
    answer = run("verify", "scaling", "--home", str(home.path), "--json")
    assert json.loads(answer.stdout) == {
        "schema_version": 1,
        "agent": "scaling",
        "entries": 2,
        "versions": 1,
        "intact": True,
    }
    (entry,) = home.models_path.glob("ledger/scaling/00000001.json")
    entry.write_bytes(entry.read_bytes().replace(b"version0", b"promote"))
    answer = run("verify", "scaling", "--home", str(home.path))
    assert answer.exit_code == 2
    assert "00000001.json" in answer.stderr and answer.stderr.count("\n") == 1


def test_doctor_looks_at_the_home(run: Run, home: Home) -> None:
    document = json.loads(run("doctor", "--home", str(home.path), "--json").stdout)
    checks = {check["name"]: check for check in document["checks"]}
    assert checks["home"]["good"] and str(home.path) in checks["home"]["detail"]
    assert checks["training extra"]["good"]
    nowhere = json.loads(run("doctor", "--json").stdout)
    assert nowhere["good"] is False
    assert "retrainer init" in next(check["detail"] for check in nowhere["checks"] if check["name"] == "home")


def _report(**changes: object) -> ImportResult:
    settings: dict[str, object] = {
        "agent": "scaling",
        "rows": 1200,
        "added": 1000,
        "duplicates": 50,
        "rejected": [RejectedRow("log.jsonl", row, "propensity", "0 is not above 0", "give it") for row in range(150)],
        "groups": [Group("propensity: 0 is not above 0", 150, "log.jsonl:3")],
        "proposed_mapping": '[agents.scaling.mapping]\naction = "verb"\n',
        "rejected_path": Path("data/rejected/scaling-1.jsonl"),
        "inferred": True,
        "unlearned": {"host": 1200},
        "dry_run": False,
    }
    return ImportResult(**{**settings, **changes})  # type: ignore[arg-type]


def test_a_notebook_shows_an_import_by_its_counts_and_causes() -> None:
    causes = [Group(f"propensity: {number} is not <above> 0", 10, f"log.jsonl:{number}") for number in range(40)]
    report = _report(groups=causes)
    for shown in (repr(report), report._repr_html_()):
        assert len(shown) < 1_000 and "import into scaling: 1,200 rows, 1,000 added, 50 there" in shown
        assert "400 rejected" in shown and "log.jsonl:0" in shown and "35 more causes" in shown
    assert "&lt;above&gt;" in report._repr_html_() and "<above>" not in report._repr_html_()
    assert repr(_report(groups=[], dry_run=True)) == (
        "<import into scaling: 1,200 rows, 1,000 would be added, 50 there already, 0 rejected>"
    )


def test_an_import_is_told_by_cause_with_a_mapping_to_paste() -> None:
    text = _report().to_text()
    header, cause = text.splitlines()[:2]
    assert header.split() == ["rows", "first", "cause", "remedy"]
    assert cause.split("  ") == ["150", " log.jsonl:3", "propensity: 0 is not above 0", "give it"]
    assert '[agents.scaling.mapping]\naction = "verb"' in text
    assert "host (1,200)" in text and "data/rejected/scaling-1.jsonl" in text and "draft" in text
    assert text.splitlines()[-1] == ("1,000 of 1,200 rows imported into scaling (50 already there, 150 rejected).")
    document = _report().to_json()
    assert json.loads(json.dumps(document)) == document
    assert (document["added"], document["rejected"]) == (1000, 150)
    assert document["causes"] == [{"cause": "propensity: 0 is not above 0", "count": 150, "first": "log.jsonl:3"}]


@pytest.mark.parametrize(
    ("changes", "keep_good", "last", "refused"),
    [
        ({"rejected": [], "groups": []}, False,
         "1,000 of 1,200 rows would be imported into scaling (50 already there); nothing was written.", False),
        ({"rejected": [], "groups": [], "repeated": 30}, False, "1,000 of 1,200 rows would be imported into scaling"
         " (20 already there, 30 repeated within the import); nothing was written.", False),
        ({"rejected": [], "groups": [], "repeated": 50}, False, "1,000 of 1,200 rows would be imported into scaling"
         " (50 repeated within the import); nothing was written.", False),
        ({}, True, "1,000 of 1,200 rows would be imported into scaling (50 already there, 150 rejected);"
         " nothing was written.", False),
        ({}, False, "1,000 of 1,200 rows are good (50 already there, 150 rejected); nothing was written,"
         " and the import would be refused without --keep-good.", True),
        ({"added": 0, "duplicates": 0, "rows": 150}, True,
         "0 of 150 rows are good (150 rejected); nothing was written, and the import would be refused.", True),
    ],
)  # fmt: skip
def test_a_dry_run_says_what_an_import_would_do(
    changes: dict[str, object], keep_good: bool, last: str, refused: bool
) -> None:
    report = _report(dry_run=True, keep_good=keep_good, rejected_path=None, **changes)
    assert report.to_text().splitlines()[-1] == last
    assert report.refused is report.to_json()["refused"] is refused


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_dry_run_fails_where_the_import_would(run: Run, home: Home, tmp_path: Path, words: tuple[str, ...]) -> None:
    good, bad = '{"observation": [0.5], "action": "up"}\n', '{"observation": [0.5]}\n'
    for content, keep_good, code in (
        (good, (), 0),
        (bad, (), 1),
        (good + bad, (), 1),
        (good + bad, KEEP, 0),
        (bad, KEEP, 1),
    ):
        path = tmp_path / "log.jsonl"
        path.write_text(content)
        line = ("import", "fresh", str(path), "--home", str(home.path), *words, *keep_good)
        answer = run(*line, "--dry-run")
        assert answer.exit_code == code, (content, keep_good, answer.output)
        assert not words or json.loads(answer.stdout)["refused"] == bool(code)
        assert "error" not in answer.stderr


def test_more_causes_than_are_shown_say_where_they_are() -> None:
    groups = [Group(f"cause {place}", 1, f"log.jsonl:{place}") for place in range(SHOWN_CAUSES + 3)]
    result = _report(groups=groups)
    assert "\nand 3 more causes; --json lists all of them\n" in result.to_text()
    assert len(result.to_json()["causes"]) == len(groups)
    assert "more cause" not in _report(groups=groups[:SHOWN_CAUSES]).to_text()


def test_a_clean_import_is_one_sentence() -> None:
    report = _report(
        rejected=[], groups=[], proposed_mapping="", rejected_path=None, inferred=False, unlearned={}, duplicates=0
    )
    assert report.to_text() == "1,000 of 1,200 rows imported into scaling."
