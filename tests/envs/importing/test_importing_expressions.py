"""The mapping's expressions: foreign columns become fields of the record, or the row says why not."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from envs.errors import RecordError, SpecificationError
from envs.home import Home
from envs.importing.importer import import_files
from envs.importing.mapping import apply_mapping, checked_mapping
from envs.importing.mapping_expression import MappingExpression
from envs.importing.mapping_proposal import propose_mapping
from envs.values import UnfitValueError
from tests.envs.importing.import_samples import jsonl, refused, stored

ROW = {"click": 1, "cost": 0.5, "dir": "UP", "when": "1970-01-01T00:01:40+00:00", "user id": 7, "cpu": {"mean": 2.0}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("click - 0.1 * cost", 0.95),
        ("log(exp(cost)) + sqrt(abs(-4)) + min(1, 2) + max(1, 2)", 5.5),
        ("'up' if click > 0 else 'down'", "up"),
        ("lower(dir)", "up"),
        ("seconds(when)", 100.0),
        ('field("user id") * 2', 14.0),
        ("cpu.mean ** 2", 4.0),
        ("[cpu.mean, cost, 1]", [2.0, 0.5, 1.0]),
        ("absent", None),
        ("'live'", "live"),
        ("dir == 'UP' and not click == 0", 1.0),
    ],
)
def test_expressions_compute(text: str, value: Any) -> None:
    assert MappingExpression(text).value(ROW) == pytest.approx(value) if value is not None else True
    assert (MappingExpression(text).value(ROW) is None) == (value is None)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("click + absent", "absent"), ("dir * 2", "dir"), ("log(click - 1)", "row"), ("click / 0", "row"),
        ("lower(click)", "click"), ("seconds(dir)", "row"), ("1e308 * 10 * click", "row"),
        ("[1e308 * 10, click]", "row"),
        ("-dir", "dir"), ("cpu * 1", "cpu"),
    ],
)  # fmt: skip
def test_a_row_without_a_value_is_refused_by_field(text: str, field: str) -> None:
    with pytest.raises(RecordError) as caught:
        MappingExpression(text).value(ROW)
    assert caught.value.field == field and caught.value.remedy


@pytest.mark.parametrize(
    "text",
    ["__import__('os')", "click.__class__()", "[x for x in y]", "lambda: 1", "a[0]", "'x' * 9", "lower", "field(click)",
     "lower(a, b)", "[[1]]", "[1] + [2]", "f'{a}'", "a := 1", "(" * 300 + "a" + ")" * 300, "-" * 1990 + "a", "a" * 2001,
     "", "log()", "9 ** 9 ** 9 ** 9 if lower(1) else 0"],
)  # fmt: skip
def test_nothing_else_is_an_expression(text: str) -> None:
    """Or it is one, and ends at once without a value."""
    try:
        MappingExpression(text).value(ROW)
    except (SpecificationError, RecordError) as error:
        assert error.remedy
    else:
        assert text == "lower" or "((" in text or text.startswith("-")


def test_every_form_of_a_mapping_reaches_the_record(tmp_path: Path) -> None:
    home = Home.create(tmp_path / "home")
    home.configuration_path.write_text(
        """
[agents.shop.mapping]
event_id = "n"
episode_id = "user id"
step = "= position - 1"
action = "= 'up' if dir == 'UP' else 'down'"
reward = "= click - 0.1 * cost"
propensity = "p"
observation = { load = "cpu.mean", late = "= seconds(when) > 50", zone = "zone" }
outcome = ["click", "cost"]
terminated = "= position == 2"
metadata = { cores = "cpu.cores" }
timestamp = "when"
"""
    )
    row = {**ROW, "cpu": {"mean": 2.0, "cores": 4}, "p": 0.5, "zone": "a"}
    path = jsonl(tmp_path / "log.jsonl", [row | {"position": 1, "n": 1}, row | {"position": 2, "n": 2, "dir": "x"}])
    report = import_files(home, "shop", [path])
    assert report.added == 2 and report.proposed_mapping == ""
    first, second = stored(home, "shop")
    assert (first.event_id, first.episode_id, first.step, first.action, first.terminated) == ("1", "7", 0, "up", False)
    assert (second.step, second.action, second.terminated, second.reward) == (1, "down", True, 0.95)
    assert first.observation == {"load": 2.0, "late": 1.0, "zone": "a"}
    assert (first.outcome, first.metadata) == ({"click": 1, "cost": 0.5}, {"cores": 4})


def test_what_a_mapping_leaves_of_an_object_is_not_lost(tmp_path: Path) -> None:
    mapping = checked_mapping({"observation": {"load": "cpu.mean"}}, "here")
    content = {"cpu": {"mean": 1.0, "cores": 4, "deep": {"a": 1}}, "action": "x"}
    assert apply_mapping(content, mapping) == {
        "action": "x", "observation": {"load": 1.0}, "cpu.cores": 4, "cpu.deep.a": 1,
    }  # fmt: skip
    with pytest.raises(UnfitValueError, match="is in the row and in the mapping"):
        apply_mapping({"reward": 1, "r": 2}, checked_mapping({"reward": "r"}, "here"))


@pytest.mark.parametrize("ours", ["event_id", "episode_id", "action"])
def test_two_large_ids_never_become_one(ours: str) -> None:
    """An expression computes with float64, to which 2^53 and 2^53 + 1 are the same."""
    computed, named = checked_mapping({ours: "= id"}, "here"), checked_mapping({ours: "id"}, "here")
    assert apply_mapping({"id": 2**53 - 1}, computed) == apply_mapping({"id": 2**53 - 1}, named)
    for number in (2**53, 2**53 + 1, -(2**53) - 1):
        with pytest.raises(UnfitValueError, match="beyond the integers"):
            apply_mapping({"id": number}, computed)
        assert int(apply_mapping({"id": number}, named)[ours]) == number


@pytest.mark.parametrize(
    "line",
    ['reward = "= click +"', 'reward = "= open(1)"', 'reward = { a = "b" }', "observation = { a = 3 }", 'step = ""',
     "observation = []", 'score = "reward"'],
)  # fmt: skip
def test_a_wrong_expression_is_named_before_anything_is_read(tmp_path: Path, line: str) -> None:
    home = Home.create(tmp_path / "home")
    with open(home.configuration_path, "a") as file:
        file.write(f"[agents.shop.mapping]\n{line}\n")
    message = refused(home, jsonl(tmp_path / "log.jsonl", ["{"]), agent="shop")
    assert f"agent shop: mapping.{line.split()[0]}: " in message


def test_the_proposal_repeats_what_is_declared() -> None:
    declared = {"observation": {"load": "cpu.mean"}, "reward": "= a - b", "metadata": {"a b": "c"}}
    proposed = propose_mapping("shop", ["item_id", "rest"], [], declared)
    mapping = tomllib.loads(proposed)["agents"]["shop"]["mapping"]
    assert mapping == declared | {"action": "item_id", "metadata": {"a b": "c", "rest": "rest"}}


def test_the_documented_mapping_is_one() -> None:
    text = (Path(__file__).parents[3] / "docs" / "import.md").read_text()
    (block,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    mapping = checked_mapping(tomllib.loads(block)["agents"]["recommender"]["mapping"], "docs/import.md")
    row = {"item_id": 3, "session": {"id": 7}, "position": 2, "user_feature_0": 0.5, "click": 1, "cost": 1.0,
           "dwell_ms": 1500, "last_position": 2, "logged_at": "2026-01-31T09:30:00Z"}  # fmt: skip
    assert apply_mapping(row, mapping) == {
        "action": 3, "episode_id": "7", "observation": {"position": 2, "user_feature_0": 0.5},
        "outcome": {"clicked": 1, "seconds": 1.5}, "reward": 0.9, "terminated": True, "timestamp": row["logged_at"],
    }  # fmt: skip
