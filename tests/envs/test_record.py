"""The record contract: what is taken, what is refused by which field, and what hashes alike."""

from __future__ import annotations

import json
import math
import re
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.errors import RecordError
from envs.record import DecisionRecord, stored_text, trusted

MINIMAL = {"agent": "scaling", "observation": {"load": 0.5}, "action": "hold"}
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63 - 1)
REALS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)  # become float64
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=4)
OBSERVATIONS = OBJECTS | st.lists(REALS, max_size=4) | st.integers(0, 500)


@st.composite
def mappings(draw: st.DrawFn) -> dict[str, Any]:
    actions = draw(st.lists(NAMES, min_size=2, max_size=4, unique=True) | st.just([0, 1, 2]))
    action = draw(st.sampled_from(actions))
    mapping: dict[str, Any] = {"agent": "a-1", "observation": draw(OBSERVATIONS), "action": action}
    weights = np.array(draw(st.lists(st.integers(1, 9), min_size=len(actions), max_size=len(actions))), dtype=float)
    probabilities = dict(zip(map(str, actions), (weights / weights.sum()).tolist(), strict=True))
    moment = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)).map(lambda value: value.isoformat() + "+02:00")
    optional: dict[str, st.SearchStrategy[Any]] = {
        "event_id": NAMES,
        "tenant": NAMES,
        "timestamp": moment,
        "allowed_actions": st.just(actions),
        "reward": REALS,
        "outcome": OBJECTS,
        "next_observation": OBSERVATIONS,
        "terminated": st.booleans(),
        "truncated": st.booleans(),
        "policy_version": NAMES,
        "experiment_arm": NAMES,
        "mode": st.sampled_from(["live", "shadow", "logging"]),
        "metadata": OBJECTS,
        "executed_action": st.sampled_from(actions),
    }
    for name in draw(st.sets(st.sampled_from(sorted(optional)))):
        mapping[name] = draw(optional[name])
    if draw(st.booleans()):
        mapping |= {"episode_id": draw(NAMES), "step": draw(st.integers(0, 1000))}
    if draw(st.booleans()):
        mapping["action_probabilities"] = probabilities
    elif draw(st.booleans()):
        mapping["propensity"] = draw(st.floats(1e-9, 1.0))
    return mapping


@settings(max_examples=200, deadline=None)
@given(mappings())
def test_round_trips(mapping: dict[str, Any]) -> None:
    record = DecisionRecord.from_mapping(mapping)
    for text in (json.dumps(record.to_mapping()), record.canonical_json()):
        again = DecisionRecord.from_mapping(json.loads(text))
        assert again == record and again.content_hash == record.content_hash
    assert trusted(stored_text(record)) == record
    assert stored_text(trusted(stored_text(record))) == stored_text(record)
    for name, value in mapping.items():
        if name not in ("timestamp", "outcome"):
            assert getattr(record, name) == value
    if "timestamp" in mapping:
        assert datetime.fromisoformat(str(record.timestamp)) == datetime.fromisoformat(mapping["timestamp"])
        assert record.seconds == datetime.fromisoformat(mapping["timestamp"]).timestamp()


@settings(max_examples=100, deadline=None)
@given(mappings(), st.randoms())
def test_the_hash_sees_content_and_nothing_else(mapping: dict[str, Any], random: Any) -> None:
    mapping["event_id"] = "e"
    items = list(mapping.items())
    random.shuffle(items)
    record = DecisionRecord.from_mapping(mapping)
    assert DecisionRecord.from_mapping(dict(items)).content_hash == record.content_hash
    for name, value in (("reward", 0.125), ("policy_version", "other"), ("event_id", "f")):
        if mapping.get(name) != value:
            assert DecisionRecord.from_mapping({**mapping, name: value}).content_hash != record.content_hash


def test_spellings_of_the_same_content_hash_alike() -> None:
    spellings: list[dict[str, Any]] = [
        {"observation": [1, 2.5, 0], "timestamp": "2026-01-31T10:30:00+01:00", "reward": 3, "step": 2},
        {
            "observation": np.array([1, 2.5, -0.0], dtype=np.float32),
            "timestamp": "2026-01-31T09:30:00Z",
            "reward": 3.0,
            "step": 2.0,
        },
        {
            "observation": (np.int64(1), 2.5, 0.0),
            "timestamp": datetime(2026, 1, 31, 4, 30, tzinfo=timezone(-timedelta(hours=5))),
            "reward": np.float64(3),
            "step": np.int8(2),
        },
    ]
    records = [
        DecisionRecord.from_mapping({**MINIMAL, "event_id": "e", "episode_id": "x", **item}) for item in spellings
    ]
    assert len({record.content_hash for record in records}) == 1
    assert records[0].timestamp == "2026-01-31T09:30:00Z"
    assert all(type(entry) in (int, float) for record in records for entry in record.observation)


def test_defaults() -> None:
    record = DecisionRecord.from_mapping({**MINIMAL, "reward": None, "metadata": None})
    assert record.tenant == "default" and record.step == 0 and record.is_single
    assert record.episode_id == record.event_id and len(record.event_id) == 32
    assert record.reward is None and record.metadata == {} and not record.terminated and math.isnan(record.seconds)
    assert DecisionRecord.from_mapping(MINIMAL).event_id != record.event_id


def test_a_record_cannot_be_changed_and_has_one_type_however_it_was_made() -> None:
    checked = DecisionRecord.from_mapping({**MINIMAL, "event_id": "e"})
    made = DecisionRecord(
        event_id="e", agent="scaling", action="hold", observation={"load": 0.5}, episode_id="e", metadata={}
    )
    for record in (checked, trusted(stored_text(checked)), replace(checked, step=0)):
        assert type(record) is DecisionRecord and record == made and repr(record) == repr(made)
        with pytest.raises(FrozenInstanceError):
            record.reward = 1.0  # type: ignore[misc]
        with pytest.raises(FrozenInstanceError):
            del record.reward


def test_a_record_is_written_alike_in_whatever_order_its_fields_came() -> None:
    given = {**MINIMAL, "event_id": "e", "reward": 1.0, "outcome": {"b": 1, "a": 2}, "metadata": {"n": 1}}
    texts = {stored_text(DecisionRecord.from_mapping(dict(sorted(given.items(), reverse=turn)))) for turn in (0, 1)}
    assert texts == {stored_text(DecisionRecord.from_mapping(given))}


def test_what_is_no_decision_does_not_become_one() -> None:
    with pytest.raises(TypeError, match="decision_id"):
        trusted(json.dumps({**MINIMAL, "event_id": "e", "decision_id": "d"}))


def test_what_a_record_keeps_is_its_own() -> None:
    given = {"load": [0.5]}
    first = DecisionRecord.from_mapping({**MINIMAL, "observation": given, "outcome": given, "metadata": given})
    given["load"].append(1.0)
    given["more"] = []
    assert first.observation == first.outcome == first.metadata == {"load": [0.5]}
    assert DecisionRecord.from_mapping(MINIMAL).metadata is not DecisionRecord.from_mapping(MINIMAL).metadata


def test_named_probabilities_give_the_propensity() -> None:
    record = DecisionRecord.from_mapping(
        {"agent": "a", "observation": 3, "action": 1, "action_probabilities": {0: 0.25, 1: 0.75}}
    )
    assert record.propensity == 0.75 and record.action_probabilities == {"0": 0.25, "1": 0.75}


def test_foreign_values_become_plain() -> None:
    metadata = {"array": np.arange(3), "flag": np.bool_(True), "set": {2, 1}, "sum": Decimal("1.5"), 7: np.str_("x")}
    record = DecisionRecord.from_mapping({**MINIMAL, "metadata": metadata, "new": 1.0}, unknown="metadata")
    assert record.metadata == {"array": [0, 1, 2], "flag": True, "set": [1, 2], "sum": 1.5, "7": "x", "new": 1.0}
    assert json.loads(record.canonical_json())["metadata"]["new"] == 1
    assert type(record.metadata["flag"]) is bool and type(record.metadata["7"]) is str


def test_continuous_actions_have_densities() -> None:
    record = DecisionRecord.from_mapping({**MINIMAL, "action": {"cpu": 2, "memory": 0.5}, "propensity": 3.5})
    assert record.propensity == 3.5 and record.action == {"cpu": 2.0, "memory": 0.5}


DEEP: Any = 0
for _ in range(40):
    DEEP = [DEEP]

BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"agent": None}, "agent", "is missing"),
    ({"agent": "Scaling!"}, "agent", "not an agent's name"),
    ({"agent": "a" * 65}, "agent", "not an agent's name"),
    ({"action": None}, "action", "is missing"),
    ({"action": 1.5}, "action", "no action"),
    ({"action": True}, "action", "no action"),
    ({"action": {"cpu": math.nan}}, "action.cpu", "not finite"),
    ({"observation": None}, "observation", "is missing"),
    ({"observation": "text"}, "observation", "no observation"),
    ({"observation": True}, "observation", "no observation"),
    ({"observation": 2.5}, "observation", "no observation"),
    ({"observation": [1, math.nan]}, "observation[1]", "nan is not finite"),
    ({"observation": [1, "2"]}, "observation[1]", "'2' is not a number"),
    ({"observation": [[1, 2], [3, 4]]}, "observation", "array or object of 2 values"),
    ({"observation": {"a": {"b": [1, math.inf]}}}, "observation.a.b[1]", "inf is not finite"),
    ({"observation": {"a": DEEP}}, "observation.a" + "[0]" * 31, "deeper than 32"),
    ({"observation": 2**70}, "observation", "more than 64 bits"),
    ({"observation": {"a\nb": math.nan}}, "observation['a\\\\nb']", "not finite"),
    ({"next_observation": [math.nan]}, "next_observation[0]", "not finite"),
    ({"propensity": 0}, "propensity", "0 is not a probability in (0, 1]"),
    ({"propensity": 1.01}, "propensity", "1.01 is not a probability"),
    ({"propensity": -0.1}, "propensity", "-0.1 is not"),
    ({"propensity": math.nan}, "propensity", "nan is not finite"),
    ({"propensity": "0.5"}, "propensity", "'0.5' is not a number"),
    ({"propensity": True}, "propensity", "True is not a number"),
    ({"action": {"cpu": 1}, "propensity": 0.0}, "propensity", "a density above 0"),
    ({"reward": math.inf}, "reward", "inf is not finite"),
    ({"reward": 10**400}, "reward", "not finite"),
    ({"reward": "1"}, "reward", "not a number"),
    ({"outcome": [1]}, "outcome", "not an object"),
    ({"outcome": {"cost": -math.inf}}, "outcome.cost", "-inf is not finite"),
    ({"outcome": {"object": object()}}, "outcome.object", "has the type object"),
    ({"metadata": {"when": datetime(2026, 1, 1)}}, "metadata.when", "has no time zone"),
    ({"metadata": {"text": "\ud800"}}, "metadata.text", "surrogate"),
    ({"metadata": {1: 0, "1": 0}}, "metadata", "two keys of the same text"),
    ({"timestamp": "2026-01-31T09:30:00"}, "timestamp", "has no time zone"),
    ({"timestamp": datetime(2026, 1, 31)}, "timestamp", "has no time zone"),
    ({"timestamp": "yesterday"}, "timestamp", "not an RFC 3339 timestamp"),
    ({"timestamp": "2026-02-30T00:00:00Z"}, "timestamp", "not an RFC 3339 timestamp"),
    ({"timestamp": 1769850000}, "timestamp", "not an RFC 3339 timestamp"),
    ({"timestamp": "0001-01-01T00:00:00+10:00"}, "timestamp", "out of range"),
    ({"terminated": 1}, "terminated", "not a boolean"),
    ({"truncated": "yes"}, "truncated", "not a boolean"),
    ({"mode": "test"}, "mode", "not a mode"),
    ({"event_id": ""}, "event_id", "not a name"),
    ({"event_id": 7}, "event_id", "not a text"),
    ({"tenant": "a\nb"}, "tenant", "not a name"),
    ({"step": -1, "episode_id": "e"}, "step", "negative"),
    ({"step": 1.5, "episode_id": "e"}, "step", "not an integer"),
    ({"step": 2**63, "episode_id": "e"}, "step", "is an integer of more than 64 bits"),
    ({"step": 10**400, "episode_id": "e"}, "step", "is an integer of more than 64 bits"),
    ({"step": 1e30, "episode_id": "e"}, "step", "is an integer of more than 64 bits"),
    ({"step": math.inf, "episode_id": "e"}, "step", "not an integer"),
    ({"step": math.nan, "episode_id": "e"}, "step", "not an integer"),
    ({"step": 3}, "episode_id", "is missing, but step is 3"),
    ({"episode_id": "e"}, "step", "is missing, but episode_id is given"),
    ({"allowed_actions": []}, "allowed_actions", "not an array of actions"),
    ({"allowed_actions": ["up", "up"]}, "allowed_actions", "names an action twice"),
    ({"allowed_actions": ["up", "down"]}, "action", "'hold' is not in allowed_actions"),
    ({"action_probabilities": {"hold": 0.5, "up": 0.4}}, "action_probabilities", "sum to 0.9"),
    ({"action_probabilities": {"hold": 1.5, "up": -0.5}}, "action_probabilities", "outside [0, 1]"),
    ({"action_probabilities": {"up": 1.0}}, "action_probabilities", "no probability to the action taken"),
    ({"action_probabilities": {"hold": 0.5, "up": 0.5}, "propensity": 0.4}, "propensity", "differs from"),
    (
        {"action_probabilities": {"hold": 0.5, "up": 0.5}, "allowed_actions": ["hold"]},
        "action_probabilities",
        "0.5 to 'up', which is not allowed",
    ),
    ({"action_probabilities": [0.5, 0.6]}, "action_probabilities", "sum to 1.1"),
    ({"schema_version": 2}, "schema_version", "2 is not known"),
    ({"state": 3}, "state", "not a field of a decision record"),
]


@pytest.mark.parametrize(("change", "field", "problem"), BAD, ids=[str(index) for index in range(len(BAD))])
def test_bad_fields_are_refused_in_one_line(change: dict[str, Any], field: str, problem: str) -> None:
    with pytest.raises(RecordError) as caught:
        DecisionRecord.from_mapping({**MINIMAL, **change}, where="log.jsonl:17")
    error = caught.value
    assert error.field == field.replace("\\\\", "\\")
    assert str(error).startswith(f"log.jsonl:17: {error.field}: ") and problem in error.problem
    assert error.remedy and "\n" not in str(error) and len(str(error)) < 400 and error.exit_code == 2


def test_the_bounds_of_an_integer_are_told_and_are_those_that_hold() -> None:
    for wrong in (2**63, -(2**63) - 1):
        with pytest.raises(RecordError) as caught:
            DecisionRecord.from_mapping({**MINIMAL, "observation": wrong})
        low, high = re.findall(r"-?\d+", caught.value.remedy)
        assert (int(low), int(high)) == (-(2**63), 2**63 - 1)
        for bound in (int(low), int(high)):
            assert DecisionRecord.from_mapping({**MINIMAL, "observation": bound}).observation == bound


def test_the_agent_may_be_given_beside_the_row() -> None:
    row = {"observation": 1, "action": 0}
    assert DecisionRecord.from_mapping(row, agent="taxi").agent == "taxi"
    assert DecisionRecord.from_mapping({**row, "agent": "taxi"}, agent="taxi").agent == "taxi"
    with pytest.raises(RecordError, match="agent: is scaling, expected is taxi"):
        DecisionRecord.from_mapping({**row, "agent": "scaling"}, agent="taxi")


def test_unknown_fields_and_metadata_must_not_clash() -> None:
    with pytest.raises(RecordError, match="is both a field and in metadata"):
        DecisionRecord.from_mapping({**MINIMAL, "x": 1, "metadata": {"x": 2}}, unknown="metadata")


def test_utc_datetimes_are_taken() -> None:
    moment = datetime(2026, 1, 31, 9, 30, 0, 250_000, tzinfo=UTC)
    assert DecisionRecord.from_mapping({**MINIMAL, "timestamp": moment}).timestamp == "2026-01-31T09:30:00.250000Z"
