"""Vowpal Wabbit's dsjson: a file that VW itself read (tests/data/importing), and lines of every other kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from envs.errors import DataError
from envs.home import Home
from envs.importing.importer import import_files
from envs.importing.reader_vowpal_wabbit import translated
from envs.values import UnfitValueError
from tests.envs.importing.import_reading import DATA, good, outcomes, problems, read, records
from tests.envs.importing.import_samples import jsonl, stored

REAL = DATA / "vowpal_wabbit.dsjson"


def line(**changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "_label_cost": 0.5,
        "_label_probability": 0.75,
        "_labelIndex": 1,
        "EventId": "e",
        "a": [2, 1],
        "p": [0.75, 0.25],
        "c": {"shared": {"x": 1}, "_multi": [{"f": 1}, {"f": 2}]},
    }
    return {name: value for name, value in (base | changes).items() if value is not None}


def test_every_line_of_a_file_that_vw_read() -> None:
    decisions = records(good(read(REAL, "vowpal_wabbit")))
    lines = [json.loads(text) for text in REAL.read_text().splitlines()]
    assert len(decisions) == len(lines) == 12
    for decision, raw in zip(decisions, lines, strict=True):
        tags = [choice["_tag"] for choice in raw["c"]["_multi"]]
        assert decision.event_id == raw["EventId"] and decision.action == tags[raw["_label_Action"] - 1]
        assert decision.reward == -raw["_label_cost"] and decision.propensity == raw["_label_probability"]
        assert decision.allowed_actions == tags
        assert decision.action_probabilities == {
            tags[place - 1]: chance for place, chance in zip(raw["a"], raw["p"], strict=True)
        }
        assert decision.timestamp == raw["Timestamp"][:-2] + "Z"  # VW's 100 ns are cut to microseconds
        assert decision.observation == {"FromUrl": {"0": raw["c"]["FromUrl"][0]}, "User": raw["c"]["User"]}
        assert decision.metadata["action_features"] == raw["c"]["_multi"]
        assert decision.metadata["pdrop"] == 0.5 and decision.metadata["observations"] == raw["o"]


def test_through_the_importer(tmp_path: Path) -> None:
    home = Home.create(tmp_path / "home")
    late = jsonl(tmp_path / "late.dsjson", [line(_label_cost=None), {"EventId": "e", "v": 2.0}])
    assert import_files(home, "drinks", [REAL], format_name="vowpal_wabbit").added == 12
    assert home.specification("drinks").actions == ("Cappuccino", "Cold brew", "Latte")
    assert import_files(home, "late", [late], format_name="vowpal_wabbit").rows == 2
    assert [record.action for record in stored(home, "late")] == [1]


def test_a_pattern_names_several_files(tmp_path: Path) -> None:
    for day in range(3):
        jsonl(tmp_path / f"day-{day}.dsjson", [line(EventId=f"e{day}")])
    home = Home.create(tmp_path / "home")
    report = import_files(home, "drinks", [tmp_path / "day-*.dsjson"], format_name="vowpal_wabbit")
    assert report.added == 3


def test_the_action_by_each_of_its_spellings() -> None:
    for changes, action in (
        ({}, 1),
        ({"_labelIndex": None, "_label_Action": 1, "_label_probability": 0.25}, 0),
        ({"_labelIndex": None}, 1),
    ):
        (row,) = translated(line(**changes))
        assert isinstance(row, dict) and row["action"] == action and row["allowed_actions"] == [0, 1]


def test_what_vw_does_not_learn_from_is_not_learned_from_here(tmp_path: Path) -> None:
    """A deferred decision that was never activated has the default cost, which is not what its action led to."""
    told = [line(EventId="e", _skipLearn=True), line(EventId="f", _skipLearn=False), line(EventId="g", _skipLearn=2)]
    rows = read(jsonl(tmp_path / "l.dsjson", told), "vowpal_wabbit")
    assert problems(rows) == ["3 _skipLearn 2 is not a boolean"]
    kept = records([row.content for row in rows if row.rejected is None])
    assert [record.mode for record in kept] == ["shadow", "logging"]


def test_an_action_that_is_there_twice_has_the_sum_of_its_chances() -> None:
    multi = [{"_tag": "x"}, {"_tag": "y"}, {"_tag": "x"}]
    changes = {"c": {"s": 1, "_multi": multi}, "_labelIndex": 2, "a": [3, 2, 1], "p": [0.5, 0.25, 0.25]}
    (row,) = translated(line(**changes, _label_probability=0.5))
    (record,) = records([row])  # type: ignore[list-item]
    assert record.allowed_actions == ["x", "y"] and record.action == "x"
    assert record.propensity == 0.75 and record.action_probabilities == {"x": 0.75, "y": 0.25}
    with pytest.raises(UnfitValueError, match="'x' is there twice"):
        list(translated(line(**changes | {"p": None})))


def test_outcomes_that_came_later(tmp_path: Path) -> None:
    told: list[Any] = [
        {"EventId": "e", "RewardValue": 2, "EnqueuedTimeUtc": "2026-01-01T00:00:00.0000000"},
        {"EventId": "e", "_label_cost": 3},
        {"EventId": "e", "v": -1.5},
        {"EventId": "e", "RewardValue": 0},
    ]
    found = outcomes(good(read(jsonl(tmp_path / "o.dsjson", told), "vowpal_wabbit")))
    assert [event.reward for event in found] == [2.0, -3.0, -1.5, 0.0]
    assert {event.decision_id for event in found} == {"e"} and found[0].timestamp == "2026-01-01T00:00:00Z"


def test_one_rate_of_dropped_events(tmp_path: Path) -> None:
    """Differing rates would bias every average: the log has no weights."""
    path = jsonl(tmp_path / "l.dsjson", [line(pdrop=0.5), line(EventId="f"), line(EventId="g", pdrop=0.5)])
    rows = read(path, "vowpal_wabbit")
    assert problems(rows) == ["2 pdrop 0 differs from the first line's 0.5, so that averages would be biased"]
    assert len([row for row in rows if row.rejected is None]) == 2
    assert len(good(read(path, "vowpal_wabbit", {"pdrop": "any"}))) == 3
    with pytest.raises(DataError, match="'weights' is no option"):
        read(path, "vowpal_wabbit", {"weights": 1})


def test_bad_lines_are_named_and_the_others_kept(tmp_path: Path) -> None:
    bad = {
        "c is no object": line(c=3),
        "c._multi is no array of actions": line(c={"x": 1}),
        "_labelIndex 7 is none of 2 actions, counted from 0": line(_labelIndex=7),
        "a 0 is none of 2 actions, counted from 1": line(a=[0, 1]),
        "a names an action twice": line(a=[1, 1]),
        "p are not one for each action of a": line(p=[1.0]),
        "pdrop 1 is no share of dropped events": line(pdrop=1),
        "_outcomes is a decision of several slots": line(_outcomes=[]),
        "c is a decision of several slots": line(c={"_multi": [{"f": 1}, {"f": 2}], "_slots": [{}, {}]}),
        "_labelIndex is another action than _label_Action 1": line(_label_Action=1),
        "_label_ca is a decision of a continuous action": {"_label_ca": {}},
        "RewardValue is missing": {"EventId": "e"},
        "c is missing": {},
        "_label_cost 'free' is not a number": line(_label_cost="free"),
    }
    rows = read(jsonl(tmp_path / "l.dsjson", [*bad.values(), line()]), "vowpal_wabbit")
    assert problems(rows) == [f"{place} {text}" for place, text in enumerate(bad, start=1)]
    assert len(records([row.content for row in rows if row.rejected is None])) == 1
