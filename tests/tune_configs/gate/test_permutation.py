"""Placebo copies: nothing can be better in them, and no outcome of final is in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.dataset import EMBARGO, FINAL, Dataset
from tests.worlds import chain, explored, random_world
from tune_configs.gate.permutation import Permuter


def log_of(
    seed: int = 0, episodes: int = 60, *, days: bool = False, discount: float = 0.9, horizon: int = 6
) -> Dataset:
    """Episodes of different lengths, some cut early; rewards that name the episode they belong to."""
    world = chain(length=5, slip=0.3, horizon=8)
    dataset = world.log(explored(np.eye(2)[[1, 1, 1, 0, 0]], 0.5), episodes, seed)
    rng = np.random.default_rng(seed)
    cut = rng.random(episodes) < 0.3
    ends = dataset.offsets[1:] - 1
    terminated, truncated = dataset.terminated.copy(), dataset.truncated.copy()
    terminated[ends[cut]], truncated[ends[cut]] = False, True
    changes = {"rewards": 100.0 * dataset.episode_index + rng.normal(size=len(dataset))}
    if days:
        changes["units"] = np.array([f"{split}-{number % 7}" for number, split in enumerate(dataset.splits)])
    declared = replace(dataset.specification, horizon=horizon, discount=discount, unit="day" if days else "episode")
    worst = rng.random(len(dataset)) < 0.1
    return replace(dataset, specification=declared, terminated=terminated, truncated=truncated, worst=worst, **changes)


def returns(dataset: Dataset) -> np.ndarray:
    counted = dataset.steps < dataset.specification.horizon
    return np.bincount(
        dataset.episode_index, np.where(counted, dataset.specification.discount**dataset.steps * dataset.rewards, 0.0)
    )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), days=st.booleans(), discount=st.sampled_from([0.9, 1.0]))
def test_every_return_is_its_donors_whatever_the_episode_does(seed, days, discount):
    """Otherwise whoever ends early, or late, would be better in a world where nothing may be."""
    log = log_of(seed, days=days, discount=discount)
    permuter = Permuter.of(log)
    donor = permuter.donor_episodes(np.random.default_rng(seed))
    copy = permuter.copy(np.random.default_rng(seed))
    assert returns(copy) == pytest.approx(returns(log)[donor], abs=1e-6)
    of = np.bincount(log.episode_index, log.worst & (log.steps < 6)) > 0
    np.testing.assert_array_equal(np.bincount(copy.episode_index, copy.worst) > 0, of[donor])


@pytest.mark.parametrize("days", [False, True])
def test_units_of_train_and_select_exchange_and_final_borrows_from_them(days):
    log = log_of(3, days=days)
    donor = Permuter.of(log).donor_episodes(np.random.default_rng(0))
    final = log.splits == FINAL
    assert not final[donor].any()
    unit_of, donor_unit = log.units, log.units[donor]
    # Whole units move together: one donor unit for all episodes of a unit.
    for unit in np.unique(unit_of):
        assert len(np.unique(donor_unit[unit_of == unit])) == 1
    exchanged = {unit: donor_unit[unit_of == unit][0] for unit in np.unique(unit_of[~final])}
    assert sorted(exchanged.values()) == sorted(exchanged), "a permutation of the units outside final"
    borrowed = [donor_unit[unit_of == unit][0] for unit in np.unique(unit_of[final])]
    assert len(set(borrowed)) == len(borrowed), "drawn without replacement where there are enough"


def test_no_outcome_of_final_or_of_an_embargo_enters_a_copy():
    log = log_of(4)
    splits = log.splits.copy()
    splits[:5] = EMBARGO
    log = replace(log, splits=splits)
    hidden = np.isin(splits, [FINAL, EMBARGO])[log.episode_index]
    poisoned = replace(log, rewards=np.where(hidden, np.nan, log.rewards), worst=log.worst ^ hidden)
    for seed in range(3):
        clean, dirty = (Permuter.of(each).copy(np.random.default_rng(seed)) for each in (log, poisoned))
        np.testing.assert_array_equal(clean.rewards, dirty.rewards)
        np.testing.assert_array_equal(clean.worst, dirty.worst)


def test_only_outcomes_and_early_cuts_change():
    log = log_of(5)
    copy = Permuter.of(log).copy(np.random.default_rng(0))
    for name in ("observations", "actions", "propensities", "action_probabilities", "splits", "units", "offsets"):
        assert getattr(copy, name) is getattr(log, name)
    # The rest was paid at an early cut, so that nothing may be bootstrapped behind it.
    ends = log.offsets[1:] - 1
    early = log.truncated[ends] & (log.lengths < 6)
    assert early.any() and copy.terminated[ends[early]].all() and not copy.truncated[ends[early]].any()
    full = log.lengths >= 6
    np.testing.assert_array_equal(copy.truncated[ends[full]], log.truncated[ends[full]])


def test_what_an_action_earned_is_lost():
    """Action 1 earns 1: its mean lead vanishes on average over copies, and the mean reward stays."""
    world = random_world(6, states=3, actions=2, horizon=4, terminal=0)
    log = world.log(explored(np.eye(2)[[0, 0, 1]], 1.0), 300, 0)
    log = replace(log, rewards=log.actions.astype(float))
    permuter = Permuter.of(log)
    leads = []
    for seed in range(40):
        copy = permuter.copy(np.random.default_rng(seed))
        leads.append(copy.rewards[copy.actions == 1].mean() - copy.rewards[copy.actions == 0].mean())
    assert abs(np.mean(leads)) < 4 * np.std(leads) / np.sqrt(40) + 1e-9 and np.std(leads) < 0.1
    kept = permuter.copy(np.random.default_rng(0)).rewards[(log.splits != FINAL)[log.episode_index]]
    assert kept.mean() == pytest.approx(log.rewards[(log.splits != FINAL)[log.episode_index]].mean())
