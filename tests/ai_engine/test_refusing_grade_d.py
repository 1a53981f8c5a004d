"""On a log from which nothing can be learned nothing is trained or gated; the refusal says why and what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ai_engine
from envs.errors import DataError
from envs.home import Home
from tests import homes


def one_action(records: list[Any]) -> list[Any]:
    return [replace(row, action="hold", propensity=1.0, action_probabilities=None) for row in records]


def constant(records: list[Any]) -> list[Any]:
    return [replace(row, outcome={"gain": 0.5}) for row in records]


@pytest.mark.parametrize(
    ("episodes", "change", "reason"),
    [
        (10, list, "10 independent units"),
        (60, one_action, "took the same action"),
        (60, constant, "every decision has the same reward"),
    ],
)
@pytest.mark.parametrize("command", [ai_engine.train, ai_engine.tune, ai_engine.gate], ids=["train", "tune", "gate"])
def test_grade_d_is_refused_with_the_reason(
    tmp_path: Path, command: Callable[..., Any], episodes: int, change: Callable[[list[Any]], list[Any]], reason: str
) -> None:
    home: Home = homes.make_home(tmp_path / "home", change(homes.records(episodes)))
    card = ai_engine.inspect(homes.AGENT, home=home, page=False).card
    assert card.grade == "D"
    with pytest.raises(DataError, match=reason) as refused:
        command(homes.AGENT, home=home)
    assert refused.value.remedy.endswith(f"see retrainer inspect {homes.AGENT}")
    assert not home.runs_path.exists() or not list(home.runs_path.glob("[!.]*"))
    assert not home.models_path.exists() or not list(home.models_path.rglob("*.json"))
