"""Records against their agent's declaration: what does not fit is named, what fits takes the declared form."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from envs.errors import RecordError
from envs.observation import ObservationField, ObservationSpecification
from envs.record import DecisionRecord
from envs.specification import AgentSpecification

SPECIFICATION = AgentSpecification(
    "scaling",
    ObservationSpecification(
        "object", (ObservationField("load", low=0.0, high=1.0), ObservationField("queue", "integer"))
    ),
    ("down", "hold", "up"),
    reward="-cost - 5 * dropped",
    reward_range=(-60.0, 0.0),
    worst_class="dropped > 0",
)
GOOD = {
    "agent": "scaling",
    "observation": {"load": 0.5, "queue": 3},
    "action": "hold",
    "outcome": {"cost": 2, "dropped": 0},
}

UNFIT: list[tuple[dict[str, Any], str, str]] = [
    ({"action": "jump"}, "action", "'jump' is not a declared action"),
    ({"action": 1}, "action", "1 is not a declared action"),
    ({"action": {"cpu": 1}}, "action", "not a declared action"),
    ({"allowed_actions": ["hold", "jump"]}, "allowed_actions", "'jump' is not a declared action"),
    ({"action_probabilities": {"hold": 0.5, "jump": 0.5}}, "action_probabilities", "'jump' is not a declared action"),
    ({"action_probabilities": [0.5, 0.5]}, "action_probabilities", "has 2 entries, declared are 3"),
    ({"action_probabilities": [0.5, 0.2, 0.3], "propensity": 0.9}, "propensity", "differs"),
    ({"observation": [0.5, 3]}, "observation", "is not an object"),
    ({"observation": {"load": 0.5}}, "observation.queue", "is missing"),
    ({"observation": {"load": 0.5, "queue": 3, "x": 1}}, "observation.x", "not a declared field"),
    ({"observation": {"load": 1.5, "queue": 3}}, "observation.load", "outside the declared range"),
    ({"observation": {"load": "1", "queue": 3}}, "observation.load", "not a number"),
    ({"next_observation": {"load": 0.5, "queue": 3.5}}, "next_observation.queue", "not an integer"),
    ({"reward": 1.0, "outcome": None}, "reward", "outside the declared reward_range [-60, 0]"),
    ({"outcome": {"cost": 100, "dropped": 0}}, "reward", "-100 is outside"),
    ({"outcome": {"cost": 1}}, "outcome.dropped", "is missing"),
]


@pytest.mark.parametrize(("change", "field", "problem"), UNFIT)
def test_what_does_not_fit_the_declaration(change: dict[str, Any], field: str, problem: str) -> None:
    record = DecisionRecord.from_mapping({**GOOD, **change})
    with pytest.raises(RecordError) as caught:
        record.validate_against(SPECIFICATION, where="log.jsonl:3")
    assert caught.value.field == field and problem in caught.value.problem
    assert str(caught.value).startswith(f"log.jsonl:3: {field}: ") and caught.value.remedy


def test_what_fits_is_put_into_the_declared_form() -> None:
    record = DecisionRecord.from_mapping({**GOOD, "action_probabilities": [0.125, 0.625, 0.25]})
    fitted = record.validate_against(SPECIFICATION)
    assert fitted.action_probabilities == {"down": 0.125, "hold": 0.625, "up": 0.25} and fitted.propensity == 0.625
    assert fitted.validate_against(SPECIFICATION) == fitted
    late = DecisionRecord.from_mapping({**GOOD, "outcome": None})
    assert late.validate_against(SPECIFICATION) == late


def test_an_inferred_range_is_not_enforced() -> None:
    record = DecisionRecord.from_mapping({**GOOD, "outcome": {"cost": 100, "dropped": 0}})
    assert record.validate_against(replace(SPECIFICATION, inferred=("reward_range",))) == record


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.0, None, "at least 0"), (None, 2.5, "at most 2.5"), (0.0, 1234567.5, "[0, 1234567.5]")],
)
def test_a_declared_range_is_said_as_it_is_declared(low: float | None, high: float | None, said: str) -> None:
    field = ObservationField("load", low=low, high=high)
    with pytest.raises(RecordError, match=re.escape(f" is outside the declared range, {said}; correct")):
        field.encode(-1.0 if low is not None else 3.0)
