"""How far actions may differ is chosen by the log, and by leave-one-out error as it should be."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.ope.action_ridge import ActionRidge, penalty_apart

ACTIONS, WIDTH = 5, 6


def log(difference: float, rows: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features with an intercept, actions, and rewards whose slopes differ so much between actions."""
    rng = np.random.default_rng(seed)
    features = np.hstack([np.ones((rows, 1)), rng.normal(size=(rows, WIDTH - 1))])
    actions = rng.integers(ACTIONS, size=rows)
    slopes = rng.normal(size=WIDTH) + difference * rng.normal(size=(ACTIONS, WIDTH))
    return features, actions, (features * slopes[actions]).sum(axis=1) + rng.normal(size=rows)


def sums(features: np.ndarray, actions: np.ndarray, rewards: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    of = [actions == action for action in range(ACTIONS)]
    return np.stack([features[i].T @ features[i] for i in of]), np.stack([features[i].T @ rewards[i] for i in of])


def chosen(features: np.ndarray, actions: np.ndarray, rewards: np.ndarray, ridge: float = 1.0) -> float:
    grams, sides = sums(features, actions, rewards)
    return penalty_apart(grams, sides, float(rewards @ rewards), len(rewards), ridge)


def test_actions_that_are_alike_are_held_together_and_others_are_not() -> None:
    assert [chosen(*log(0.0, seed=seed)) for seed in range(5)] == [1_000.0] * 5
    assert all(chosen(*log(2.0, seed=seed)) <= 10.0 for seed in range(5))
    assert chosen(*log(0.0), ridge=0.1) == pytest.approx(100.0)


def test_the_level_of_the_rewards_and_their_unit_change_nothing() -> None:
    features, actions, rewards = log(0.3)
    found = chosen(features, actions, rewards)
    assert chosen(features, actions, rewards * 1e-3) == found
    assert chosen(features, actions, rewards + 1e3) == pytest.approx(found)


def test_the_choice_predicts_other_rows_about_as_well_as_the_best_in_hindsight() -> None:
    for difference in (0.0, 0.2, 1.0):
        features, actions, rewards = log(difference, rows=5_000, seed=3)
        errors = {}
        grams, sides = sums(features[:300], actions[:300], rewards[:300])
        for penalty in (1.0, 10.0, 100.0, 1_000.0):
            weights = ActionRidge(grams, 1.0, penalty).solve(sides[..., None])[..., 0]
            left = rewards[300:] - (features[300:] * weights[actions[300:]]).sum(axis=1)
            errors[penalty] = float(left @ left)
        mine = errors[chosen(features[:300], actions[:300], rewards[:300])]
        assert mine <= 1.05 * min(errors.values())


def test_by_default_an_action_differs_at_the_price_of_everything_else() -> None:
    features, actions, rewards = log(1.0)
    grams, sides = sums(features, actions, rewards)
    plain, same = ActionRidge(grams, 2.0), ActionRidge(grams, 2.0, 2.0)
    np.testing.assert_array_equal(plain.solve(sides[..., None]), same.solve(sides[..., None]))
    apart = ActionRidge(grams, 2.0, 1e9).solve(sides[..., None])[..., 0]
    np.testing.assert_allclose(apart, np.repeat(apart[:1], ACTIONS, axis=0), atol=1e-5)
