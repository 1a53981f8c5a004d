"""Calibrated probabilities come true, never saw their own unit, and make weights that estimate a known world."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from envs.behavior import CALIBRATIONS, behavior_estimate, estimate_behavior, unit_folds
from envs.calibration import calibrated, calibration_error, isotonic, pool_adjacent_violators
from envs.dataset import Dataset
from envs.errors import DataError
from tests.envs.test_behavior import rule_log


def drawn(probabilities: np.ndarray, random: np.random.Generator) -> np.ndarray:
    edges = probabilities.cumsum(axis=1)
    return np.minimum((random.random((len(edges), 1)) > edges).sum(axis=1), edges.shape[1] - 1)


def bandit(count: int, seed: int) -> tuple[Dataset, np.ndarray, float]:
    """A log of a rule with two thresholds and exploration, a target policy at its rows, and the target's value."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 2))
    rule = (x[:, 0] > 0).astype(int) + (x.sum(axis=1) > 1)
    behaviour = 0.1 + 0.7 * np.eye(3)[rule]
    actions = drawn(behaviour, random)
    observations = np.full((2 * count, 2), np.nan)
    observations[::2] = x
    rewards = np.where(actions == 0, x[:, 0], np.where(actions == 1, 0.5, x[:, 1])) + random.normal(size=count)
    base = rule_log(20)
    dataset = replace(
        base,
        specification=replace(base.specification, horizon=1),
        offsets=np.arange(count + 1),
        observations=observations,
        allowed=np.ones((2 * count, 3), dtype=bool),
        actions=actions,
        rewards=rewards,
        propensities=behaviour[np.arange(count), actions],
        action_probabilities=behaviour,
        units=np.arange(count).astype(str),
    )
    # One of the last two actions at even odds: (0.5 + E x_1) / 2.
    return dataset, np.tile([0.0, 0.5, 0.5], (count, 1)), 0.25


def test_pooling_is_isotonic_regression() -> None:
    """The minimax formula of isotonic regression, ties pooled, by brute force."""
    random = np.random.default_rng(0)
    for _ in range(30):
        x, y = random.integers(0, 6, size=12) / 6.0, random.random(12) < 0.5
        values, place = np.unique(x, return_inverse=True)
        sums, counts = np.bincount(place, weights=y), np.bincount(place)
        expected = [
            max(
                min(sums[a : b + 1].sum() / counts[a : b + 1].sum() for b in range(i, len(values)))
                for a in range(i + 1)
            )
            for i in range(len(values))
        ]
        levels, sizes, edges = pool_adjacent_violators(x, y)
        between = np.searchsorted(values, edges)
        assert edges == pytest.approx(0.5 * (values[between - 1] + values[between]))
        assert levels[np.searchsorted(edges, values)] == pytest.approx(expected)
        assert sizes.sum() == 12 and np.all(np.diff(levels) > 0)


def test_many_points_are_binned_and_ties_never_torn() -> None:
    random = np.random.default_rng(1)
    x = random.random(20_000).round(4)
    y = random.random(20_000) < x**2
    levels, sizes, edges = pool_adjacent_violators(x, y)
    grid = np.linspace(0.05, 0.95, 19)
    assert levels[np.searchsorted(edges, grid)] == pytest.approx(grid**2, abs=0.06)
    assert sizes.sum() == 20_000 and not np.isin(edges, x[:100]).any()


def test_no_step_without_hits_becomes_a_probability_of_nearly_zero() -> None:
    """The naive step function gives the first third of these 0; the weight of a hit there would be enormous."""
    scores = np.linspace(0.05, 0.6, 300)
    hits = np.arange(300) >= 100
    hits[200:] = np.random.default_rng(0).random(100) < 0.5
    assert pool_adjacent_violators(scores, hits)[0][0] == 0.0
    assert isotonic(scores, hits, np.array([0.06]))[0] > 10 / 302
    assert isotonic(scores, ~hits, np.array([0.6]))[0] < 1.0 - 10 / 302


@pytest.mark.parametrize("kind", ["isotonic", "platt"])
def test_distorted_probabilities_come_true_again(kind: str) -> None:
    random = np.random.default_rng(2)
    truth = random.dirichlet(np.ones(3) * 2, size=16_000)
    allowed = random.random(truth.shape) < 0.8
    allowed[:, 1] = True
    truth = np.where(allowed, truth, 0.0)
    truth /= truth.sum(axis=1, keepdims=True)
    actions = drawn(truth, random)
    sharp = truth**2.5 / (truth**2.5).sum(axis=1, keepdims=True)
    known, new = slice(0, 8_000), slice(8_000, None)
    mapped = calibrated(sharp[known], actions[known], sharp[new], kind=kind)
    before, after = (calibration_error(values, actions[new]) for values in (sharp[new], mapped))
    assert before.error > 5 * before.by_chance
    assert after.error < 0.35 * before.error
    assert np.array_equal(mapped > 0, allowed[new])
    assert mapped.sum(axis=1) == pytest.approx(np.ones(8_000))
    assert np.abs(mapped - truth[new]).mean() < 0.5 * np.abs(sharp[new] - truth[new]).mean()


def test_the_error_of_true_probabilities_is_that_of_chance() -> None:
    random = np.random.default_rng(3)
    ratios = []
    for _ in range(60):
        truth = random.dirichlet(np.ones(3), size=1_000)
        found = calibration_error(truth, drawn(truth, random))
        ratios.append(found.error / found.by_chance)
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.08)


def test_the_error_by_hand() -> None:
    """Two bins of two: (0.1, 0.3 | no hit) and (0.6, 0.8 | one hit); the other action mirrors it."""
    first = np.array([0.1, 0.8, 0.3, 0.6])
    found = calibration_error(np.stack([first, 1 - first], axis=1), np.array([1, 0, 1, 1]), bins=2)
    assert found.error == pytest.approx((0.4 + 0.4) / 4)
    assert found.by_chance == pytest.approx(np.sqrt(2 / np.pi) * (np.sqrt(0.09 + 0.21) + np.sqrt(0.24 + 0.16)) / 4)


@pytest.mark.parametrize("calibration", CALIBRATIONS)
@pytest.mark.parametrize("method", ["counts", "logistic"])
def test_neither_model_nor_calibration_sees_the_row_they_speak_of(method: str, calibration: str) -> None:
    dataset = rule_log(120)
    dataset = replace(dataset, units=(np.arange(dataset.episode_count) // 2).astype(str))
    fold = unit_folds(dataset.units, 5)[dataset.episode_index]
    for number in (0, 3):
        changed = np.where(fold == number, (dataset.actions + 1) % 3, dataset.actions)
        one, two = (
            estimate_behavior(log, method=method, calibration=calibration)
            for log in (dataset, replace(dataset, actions=changed))
        )
        np.testing.assert_array_equal(one[fold == number], two[fold == number])
        assert not np.allclose(one[fold != number], two[fold != number])


def test_calibration_repairs_a_model_that_cannot_be_right() -> None:
    """A softmax of a rule with thresholds: not calibrated before, calibrated after, and its weights estimate."""
    dataset, target, value = bandit(4_000, 0)
    raw, mapped = (behavior_estimate(dataset, method="logistic", calibration=kind) for kind in ("none", "auto"))
    assert mapped.calibration == "isotonic" and mapped.raw_error == raw.error
    assert raw.error.error > 6 * raw.error.by_chance
    assert mapped.error.error < 0.5 * raw.error.error
    rows = np.arange(len(dataset))

    def ips(propensities: np.ndarray) -> float:
        return float((target[rows, dataset.actions] / propensities * dataset.rewards).mean())

    assert abs(ips(mapped.propensities(dataset)) - value) < 0.1 < abs(ips(raw.propensities(dataset)) - value)
    assert "estimated (logistic, calibrated by isotonic, 5 folds; calibration error 0.0" in mapped.label
    with pytest.raises(DataError, match="beta"):
        behavior_estimate(dataset, calibration="beta")


def covered(logs: int, count: int) -> tuple[int, float]:
    """How often the SNIPS interval with estimated propensities holds the truth, and its mean error."""
    hits, errors = 0, []
    for seed in range(logs):
        dataset, target, value = bandit(count, seed + 5_000)
        propensities = behavior_estimate(dataset).propensities(dataset)
        weights = target[np.arange(count), dataset.actions] / propensities
        found = float(weights @ dataset.rewards / weights.sum())
        error = float((weights * (dataset.rewards - found)).std() / weights.mean() / np.sqrt(count))
        hits += abs(found - value) <= 1.96 * error
        errors.append(found - value)
    return hits, float(np.mean(errors))


def test_a_wrong_model_is_not_chosen_for_what_calibration_makes_of_it() -> None:
    """Calibrated, the softmax is the likelier here; chosen so, intervals of 95 % covered as little as 78 %."""
    dataset, _, _ = bandit(1_000, 5_000)
    softmax, counts = (behavior_estimate(dataset, method=method) for method in ("logistic", "counts"))
    assert softmax.log_likelihood > counts.log_likelihood
    assert behavior_estimate(dataset).method == "counts"


def test_estimated_propensities_estimate_a_known_world() -> None:
    hits, bias = covered(20, 1_000)
    assert abs(bias) < 0.06
    assert stats.binomtest(hits, 20, 0.95, alternative="less").pvalue > 0.01, hits


@pytest.mark.full
def test_intervals_with_estimated_propensities_cover() -> None:
    hits, bias = covered(100, 2_000)
    assert abs(bias) < 0.04
    assert stats.binomtest(hits, 100, 0.95, alternative="less").pvalue > 0.01, hits
