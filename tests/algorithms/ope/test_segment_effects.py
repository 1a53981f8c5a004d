"""Gains within segments: what divides episodes, what a planted effect looks like, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from algorithms.ope.cross_fitting import cross_fit
from algorithms.ope.multiple_testing import BETTER, OPEN, SAME, corrected
from algorithms.ope.overlap import NO_RULE, OverlapRule
from algorithms.ope.padding import trajectories_from
from algorithms.ope.paired import paired_estimate
from algorithms.ope.segment_effects import (
    HOURS_NAME,
    MOST_SEGMENTS,
    POOLED,
    UNKNOWN,
    Segmentation,
    episodes_of,
    segment_effects,
    segmentations,
)
from algorithms.ope.state_action_models import TabularModel
from algorithms.ope.trajectories import Trajectories
from envs.dataset import Dataset
from envs.errors import DataError
from envs.observation import ObservationField, ObservationSpecification
from tests.worlds import bandit, chain, deterministic, explored, random_world

SERVICES = ("api", "database", "web", "batch")


def logged(rewards: np.ndarray, actions: np.ndarray, propensity: float, target: np.ndarray) -> tuple[Trajectories, ...]:
    """Decisions of a log that takes action 1 with ``propensity``, under targets (E,) and under the log itself."""
    logging = np.where(actions == 1, propensity, 1.0 - propensity)
    wanted = np.where(actions == 1, target, 1.0 - target)
    count = len(rewards)
    champion = Trajectories(
        rewards[:, None],
        np.zeros((count, 1)),
        np.ones((count, 1), dtype=bool),
        1.0,
        np.full((count, 1), rewards.mean()),
        np.stack([np.full(count, rewards.mean()), np.zeros(count)], axis=1),
    )
    return replace(champion, log_ratios=np.log(wanted / logging)[:, None]), champion


def test_the_gains_of_segments_average_to_the_whole_gain() -> None:
    rng = np.random.default_rng(0)
    actions = (rng.random(500) < 0.3).astype(int)
    candidate, champion = logged(rng.normal(size=500) + actions, actions, 0.3, np.full(500, 0.6))
    labels = rng.choice(["a", "b", "c"], 500)
    found = segment_effects(candidate, champion, Segmentation("tenant", labels), overlap=NO_RULE)
    whole = paired_estimate(candidate, champion, overlap=NO_RULE)
    sizes = {name: (labels == name).mean() for name in found}
    assert sum(sizes[name] * estimate.value for name, estimate in found.items()) == pytest.approx(whole.value)
    assert {name: estimate.units for name, estimate in found.items()} == {n: (labels == n).sum() for n in "abc"}


def test_a_planted_effect_is_found_where_it_is_and_nowhere_else() -> None:
    hits = false = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        labels = rng.choice(SERVICES, 1600)
        actions = (rng.random(1600) < 0.3).astype(int)
        rewards = rng.normal(size=1600) + 0.9 * actions * (labels == "database")
        candidate, champion = logged(rewards, actions, 0.3, np.full(1600, 0.7))
        found = segment_effects(candidate, champion, Segmentation("service", labels))
        verdicts = dict(zip(found, (effect.verdict for effect in corrected(list(found.values()))), strict=True))
        hits += verdicts.pop("database") == BETTER
        false += set(verdicts.values()) != {OPEN}
    assert hits >= 18
    assert false <= 3


def test_each_segment_is_refused_by_its_own_overlap() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat(["near", "far", "few"], [300, 300, 50])
    actions = (rng.random(650) < 0.1).astype(int)
    candidate, champion = logged(
        rng.normal(size=650), actions, 0.1, np.where(labels == "far", 0.99, 0.1 + 0.05 * (labels == "near"))
    )
    rule = OverlapRule(43.0, 0.1)
    assert not paired_estimate(candidate, champion, overlap=rule).refused
    found = segment_effects(candidate, champion, Segmentation("tenant", labels), overlap=rule)
    assert "effective sample size" in found["far"].refused
    assert np.isnan(found["far"].value)
    assert not found["near"].refused
    assert found["few"].value == 0.0
    assert segment_effects(candidate, champion, Segmentation("tenant", labels))["few"].refused
    effects = corrected([found["near"], found["far"], found["few"]])
    assert [effect.verdict for effect in effects][1:] == ["refused", SAME]


def test_where_the_policies_are_known_to_decide_alike_nothing_is_estimated() -> None:
    rng = np.random.default_rng(9)
    actions = (rng.random(400) < 0.3).astype(int)
    candidate, champion = logged(rng.normal(size=400), actions, 0.3, np.full(400, 0.3))
    assert candidate.q_values is not None
    candidate = replace(candidate, q_values=candidate.q_values + 0.1 * rng.normal(size=(400, 1)))  # another model
    labels = np.repeat(["a", "b"], 200)
    segmentation, differ = Segmentation("tenant", labels), (labels == "b") & (rng.random(400) < 0.1)
    found = segment_effects(candidate, champion, segmentation, differ=differ)
    assert found["a"].value == 0.0 != found["b"].value
    assert segment_effects(candidate, champion, segmentation)["a"].value != 0.0
    effects = corrected(list(found.values()))
    assert effects[list(found).index("a")].verdict == SAME


def test_units_of_several_episodes_are_counted_as_units() -> None:
    rng = np.random.default_rng(2)
    actions = (rng.random(600) < 0.3).astype(int)
    candidate, champion = logged(rng.normal(size=600), actions, 0.3, np.full(600, 0.5))
    labels, days = np.repeat(["a", "b"], 300), np.repeat(np.arange(60), 10).astype(str)
    found = segment_effects(candidate, champion, Segmentation("tenant", labels), overlap=NO_RULE, units=days)
    assert {estimate.units for estimate in found.values()} == {30}


def test_labels_of_other_episodes_are_refused() -> None:
    rng = np.random.default_rng(3)
    candidate, champion = logged(rng.normal(size=8), np.zeros(8, dtype=int), 0.3, np.full(8, 0.5))
    with pytest.raises(DataError, match="7 labels for 8 episodes"):
        segment_effects(candidate, champion, Segmentation("tenant", np.array(["a"] * 7)))


def test_the_chosen_episodes_keep_all_their_columns() -> None:
    world = chain(4, horizon=5)
    behaviour = explored(np.tile([0.0, 1.0], (4, 1)), 0.6)
    dataset = world.log(behaviour, 40)
    target = np.tile([0.3, 0.7], (len(dataset), 1))
    values = np.random.default_rng(4).normal(size=(40, 6))
    whole = trajectories_from(dataset, target, q=values[:, 1:], v=values)
    chosen = np.arange(40) % 3 == 0
    part = trajectories_from(
        dataset.select_episodes(chosen), target[chosen[dataset.episode_index]], q=values[chosen, 1:], v=values[chosen]
    )
    taken = episodes_of(whole, chosen)
    for name in ("rewards", "log_ratios", "active", "q_values", "v_values"):
        assert getattr(taken, name) == pytest.approx(getattr(part, name))
    assert taken.discount == whole.discount


def observed(
    fields: tuple[ObservationField, ...], columns: np.ndarray, kind: str = "object", **more: object
) -> Dataset:
    """Single decisions that saw these raw columns (E, D), something else at their ends."""
    world = bandit()
    dataset = world.log(np.full((4, 2), 0.5), len(columns))
    rows = np.full((2 * len(columns), columns.shape[1]), 0.0)
    rows[::2] = columns
    specification = replace(dataset.specification, observation=ObservationSpecification(kind, fields))
    return replace(dataset, specification=specification, observations=rows, **more)  # type: ignore[arg-type]


def test_episodes_are_divided_by_what_was_known_first() -> None:
    fields = (
        ObservationField("service", "category", categories=SERVICES),
        ObservationField("load", "number"),
        ObservationField("night", "boolean", optional=True),
        ObservationField("constant", "category", categories=("x", "y")),
    )
    columns = np.array([[0, 0.1, 1, 1], [0, 0.2, 0, 1], [3, 0.3, np.nan, 1], [-1, 0.4, 0, 1]])
    times = np.array([0.0, 3599.0, 6 * 3600.0, 23 * 3600.0]) + 20_000 * 86_400.0
    found = segmentations(observed(fields, columns, timestamps=times), tenants=["t", "t", "u", "t"])
    assert {each.name: each.labels.tolist() for each in found} == {
        "tenant": ["t", "t", "u", "t"],
        "service": ["api", "api", "batch", UNKNOWN],
        "night": ["yes", "no", UNKNOWN, "no"],
        HOURS_NAME: ["00 to 06", "00 to 06", "06 to 12", "18 to 24"],
    }
    assert found[0].segments == ["t", "u"]
    assert not segmentations(observed(fields[1:2], columns[:, 1:2]), tenants=["t"] * 4)
    assert not segmentations(observed(fields[1:2], columns[:, 1:2], timestamps=np.array([0.0, np.nan, 3e4, 5e4])))


def test_an_integer_observation_of_few_values_divides_too() -> None:
    fields = (ObservationField("state", "integer"),)
    (found,) = segmentations(observed(fields, np.array([[2.0], [0.0], [2.0]]), kind="int"))
    assert found.labels.tolist() == ["2", "0", "2"]
    assert not segmentations(observed(fields, np.arange(MOST_SEGMENTS + 1.0)[:, None], kind="int"))


def test_rare_segments_are_pooled_and_none_is_lost() -> None:
    tenants = [f"tenant-{index:02d}" for index in range(30) for _ in range(60 - 2 * index)]
    columns = np.zeros((len(tenants), 1))
    (found,) = segmentations(observed((ObservationField("load"),), columns), tenants=tenants)
    assert len(found.segments) == MOST_SEGMENTS
    kept = [name for name in found.segments if name != POOLED]
    assert kept == [f"tenant-{index:02d}" for index in range(MOST_SEGMENTS - 1)]
    assert (found.labels == POOLED).sum() == sum(60 - 2 * index for index in range(MOST_SEGMENTS - 1, 30))


def false_claims(logs: int, *, rare: bool) -> int:
    """Logs in which some segment is shown to gain or lose, where no action has any effect; models are cross-fitted."""
    world = random_world(3, states=5, actions=3, horizon=4, noise=0.5)
    idle = replace(world, transition=world.transition[:, :1].repeat(3, axis=1), reward=world.reward[:, :1].repeat(3, 1))
    behaviour = explored(deterministic([0, 1, 2, 0, 1], 3), 0.3)
    target = 0.8 * behaviour + 0.2 * deterministic([1, 2, 0, 1, 2], 3)
    wrong = 0
    for seed in range(logs):
        rng = np.random.default_rng(seed)
        dataset = idle.log(behaviour, 900, seed)
        if rare:
            rewards = dataset.rewards - 10.0 * (rng.random(len(dataset)) < 0.02)
            unbounded = replace(dataset.specification, reward_range=None)
            dataset = replace(dataset, rewards=rewards, specification=unbounded)
        states = np.nan_to_num(dataset.observations[:, 0]).astype(int)
        policies = np.stack([behaviour[states], target[states]])
        everyone = np.ones(dataset.episode_count, dtype=bool)
        q, v = cross_fit(TabularModel(states, 5, 3), dataset, policies, evaluated=everyone, folds=3)
        champion, candidate = (
            trajectories_from(dataset, each[dataset.rows], q=q_each, v=v_each)
            for each, q_each, v_each in zip(policies, q, v, strict=True)
        )
        divided = segmentations(dataset, tenants=[f"t{tenant}" for tenant in rng.integers(5, size=900)])
        rule = OverlapRule(43.0, 0.1)
        found = [e for each in divided for e in segment_effects(candidate, champion, each, overlap=rule).values()]
        assert sum(not estimate.refused for estimate in found) >= 5
        wrong += any(effect.verdict not in ("open", "refused") for effect in corrected(found))
    return wrong


@pytest.mark.full
@pytest.mark.parametrize("rare", [False, True])
def test_the_share_of_logs_with_a_false_claim_is_at_most_nominal(rare: bool) -> None:
    wrong = false_claims(300, rare=rare)
    assert stats.binomtest(wrong, 300, 0.05, alternative="greater").pvalue > 0.01
