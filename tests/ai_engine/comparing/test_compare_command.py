"""``retrainer compare``: what is typed, and the four forms of one result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ai_engine.cli.application import retrainer
from ai_engine.comparing import CompareResult
from envs.home import Home
from tests import homes
from tests.ai_engine.comparing import routing

AGENT = homes.AGENT


def run(*arguments: str, home: Home) -> Result:
    return CliRunner().invoke(retrainer, ["compare", *arguments, "--home", str(home.path)])


def test_text_markdown_json_and_page_say_the_same(versions_home: Home, tmp_path: Path) -> None:
    references, page = (f"{AGENT}@champion", f"{AGENT}@1"), tmp_path / "page.html"
    text, markdown = (
        run(*references, "--html", str(page), home=versions_home),
        run(*references, "--md", home=versions_home),
    )
    document = run(*references, "--json", home=versions_home)
    assert (text.exit_code, markdown.exit_code, document.exit_code) == (0, 0, 0), text.output + markdown.output
    result = CompareResult.from_json(json.loads(document.stdout))
    assert text.stdout == result.to_text() + "\n"
    assert markdown.stdout == result.to_markdown() + "\n"
    assert page.read_text(encoding="utf-8") == result.to_html()
    assert text.stdout.splitlines()[-1] == f"On select, better than {AGENT}@0: {AGENT}@1; the gate decides."


def test_callables_rewards_and_the_reference_are_taken_from_the_line(routing_home: Home) -> None:
    names = [f"{routing.MODULE}:{name}" for name in ("database_only", "under_load")]
    answer = run(
        names[0], "--against", names[1], "--on", routing.AGENT, "--reward", "-cost", "--json", home=routing_home
    )
    assert answer.exit_code == 0, answer.output
    document = json.loads(answer.stdout)
    assert (document["against"], document["reward"], document["what_if"]) == (names[1], "-cost", True)
    assert [policy["reference"] for policy in document["policies"]] == [names[0]]
    assert document["policies"][0]["gain"]["verdict"] == "better"  # it switches less


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([f"{AGENT}@1"], 2, "second"),
        ([f"{AGENT}@1", f"{AGENT}@2", "--md", "--json"], 2, "--md"),
        ([f"{AGENT}@1", f"{AGENT}@2", "--reward", "cost +"], 2, "--reward"),
        ([f"{AGENT}@1", f"{AGENT}@2", "--reward", "nothing"], 2, "outcome.nothing"),
        ([f"{AGENT}@1", "json:nowhere"], 2, "json:nowhere"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    versions_home: Home, arguments: list[str], code: int, words: str
) -> None:
    answer = run(*arguments, home=versions_home)
    assert answer.exit_code == code
    assert words in answer.output.splitlines()[-1] if "--json" not in arguments else words in answer.output
