"""A population changes what can change, a little or anew, and always within its domain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.registry import configuration_class
from envs.errors import SpecificationError
from tests import homes
from tune_configs.domains import Choice, LogUniform, Uniform
from tune_configs.population import MUTABLE, Changes, populating
from tune_configs.search_space import SearchSpace, Space
from tune_configs.spaces import search_space
from tune_configs.variant import VariantSpecification

PPO = VariantSpecification("ppo", {"learning_rate": 0.003, "hidden": (32,), "temperature": 0.0}, 0.25, (4,))


@given(seed=st.integers(0, 2**32 - 1))
def test_a_change_stays_in_its_domain_and_leaves_the_rest(seed: int) -> None:
    rng, variant = np.random.default_rng(seed), PPO
    for _ in range(4):
        variant = Changes().changed(variant, rng)
        for name, domain in MUTABLE["ppo"].items():
            assert domain.contains(variant.hyperparameters[name])
    assert {name: value for name, value in variant.hyperparameters.items() if name not in MUTABLE["ppo"]} == {
        "hidden": (32,),
        "temperature": 0.0,
    }
    assert (variant.algorithm, variant.step, variant.seeds) == ("ppo", 0.25, (4,))


def test_most_changes_are_small_and_some_are_not() -> None:
    rng = np.random.default_rng(0)
    rates = [Changes().changed(PPO, rng).hyperparameters["learning_rate"] / 0.003 for _ in range(400)]  # type: ignore[operator]
    small = [rate for rate in rates if rate == pytest.approx(1.25) or rate == pytest.approx(0.8)]
    assert 0.65 < len(small) / len(rates) < 0.85


def test_a_users_range_replaces_the_usual_one_and_a_choice_does_not() -> None:
    space = SearchSpace(
        (),
        (
            Space("ppo", {"learning_rate": LogUniform(0.5, 0.6), "kl_weight": Choice((0.0, 0.1)), "hidden": ((8,),)}),
            Space("dqn", {"margin": Uniform(0.0, 1.0)}),
        ),
    )
    changes = Changes.of(space)
    assert changes.domains["ppo"]["learning_rate"] == LogUniform(0.5, 0.6)
    assert changes.domains["ppo"]["kl_weight"] == MUTABLE["ppo"]["kl_weight"]
    assert changes.domains["dqn"] == MUTABLE["dqn"]  # a margin shapes what is exported, not how it is trained


def test_what_changes_is_a_setting_of_its_algorithm() -> None:
    for algorithm, domains in MUTABLE.items():
        assert set(domains) <= set(configuration_class(algorithm).own_settings())


def test_tables_are_no_members() -> None:
    space = search_space(homes.specification(observation=homes.OBJECT))
    members = populating(space)
    assert "tabular_q" in space.algorithms
    assert set(members.algorithms) == set(MUTABLE)
    assert all(variant.hyperparameters.get("model") != "table" for variant in members.portfolio)
    tables = SearchSpace((), (Space("behavior_cloning", {"model": Choice(("table",))}), Space("tabular_q")))
    with pytest.raises(SpecificationError, match="none of behavior_cloning, tabular_q has hyperparameters"):
        populating(tables)
    with pytest.raises(SpecificationError, match="scheduler pbt"):
        populating(search_space(homes.specification()))
