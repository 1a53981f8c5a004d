"""The variants that a sweep tries: a fixed head, then draws that the seed alone decides."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest

from algorithms.registry import configuration, discretizers, fits
from envs.observation import ObservationField, ObservationSpecification
from envs.specification import AgentSpecification
from envs.testbeds import scaling
from tests import homes
from tune_configs.spaces import AGENT_DEFAULTS, DEFAULTS, STEPS, search_space
from tune_configs.variant import VariantSpecification

VECTOR = ObservationSpecification("vector", tuple(ObservationField(f"x{index}") for index in range(4)))
AGENTS = {
    "integer": homes.specification(),
    "object": homes.specification(observation=homes.OBJECT),
    "vector": homes.specification(observation=VECTOR),
    "scaling": scaling.specification(0.2),
}


def drawn(specification: AgentSpecification, seed: int, count: int = 40) -> list[VariantSpecification]:
    return list(itertools.islice(search_space(specification).variants(seed), count))


def resolved(variant: VariantSpecification) -> str:
    """What the algorithm is told in the end, defaults included."""
    config = configuration(variant.algorithm, dict(variant.hyperparameters), seed=variant.seeds[0])
    settings = {name: config.setting(name) for name in config.own_settings()}
    if variant.algorithm == "tabular_q" and (settings["anchored"] or settings["completion"] == "none"):
        settings = {**settings, "completion": None, "temperature": None, "neighbours": None}
    return json.dumps([variant.algorithm, settings, variant.step], sort_keys=True, default=list)


@pytest.mark.parametrize("name", AGENTS)
def test_the_seed_decides_the_draws_and_the_head_stays(name: str) -> None:
    space = search_space(AGENTS[name])
    head = len(space.portfolio)
    first, again, other = drawn(AGENTS[name], 3), drawn(AGENTS[name], 3), drawn(AGENTS[name], 4)
    assert first == again
    assert all(variant.seeds == (3,) for variant in first)
    plain = [[replace(variant, seeds=(0,)) for variant in each] for each in (first, other)]
    assert plain[0][:head] == plain[1][:head] == [replace(v, seeds=(0,)) for v in space.portfolio]
    assert plain[0][head:] != plain[1][head:]
    # A longer run begins with a shorter one's variants.
    assert drawn(AGENTS[name], 3, 12) == first[:12]


@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.parametrize("seed", [0, 1])
def test_no_two_variants_learn_the_same(name: str, seed: int) -> None:
    variants = drawn(AGENTS[name], seed, 120)
    texts = [resolved(variant) for variant in variants]
    assert len(set(texts)) == len(texts)


def test_a_space_without_anything_new_comes_to_an_end() -> None:
    variants = drawn(AGENTS["integer"], 0, 10_000)
    assert 60 < len(variants) < 1000


@pytest.mark.parametrize("name", AGENTS)
def test_every_variant_is_valid_and_fits_the_observation(name: str) -> None:
    specification = AGENTS[name]
    for variant in drawn(specification, 0, 60):
        assert variant.algorithm in fits(specification)
        assert variant.step in STEPS
        config = configuration(variant.algorithm, dict(variant.hyperparameters), seed=variant.seeds[0])
        config.offline(dataset="unread")
        config.validate()
        assert variant.hyperparameters.get("discretizer") in (None, *discretizers(specification))
        assert set(variant.hyperparameters.get("fields") or ()) <= set(specification.observation.names)


def test_the_defaults_known_here_are_the_algorithms_own() -> None:
    for algorithm, known in DEFAULTS.items():
        config = configuration(algorithm)
        assert {name: config.setting(name) for name in known} == known


def test_each_kind_tries_anchored_steps_and_cloning_early() -> None:
    for specification in AGENTS.values():
        head = search_space(specification).portfolio[:8]
        assert {"tabular_q", "behavior_cloning"} == {variant.algorithm for variant in head}
        assert any(v.hyperparameters.get("anchored") is True and v.step < 1 for v in head)
        assert any(v.hyperparameters.get("anchored") is False for v in head)


def test_the_scaling_agent_has_its_grid_over_declared_fields() -> None:
    fields = AGENT_DEFAULTS["scaling"].fields
    assert set(fields) <= set(scaling.OBSERVATION.names)
    assert any(v.hyperparameters.get("fields") == fields for v in drawn(AGENTS["scaling"], 0))


def test_an_agent_of_the_same_name_with_other_fields_gets_no_field_that_it_lacks() -> None:
    mine = homes.specification(name="scaling", observation=homes.OBJECT)
    for variant in drawn(mine, 0):
        assert set(variant.hyperparameters.get("fields") or ()) <= set(homes.OBJECT.names)


@pytest.mark.parametrize("name", AGENTS)
def test_a_variant_survives_json(name: str) -> None:
    for variant in drawn(AGENTS[name], 0, 30):
        text = json.dumps(variant.to_json())
        assert VariantSpecification.from_json(json.loads(text)) == variant
        assert VariantSpecification.from_json(json.loads(text)).key == variant.key
