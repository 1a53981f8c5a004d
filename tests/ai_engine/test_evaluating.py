"""``evaluate``: what it reads, what it refuses, and what it says in one sentence."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ai_engine import evaluating
from ai_engine.comparing import compare
from ai_engine.continuous_learning import LearningPipeline
from ai_engine.deploy.registry import Registry
from ai_engine.evaluating import EvaluateResult, aligned, evaluate, every_estimate
from ai_engine.text import ESTIMATED_PROPENSITIES
from ai_engine.tune_result import TuneResult
from ai_engine.workspace import Workspace, open_workspace
from algorithms.ope.estimate import Estimate
from algorithms.ope.overlap import OverlapRule
from algorithms.ope.registry import estimators_for
from algorithms.policy import BaseReference, Policy
from envs.errors import DataError
from envs.home import Home
from envs.observation import ObservationField, ObservationSpecification
from tests import homes
from tests.worlds import bandit
from tune_configs.judge import Judge, episodes_in

AGENT = homes.AGENT


def by_name(result: EvaluateResult) -> dict[str, Estimate]:
    return {estimate.estimator: estimate for estimate in result.estimates}


def poisoned(monkeypatch: pytest.MonkeyPatch, *splits: str) -> None:
    """Let ``evaluate`` see the opposite rewards in these splits."""

    def other(name: str, home: Any = None) -> Workspace:
        workspace = open_workspace(name, home)
        dataset = workspace.dataset
        chosen = episodes_in(dataset, *splits)[dataset.episode_index]
        return replace(
            workspace, dataset=replace(dataset, rewards=np.where(chosen, 1.0 - dataset.rewards, dataset.rewards))
        )

    monkeypatch.setattr(evaluating, "open_workspace", other)


def test_an_agents_own_log_is_read_on_select_alone(
    swept: tuple[Home, TuneResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, tuned = swept
    (reference,) = tuned.finalists[:1]
    clean = evaluate(reference, on=AGENT, home=home)
    select = open_workspace(AGENT, home).dataset.split("select")
    returns = np.bincount(select.episode_index, select.rewards)
    assert clean.split == "select"
    assert (clean.logged.units, clean.logged.value) == (select.episode_count, pytest.approx(returns.mean()))
    assert all(estimate.units == select.episode_count for estimate in clean.estimates)
    poisoned(monkeypatch, "final")
    assert evaluate(reference, on=AGENT, home=home).to_json() == clean.to_json()
    poisoned(monkeypatch, "select")
    assert evaluate(reference, on=AGENT, home=home).logged.value != clean.logged.value


def test_every_estimator_answers_and_agrees_with_the_truth(swept: tuple[Home, TuneResult]) -> None:
    home, tuned = swept
    step = next(v for v in tuned.variants if v.version == tuned.finalists[0]).step
    result = evaluate(tuned.finalists[0], on=AGENT, home=home)
    assert [e.estimator for e in result.estimates] == list(estimators_for(homes.HORIZON, state_ratios=True))
    # The rule with its floor is right in .8 of 4 states and in .1 of 2; the step moves its part to what is right.
    right_before = (4 * 0.8 + 2 * 0.1) / 6
    truth = homes.HORIZON * (right_before + 2 / 6 * step * (1 - homes.EXPLORE))
    for estimate in result.estimates:
        if estimate.usable and estimate.evidence == "log":
            assert abs(estimate.value - truth) < 3 * (estimate.upper - estimate.lower) / 2 / 1.96, estimate.estimator
    model = next(estimate for estimate in result.estimates if estimate.evidence == "model")
    assert math.isnan(model.lower) and math.isnan(model.upper)  # a model's error is not known
    assert model.value == pytest.approx(truth, abs=0.1)
    sentence = result.to_text().splitlines()[-1]
    assert sentence.startswith(f"{tuned.finalists[0]} is worth ")
    assert json.loads(json.dumps(result.to_json(), allow_nan=False))["policy"] == tuned.finalists[0]


def test_the_log_of_its_own_policy_is_worth_what_it_earned(swept: tuple[Home, TuneResult]) -> None:
    home, _ = swept
    result = evaluate(f"{AGENT}@rule", on=AGENT, home=home, force=True)
    found = by_name(result)
    assert found["ips"].value == pytest.approx(result.logged.value)
    assert found["snips"].value == pytest.approx(result.logged.value)


def far(home: Home) -> str:
    """A version that decides otherwise almost everywhere: no overlap over three steps."""
    workspace = open_workspace(AGENT, home)
    from algorithms.policy.components import ProbabilityTable
    from envs.encoding import IntegerStates

    encoder = IntegerStates.fit(workspace.dataset.observations[workspace.dataset.rows], homes.INTEGER)
    table = np.tile([1.0, 0.0, 0.0], (homes.STATES, 1))
    policy = workspace.champion().with_layer(ProbabilityTable(encoder, table, np.array([1.0, 0.0, 0.0])), 1.0)
    return f"{AGENT}@{workspace.registry.add_version(policy)}"


def test_a_refused_number_is_shown_only_by_force_and_stays_unusable(swept: tuple[Home, TuneResult]) -> None:
    home, _ = swept
    reference = far(home)
    plain, forced = (evaluate(reference, on=AGENT, home=home, force=force) for force in (False, True))
    refused = [estimate for estimate in plain.estimates if estimate.refused]
    assert refused, "the policy has overlap"
    assert all(math.isnan(e.value) and math.isnan(e.lower) and math.isnan(e.upper) for e in refused)
    for estimate in refused:
        shown = by_name(forced)[estimate.estimator]
        assert math.isfinite(shown.value)
        assert shown.refused == estimate.refused
        assert not shown.usable
    assert "unusable" not in plain.to_text()
    assert forced.to_text().count(" unusable") == len(refused)
    last = forced.to_text().splitlines()[-1]
    assert last.startswith(f"The select episodes of {AGENT} cannot say what {reference} is worth: ")
    assert plain.to_text().splitlines()[-1] == last


def second(home: Home, **changes: Any) -> str:
    """Another agent with a log of its own."""
    declared = homes.specification(name="other", **changes)
    home.declare(declared)
    homes.write(home, homes.records(300, seed=8, declared=declared))
    return declared.name


def test_another_agents_log_is_read_whole(swept: tuple[Home, TuneResult]) -> None:
    home, tuned = swept
    result = evaluate(tuned.finalists[0], on=second(home), home=home)
    assert (result.split, result.logged.units) == ("all", 300)
    own = by_name(evaluate(tuned.finalists[0], on=AGENT, home=home))["doubly_robust"]
    other = by_name(result)["doubly_robust"]
    assert other.usable
    assert other.value == pytest.approx(own.value, abs=0.25)


def always_down(observation: Any) -> str:
    return "down"


def test_another_agents_rule_is_its_own_and_not_the_logs(swept: tuple[Home, TuneResult]) -> None:
    home, _ = swept
    # The second agent stands on a rule that is right in a third of the states; the log on one right in two.
    second(home, rule="tests.ai_engine.test_evaluating:always_down", rule_version="down-1")
    open_workspace("other", home).champion()
    result = evaluate("other@rule", on=AGENT, home=home, force=True)
    assert by_name(result)["direct_method"].value == pytest.approx(homes.HORIZON * (0.8 + 0.1 + 0.1) / 3, abs=0.1)
    artefact = shutil.copy(home.models_path / "versions" / "other" / "0.json", home.path / "theirs.json")
    same = evaluate(str(artefact), on=AGENT, home=home, force=True)
    assert same.to_json()["estimates"] == result.to_json()["estimates"]
    assert same.split == "all"
    # Without that rule at hand there is no number, least of all a wrong one.
    home.declare(homes.specification(name="other", rule="", rule_version="down-1"))
    with pytest.raises(DataError, match="not at hand"):
        evaluate("other@rule", on=AGENT, home=home)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"actions": ("down", "hold", "up", "more")}, "actions"),
        ({"actions": ("up", "hold", "down")}, "actions"),
        ({"observation": homes.OBJECT}, "observation"),
    ],
)
def test_logs_of_another_shape_are_refused(swept: tuple[Home, TuneResult], changes: dict[str, Any], words: str) -> None:
    home, tuned = swept
    name = second(home, **changes)
    with pytest.raises(DataError) as raised:
        evaluate(tuned.finalists[0], on=name, home=home)
    assert words in str(raised.value)
    assert tuned.finalists[0] in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_field_of_another_type_is_another_observation_but_renumbered_categories_are_not(small_home: Path) -> None:
    def declared(*categories: str) -> ObservationSpecification:
        kind = "category" if categories else "number"
        return ObservationSpecification("object", (ObservationField("zone", kind, categories=categories),))

    dataset = open_workspace(AGENT, small_home).dataset
    dataset = replace(dataset, specification=homes.specification(observation=declared("a", "b")))
    same = Policy(AGENT, "1", declared("a", "b"), homes.ACTIONS, base=BaseReference("r"))
    assert aligned(same, dataset) is same
    renumbered = replace(same, observation=declared("b", "a"))
    assert aligned(renumbered, dataset) is renumbered
    with pytest.raises(DataError, match="types"):
        aligned(replace(same, observation=declared()), dataset)


def test_what_select_taught_is_refused_on_select_and_shown_only_by_force(swept: tuple[Home, TuneResult]) -> None:
    home, tuned = swept
    registry = Registry(home)
    version = registry.version(AGENT, tuned.finalists[0].rpartition("@")[2])
    note = replace(version.provenance, note="trained on train and select after its choice")
    taught = f"{AGENT}@{registry.add_version(replace(version, provenance=note))}"
    plain, found, forced = (
        evaluate(reference, on=AGENT, home=home, force=force)
        for reference, force in ((tuned.finalists[0], False), (taught, False), (taught, True))
    )
    assert any(estimate.usable for estimate in plain.estimates)
    for estimate, shown, before in zip(found.estimates, forced.estimates, plain.estimates, strict=True):
        assert math.isnan(estimate.value) and estimate.refused == shown.refused
        assert "select taught it" in shown.refused and not shown.usable
        assert before.refused or shown.value == pytest.approx(before.value, nan_ok=True)
    assert "cannot say" in found.to_text().splitlines()[-1]


def test_on_select_it_answers_where_the_judge_does(
    swept: tuple[Home, TuneResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between select's share of the gate's 100 units and all of them, evaluate and compare say the same."""
    home, tuned = swept
    monkeypatch.setattr(evaluating, "SELECT_RULE", OverlapRule(1e9, 0.0))
    found = evaluate(tuned.finalists[0], on=AGENT, home=home)
    assert "needs 1,000,000,000" in by_name(found)["doubly_robust"].refused
    assert f"The select episodes of {AGENT} cannot say" in found.to_text() and "1,000,000,000" in found.to_text()
    monkeypatch.undo()
    assert f"on the select episodes of {AGENT}" in evaluate(tuned.finalists[0], on=AGENT, home=home).to_text()


def test_a_log_without_propensities_says_so_beside_every_number(tmp_path: Path) -> None:
    rows = [replace(row, propensity=None, action_probabilities=None) for row in homes.records()]
    home = homes.make_home(tmp_path / "home", rows)
    open_workspace(AGENT, home).champion()
    result = evaluate(f"{AGENT}@champion", on=AGENT, home=home, force=True)
    assert result.to_json()["propensities"] == "estimated"
    assert result.to_text().endswith(ESTIMATED_PROPENSITIES)
    for estimate in result.estimates:
        assert not any("the logged propensities" in text for text in estimate.assumptions), estimate.estimator
    refused = next(each for each in result.estimates if each.estimator == "control_variates")
    assert "estimated" in refused.refused
    found = result.diagnostics
    assert found is not None and found.confounding is not None and found.confounding.tipping >= 1.0
    assert f"- {found.confounding.sentence}" in result.to_text().splitlines()


def test_of_a_rule_whose_propensities_were_not_logged_only_the_rule_is_valued(tmp_path: Path) -> None:
    rows = homes.records(declared=homes.specification(explore=0.0))
    rows = [replace(row, propensity=None, action_probabilities=None) for row in rows]
    home = homes.make_home(tmp_path / "home", rows, explore=0.0)
    other = evaluate(homes.right_rule, on=AGENT, home=home)
    assert not any(estimate.usable for estimate in other.estimates if estimate.evidence == "log")
    untried = "gave no chance (never taken in like states"
    assert untried in other.to_text().splitlines()[-1]
    own = evaluate(homes.rule, on=AGENT, home=home)
    usable = [estimate for estimate in own.estimates if estimate.usable and estimate.evidence == "log"]
    assert usable and all(estimate.value == pytest.approx(own.logged.value) for estimate in usable)
    (told,) = compare(homes.right_rule, on=AGENT, home=home).policies
    assert untried in told.gain.estimate.refused


def test_what_the_value_hangs_on_stands_beside_it(swept: tuple[Home, TuneResult]) -> None:
    home, tuned = swept
    refused = evaluate(tuned.finalists[0], on=AGENT, home=home)
    assert by_name(refused)["weighted_pdis"].refused
    assert refused.diagnostics is not None and refused.diagnostics.clipping is None  # nor by another name
    result = evaluate(tuned.finalists[0], on=AGENT, home=home, force=True)
    found = result.diagnostics
    assert found is not None and found.confounding is None  # the propensities are the agent's own draws
    assert {region.region for region in found.regions} == {f"state = {state}" for state in range(homes.STATES)}
    assert sum(region.target_share for region in found.regions) == pytest.approx(1.0)
    # A step towards what is right where the rule is wrong: there, and nowhere else, weights vary.
    thinnest = min(found.regions, key=lambda region: region.effective / region.units)
    assert thinnest.region in ("state = 0", "state = 1")
    assert found.bellman.decisions == result.estimates[0].units * homes.HORIZON
    assert found.clipping is not None and found.clipping.value == pytest.approx(by_name(result)["weighted_pdis"].value)
    lines = result.to_text().splitlines()
    assert [f"- {text}" for text in found.sentences] == lines[-1 - len(found.sentences) : -1]
    assert json.loads(json.dumps(result.to_json(), allow_nan=False))["diagnostics"]["bellman"]["model"]


def test_no_value_stands_on_a_log_in_which_what_the_policy_does_was_never_drawn() -> None:
    """At a propensity of .003 and full effective size: of 63 such logs SNIPS covered the truth in none, DR in 9."""
    world, units = bandit(contexts=1), 900
    behaviour, policy = np.array([[0.997, 0.003]]), np.array([[0.5, 0.5]])
    rewards = np.random.default_rng(0).normal(size=units)

    dataset = world.dataset([([0, 0], [0], [reward], True) for reward in rewards.tolist()], behaviour)
    rows = np.zeros(len(dataset.observations), dtype=int)
    fitted, final = (episodes_in(dataset, *names) for names in (("train", "select"), ("final",)))
    judge = Judge(dataset, behaviour[rows], evaluated=final, fitted=fitted, folds=0)
    (under,) = judge.trajectories(policy[rows][None])[judge.first]
    for estimate in every_estimate(under, under, 0.95, units=None):
        assert estimate.evidence == "model" or ("too seldom" in estimate.refused and not estimate.usable)
    assert judge.judge(policy[rows]).value.evidence == "model"


@pytest.mark.parametrize("observed", [True, False])
def test_episodes_that_were_cut_are_weighed_for_and_not_taken_as_ends(tmp_path: Path, observed: bool) -> None:
    """A third is cut after the first decision: their returns are short, the value of the policy is not."""
    rows = homes.records()
    following = {(row.episode_id, row.step - 1): row.observation for row in rows}
    cut = {row.episode_id for row in rows if row.episode_id and int(row.episode_id[-5:]) % 3 == 0}
    rows = [
        replace(row, truncated=True, next_observation=following[row.episode_id, 0] if observed else None)
        if row.episode_id in cut and row.step == 0
        else row
        for row in rows
        if row.step == 0 or row.episode_id not in cut
    ]
    home = homes.make_home(tmp_path / "home", rows)
    open_workspace(AGENT, home).champion()
    result = evaluate(f"{AGENT}@champion", on=AGENT, home=home)
    truth = homes.HORIZON * (4 * 0.8 + 2 * 0.1) / 6
    assert 0.2 * result.logged.units < result.cut < 0.47 * result.logged.units
    assert result.logged.upper < truth
    for estimate in result.estimates:
        if estimate.usable and estimate.evidence == "log":
            assert estimate.lower < truth < estimate.upper, estimate.estimator
        marginal = "marginalized" in estimate.estimator
        assert any("cut by chance" in text for text in estimate.assumptions) != marginal
    taken_for_ends = by_name(result)["marginalized_importance_sampling"]
    assert "for ended ones" in taken_for_ends.refused and not taken_for_ends.usable
    assert f"{result.cut:,} episodes were cut before the horizon" in result.to_text()
    # Of a cut with nothing observed after it the last reward was left out of what the log earned.
    read = open_workspace(AGENT, home).dataset.split("select")
    assert result.logged.value == pytest.approx(read.rewards.sum() / read.episode_count)
    assert "itself, as far as it was seen." in result.to_text()
    assert "values count them as cut by chance" in compare(always_down, on=AGENT, home=home).to_text()


def test_a_function_is_valued_as_it_would_be_served_and_never_on_final(
    swept: tuple[Home, TuneResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, _ = swept
    named = evaluate(f"{__name__}:always_down", on=AGENT, home=home, force=True)
    assert evaluate(always_down, on=AGENT, home=home, force=True).to_json() == named.to_json()
    kept = evaluate(far(home), on=AGENT, home=home, force=True)  # the same actions, with the same floor
    assert by_name(named)["pdis"] == by_name(kept)["pdis"]
    assert (named.split, named.policy) == ("select", f"{__name__}:always_down")
    poisoned(monkeypatch, "final")
    assert evaluate(always_down, on=AGENT, home=home, force=True).to_json() == named.to_json()


def test_models_do_not_take_the_end_of_the_day_for_what_an_action_did(tmp_path: Path) -> None:
    """Episodes of five decisions that all end by the clock, recorded as terminated with what came after."""
    rng, horizon, moves = np.random.default_rng(1), 5, {"stay": 0.0, "go": 0.8}

    def chance(state: int) -> dict[str, float]:
        return {"stay": 0.3, "go": 0.7} if state < 3 else {"stay": 0.9, "go": 0.1}

    value = np.zeros(5)
    for _ in range(horizon):
        ahead = {
            name: move * value[np.minimum(np.arange(5) + 1, 4)] + (1 - move) * value for name, move in moves.items()
        }
        value = np.array([s + sum(p * ahead[name][s] for name, p in chance(s).items()) for s in range(5)])
    home = Home.create(tmp_path, split_key=bytes(32))
    with LearningPipeline(home) as pipeline:
        records = []
        for episode in range(600):
            state = int(rng.integers(5))
            for step in range(horizon):
                action = ("stay", "go")[rng.random() < 0.5]
                after = min(state + int(rng.random() < moves[action]), 4)
                end = {"terminated": True, "next_observation": after} if step == horizon - 1 else {}
                records.append(
                    {
                        "agent": "walk",
                        "observation": state,
                        "action": action,
                        "action_probabilities": {"stay": 0.5, "go": 0.5},
                        "reward": float(state),
                        "episode_id": f"e{episode}",
                        "step": step,
                        **end,
                    }
                )
                state = after
        pipeline.record_many(records)
    found = by_name(evaluate(chance, on="walk", home=home))["direct_method"]
    assert found.value == pytest.approx(value.mean(), rel=0.05)
