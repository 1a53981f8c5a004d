"""Decoupled differences: every weight meets the residuals of its own step, and skewness is the whole log's."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.ope.decoupled import decoupled_differences
from algorithms.ope.paired import paired_difference
from algorithms.ope.trajectories import Trajectories

RARE, WEIGHT = 0.1, 4.5


def episodes(rng, count, lengths, *, failures=0.1):
    """A candidate's and its champion's view of a log: two weights a step, residuals of failures."""
    horizon = int(lengths.max())
    active = np.arange(horizon) < lengths[:, None]
    shape = active.shape
    ratios = np.where(rng.random(shape) < RARE, WEIGHT, (1 - RARE * WEIGHT) / (1 - RARE))
    rewards = np.where(active, failures - (rng.random(shape) < failures), 0.0)
    champion = Trajectories(rewards, np.zeros(shape), active, 0.9, np.zeros(shape), np.zeros((count, horizon + 1)))
    values = np.zeros((count, horizon + 1))
    values[:, 0] = rng.normal(size=count)
    candidate = Trajectories(rewards, np.where(active, np.log(ratios), 0.0), active, 0.9, np.zeros(shape), values)
    return candidate, champion


def test_residuals_stay_in_their_step_and_weights_in_their_episode() -> None:
    """With one decision an episode and weights that are known, what each episode met can be read off."""
    rng = np.random.default_rng(0)
    lengths = np.array([1, 3, 2, 3, 1, 2] * 20)
    candidate, _ = episodes(rng, len(lengths), lengths)
    steps = np.arange(3)
    marked = np.where(candidate.active, 10.0**steps * (1.0 + np.arange(len(lengths))[:, None] % 7), 0.0)
    ours = Trajectories(marked, np.zeros(marked.shape), candidate.active, 1.0, 0 * marked, np.zeros((len(marked), 4)))
    theirs = Trajectories(marked, np.full(marked.shape, -np.inf), candidate.active, 1.0, 0 * marked, ours.v_values)
    found = decoupled_differences(ours, theirs, permutations=2).reshape(2, -1)
    for row in found:
        assert row.sum() == pytest.approx(marked.sum())  # nothing is lost or taken twice
        assert np.all(row[lengths == 1] < 10.0) and np.all(row[lengths == 3] >= 100.0)  # nor in another step
        assert not np.array_equal(row, marked.sum(axis=1))


def test_a_lucky_log_shows_the_skewness_of_the_whole() -> None:
    """No decision of large weight failed: D looks harmless, D* is as skewed as D is in truth."""
    rng = np.random.default_rng(1)

    def skewness(values):
        return float(np.mean((values - values.mean()) ** 3) / values.std() ** 3)

    many = episodes(rng, 200_000, np.ones(200_000, dtype=int), failures=0.03)
    truth = skewness(paired_difference(*many) - many[0].v_values[:, 0])
    lucky = episodes(rng, 600, np.ones(600, dtype=int), failures=0.03)
    heavy = lucky[0].log_ratios[:, 0] > 0
    for each in lucky:
        each.rewards[heavy] = 0.03
        each.v_values[:] = 0.0
    assert skewness(paired_difference(*lucky)) > -1.0 and truth < -10.0
    assert skewness(decoupled_differences(*lucky, permutations=40)) == pytest.approx(truth, rel=0.35)


def test_the_champion_itself_stays_without_difference() -> None:
    _, champion = episodes(np.random.default_rng(2), 50, np.full(50, 3))
    assert np.all(decoupled_differences(champion, champion) == 0.0)
