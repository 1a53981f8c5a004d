"""An agent that is recorded before anybody declared it can be used; a wrong declaration is said as such."""

from __future__ import annotations

from pathlib import Path

import pytest

import ai_engine
from ai_engine.continuous_learning import LearningPipeline
from ai_engine.deploy import Agent
from envs.errors import SpecificationError
from envs.home import Home


def test_a_recorded_agent_gets_a_draft_when_it_is_first_looked_at(tmp_path: Path) -> None:
    home = Home.create(tmp_path)
    with LearningPipeline(home) as pipeline:
        for number in range(60):
            pipeline.record_action(
                "scaling",
                ("hold", "up")[number % 3 == 0],
                {"load": number / 60},
                reward=float(number % 2),
                propensity=0.5,
            )
    assert home.agents() == []
    ai_engine.inspect("scaling", home=home)
    draft = home.specification("scaling")
    assert home.agents() == ["scaling"] and draft.actions == ("hold", "up") and "actions" in draft.inferred
    with pytest.raises(SpecificationError, match="agent elsewhere: is not declared"):
        ai_engine.inspect("elsewhere", home=home)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"actions": ["hold", "up"], "explore": 2}, "explore: 2 is out of range"),
        ({"actions": ["hold", "hold"]}, "'hold' is declared twice"),
    ],
)
def test_wrong_arguments_of_an_agent_are_named(tmp_path: Path, wrong: dict[str, object], problem: str) -> None:
    agent = Agent("fresh", policy=lambda observation: "hold", home=Home.create(tmp_path), **wrong)  # type: ignore[arg-type]
    with pytest.raises(SpecificationError, match=problem):
        agent.decide({"load": 0.5})
