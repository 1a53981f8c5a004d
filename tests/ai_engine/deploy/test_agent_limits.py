"""Limits and bad input: masked before the draw, refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from agents import rule, specification

from ai_engine.deploy import Agent
from envs.errors import RecordError, RetrainerError, SpecificationError
from envs.home import Home

CALM, BUSY = {"load": 0.4, "queue": 3.0}, {"load": 0.9, "queue": 12.0}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.create(tmp_path / "home")
    home.declare(specification(horizon=3))
    return home


def test_a_cooldown_masks_the_action_before_the_draw_and_per_tenant(home: Home) -> None:
    agent = Agent("scaling", policy=rule, home=home, limits={"up": {"cooldown": 600}}, seed=0)

    def decide(minute: int, tenant: str = "a") -> Any:
        return agent.decide(BUSY, timestamp=f"2026-01-01T12:{minute:02}:00Z", tenant=tenant)

    taken = next(minute for minute in range(10) if decide(minute).action == "up")
    masked = decide(taken + 9)
    assert masked.allowed_actions == ["down", "hold"] and masked.probabilities["up"] == 0.0
    assert masked.probabilities == pytest.approx({"down": 0.5, "hold": 0.5, "up": 0.0}), "the rule wants up"
    assert agent.completed(masked).propensity == 0.5
    assert decide(taken + 9, "b").allowed_actions is None
    assert decide(taken + 10).allowed_actions is None


def test_a_condition_masks_the_action_where_it_holds(home: Home) -> None:
    agent = Agent("scaling", policy=rule, home=home, limits={"down": {"forbidden_when": "queue > 10 and load > 0.5"}})
    assert agent.decide(BUSY).allowed_actions == ["hold", "up"]
    assert agent.decide(CALM).allowed_actions is None
    assert agent.decide(BUSY, allowed_actions=["hold", "down"]).probabilities["hold"] == 1.0
    with pytest.raises(RecordError, match="no action is allowed"):
        agent.decide(BUSY, allowed_actions=["down"])


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"left": {"cooldown": 1}}, "'?left.*declared are down, hold, up"),
        ({"up": {"max_step": 1}}, "'max_step' is not a limit; known are cooldown, forbidden_when"),
        ({"up": {"cooldown": -1}}, "seconds above 0"),
        ({"up": {"cooldown": float("nan")}}, "seconds above 0"),
        ({"up": {"forbidden_when": "queue >"}}, "is not an expression"),
        ({"up": {"forbidden_when": 3}}, "give an expression"),
        ({"up": {"forbidden_when": "cost > 3"}}, "reads 'cost', which is not a field"),
    ],
)
def test_wrong_limits_are_named(home: Home, limits: dict, message: str) -> None:
    with pytest.raises(SpecificationError, match=message):
        Agent("scaling", policy=rule, home=home, limits=limits)


@pytest.mark.parametrize(
    ("observation", "arguments", "message"),
    [
        ({"load": float("nan"), "queue": 1}, {}, "observation.load"),
        ({"load": 2.0, "queue": 1}, {}, "outside the declared range"),
        ({"load": 0.5}, {}, "observation.queue: is missing"),
        ({**CALM, "x": 1}, {}, "observation.x: is not a declared field"),
        ([1, 2], {}, "is not an object"),
        (CALM, {"allowed_actions": []}, "no action is allowed"),
        (CALM, {"allowed_actions": ["left"]}, "'left' is not a declared action"),
        (CALM, {"timestamp": "yesterday"}, "timestamp"),
    ],
)
def test_bad_input_is_one_line_and_counts_no_step(home: Home, observation: Any, arguments: dict, message: str) -> None:
    agent = Agent("scaling", policy=rule, home=home)
    with pytest.raises(RetrainerError, match=message) as caught:
        agent.decide(observation, episode_id="e", **arguments)
    assert "\n" not in str(caught.value)
    assert agent.decide(CALM, episode_id="e").step == 0
