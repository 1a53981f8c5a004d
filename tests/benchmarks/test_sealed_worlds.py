"""Sealed worlds: the stated truth is that of the logs, and nothing within reach is better where that is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import sealed_worlds
from benchmarks.sealed.cycle import Life
from benchmarks.sealed.families import BETTER, FAMILIES, SealedWorld, sealed_world
from benchmarks.sealed.records import CycleRecord, RivalRecord
from benchmarks.trust.worlds import explored
from envs.dataset import SELECT, TRAIN


def drawn(family: str, seed: int = 0) -> tuple[SealedWorld, np.random.Generator]:
    rng = np.random.default_rng([seed, list(FAMILIES).index(family)])
    return sealed_world(family, rng), rng


@pytest.mark.parametrize("family", FAMILIES)
def test_the_truth_is_what_the_logs_earn(family: str) -> None:
    """The mean over many episodes of another policy less the champion's is the stated gain."""
    sealed, rng = drawn(family, 3)
    sealed = replace(sealed, episodes=6_000)
    size = sealed.rule.shape
    other = explored(np.eye(size[1])[np.full(size[0], size[1] - 1)], sealed.explore)
    means, errors = [], []
    for policy in (other, sealed.champion):
        log = sealed.draw(policy, rng).log
        returns = log.rewards.sum(axis=1)
        # Days share what happens on them: their means are what is independent.
        returns = returns[: len(returns) // 100 * 100].reshape(100, -1).mean(axis=1)
        means.append(returns.mean())
        errors.append(returns.std(ddof=1) / 10.0)
    assert abs(means[0] - means[1] - sealed.gain(other, sealed.champion) * sealed.scale) < 4.5 * np.hypot(*errors)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != BETTER])
@pytest.mark.parametrize("seed", range(4))
def test_nothing_within_reach_is_better_where_that_is_said(family: str, seed: int) -> None:
    sealed, rng = drawn(family, seed)
    observations, actions = sealed.rule.shape
    for share in (1.0, 0.5, 0.1):
        for _ in range(20):
            rule = np.eye(actions)[rng.integers(actions, size=observations)]
            mixed = share * rule + (1.0 - share) * sealed.rule
            assert sealed.gain(explored(mixed, sealed.explore), sealed.champion) <= 0.0


def test_somebody_can_do_better_where_that_is_said() -> None:
    sealed, _ = drawn(BETTER, 1)
    assert sealed.gain(explored(sealed.world.best_policy(), sealed.explore), sealed.champion) > 0.1


def test_a_life_is_its_seeds_and_its_log_is_its_champions() -> None:
    records = []
    for _ in range(2):
        sealed, rng = drawn(BETTER, 2)
        life = Life(sealed, 0, rng)
        records.append([life.cycle(number, asked=number == 0) for number in range(2)])
        question = life.questions[0]
        newest = life.window.dataset()
    assert records[0] == records[1]
    assert len(life.questions) == 1 and question.truths.shape == question.fitted.shape
    sequences = newest.sequences
    assert (np.diff(sequences) == 1).all() and sequences[0] == 1
    held_out = life.window.held_out(newest)
    assert held_out.any() and not (held_out & (newest.splits == TRAIN)).any()
    assert (held_out & (newest.splits == SELECT)).any() and not held_out[: len(held_out) // 2].any()


def cycle(family: str, life: int, decision: str, gain: float, **more: object) -> CycleRecord:
    usual = {"horizon": 1, "cycle": 0, "grade": "A", "alpha": 0.03, "reached": 0.0, "possible": 1.0}
    unknown = {"confidence": 0.95, "covered": None, "chosen_covered": None, "oracle": None}
    return CycleRecord(family=family, life=life, decision=decision, gain=gain, **{**usual, **unknown, **more})  # type: ignore[arg-type]


def test_one_false_promotion_is_a_false_life_and_an_equal_policy_is_no_better() -> None:
    lives = [cycle("exact null", life, "keep", 0.0) for life in range(10)]
    (row,) = sealed_worlds.false_promotions(lives)
    assert row.ours == 0.0 and row.holds
    lives += [cycle("exact null", life, "promote", 0.0) for life in range(6)] * 2
    (row,) = sealed_worlds.false_promotions(lives)
    assert row.ours == pytest.approx(0.6) and not row.holds
    (row,) = sealed_worlds.false_promotions([cycle("exact null", 0, "promote", 0.1)])
    assert row.ours == 0.0


def test_harm_weighs_more_than_what_was_missed() -> None:
    def record(rival: str, gain: float, best: float) -> RivalRecord:
        return RivalRecord("log", "drift", rival, gain != 0.0, gain, best)

    assert record("x", 0.0, 0.4).regret == pytest.approx(0.4)
    assert record("x", 0.4, 0.4).regret == 0.0
    assert record("x", -0.4, 0.4).regret == pytest.approx(0.4 + 5 * 0.4)
    (row,) = sealed_worlds.regret([record("ours", 0.0, 0.4), record("FQE-argmax", -0.1, 0.4)])
    assert (row.ours, row.anchor_value, row.holds) == (pytest.approx(0.4), pytest.approx(0.9), True)
