"""The judge: no difference where there is none, the right sign where there is one, refusal without overlap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from algorithms.ope.cross_fitting import folds_of
from envs.dataset import Dataset
from tests.worlds import bandit, chain, explored, random_world
from tune_configs.judge import SELECT_RULE, Judge, episodes_in
from tune_configs.recommendation import MODELS_GAIN

EXPLORE = 0.4


def log(seed: int = 0, episodes: int = 1600) -> tuple[Dataset, np.ndarray, np.ndarray]:
    """A log of an exploring rule in a bandit, the champion's rows, and those of the better arm."""
    world = bandit(contexts=4, noise=0.2, vector=False)
    rule = np.tile([1.0, 0.0], (4, 1))
    best = np.eye(2)[world.reward.argmax(axis=1)]
    behaviour = explored(rule, EXPLORE)
    dataset = world.log(behaviour, episodes, seed, root=rule)
    states = dataset.observations[:, 0].astype(int)
    return dataset, behaviour[states], explored(best, EXPLORE)[states]


def judge_on(dataset: Dataset, champion: np.ndarray, **arguments: object) -> Judge:
    return Judge(
        dataset,
        champion,
        evaluated=episodes_in(dataset, "select"),
        fitted=episodes_in(dataset, "train"),
        **arguments,  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def setting() -> tuple[Dataset, np.ndarray, np.ndarray, Judge]:
    dataset, champion, best = log()
    return dataset, champion, best, judge_on(dataset, champion)


def test_an_identical_policy_gains_exactly_nothing(
    setting: tuple[Dataset, np.ndarray, np.ndarray, Judge],
) -> None:
    _, champion, _, judge = setting
    found = judge.judge(champion.copy())
    assert (found.gain.value, found.gain.lower, found.gain.upper) == (0.0, 0.0, 0.0)
    assert found.model_gain == found.deviation == found.score == 0.0
    assert found.gain.usable


@pytest.mark.parametrize("world", [chain(vector=True, horizon=6, noise=0.1), random_world(3, horizon=4)])
def test_an_identical_policy_gains_nothing_over_several_steps_and_model_classes(world: object) -> None:
    behaviour = explored(np.eye(world.action_count)[np.zeros(world.state_count, int)], EXPLORE)  # type: ignore[attr-defined]
    dataset = world.log(behaviour, 400, 1)  # type: ignore[attr-defined]
    champion = np.full((len(dataset.observations), world.action_count), np.nan)  # type: ignore[attr-defined]
    states = np.round(dataset.observations[:, 0]).astype(int)
    champion[:] = behaviour[states]
    found = judge_on(dataset, champion).judge(champion)
    assert (found.gain.value, found.model_gain, found.deviation) == (0.0, 0.0, 0.0)


def test_a_better_policy_gains_and_a_worse_one_loses_by_the_true_amount(
    setting: tuple[Dataset, np.ndarray, np.ndarray, Judge],
) -> None:
    _, champion, best, judge = setting
    step = 0.5 * champion + 0.5 * best
    better = judge.judge(step)
    true = 0.5 * (0.25 - 0.0) * (1 - EXPLORE)  # half the contexts gain .5, reached at (1 - e) of half a step
    assert better.gain.usable
    assert better.gain.lower > 0
    assert better.gain.lower < true < better.gain.upper
    assert better.score == better.gain.lower
    assert better.model_gain == pytest.approx(true, abs=0.08)
    assert better.model_gain < better.gain.diagnostics[MODELS_GAIN] == pytest.approx(true, abs=0.06)
    worst = np.where(best > 0.5, best.min(), best.max())
    losing = judge.judge(0.5 * champion + 0.5 * worst)
    assert losing.gain.upper < 0
    assert losing.model_gain < 0
    assert better.value.value - losing.value.value == pytest.approx(better.gain.value - losing.gain.value, abs=1e-9)


def test_without_overlap_the_number_is_refused_and_only_the_models_speak() -> None:
    world = random_world(0, states=5, actions=3, horizon=8)
    rule = np.eye(3)[np.zeros(5, int)]
    behaviour = explored(rule, 0.1)
    dataset = world.log(behaviour, 900, 2)
    states = dataset.observations[:, 0].astype(int)
    far = explored(np.eye(3)[np.full(5, 2)], 0.1)[states]
    found = judge_on(dataset, behaviour[states]).judge(far)
    assert not found.gain.usable
    assert "overlap" in found.gain.refused
    assert np.isnan(found.gain.value)
    assert found.value.evidence == "model"
    assert found.value.confidence == 0.0
    assert found.value.lower <= found.value.value <= found.value.upper
    assert found.score == found.model_gain
    assert np.isfinite(found.score)


def test_select_refuses_below_the_share_of_overlap_that_final_needs() -> None:
    assert SELECT_RULE.refusal(43.0, 150) == ""
    assert SELECT_RULE.refusal(42.0, 150)
    assert SELECT_RULE.refusal(90.0, 1000)


def test_rows_that_are_neither_fitted_nor_evaluated_change_nothing() -> None:
    dataset, champion, best = log(4, 800)
    final = episodes_in(dataset, "final")[dataset.episode_index]
    poisoned = replace(dataset, rewards=np.where(final, 1e9, dataset.rewards))
    step = 0.5 * champion + 0.5 * best
    clean, dirty = judge_on(dataset, champion).judge(step), judge_on(poisoned, champion).judge(step)
    assert clean == dirty or (clean.gain == dirty.gain and clean.value == dirty.value)
    assert clean.model_gain == dirty.model_gain


def test_no_episode_is_valued_by_a_model_that_saw_it() -> None:
    dataset, champion, best = log(5, 400)
    select = np.flatnonzero(episodes_in(dataset, "select"))
    judge = judge_on(dataset, champion)
    step = 0.5 * champion + 0.5 * best
    before = judge.trajectories(step[None])[judge.first][0]
    fold = folds_of(dataset.units[select], judge.folds, judge.seed)
    rewards = dataset.rewards.copy()
    changed = np.isin(dataset.episode_index, select[fold == 0])
    rewards[changed] += 5.0
    after = judge_on(replace(dataset, rewards=rewards), champion).trajectories(step[None])[judge.first][0]
    assert before.q_values is not None and after.q_values is not None
    moved = ~np.isclose(before.q_values, after.q_values).all(axis=1)
    assert not moved[fold == 0].any()
    assert moved[fold != 0].all()


def test_the_models_word_is_the_smallest_of_the_folds_that_were_fitted() -> None:
    dataset, champion, best = log(6, 400)
    judge = judge_on(dataset, champion)
    step = 0.5 * champion + 0.5 * best
    ours, theirs = judge.trajectories(step[None])[judge.first][0], judge.champion[judge.first][0]
    assert ours.v_values is not None and theirs.v_values is not None
    gains = ours.v_values[:, 0] - theirs.v_values[:, 0]
    fold = folds_of(judge.subset.units, judge.folds, judge.seed)
    assert judge.judge(step).model_gain == pytest.approx(min(gains[fold == k].mean() for k in range(judge.folds)))


def test_units_of_several_episodes_are_counted_once() -> None:
    dataset, champion, best = log(7, 1600)
    pairs = np.array([f"day-{index // 40:04d}" for index in range(dataset.episode_count)])
    # Whole blocks on one side, as the splits of a time block are.
    splits = np.where(np.arange(dataset.episode_count) // 40 % 2 == 0, 0, 1).astype(np.int8)
    declared = replace(dataset.specification, unit="day")
    blocked = replace(dataset, specification=declared, units=pairs, splits=splits)
    found = judge_on(blocked, champion).judge(0.9 * champion + 0.1 * best)
    assert found.gain.units == 20
    assert judge_on(replace(dataset, splits=splits), champion).judge(champion).gain.units == 800


def test_many_policies_at_once_are_judged_as_each_alone() -> None:
    dataset, champion, best = log(8, 400)
    judge = judge_on(dataset, champion, folds=0)
    policies = np.stack([champion, 0.5 * champion + 0.5 * best, best])
    together, _ = judge.differences(policies)
    assert not together[0].any()
    for row, policy in zip(together, policies, strict=True):
        np.testing.assert_allclose(row, judge.differences(policy[None])[0][0], atol=1e-12)
