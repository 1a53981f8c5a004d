"""A declaration survives its table, and everything that is wrong in one is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from envs.declaration import from_table, specification_hash, to_table
from envs.errors import SpecificationError
from envs.observation import ObservationField, ObservationSpecification
from envs.specification import AgentSpecification

SCALING = """
[agents.scaling]
rule = "myrules:scale"          # version 0
actions = ["down", "hold", "up"]
reward = "-cost - 5 * dropped"
reward_range = [-60, 0]
horizon = 12
discount = 1.0
unit = "day"
embargo = 600
worst_class = "dropped > 0"
censoring = "random"
practical_effect = 0.02
minimum_gain = 0.0
explore = 0.1

[agents.scaling.observation]
kind = "object"
fields = [
  {name = "cpu", type = "number", low = 0, high = 1, unit = "share"},
  {name = "zone.name", type = "category", categories = ["a", "b"], optional = true},
]
"""


def table() -> dict[str, Any]:
    return dict(tomlkit.parse(SCALING)["agents"]["scaling"].unwrap())  # type: ignore[index,union-attr]


def test_the_example_of_the_design_is_read() -> None:
    specification = from_table("scaling", tomlkit.parse(SCALING)["agents"]["scaling"])  # type: ignore[index,arg-type]
    assert specification.actions == ("down", "hold", "up")
    assert specification.reward_range == (-60.0, 0.0)
    assert specification.censoring == "random" and from_table("a", table() | {"censoring": "informative"}) == replace(
        specification, name="a", censoring="informative"
    )
    assert specification.margin is None and specification.minimum_units == 40
    assert specification.observation.names == ("cpu", "zone.name")
    assert specification.observation.fields[1].optional
    assert all(type(action) is str for action in specification.actions)


names = st.from_regex(r"[a-z]{1,4}(\.[xyz]{1,2})?", fullmatch=True)


@st.composite
def specifications(draw: st.DrawFn) -> AgentSpecification:
    kind = draw(st.sampled_from(["int", "vector", "object"]))
    fields = []
    allowed = {"int": ["integer"], "vector": ["number", "integer", "boolean"]}.get(
        kind, ["number", "integer", "boolean", "category"]
    )
    taken = draw(st.lists(names, min_size=1, max_size=1 if kind == "int" else 4, unique_by=lambda name: name[0]))
    for name in taken:
        field_type = draw(st.sampled_from(allowed))
        low = draw(st.none() | st.integers(-5, 5)) if field_type in ("number", "integer") else None
        fields.append(
            ObservationField(
                name,
                field_type,
                low=None if low is None else float(low),
                high=None if low is None else float(low + draw(st.integers(0, 9))),
                unit=draw(st.sampled_from(["", "s"])),
                categories=("a", "b c", "d") if field_type == "category" else (),
                optional=draw(st.booleans()),
            )
        )
    actions: tuple[Any, ...] = draw(st.sampled_from([(0, 1, 5), ("up", "down"), ("only",)]))
    return AgentSpecification(
        name=draw(st.sampled_from(["a", "self-healing", "x_9"])),
        observation=ObservationSpecification(kind, tuple(fields)),
        actions=actions,
        reward=draw(st.sampled_from(["", "-cost"])),
        reward_range=draw(st.sampled_from([None, (-1.0, 2.5)])),
        horizon=draw(st.integers(1, 500)),
        discount=draw(st.sampled_from([0.9, 1.0])),
        practical_effect=draw(st.sampled_from([0.02, 0.1])),
        margin=draw(st.sampled_from([None, 0.0, 0.3])),
        explore=draw(st.sampled_from([0.0, 0.05, 1.0])),
        minimum_units=draw(st.integers(1, 90)),
        rule=draw(st.sampled_from(["", "rules.deep:scale"])),
        inferred=draw(st.sampled_from([(), ("horizon", "observation.a")])),
    )


@given(specifications())
def test_a_specification_survives_its_table_and_toml(specification: AgentSpecification) -> None:
    written = to_table(specification)
    assert from_table(specification.name, written) == specification
    document = tomlkit.parse(tomlkit.dumps({"agents": {specification.name: written}}))
    assert from_table(specification.name, document["agents"][specification.name]) == specification  # type: ignore[index,arg-type]


@given(specifications(), specifications())
def test_the_hash_tells_declarations_apart(first: AgentSpecification, second: AgentSpecification) -> None:
    assert (specification_hash(first) == specification_hash(second)) == (first == second)


def test_the_hash_does_not_depend_on_the_type_of_a_number() -> None:
    specification = from_table("scaling", table())
    whole = replace(specification, reward_range=(-60, 0), discount=1)  # type: ignore[arg-type]
    assert specification_hash(whole) == specification_hash(specification)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("horizont", 12),
        ("actions", []),
        ("actions", ["up", "up"]),
        ("actions", ["up", 1]),
        ("actions", [True, False]),
        ("actions", "up"),
        ("reward", "cost +"),
        ("reward", "open('x')"),
        ("worst_class", "a.__class__()"),
        ("reward_range", [0, -60]),
        ("reward_range", [0]),
        ("reward_range", [0, float("inf")]),
        ("horizon", 0),
        ("horizon", 1.5),
        ("horizon", True),
        ("discount", 1.1),
        ("discount", "1"),
        ("unit", "week"),
        ("censoring", "none"),
        ("embargo", -1),
        ("practical_effect", 0),
        ("minimum_gain", -0.1),
        ("margin", float("nan")),
        ("explore", 1.5),
        ("minimum_units", 0),
        ("rule", "scale"),
        ("rule_version", ""),
        ("inferred", ["horizons"]),
        ("observation", 3),
    ],
)
def test_what_is_wrong_is_named(key: str, value: Any) -> None:
    with pytest.raises(SpecificationError) as caught:
        from_table("scaling", table() | {key: value})
    message = str(caught.value)
    assert "agent scaling" in message and key in message and caught.value.remedy and "\n" not in message


@pytest.mark.parametrize(
    ("observation", "key"),
    [
        ({"kind": "text", "fields": []}, "observation.kind"),
        ({"kind": "object", "fields": []}, "observation.fields"),
        ({"kind": "object"}, "observation.fields"),
        ({"fields": [{"name": "a"}]}, "observation.kind"),
        ({"kind": "int", "fields": [{"name": "a", "type": "number"}]}, "observation.fields"),
        ({"kind": "vector", "fields": [{"name": "a", "type": "category", "categories": ["x"]}]}, "observation.fields"),
        ({"kind": "object", "fields": [{"name": "a"}, {"name": "a"}]}, "observation.fields"),
        ({"kind": "object", "fields": [{"name": "a"}, {"name": "a.b"}]}, "observation.fields"),
        ({"kind": "object", "fields": ["a"]}, "observation.fields[0]"),
        ({"kind": "object", "fields": [{"name": "a", "kind": "number"}]}, "observation.fields[0].kind"),
        ({"kind": "object", "fields": [{"name": "a"}, {"name": "b", "low": 2, "high": 1}]}, "fields[1].low"),
        ({"kind": "object", "fields": [{"name": "a", "type": "category"}]}, "observation.fields[0].categories"),
        ({"kind": "object", "fields": [{"name": "a", "type": "boolean", "low": 0}]}, "observation.fields[0].low"),
        ({"kind": "object", "fields": [{"name": "a", "optional": 1}]}, "observation.fields[0].optional"),
    ],
)
def test_what_is_wrong_in_the_observation_is_named(observation: dict[str, Any], key: str) -> None:
    with pytest.raises(SpecificationError) as caught:
        from_table("scaling", table() | {"observation": observation})
    assert key in str(caught.value) and caught.value.remedy


def test_what_is_missing_is_named() -> None:
    for key in ("actions", "observation"):
        partial = {name: value for name, value in table().items() if name != key}
        with pytest.raises(SpecificationError, match=key):
            from_table("scaling", partial)


def test_the_table_to_add_is_named_as_it_is_to_be_written() -> None:
    with pytest.raises(SpecificationError) as caught:
        from_table("scaling", {name: value for name, value in table().items() if name != "observation"})
    assert "add [agents.scaling.observation]," in caught.value.remedy


def test_an_embargo_needs_time_blocks() -> None:
    with pytest.raises(SpecificationError, match="embargo"):
        from_table("scaling", table() | {"unit": "episode"})


@pytest.mark.parametrize("name", ["", "Scaling", "-a", "a" * 65, "a/b", "a\n"])
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(SpecificationError):
        from_table(name, table())
