"""One trial: what it learns from, what it judges on, and what it leaves on disk."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ai_engine.workspace import open_workspace
from algorithms.on_log import probabilities_on
from algorithms.ope.estimate import Estimate
from algorithms.policy import Policy
from envs.columns import save_columns
from envs.dataset import Dataset
from tests import homes
from tests.envs.clean_logs import Kind, sound
from tune_configs.judge import Judge, Judgement, episodes_in
from tune_configs.judged_checkpoint import JudgedCheckpoint
from tune_configs.strategy import CHECKPOINTS
from tune_configs.training import LearningCurve, train_component
from tune_configs.trial import TrialRun, run_variant, unlogged_behavior
from tune_configs.trial_plan import TrialPlan
from tune_configs.trial_result import TrialResult
from tune_configs.variant import VariantSpecification

CURVE = LearningCurve("loss", (2.0, 1.0))
VARIANTS = (
    VariantSpecification("tabular_q", {"discretizer": "integer", "anchored": True}, 0.25),
    VariantSpecification("behavior_cloning", {"model": "table", "discretizer": "integer", "temperature": 0.0}, 1.0),
)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, bytes]:
    """Train and select of the small log, and its champion."""
    home = homes.make_home(tmp_path_factory.mktemp("trial") / "home")
    workspace = open_workspace(homes.AGENT, home)
    return workspace.dataset.split("train", "select"), workspace.champion().to_bytes()


def plan_of(directory: Path, dataset: Dataset, champion: bytes, **changes: object) -> TrialPlan:
    directory.mkdir()
    (directory / "champion.json").write_bytes(champion)
    save_columns(dataset, directory / "dataset")
    plan = TrialPlan(directory, directory / "dataset", directory / "champion.json", VARIANTS)
    return replace(plan, **changes)  # type: ignore[arg-type]


def with_rewards(dataset: Dataset, *splits: str) -> Dataset:
    """The log with other rewards in the named splits."""
    chosen = episodes_in(dataset, *splits)[dataset.episode_index]
    return replace(dataset, rewards=np.where(chosen, 1.0 - dataset.rewards, dataset.rewards))


def layer(plan: TrialPlan, index: int) -> str:
    policy = Policy.from_bytes(plan.artefact_path(index).read_bytes())
    return json.dumps([(each.step, each.component.to_json()) for each in policy.layers], sort_keys=True)


def test_select_is_judged_on_and_never_learned_from(log: tuple[Dataset, bytes], tmp_path: Path) -> None:
    dataset, champion = log
    clean = plan_of(tmp_path / "clean", dataset, champion)
    other = plan_of(tmp_path / "other", with_rewards(dataset, "select"), champion)
    first, second = run_variant(clean, 0), run_variant(other, 0)
    assert layer(clean, 0) == layer(other, 0)
    assert first.best.statistics == second.best.statistics
    assert first.gain.value != second.gain.value
    learned = plan_of(tmp_path / "learned", with_rewards(dataset, "train"), champion)
    run_variant(learned, 0)
    assert layer(clean, 0) != layer(learned, 0)


def test_the_artefact_is_the_judged_policy_with_its_floor(log: tuple[Dataset, bytes], tmp_path: Path) -> None:
    dataset, champion = log
    plan = plan_of(tmp_path / "run", dataset, champion)
    result = run_variant(plan, 0)
    policy = Policy.from_bytes(plan.artefact_path(0).read_bytes())
    base = Policy.from_bytes(champion)
    ours, theirs = (probabilities_on(dataset, each) for each in (policy, base))
    rows = dataset.rows[episodes_in(dataset, "select")[dataset.episode_index]]
    assert policy.explore == homes.EXPLORE
    assert ours[np.isfinite(ours)].min() >= homes.EXPLORE / 3 - 1e-12
    np.testing.assert_allclose(ours[rows].mean(axis=0), result.best.actions)
    # A step of a quarter moves a quarter of the mass at most.
    assert 0 < np.abs(ours[rows] - theirs[rows]).sum(axis=1).max() / 2 <= 0.25 + 1e-12
    assert policy.provenance.parent == base.version
    assert policy.provenance.evaluation["gain"]["value"] == pytest.approx(result.gain.value)
    assert (policy.provenance.algorithm, policy.provenance.hyperparameters["step"]) == ("tabular_q", 0.25)
    assert policy.provenance.hyperparameters["pessimism"] == 1.0  # defaults are resolved


def test_cloning_the_rule_without_chance_gains_exactly_nothing(log: tuple[Dataset, bytes], tmp_path: Path) -> None:
    plan = plan_of(tmp_path / "run", *log)
    assert run_variant(plan, 1).gain.value == 0.0


def test_a_result_on_disk_is_the_result(log: tuple[Dataset, bytes], tmp_path: Path) -> None:
    plan = plan_of(tmp_path / "run", *log)
    for index in range(len(VARIANTS)):
        result = run_variant(plan, index)
        assert TrialResult.load(plan.result_path(index)) == result
        assert result.index == index
        assert result.variant == VARIANTS[index]


def test_figures_that_are_not_finite_survive_json(tmp_path: Path) -> None:
    nothing = float("nan")
    estimate = Estimate(
        nothing, nothing, nothing, 0.95, "paired", 3.0, 9, refused="no overlap", diagnostics={"a": nothing, "b": 1.5}
    )
    checkpoint = JudgedCheckpoint(
        variant=VARIANTS[0],
        iteration=4,
        metric=-3.0,
        score=nothing,
        seed=0,
        value=estimate,
        gain=estimate,
        model_gain=nothing,
        deviation=nothing,
        actions=(0.25, 0.75),
        statistics={"loss": 1.0},
        hyperparameters={"hidden": [8]},
        seed_metrics=(-3.0,),
    )
    result = TrialResult(7, (checkpoint,), CURVE, 2.0)
    text = json.dumps(result.to_json(), allow_nan=False)
    (tmp_path / "result.json").write_text(text)
    back = TrialResult.load(tmp_path / "result.json")
    assert json.dumps(back.to_json(), allow_nan=False) == text
    best = back.best
    figures = (best.model_gain, best.deviation, back.score, back.gain.value, back.gain.lower, back.gain.upper)
    assert all(math.isnan(figure) for figure in (*figures, back.gain.diagnostics["a"]))
    assert (back.gain.diagnostics["b"], back.gain.refused, back.gain.usable) == (1.5, "no overlap", False)
    assert (back.variant, best.actions, best.seed_metrics, back.index) == (VARIANTS[0], (0.25, 0.75), (-3.0,), 7)


def test_the_same_seed_gives_the_same_result_and_artefact(log: tuple[Dataset, bytes], tmp_path: Path) -> None:
    plans = [plan_of(tmp_path / name, *log) for name in ("one", "two")]
    results = [[run_variant(plan, index) for index in range(len(VARIANTS))] for plan in plans]
    assert [replace(r, seconds=0.0) for r in results[0]] == [replace(r, seconds=0.0) for r in results[1]]
    for index in range(len(VARIANTS)):
        assert plans[0].artefact_path(index).read_bytes() == plans[1].artefact_path(index).read_bytes()


def test_select_episodes_of_an_earlier_look_only_help_the_models(log: tuple[Dataset, bytes], tmp_path: Path) -> None:
    dataset, champion = log
    select = np.flatnonzero(episodes_in(dataset, "select"))
    since = int(np.sort(dataset.sequences[select])[len(select) // 3])
    newer = int((dataset.sequences[select] > since).sum())
    plan = plan_of(tmp_path / "since", dataset, champion, since=since)
    assert run_variant(plan, 0).gain.units == newer < len(select)


def test_propensities_that_cannot_be_believed_are_estimated(log: tuple[Dataset, bytes]) -> None:
    dataset, _ = log
    assert unlogged_behavior(dataset) is None
    taken = np.arange(len(dataset)), dataset.actions
    true = dataset.propensities
    missing = replace(dataset, propensities=np.where(np.arange(len(dataset)) % 3 == 0, np.nan, true))
    found = unlogged_behavior(missing)
    assert found is not None
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    found = found[taken]
    kept = np.isfinite(missing.propensities)
    np.testing.assert_array_equal(found[kept], true[kept])
    assert np.abs(np.log(found[~kept] / true[~kept])).mean() < 0.2
    # A confidence that was logged as a propensity: the card says it is not used, and it is not.
    confident = replace(dataset, propensities=np.full(len(dataset), 0.99))
    found = unlogged_behavior(confident)
    assert found is not None
    found = found[taken]
    assert np.abs(np.log(found / true)).mean() < 0.2


def test_rare_exploration_that_did_not_come_is_no_false_propensity() -> None:
    rare, _ = sound(Kind(explore=0.01, episodes=330, horizon=1, logged="propensity"), 0)
    assert unlogged_behavior(rare) is None


def test_a_trial_leaves_its_two_files_and_what_was_learned(log: tuple[Dataset, bytes], tmp_path: Path) -> None:
    plan = plan_of(tmp_path / "run", *log)
    run_variant(plan, 1)
    files = sorted(path.relative_to(tmp_path / "run").as_posix() for path in (tmp_path / "run").rglob("*.json"))
    learned = [name for name in files if name.startswith("components/")]
    assert len(learned) == 1
    rest = ["artefacts/0001.json", "champion.json", "dataset/specification.json", "variants/0001.json"]
    assert sorted(set(files) - set(learned)) == rest


CLONE = {"model": "network", "hidden": (8,), "learning_rate": 0.03, "batch_size": 32, "temperature": 0.0}


def test_every_checkpoint_is_judged_and_the_first_is_the_first_iteration(
    log: tuple[Dataset, bytes], tmp_path: Path
) -> None:
    # Without the agent's own rule to fall back on, one update knows next to nothing, and the end knows the rule.
    variant = VariantSpecification("behavior_cloning", {**CLONE, "updates_per_iteration": 2}, 1.0)
    plan = plan_of(tmp_path / "run", *log, variants=(variant,))
    seen = [judged.iteration for judged in TrialRun(plan, 0, variant).checkpoints()]
    assert seen == list(CHECKPOINTS["none"]) and seen[0] == 1
    result = TrialResult.load(plan.result_path(0))
    assert [each.iteration for each in result.checkpoints] == seen
    smallest = 3 * -0.5 - 3 * 1.5  # the declared range over the horizon
    assert all(each.metric >= smallest for each in result.checkpoints)
    assert result.checkpoints[0].metric < result.best.metric
    assert result.best.metric == max(each.metric for each in result.checkpoints)


def test_the_policy_that_is_kept_is_that_of_the_best_checkpoint_and_the_last_beside_it(
    log: tuple[Dataset, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = VariantSpecification("behavior_cloning", {**CLONE, "updates_per_iteration": 2}, 1.0)
    plan = plan_of(tmp_path / "run", *log, variants=(variant,))
    bounds = iter((0.1, 0.3, 0.2))
    judge = Judge.judged

    def judged(self: Judge, found: Any) -> Judgement:
        judgement, lower = judge(self, found), next(bounds)
        return replace(judgement, gain=replace(judgement.gain, refused="", value=1.0, lower=lower))

    monkeypatch.setattr(Judge, "judged", judged)
    result = run_variant(plan, 0)
    assert (result.best.iteration, result.last.iteration) == (4, 12)
    kept, last = (plan.artefact_path(0, last=last).read_bytes() for last in (False, True))
    for content, iteration in ((kept, 4), (last, 12)):
        policy = Policy.from_bytes(content)
        alone = train_component(plan.dataset, plan.champion, variant, iterations=iteration)
        assert policy.layers[0].component.to_json() == alone.component.to_json()
        assert policy.provenance.training == alone.statistics
    assert Policy.from_bytes(kept).provenance.evaluation["gain"]["lower"] == 0.3


def test_all_seeds_are_trained_and_one_of_them_is_kept(log: tuple[Dataset, bytes], tmp_path: Path) -> None:
    slow = {**CLONE, "learning_rate": 0.001, "updates_per_iteration": 1}
    variant = VariantSpecification("behavior_cloning", slow, 0.25, (3, 4, 5))
    plan = plan_of(tmp_path / "run", *log, variants=(variant,))
    result = run_variant(plan, 0)
    alone = [
        run_variant(plan_of(tmp_path / f"seed-{seed}", *log, variants=(replace(variant, seeds=(seed,)),)), 0)
        for seed in variant.seeds
    ]
    for position, checkpoint in enumerate(result.checkpoints):
        metrics = tuple(each.checkpoints[position].metric for each in alone)
        assert checkpoint.seed_metrics == pytest.approx(metrics) and len(set(metrics)) > 1
        assert checkpoint.metric == pytest.approx(np.mean(metrics))
        assert checkpoint.gain.lower == pytest.approx(sorted(metrics)[1])
    policy = Policy.from_bytes(plan.artefact_path(0).read_bytes())
    assert policy.provenance.hyperparameters["seeds"] == [result.best.seed]
    kept = alone[variant.seeds.index(result.best.seed)].checkpoints[result.checkpoints.index(result.best)]
    assert kept.gain.value == pytest.approx(result.best.gain.value)
    assert kept.statistics == result.best.statistics
