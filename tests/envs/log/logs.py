"""Wild logs for the tests of the durable log: open, cut, doubled and immature episodes, late outcomes, odd fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from envs.dataset import Dataset
from envs.guardrail import GuardrailSpecification
from envs.home import Home
from envs.journal.journal import Journal
from envs.journal.rows import Event
from envs.observation import ObservationField, ObservationSpecification
from envs.outcome import OutcomeEvent
from envs.record import DecisionRecord
from envs.specification import AgentSpecification

KEY = bytes(range(32))
AGENT = "scaling"
ACTIONS = ("down", "hold", "2")
NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
SPECIFICATION = AgentSpecification(
    name=AGENT,
    observation=ObservationSpecification(
        "object",
        (
            ObservationField("load", low=-1e6, high=1e6),
            ObservationField("queue.size", "integer", optional=True),
            ObservationField("region", "category", categories=("eu", "us", "5", "True"), optional=True),
            ObservationField("night", "boolean", optional=True),
        ),
    ),
    actions=ACTIONS,
    reward="gain - 2 * lost if lost > 1 else gain / (lost + 1)",
    reward_range=(-1e9, 1e9),
    horizon=3,
    worst_class="lost > 2 or late == 'very'",
    guardrails=(
        GuardrailSpecification("latency", "seconds", "lower"),
        GuardrailSpecification("errors", "max(errors, lost)", "lower", missing=0.0),
    ),
    rule_version="rule-1",
    explore=0.1,
)


def moment(minutes: float) -> str:
    return (NOON + timedelta(minutes=minutes)).isoformat()


NUMBERS = st.one_of(st.integers(-50, 50), st.floats(-50, 50).map(lambda value: round(value, 3)))
OBSERVATIONS = st.fixed_dictionaries(
    {"load": NUMBERS},
    optional={
        "queue": st.one_of(st.just({}), st.fixed_dictionaries({"size": st.integers(0, 9)})),
        "region": st.sampled_from(["eu", "us", "mars", 5, True, None]),
        "night": st.sampled_from([True, False, 0, 1.0]),
    },
)
OUTCOMES = st.fixed_dictionaries(
    {"gain": NUMBERS},
    optional={
        "lost": st.sampled_from([0, 1, 2, 3, 0.5, True]),
        "late": st.sampled_from(["very", "not", 3]),
        "seconds": NUMBERS,
        "errors": st.integers(0, 4),
        "output": st.sampled_from([{"status": "up"}, [1, 2], "text", None]),
        "big": st.just(2**60),
    },
)


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    """Records and outcomes in an order that is not theirs."""
    events: list[Event] = []
    for number in range(draw(st.integers(1, 6))):
        name, tenant = f"e{number}", draw(st.sampled_from(["default", "t"]))
        steps = draw(st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True))
        steps = sorted(steps) if draw(st.booleans()) else list(range(len(steps)))
        single = draw(st.integers(0, 5)) == 0
        timed = draw(st.integers(0, 3)) > 0
        for step in steps[:1] if single else steps:
            event = name if single else f"{name}-{step}"
            mapping: dict[str, Any] = {
                "event_id": event, "agent": AGENT, "tenant": tenant, "observation": draw(OBSERVATIONS),
                "action": draw(st.sampled_from(ACTIONS)),
            }  # fmt: skip
            if not single:
                mapping |= {"episode_id": name, "step": step}
            if timed and draw(st.integers(0, 5)):
                minutes = draw(st.integers(0, 42))
                mapping["timestamp"] = moment({41: 4e7, 42: -3e7}.get(minutes, minutes))  # in 2100, in 1966
            if draw(st.booleans()):
                mapping["outcome"] = draw(OUTCOMES)
            if draw(st.integers(0, 3)) == 0:
                mapping["reward"] = draw(NUMBERS)
            if draw(st.booleans()):
                mapping["allowed_actions"] = list(ACTIONS)
            if draw(st.booleans()):
                mapping["action_probabilities"] = {"down": 0.3, "hold": 0.3, "2": 0.4}
            elif draw(st.booleans()):
                mapping["propensity"] = 0.25
            if draw(st.integers(0, 2)) == 0:
                mapping["next_observation"] = draw(OBSERVATIONS)
            if step == steps[-1] or draw(st.integers(0, 9)) == 0:
                mapping[draw(st.sampled_from(["terminated", "truncated", "metadata"]))] = True
                mapping.pop("metadata", None)
            mapping["policy_version"] = draw(st.sampled_from(["rule-1", "7", None]))
            mapping["mode"] = draw(st.sampled_from(["live", "logging", "logging", "shadow"]))
            if draw(st.booleans()):
                mapping["metadata"] = {"root_probabilities": [0.0, 1.0, 0.0]}
            if draw(st.booleans()):
                mapping["executed_action"] = draw(st.sampled_from(ACTIONS))
            events.append(DecisionRecord.from_mapping(mapping))
            for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
                told = {
                    "decision_id": event if draw(st.integers(0, 9)) else f"{event}-nobody",
                    "agent": AGENT,
                    "timestamp": moment(draw(st.integers(0, 60))),
                    "outcome": draw(st.one_of(st.just({}), OUTCOMES)),
                    "reward": draw(st.sampled_from([None, None, 1.5])),
                    "terminated": draw(st.booleans()),
                }
                if told["outcome"] or told["reward"] is not None or told["terminated"]:
                    events.append(OutcomeEvent.from_mapping(told))
    return list(draw(st.permutations(events)))


def record(event: str, episode: str | None = None, step: int = 0, **changes: Any) -> DecisionRecord:
    """A decision that fits the declaration."""
    mapping: dict[str, Any] = {"event_id": event, "agent": AGENT, "observation": {"load": 1.0}, "action": "hold"}
    if episode is not None:
        mapping |= {"episode_id": episode, "step": step}
    return DecisionRecord.from_mapping(mapping | changes)


def outcome(decision: str, minutes: float = 1.0, **said: Any) -> OutcomeEvent:
    """An outcome of a decision; without anything said, a gain of 1."""
    said = said or {"outcome": {"gain": 1.0, "lost": 0}}
    return OutcomeEvent.from_mapping({"decision_id": decision, "agent": AGENT, "timestamp": moment(minutes), **said})


def home_at(path: Path, **changes: Any) -> Home:
    """A home with the agent declared."""
    home = Home.create(path, split_key=KEY)
    home.declare(replace(SPECIFICATION, **changes))
    return home


def append_each(journal: Journal, events: Sequence[Event]) -> list[Event]:
    """Record events one by one; those that were taken."""
    taken = []
    for event in events:
        try:
            journal.append([event])
        except Exception as error:  # a contradiction is refused, and no part of the log
            assert "before" in str(error) or "is there already" in str(error) or "is of" in str(error), error
        else:
            taken.append(event)
    return taken


def assert_same(one: Dataset, other: Dataset) -> None:
    """All columns, their kinds and the identifier."""
    for column in fields(Dataset):
        first, second = getattr(one, column.name), getattr(other, column.name)
        if isinstance(first, np.ndarray):
            np.testing.assert_array_equal(first, second, err_msg=column.name)
            assert first.dtype.kind == second.dtype.kind, column.name
        else:
            assert first == second, column.name
