"""The variants that a sweep tries: a fixed head, then draws that the seed alone decides."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest

from algorithms.registry import ALGORITHMS, configuration, discretizers, fits
from envs.observation import ObservationField, ObservationSpecification
from envs.specification import AgentSpecification
from envs.testbeds import scaling
from envs.testbeds.testbed import TESTBEDS
from tests import homes
from tune_configs.search_space import DEFAULTS, STEPS, SearchSpace
from tune_configs.spaces import AGENT_DEFAULTS, default_algorithm, search_space
from tune_configs.variant import VariantSpecification

VECTOR = ObservationSpecification("vector", tuple(ObservationField(f"x{index}") for index in range(4)))
AGENTS = {
    "integer": homes.specification(),
    "object": homes.specification(observation=homes.OBJECT),
    "vector": homes.specification(observation=VECTOR),
    **{name: testbed.specification for name, testbed in TESTBEDS.items()},
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


@pytest.mark.parametrize("name", AGENTS)
def test_the_agents_own_algorithm_comes_first_and_steps_and_clones_are_tried_early(name: str) -> None:
    specification = AGENTS[name]
    head = search_space(specification).portfolio[:8]
    assert head[0].algorithm == default_algorithm(specification)
    assert {"tabular_q", "behavior_cloning"} <= {variant.algorithm for variant in head}
    assert any(variant.step == 1.0 for variant in head[:3])
    assert any(variant.step < 1.0 for variant in head[:3])
    if specification.observation.kind != "int":
        assert set(ALGORITHMS) == {variant.algorithm for variant in search_space(specification).portfolio}


def test_without_a_rule_nothing_is_anchored_to_one_in_the_networks() -> None:
    ruled = homes.specification(observation=VECTOR)
    assert default_algorithm(ruled) == "ppo"
    alone = replace(ruled, rule="", rule_version="")
    assert default_algorithm(alone) == "dqn"
    tried = [v for v in search_space(alone).portfolio if v.algorithm == "dqn"]
    assert tried and all(v.hyperparameters["anchored"] is False for v in tried)
    assert all(v.hyperparameters.get("anchored", True) for v in search_space(ruled).portfolio if v.algorithm == "dqn")


def test_evolution_is_not_tried_over_long_horizons() -> None:
    long = replace(homes.specification(observation=VECTOR), horizon=500)
    assert "evolution" not in {variant.algorithm for variant in drawn(long, 0)}
    assert "evolution" in {variant.algorithm for variant in drawn(replace(long, horizon=50), 0)}


def test_the_specifications_assignment_is_the_default() -> None:
    named = {name: defaults.algorithm for name, defaults in AGENT_DEFAULTS.items()}
    assert named == {
        "scaling": "tabular_q",
        "self-healing": "ppo",
        "task-solving": "dqn",
        "optimization": "evolution",
    }
    assert set(named) == set(TESTBEDS)


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


@pytest.mark.parametrize("name", AGENTS)
def test_a_space_survives_json_and_draws_the_same(name: str) -> None:
    space = search_space(AGENTS[name])
    back = SearchSpace.from_json(json.loads(json.dumps(space.to_json())))
    assert back == space
    assert list(itertools.islice(back.variants(5), 40)) == list(itertools.islice(space.variants(5), 40))


@pytest.mark.parametrize("name", AGENTS)
def test_more_seeds_are_the_same_variants_with_more_seeds(name: str) -> None:
    space = search_space(AGENTS[name])
    alone, several = (list(itertools.islice(space.variants(3, repeats), 30)) for repeats in (1, 3))
    assert all(variant.seeds == (3, 4, 5) for variant in several)
    assert [replace(variant, seeds=(3,)) for variant in several] == alone
