"""An agent that is recorded before anybody declared it can be used; a wrong declaration is said as such."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import ai_engine
from ai_engine.continuous_learning import LearningPipeline
from ai_engine.deploy import Agent
from envs.errors import RecordError, SpecificationError
from envs.home import Home
from envs.journal.journal import Journal


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


def test_looking_at_a_log_does_not_stop_who_records_it(tmp_path: Path) -> None:
    """The draft knows what was seen; the next action is recorded, and the next look names it."""
    home = Home.create(tmp_path)
    with LearningPipeline(home) as pipeline:
        for action in ("restart", "wait"):
            pipeline.record_action("healing", action, {"load": 0.5}, reward=1.0, propensity=0.5)
        ai_engine.inspect("healing", home=home)
        pipeline.record_action("healing", "failover", {"load": 0.5, "region": "a"}, reward=1.0, propensity=0.5)
        assert Journal(home.journal_path).counts() == {"healing": 3}
        with pytest.raises(RecordError, match="is not a declared field"):
            ai_engine.inspect("healing", home=home)


def test_what_is_excluded_is_not_in_a_draft(tmp_path: Path) -> None:
    """Otherwise one odd record would keep the whole log from being looked at for ever."""
    home = Home.create(tmp_path)
    with LearningPipeline(home) as pipeline:
        for number in range(60):
            observed = {"zone": ["a", "b"][number % 2] if number != 30 else [1.0, 2.0]}
            pipeline.record_action("scaling", "up", observed, reward=1.0, propensity=0.5)
    with pytest.raises(SpecificationError, match=r"observation\.zone: is one value in event"):
        ai_engine.inspect("scaling", home=home)
    ai_engine.log_exclude("scaling", start=31, end=32, reason="a list", home=home)
    ai_engine.inspect("scaling", home=home)
    (field,) = home.specification("scaling").observation.fields
    assert field.name == "zone" and field.categories == ("a", "b")


def test_an_agents_draft_gets_the_categories_of_its_log(tmp_path: Path) -> None:
    """The first observation has one of them; until a person confirms the draft, looking at the log adds the others."""
    home = Home.create(tmp_path)
    agent = Agent("zones", policy=lambda _: "a", actions=["a", "b"], explore=0.5, home=home, seed=1)
    for number in range(120):
        agent.record(
            agent.decide({"zone": ("eu", "us", "asia")[number % 3], "load": number % 7}), reward=1.0 * (number % 2)
        )
    agent.close()
    assert home.specification("zones").observation.fields[1].categories == ("eu",)
    found = ai_engine.inspect("zones", home=home)
    assert "unknown_values" not in {finding.code for finding in found.card.findings}
    draft = home.specification("zones")
    assert draft.observation.fields[1].categories == ("asia", "eu", "us") and "observation" in draft.inferred
    confirmed = tuple(name for name in draft.inferred if name != "observation")
    home.declare(replace(draft, inferred=confirmed))
    with Agent("zones", policy=lambda _: "a", home=home, seed=2) as agent:
        for _ in range(60):
            agent.record(agent.decide({"zone": "mars", "load": 1.0}), reward=1.0)
    found = ai_engine.inspect("zones", home=home)
    assert home.specification("zones").observation.fields[1].categories == ("asia", "eu", "us")
    assert "unknown_values" in {finding.code for finding in found.card.findings}


def test_a_horizon_that_nobody_declared_grades_no_longer_episodes(tmp_path: Path) -> None:
    """An agent's draft is made of its first decision; episodes of five must not be judged by their first."""
    for horizon in (None, 5):
        home = Home.create(tmp_path / f"{horizon}")
        agent = Agent(
            "scaling", policy=lambda _: "up", actions=["hold", "up"], explore=0.9, horizon=horizon, home=home, seed=1
        )
        for episode in range(150):
            for step in range(5):
                decision = agent.decide({"load": (episode * 7 + step) % 11 / 11}, episode_id=f"e{episode}")
                reward = float(decision.action == "up") + (episode * 3 + step) % 5
                agent.record(decision, reward=reward, terminated=step == 4)
        agent.close()
        card = ai_engine.inspect("scaling", home=home).card
        told = [finding for finding in card.findings if finding.code == "undeclared_horizon"]
        assert [card.grade == "D", bool(told)] == [horizon is None] * 2
    assert "horizon" not in home.specification("scaling").inferred
