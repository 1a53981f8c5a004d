"""The tree search: what it tries follows from results alone, comes near what did well, and never comes twice."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.tune_configs.judged import checkpoint, trial
from tune_configs.domains import Choice, LogUniform, Uniform, WholeNumber
from tune_configs.search_space import SearchSpace, Space, effect
from tune_configs.strategy import Strategy
from tune_configs.suggestions import Suggestions, suggested
from tune_configs.tree_search import ROUND, TreeSearch
from tune_configs.trial_plan import TrialPlan
from tune_configs.trial_result import TrialResult
from tune_configs.variant import VariantSpecification

SPACE = SearchSpace(
    (),
    (
        Space("ppo", {"learning_rate": LogUniform(1e-4, 1.0), "temperature": Uniform(0.0, 1.0)}, Choice((0.1, 1.0))),
        Space("dqn", {"hidden": Choice(((8,), (64,))), "n_step": WholeNumber(1, 5)}, Uniform(0.05, 1.0)),
    ),
)


Worth = Callable[[VariantSpecification], float]


def worth(variant: VariantSpecification) -> float:
    """Best at a learning rate of 0.01 of PPO with a whole step; DQN is worth nothing."""
    if variant.algorithm == "dqn":
        return -5.0
    rate = float(variant.hyperparameters["learning_rate"])  # type: ignore[arg-type]
    return -abs(math.log10(rate) + 2.0) - (0.0 if variant.step == 1.0 else 1.0)


def result(index: int, variant: VariantSpecification, value: Worth) -> TrialResult:
    return trial(index, checkpoint(lower=value(variant), variant=variant))


def searched(search: TreeSearch, count: int, value: Worth = worth) -> list[TrialResult]:
    """What a sweep without any known variant would try."""
    found: list[TrialResult] = []
    for first in range(0, count, ROUND):
        variants = [search.suggest(found, (), number) for number in range(ROUND)]
        found += [result(first + k, variant, value) for k, variant in enumerate(variants) if variant is not None]
    return found


def test_the_same_seed_and_results_give_the_same_variants_and_another_seed_others() -> None:
    first, again, other = (searched(TreeSearch(SPACE, seed), 16) for seed in (0, 0, 1))
    assert first == again
    assert [t.variant for t in first] != [t.variant for t in other]
    # Later variants do depend on how the first ones did.
    opposite = searched(TreeSearch(SPACE, 0), 16, lambda variant: -worth(variant))
    assert [t.variant for t in opposite[:ROUND]] == [t.variant for t in first[:ROUND]]
    assert [t.variant for t in opposite[12:]] != [t.variant for t in first[12:]]


def test_it_comes_nearer_to_what_did_well_than_random_draws() -> None:
    gains = []
    for seed in range(4):
        late = [t.best.metric for t in searched(TreeSearch(SPACE, seed), 32)[16:]]
        drawn = [worth(variant) for variant, _ in zip(SPACE.variants(seed), range(32), strict=False)][16:]
        gains.append(np.mean(late) - np.mean(drawn))
    assert min(gains) > 0.0
    assert np.mean(gains) > 1.0


def test_nothing_is_tried_twice_and_an_exhausted_space_ends() -> None:
    small = SearchSpace((), (Space("dqn", {"n_step": Choice((1, 2, 3))}, Choice((0.5, 1.0))),))
    found = searched(TreeSearch(small), 12)
    assert len({effect(t.variant) for t in found}) == len(found) == 6


def test_known_variants_do_not_come_again_even_without_a_result() -> None:
    small = SearchSpace((), (Space("dqn", {"n_step": Choice((1, 2))}, Choice((1.0,))),))
    known = (VariantSpecification("dqn", {"n_step": 2}, 1.0, (0,)),)
    (only,) = {effect(v) for v in (TreeSearch(small).suggest((), known, 0),) if v}
    assert only == effect(VariantSpecification("dqn", {"n_step": 1}, 1.0))
    assert TreeSearch(small).suggest((), known, 1) is None


def test_results_outside_the_space_teach_nothing_and_defaults_count_as_named() -> None:
    search = TreeSearch(SPACE, 3)
    inside = searched(search, 12)
    outside = [
        result(20, VariantSpecification("tabular_q", {"anchored": True}, 1.0), worth_nothing),
        result(21, VariantSpecification("ppo", {"learning_rate": 5.0, "temperature": 0.5}, 1.0), worth_nothing),
        result(22, VariantSpecification("ppo", {"learning_rate": 0.1, "clip_param": 0.3}, 1.0), worth_nothing),
    ]
    plain = search._study(inside)
    assert len(search._study([*inside, *outside]).trials) == len(plain.trials) == 12
    # Temperature 1 is PPO's default, and inside.
    usual = result(23, VariantSpecification("ppo", {"learning_rate": 0.1}, 1.0), worth_nothing)
    assert len(search._study([*inside, usual]).trials) == 13


def worth_nothing(variant: VariantSpecification) -> float:
    return -9.0


def test_seeds_of_a_variant_are_those_that_were_asked_for() -> None:
    variant = TreeSearch(SPACE, 7, 3).suggest((), (), 0)
    assert variant is not None and variant.seeds == (7, 8, 9)


@pytest.fixture
def plan(tmp_path: Path) -> TrialPlan:
    head = tuple(VariantSpecification("ppo", {"learning_rate": 10.0**-k}, 1.0) for k in range(2))
    return TrialPlan(
        tmp_path, tmp_path, tmp_path / "c.json", head, strategy=Strategy("tpe"), space=SPACE, trials=2 + 2 * ROUND
    )


def finish(plan: TrialPlan, index: int, variant: VariantSpecification) -> None:
    import json

    path = plan.result_path(index)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result(index, variant, worth).to_json()))


def test_a_round_waits_for_the_rounds_before_and_for_nothing_else(plan: TrialPlan) -> None:
    asking = Suggestions(plan)
    head = [asking.suggest(f"head {index}")["trial"] for index in range(2)]
    assert [each["index"] for each in head] == [0, 1]
    assert asking.suggest("too early") is None
    finish(plan, 1, plan.variants[1])
    asking.on_trial_complete("head 1", {})
    assert asking.suggest("still too early") is None
    finish(plan, 0, plan.variants[0])
    asking.on_trial_complete("head 0", {})
    first = [asking.suggest(f"first {number}")["trial"] for number in range(ROUND)]
    assert [each["index"] for each in first] == [2, 3, 4, 5]
    assert asking.suggest("the next round") is None
    for each in first[:-1]:
        finish(plan, each["index"], VariantSpecification.from_json(each["variant"]))
        asking.on_trial_complete(f"first {each['index'] - 2}", {})
    assert asking.suggest("one is still running") is None
    asking.on_trial_complete(f"first {ROUND - 1}", None, error=True)  # a failed one is not waited for
    assert asking.suggest("now")["trial"]["index"] == 6


def test_after_an_interruption_the_same_variants_come(plan: TrialPlan) -> None:
    for index in range(2):
        finish(plan, index, plan.variants[index])
    wanted = [suggested(plan, index) for index in range(2, 2 + ROUND)]
    # In the middle of a round, its finished ones change nothing.
    for index in (3, 5):
        finish(plan, index, wanted[index - 2])  # type: ignore[arg-type]
    assert [suggested(plan, index) for index in range(2, 2 + ROUND)] == wanted
    asking = Suggestions(plan)
    again = [asking.suggest(str(number))["trial"] for number in range(2)]
    assert [each["index"] for each in again] == [2, 4]
    assert [VariantSpecification.from_json(each["variant"]) for each in again] == [wanted[0], wanted[2]]


def test_a_plan_that_is_done_asks_for_nothing(plan: TrialPlan) -> None:
    done = replace(plan, trials=2)
    for index in range(2):
        finish(done, index, plan.variants[index])
    assert Suggestions(done).suggest("any") == Suggestions.FINISHED
