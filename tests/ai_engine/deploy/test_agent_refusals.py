"""What an agent refuses, it refuses before it acts: a decision that was taken can be recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agents import rule, specification

from ai_engine.deploy import Agent
from envs.errors import RecordError, SpecificationError
from envs.home import Home

CALM = {"load": 0.4, "queue": 3.0}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.create(tmp_path / "home")
    home.declare(specification())
    home.declare(specification("numbers", actions=(0, 1, 2)))
    return home


@pytest.mark.parametrize(
    "allowed",
    [
        {0: False, 1: True, 2: False},  # its keys are all actions
        [False, True, True],  # equal to 0, 1 and 1
        np.array([False, True, True]),
        [[1]],
        1,
    ],
)
def test_a_mask_is_not_taken_for_a_list_of_allowed_actions(home: Home, allowed: Any) -> None:
    agent = Agent("numbers", policy=lambda _: 1, home=home)
    with pytest.raises(RecordError, match=r"allowed_actions: .*list those that are allowed now; declared are 0, 1, 2"):
        agent.decide(CALM, allowed_actions=allowed)
    assert agent.decide(CALM, allowed_actions=np.array([1, 2])).allowed_actions == [1, 2]


@pytest.mark.parametrize("probability", ["x", None, 1j, [0.5, 0.5], float("nan"), -0.5])
def test_a_probability_that_is_none_is_named(home: Home, probability: Any) -> None:
    agent = Agent("scaling", policy=lambda _: {"up": probability, "hold": 0.5}, home=home)
    with pytest.raises(RecordError, match=r"the rule gave 'up' the probability .*; answer one of down, hold, up"):
        agent.decide(CALM)


@pytest.mark.parametrize(
    ("given", "field"),
    [({"tenant": 5}, "tenant"), ({"tenant": ""}, "tenant"), ({"episode_id": 7}, "episode_id"),
     ({"episode_id": "a\nb"}, "episode_id")],
)  # fmt: skip
def test_what_no_record_could_say_is_refused_before_the_action(home: Home, given: Any, field: str) -> None:
    agent = Agent("scaling", policy=rule, home=home)
    with pytest.raises(RecordError, match=f"{field}: .*; give"):
        agent.decide(CALM, **given)
    assert agent.decide(CALM, tenant=None).tenant == "default"  # type: ignore[arg-type]


def test_a_number_beyond_any_float_is_refused(home: Home) -> None:
    with pytest.raises(RecordError, match=r"observation\.queue: inf is not finite"):
        Agent("scaling", policy=rule, home=home).decide({"load": 0.4, "queue": 10**400})


def test_a_decision_is_recorded_by_the_agent_that_took_it(home: Home) -> None:
    agent, other = Agent("scaling", policy=rule, home=home), Agent("numbers", policy=lambda _: 1, home=home)
    wrong: list[tuple[Any, str]] = [
        (other.decide(CALM), "is of agent numbers"), (agent.policy.act(CALM), "is a Decision"), (None, "is a NoneType"),
    ]  # fmt: skip
    for decision, problem in wrong:
        with pytest.raises(RecordError, match=rf"agent scaling: decision: {problem}; give what decide\(\)"):
            agent.record(decision, reward=1.0)
    assert not home.journal_path.exists()


@pytest.mark.parametrize(
    ("given", "named"),
    [({"horizon": 0}, "horizon: 0"), ({"explore": "0.1"}, "explore: '0.1'"), ({"version": "a\nb"}, "rule_version: "),
     ({"limits": {"up": 5}}, "limits.up: 5 .*give {action: {'cooldown'"), ({"actions": [0.5]}, "actions: 0.5"),
     ({"limits": ["up"]}, "limits: .*give {action: {'cooldown'"), ({"explore": 2}, "explore: 2 is out of range"),
     ({"actions": ["up", "up"]}, "'up' is declared twice")],
)  # fmt: skip
def test_what_cannot_be_declared_is_said_at_once(home: Home, given: Any, named: str) -> None:
    with pytest.raises(SpecificationError, match=named):
        Agent("new", **{"policy": rule, "actions": ["hold", "up"], "home": home, **given})
