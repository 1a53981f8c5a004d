"""The behaviour estimate is near the truth, never sees the row it speaks of, and respects the masks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from envs.behavior import estimate_behavior, state_counts, unit_folds
from envs.build import dataset_from_records
from envs.dataset import Dataset
from envs.errors import DataError
from envs.logistic import fit_logistic, logistic_probabilities, minimize
from envs.observation import ObservationField, ObservationSpecification
from tests.envs.samples import KEY, numbered, simulated, specification


def rule_log(episodes: int = 800, explore: float = 0.3) -> Dataset:
    declared, records = simulated(episodes=episodes, explore=explore)
    return dataset_from_records(declared, numbered(records), KEY)[0]


def tabular(states: np.ndarray, actions: np.ndarray) -> Dataset:
    """One-decision episodes of an integer observation."""
    count = len(states)
    base = dataset_from_records(
        specification(observation=ObservationSpecification("int", (ObservationField("state", "integer"),)), horizon=1),
        [],
        KEY,
    )[0]
    rows = np.column_stack([states, np.full(count, np.nan)]).reshape(-1, 1)
    return replace(
        base,
        offsets=np.arange(count + 1),
        observations=rows.astype(float),
        allowed=np.ones((2 * count, 3), dtype=bool),
        actions=actions,
        units=np.arange(count).astype(str),
    )


def test_counts_are_near_the_truth_in_a_discrete_world() -> None:
    random = np.random.default_rng(0)
    table = random.dirichlet(np.ones(3), size=6)
    states = random.integers(6, size=12_000)
    actions = np.array([random.choice(3, p=table[state]) for state in states])
    estimate = estimate_behavior(tabular(states, actions))
    np.testing.assert_allclose(estimate.sum(axis=1), 1.0)
    np.testing.assert_allclose(estimate, table[states], atol=0.045)


@pytest.mark.parametrize("method", ["auto", "counts", "logistic"])
def test_a_threshold_rule_is_recovered(method: str) -> None:
    dataset = rule_log()
    estimate = estimate_behavior(dataset, method=method)
    error = np.abs(estimate - dataset.action_probabilities).sum(axis=1).mean() / 2
    # A softmax cannot be flat on both sides of a threshold; counts can.
    assert error < (0.15 if method == "logistic" else 0.08)


def test_auto_is_the_more_likely_of_the_two() -> None:
    dataset = rule_log(200)
    rows = np.arange(len(dataset))

    def likelihood(method: str) -> float:
        estimate = estimate_behavior(dataset, method=method, calibration="none")
        return float(np.log(estimate[rows, dataset.actions]).mean())

    assert likelihood("auto") == max(likelihood("counts"), likelihood("logistic"))


@pytest.mark.parametrize("method", ["counts", "logistic"])
def test_a_row_does_not_see_its_own_unit(method: str) -> None:
    dataset = rule_log(60)
    fold = unit_folds(dataset.units, 5)[dataset.episode_index]
    changed = np.where(fold == 2, (dataset.actions + 1) % 3, dataset.actions)
    other = replace(dataset, actions=changed)
    one, two = estimate_behavior(dataset, method=method), estimate_behavior(other, method=method)
    np.testing.assert_array_equal(one[fold == 2], two[fold == 2])
    assert not np.allclose(one[fold != 2], two[fold != 2])


def test_units_are_not_torn_and_folds_are_even() -> None:
    units = np.repeat([f"u{index}" for index in range(53)], 3)
    folds = unit_folds(units, 5)
    assert all(len(set(folds[units == unit])) == 1 for unit in set(units))
    assert np.bincount(folds).min() >= 30
    assert set(unit_folds(np.array(["a", "b", "c"]), 5)) == {0, 1, 2}


@pytest.mark.parametrize("method", ["counts", "logistic"])
def test_what_was_not_allowed_has_probability_zero(method: str) -> None:
    dataset = rule_log(60)
    allowed = np.ones((len(dataset) + dataset.episode_count, 3), dtype=bool)
    forbidden = (dataset.actions + 1) % 3
    allowed[dataset.rows, forbidden] = False
    estimate = estimate_behavior(replace(dataset, allowed=allowed), method=method)
    np.testing.assert_allclose(estimate.sum(axis=1), 1.0)
    assert (estimate[np.arange(len(dataset)), forbidden] == 0.0).all()
    assert (estimate[np.arange(len(dataset)), dataset.actions] > 0.0).all()


def test_a_state_never_seen_elsewhere_has_no_counts_and_the_overall_frequencies() -> None:
    states = np.array([5] + [1] * 99)
    dataset = tabular(states, np.array([0] + [2] * 99))
    assert state_counts(dataset)[0].tolist() == [0, 0, 0]
    estimate = estimate_behavior(dataset)
    assert np.isfinite(estimate).all() and estimate[0, 2] > 0.95


def test_one_unit_cannot_be_cross_fitted() -> None:
    dataset = rule_log(10)
    with pytest.raises(DataError, match="independent unit"):
        estimate_behavior(replace(dataset, units=np.full(10, "same")))
    with pytest.raises(DataError, match="guess"):
        estimate_behavior(dataset, method="guess")


def test_the_logistic_fit_is_the_optimum() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(4000, 3))
    truth = random.normal(size=(4, 3))
    allowed = np.ones((4000, 3), dtype=bool)
    probabilities = logistic_probabilities(features, truth, allowed)
    actions = np.array([random.choice(3, p=row) for row in probabilities])
    weights = fit_logistic(features, actions, allowed, ridge=1.0)
    fitted = logistic_probabilities(features, weights, allowed)
    assert np.abs(fitted - probabilities).mean() < 0.02
    taken = np.eye(3)[actions]
    gradient = features.T @ (fitted - taken) / 4000 + weights[:-1] / 4000
    assert np.abs(gradient).max() < 1e-4
    np.testing.assert_allclose(fitted.mean(axis=0), taken.mean(axis=0), atol=1e-4)


def test_minimize_solves_a_badly_scaled_quadratic() -> None:
    scales = np.array([1.0, 100.0, 1e4])
    goal = np.array([3.0, -2.0, 0.5])

    def quadratic(point: np.ndarray) -> tuple[float, np.ndarray]:
        return float(0.5 * (scales * (point - goal) ** 2).sum()), scales * (point - goal)

    np.testing.assert_allclose(minimize(quadratic, np.zeros(3), iterations=200, tolerance=1e-9), goal, atol=1e-6)
