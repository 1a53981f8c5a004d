"""What is asked of a sweep: parts that do not go together are refused, and a run keeps all that follows from it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

import ai_engine
from ai_engine.extending import extend
from ai_engine.runs import Run
from ai_engine.sweep_plan import plan_of
from ai_engine.tune_request import HEAD, MEMBERS, MOST_TRIALS, TRIALS, TuneRequest
from ai_engine.workspace import open_workspace
from envs.dataset import Dataset
from envs.errors import DataError, SpecificationError
from envs.home import Home
from tests import homes
from tune_configs.domains import Choice, Uniform
from tune_configs.minibatches import Minibatches
from tune_configs.population import MUTABLE
from tune_configs.search_space import SearchSpace, Space
from tune_configs.spaces import search_space
from tune_configs.strategy import Strategy
from tune_configs.variant import VariantSpecification

PBT, TPE = Strategy(scheduler="pbt"), Strategy("tpe")
NETWORKS = SearchSpace(
    (VariantSpecification("behavior_cloning", {"model": "network", "hidden": (4,)}, 0.5),),
    (Space("behavior_cloning", {"learning_rate": Uniform(0.001, 0.01)}), Space("tabular_q")),
)


@pytest.fixture
def dataset(home: Home) -> Dataset:
    return open_workspace(homes.AGENT, home).dataset


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"trials": 0}, "0 trials"),
        ({"seeds": 0}, "0 seeds"),
        ({"trials": 1, "strategy": PBT}, "a population of one"),
        ({"refit_all": True, "strategy": PBT}, "cannot be trained once more"),
        ({"strategy": TPE, "minibatches": Minibatches(epochs=3)}, "goes with the search random only"),
    ],
)
def test_what_does_not_go_together_is_one_line(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises((DataError, SpecificationError), match=words) as raised:
        TuneRequest(**arguments)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ({}, TRIALS),
        ({"time_budget": 60.0}, MOST_TRIALS),
        ({"time_budget": 60.0, "trials": 3}, 3),
        ({"strategy": PBT, "time_budget": 60.0}, MEMBERS),
    ],
)
def test_how_many_are_tried(arguments: dict[str, Any], count: int) -> None:
    assert TuneRequest(**arguments).count == count


def test_a_run_keeps_the_whole_request_resolved(dataset: Dataset) -> None:
    request = TuneRequest(
        trials=5, seed=3, seeds=2, algorithms=("behavior_cloning",), strategy=Strategy(resources={"CPU": 0.5})
    )
    kept = json.loads(json.dumps(request.to_json(dataset), allow_nan=False))
    back = TuneRequest.from_json(kept)
    assert back.space is not None and back.space.algorithms == ("behavior_cloning",)
    assert [variant.to_json() for variant in back.variants(dataset, back.space)] == kept["variants"]
    assert all(variant["seeds"] == [3, 4] for variant in kept["variants"])
    assert (back.strategy, back.count, back.seed, back.seeds) == (request.strategy, len(kept["variants"]), 3, 2)


def test_a_space_of_the_users_own_replaces_the_agents(dataset: Dataset) -> None:
    request = TuneRequest(trials=4, space=NETWORKS)
    variants = request.variants(dataset, request.resolved_space(dataset))
    assert variants[0] == replace(NETWORKS.portfolio[0], seeds=(0,))
    assert {variant.algorithm for variant in variants} == {"behavior_cloning", "tabular_q"}
    only = replace(request, algorithms=("tabular_q",)).resolved_space(dataset)
    assert only.algorithms == ("tabular_q",)
    wrong = SearchSpace((), (Space("tabular_q", {"pessimism": Choice((-1.0,))}),))
    with pytest.raises(SpecificationError, match="pessimism"):
        TuneRequest(space=wrong).to_json(dataset)


def test_a_tree_search_knows_its_head_and_counts_all(dataset: Dataset) -> None:
    request = TuneRequest(trials=30, strategy=TPE)
    kept = request.to_json(dataset)
    assert (len(kept["variants"]), kept["trials"]) == (HEAD, 30)
    assert len(TuneRequest(trials=2, strategy=TPE).to_json(dataset)["variants"]) == 2
    with pytest.raises(SpecificationError, match="a portfolio only"):
        TuneRequest(strategy=TPE, space=SearchSpace(NETWORKS.portfolio)).to_json(dataset)


def test_a_population_is_made_of_what_can_change(dataset: Dataset) -> None:
    kept = TuneRequest(strategy=PBT, space=NETWORKS).to_json(dataset)
    assert {variant["algorithm"] for variant in kept["variants"]} == {"behavior_cloning"} <= set(MUTABLE)
    assert len(kept["variants"]) == MEMBERS
    with pytest.raises(SpecificationError, match="none of behavior_cloning, tabular_q"):
        TuneRequest(strategy=PBT).to_json(dataset)  # an integer observation is for tables


def test_a_finished_tree_search_can_be_made_longer(home: Home, without_ray: list[int]) -> None:
    result = ai_engine.tune(homes.AGENT, home=home, trials=2, search="tpe")
    run = Run.open(home, result.run)
    extend(open_workspace(homes.AGENT, home), run, 10)
    kept = Run.open(home, result.run).record["request"]
    assert (len(kept["variants"]), kept["trials"]) == (HEAD, 12)
    assert kept["variants"][:2] == run.record["request"]["variants"][:2]
    plan = plan_of(run)
    assert plan.missing() == list(range(2, 12))
    assert plan.tree is not None and plan.tree.space == search_space(homes.specification())
