"""The log as one Arrow table: every field has its column, and says what was recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from logs import AGENT, home_at, record

import ai_engine
from envs.build import build_dataset
from envs.journal.journal import Journal
from envs.log.exclusions import exclude

PLAIN: dict[str, Any] = {"reward": "", "worst_class": "", "guardrails": (), "reward_range": None}


def test_the_frame_marks_all_of_an_excluded_episode(tmp_path: Path) -> None:
    home = home_at(tmp_path, **PLAIN)
    journal = Journal(home.journal_path)
    journal.append([record("a", "e", 0), record("b", "e", 1, terminated=True), record("c")])
    exclude(journal, AGENT, 2, 3, "bad sensor")
    assert ai_engine.log(AGENT, home=home).to_arrow()["excluded"].to_pylist() == [True, True, False]


def test_an_excluded_shadow_decision_takes_no_episode_with_it(tmp_path: Path) -> None:
    home = home_at(tmp_path, **PLAIN)
    journal = Journal(home.journal_path)
    live = [record("a", "e", 0, reward=1.0), record("c", "e", 1, reward=1.0, terminated=True)]
    journal.append([live[0], record("b", "e", 0, mode="shadow"), live[1]])
    exclude(journal, AGENT, 2, 3, "bad sensor")
    assert ai_engine.log(AGENT, home=home).to_arrow()["excluded"].to_pylist() == [False, True, False]
    dataset, _ = build_dataset(home, AGENT)
    assert dataset.lengths.tolist() == [2]


def test_no_field_of_a_frame_hides_another(tmp_path: Path) -> None:
    home = home_at(tmp_path, **PLAIN)
    Journal(home.journal_path).append([record("a", metadata={"x": {"y": 1}, "x.y": 2})])
    assert ai_engine.log(AGENT, home=home).to_pandas()["metadata"].tolist() == ['{"x": {"y": 1}, "x.y": 2}']


def test_no_number_of_a_frame_is_another(tmp_path: Path) -> None:
    home = home_at(tmp_path, **PLAIN)
    large = 2**60 + 1
    rows = [
        {"list": [large], "mixed": large, "flags": [True], "small": [1], "whole": large},
        {"mixed": 0.5, "small": [0.5]},
    ]
    Journal(home.journal_path).append([record(str(index), metadata=row) for index, row in enumerate(rows)])
    log = ai_engine.log(AGENT, home=home)
    frame = log.to_arrow()
    found = {name: frame[f"metadata.{name}"].to_pylist() for name in ("list", "mixed", "flags", "small")}
    assert found == {
        "list": [f"[{large}]", None],
        "mixed": [str(large), "0.5"],
        "flags": ["[true]", None],
        "small": [[1.0], [0.5]],
    }
    numbers = log.to_pandas()[["metadata.mixed", "metadata.whole"]]
    assert numbers["metadata.mixed"].tolist() == [large, 0.5] and not (numbers["metadata.mixed"] == str(large)).any()
    assert numbers["metadata.whole"].dropna().tolist() == [large], "a float would round it"
