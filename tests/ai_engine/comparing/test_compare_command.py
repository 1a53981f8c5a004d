"""``retrainer compare``: what is typed, and the four forms of one result."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import ai_engine
from ai_engine.cli.application import retrainer
from ai_engine.comparing import CompareResult
from envs.errors import DataError
from envs.home import Home
from tests import homes
from tests.ai_engine.comparing import routing

AGENT = homes.AGENT
DOWN, STAY = f"{__name__}:down", f"{routing.MODULE}:stay"


def run(*arguments: str, home: Home) -> Result:
    return CliRunner().invoke(retrainer, ["compare", *arguments, "--home", str(home.path)])


def down(observation: int) -> str:
    """An action, always."""
    return "down"


def test_a_repeat_is_no_further_test(versions_home: Home) -> None:
    once = ai_engine.compare(f"{AGENT}@1", DOWN, home=versions_home)
    again = ai_engine.compare(f"{AGENT}@1", DOWN, f"{AGENT}@01", DOWN, f"{AGENT}@champion", home=versions_home)
    assert [policy.reference for policy in again.policies] == [policy.reference for policy in once.policies]
    assert again.tests == once.tests


@pytest.mark.parametrize("function", [ai_engine.compare, ai_engine.evaluate])
def test_what_is_no_reference_is_refused_by_name(versions_home: Home, function: Callable[..., object]) -> None:
    with pytest.raises(DataError, match="5 is no policy; give NAME@14"):
        function(5, on=AGENT, home=versions_home)


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
        ([f"{AGENT}@1", f"{AGENT}@2", "--on", "nope"], 2, "agent nope: is not declared"),
        ([f"{AGENT}@1", f"{AGENT}@2", "--html", "."], 2, ".: is a folder; name a file in it, such as page.html"),
        ([f"{AGENT}@1", f"{AGENT}@2", "--html", "no/page.html"], 2, "no/page.html: there is no folder no; create it"),
        ([f"{AGENT}@1", STAY], 2, "the rule answered 'stay', which is not a declared action; answer one of down, hold"),
        ([f"{AGENT}@1", STAY], 2, f"error: {STAY}: at the observation "),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    versions_home: Home, arguments: list[str], code: int, words: str
) -> None:
    answer = run(*arguments, home=versions_home)
    assert answer.exit_code == code
    assert words in answer.output.splitlines()[-1] if "--json" not in arguments else words in answer.output
