"""Carry-over between the episodes of a unit is found, and shocks, trends and seasons that they share are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from envs.build_report import BuildReport
from envs.card import build_card
from envs.card.carry_over import LEVEL, carry_over
from envs.dataset import Dataset
from tests.worlds import bandit, explored

PER_UNIT = 6


def log(seed: int, units: int = 300, explore: float = 0.4) -> Dataset:
    """Days of six decisions, each an episode of its own."""
    world = bandit(contexts=3, noise=0.5, vector=False)
    behaviour = explored(np.tile([1.0, 0.0], (3, 1)), explore)
    specification = world.specification(explore=explore, unit="day", practical_effect=0.5)
    dataset = world.log(behaviour, units * PER_UNIT, seed, specification=specification)
    day = np.arange(len(dataset)) // PER_UNIT
    return replace(dataset, units=np.char.mod("%04d", day), splits=(day % 3).astype(np.int8))


def carried(seed: int, harm: float = 0.3) -> Dataset:
    """Every second action costs all later decisions of its day."""
    dataset = log(seed)
    taken = (dataset.actions == 1).reshape(-1, PER_UNIT)
    before = np.cumsum(taken, axis=1) - taken
    return replace(dataset, rewards=dataset.rewards - harm * before.ravel())


def shocks(seed: int) -> Dataset:
    """Days share a heavy-tailed level, the level walks, and evenings differ from mornings."""
    dataset, rng = log(seed), np.random.default_rng([seed, 1])
    days = len(dataset) // PER_UNIT
    level = rng.lognormal(0.0, 1.0, days) + np.cumsum(rng.normal(0, 0.3, days))
    hour = np.sin(np.arange(PER_UNIT))
    return replace(dataset, rewards=dataset.rewards + (level[:, None] + hour).ravel())


def less_exploration_later(seed: int) -> Dataset:
    """The policy changes at half time, and so does the level: a correlation over days, none within them."""
    early, late = log(seed, 150, 0.8), log(seed + 1_000, 150, 0.2)
    day = np.arange(300 * PER_UNIT) // PER_UNIT
    columns = ("observations", "actions", "action_probabilities", "propensities")
    both = {name: np.concatenate([getattr(early, name), getattr(late, name)]) for name in columns}
    base = log(seed)
    both["observations"] = base.observations  # rows of ends are between those of decisions
    rewards = base.rewards + np.where(day < 150, 3.0, 0.0)
    return replace(base, **both, rewards=rewards)


CLEAN: dict[str, Callable[[int], Dataset]] = {
    "plain": log,
    "shocks": shocks,
    "less exploration later": less_exploration_later,
}


def test_a_decision_that_costs_the_later_ones_is_found_and_graded() -> None:
    found = [carry_over(carried(seed)) for seed in range(10)]
    assert all(each.found and each.action in (0, 1) for each in found)
    clean = [carry_over(log(seed)) for seed in range(10)]
    assert not any(each.found for each in clean)
    dataset = carried(0)
    report = BuildReport(len(dataset), len(dataset), dataset.episode_count)
    card, other = build_card(dataset, report), build_card(log(0), report)
    assert card.grade == "B" and "carried_over" in {finding.code for finding in card.findings}
    assert other.grade == "A" and "carried_over" not in {finding.code for finding in other.findings}


@pytest.mark.parametrize("kind", CLEAN)
def test_no_alarm_without_it(kind: str) -> None:
    chances = np.array([carry_over(CLEAN[kind](seed)).p_value for seed in range(30)])
    assert (chances >= LEVEL).all()
    assert stats.binomtest(int((chances < 0.1).sum()), 30, 0.1, alternative="greater").pvalue > 0.01


def test_an_effect_too_small_to_matter_is_no_finding() -> None:
    found = carry_over(carried(3, harm=0.02))
    assert found.effect < 0.005 and not found.found


def test_single_episodes_and_unknown_probabilities_cannot_tell() -> None:
    dataset = carried(1)
    alone = replace(dataset, units=np.char.mod("%05d", np.arange(len(dataset))))
    unknown = replace(dataset, action_probabilities=np.full_like(dataset.action_probabilities, np.nan))
    for each in (alone, unknown):
        assert np.isnan(carry_over(each).p_value) and not carry_over(each).found


def test_the_order_of_the_rows_does_not_matter_where_times_are_known() -> None:
    dataset = carried(2)
    timed = replace(dataset, timestamps=np.arange(len(dataset), dtype=np.float64))
    mixed = np.random.default_rng(0).permutation(len(dataset))
    assert carry_over(timed.select_episodes(mixed)).p_value == pytest.approx(carry_over(dataset).p_value)
