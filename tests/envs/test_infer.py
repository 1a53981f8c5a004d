"""A draft declaration says what the log shows, and marks all of it as read off."""

from __future__ import annotations

from typing import Any

import pytest

from envs.declaration import from_table, to_table
from envs.errors import SpecificationError
from envs.field_statistics import MAXIMUM_CATEGORIES
from envs.infer import infer_specification
from envs.record import DecisionRecord
from tests.envs.samples import episode, record, simulated


def single(**changes: Any) -> DecisionRecord:
    return DecisionRecord.from_mapping({"agent": "a", "observation": 1, "action": 0, "reward": 1.0} | changes)


def test_actions_are_those_seen_never_a_count() -> None:
    draft = infer_specification("a", [single(action=7), single(action=2), single(action=7)])
    assert draft.actions == (2, 7)
    draft = infer_specification("a", [single(action="up"), single(action="down", allowed_actions=["down", "wait"])])
    assert draft.actions == ("down", "up", "wait")


def test_actions_with_a_probability_are_seen_and_keep_their_type() -> None:
    draft = infer_specification("a", [single(action=2, action_probabilities={"10": 0.5, "2": 0.5})])
    assert draft.actions == (2, 10)
    draft = infer_specification("a", [single(action="x", action_probabilities={"x": 0.5, "y": 0.5})])
    assert draft.actions == ("x", "y")


def test_an_integer_observation_has_the_range_of_the_data_ends_included() -> None:
    draft = infer_specification("a", [single(observation=5, next_observation=499), single(observation=3)])
    (field,) = draft.observation.fields
    assert draft.observation.kind == "int" and (field.low, field.high) == (3.0, 499.0)


def test_a_vector_has_as_many_numbers_as_it_has() -> None:
    draft = infer_specification("a", [single(observation=[0, 1.5, 2]), single(observation=[1, 2, 3])])
    assert draft.observation.kind == "vector"
    assert [(field.name, field.type) for field in draft.observation.fields] == [
        ("x0", "number"),
        ("x1", "number"),
        ("x2", "number"),
    ]


def test_an_object_has_typed_fields_nested_ones_with_dots() -> None:
    rows = [
        {"load": 0.5, "replicas": 3, "weekend": True, "zone": "b", "queue": {"size": 1, "oldest": None}},
        {"load": 1, "replicas": 4, "weekend": False, "zone": "a", "queue": {"size": 2.5, "oldest": 3.0}},
        {"load": 2, "replicas": 4, "weekend": False, "zone": "a", "queue": {"size": 2.5}, "mixed": "x"},
    ]
    draft = infer_specification("a", [single(observation=row) for row in rows])
    fields = {field.name: field for field in draft.observation.fields}
    assert {name: field.type for name, field in fields.items()} == {
        "load": "number",
        "replicas": "integer",
        "weekend": "boolean",
        "zone": "category",
        "queue.size": "number",
        "queue.oldest": "number",
        "mixed": "category",
    }
    assert fields["zone"].categories == ("a", "b")
    assert {name for name, field in fields.items() if field.optional} == {"queue.oldest", "mixed"}
    assert draft.observation.rows(rows).shape == (3, 7)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["2026-06-01T10:00:00Z", "2026-06-01T12:00:00.5+02:00"], "time"),
        (["2026-06-01T10:00:00Z", "none"], "category"),
        (["2026-06-01", "2026-06-02"], "category"),
        (["2026-06-31T10:00:00Z"], "category"),
    ],
)
def test_moments_with_a_zone_are_times_and_no_names(values: list[str], kind: str) -> None:
    observation = infer_specification("a", [single(observation={"since": value}) for value in values]).observation
    assert observation.fields[0].type == kind
    for value in values:
        observation.row({"since": value})


def test_truth_values_that_are_also_written_as_bits_are_booleans() -> None:
    seen = [True, 1, 0.0, False]
    observation = infer_specification("a", [single(observation={"on": value}) for value in seen]).observation
    assert observation.fields[0].type == "boolean"
    assert [observation.row({"on": value})[0] for value in seen] == [1.0, 1.0, 0.0, 0.0]


def test_identifiers_do_not_become_a_thousand_categories() -> None:
    names = [f"request-{index}" for index in range(500)] + ["often"] * 3
    draft = infer_specification("a", [single(observation={"id": name}) for name in names])
    categories = draft.observation.fields[0].categories
    assert len(categories) == MAXIMUM_CATEGORIES and "often" in categories


def test_the_horizon_is_the_longest_episode() -> None:
    assert infer_specification("a", episode("x", 3) + episode("y", 7)).horizon == 7
    assert infer_specification("a", [single(), single()]).horizon == 1


def test_the_reward_range_is_that_of_the_data() -> None:
    assert infer_specification("a", [single(reward=-2.0), single(reward=5.0)]).reward_range == (-2.0, 5.0)
    low, high = infer_specification("a", [single(reward=3.0)]).reward_range or (0, 0)
    assert low < 3.0 < high


def test_success_is_the_reward_where_there_is_no_other() -> None:
    rows = [single(reward=None, outcome={"success": flag}) for flag in (True, False)]
    draft = infer_specification("a", rows)
    assert draft.reward == "success" and draft.reward_range == (0.0, 1.0) and "reward" in draft.inferred
    assert infer_specification("a", [single(reward=None)]).reward == ""


def test_everything_read_off_is_marked_and_the_draft_is_a_declaration() -> None:
    declared, records = simulated(episodes=5)
    draft = infer_specification("scaling", records)
    assert set(draft.inferred) == {"observation", "actions", "horizon", "reward_range", "unit", "explore"}
    assert (draft.explore, draft.unit) == (0.0, "episode")
    assert draft.actions == tuple(sorted(declared.actions)) and draft.horizon == declared.horizon
    assert from_table("scaling", to_table(draft)) == draft


def test_the_order_of_the_records_does_not_matter() -> None:
    _, records = simulated(episodes=5)
    assert infer_specification("a", records) == infer_specification("a", records[::-1])


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [single(), single(observation=[1.0])],
        [single(observation=[1.0]), single(observation=[1.0, 2.0])],
        [single(observation=[1.0]), record()],
        [single(), single(action="x")],
        [single(action={"cpu": 0.5})],
        [single(observation={})],
    ],
)
def test_what_cannot_be_one_agent_is_refused(rows: list[DecisionRecord]) -> None:
    with pytest.raises(SpecificationError, match="agent a") as caught:
        infer_specification("a", rows)
    assert caught.value.remedy


@pytest.mark.parametrize("other", [{"meta": {"zone": "eu"}, "load": 1}, {"meta": [1.0, 2.0], "load": 1}])
def test_a_field_that_is_a_value_here_and_an_object_there_is_named_with_both_events(other: dict[str, Any]) -> None:
    odd = [single(observation={"meta": "eu", "load": 1}), single(observation=other)]
    with pytest.raises(SpecificationError, match=r"observation\.meta: is one value in event") as caught:
        infer_specification("a", odd)
    assert all(each.event_id in str(caught.value) for each in odd)
    absent = infer_specification("a", [single(observation={"meta": None, "load": 1}), odd[1]]).observation
    assert absent.names[0] == "load" and all(field.optional for field in absent.fields[1:])
    assert all(field.name.startswith("meta.") for field in absent.fields[1:])
