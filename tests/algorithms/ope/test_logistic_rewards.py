"""Two-valued rewards of single decisions: what is fitted is the optimum, and what is chosen predicts other rows."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.ope import linear_model, logistic_rewards
from algorithms.ope.cross_fitting import cross_fit
from algorithms.ope.linear_model import LinearModel
from algorithms.ope.logistic_rewards import APART, Rewarded, fit, held_out_errors, logistic_weights, probability
from algorithms.ope.state_action_models import Transitions
from benchmarks.trust.bandit_errors import single_decisions

ACTIONS, WIDTH = 3, 4


def drawn(rows: int, apart: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features with an intercept, actions, whether the reward was high, and its probability for every action."""
    rng = np.random.default_rng(seed)
    features = np.hstack([np.ones((rows, 1)), rng.normal(size=(rows, WIDTH - 1))])
    chances = probability(features @ (rng.normal(size=WIDTH) + apart * rng.normal(size=(ACTIONS, WIDTH))).T)
    actions = rng.integers(ACTIONS, size=rows)
    return features, actions, (rng.random(rows) < chances[np.arange(rows), actions]).astype(float), chances


def transitions(actions: np.ndarray, rewards: np.ndarray, going: bool = False) -> Transitions:
    rows = np.arange(len(actions))
    return Transitions(rows, rows, actions, rewards, np.full(len(actions), going))


def values(features: np.ndarray, found: Transitions, bounds: tuple[float, float] | None = None) -> np.ndarray:
    """Q̂ of every action at every row, float64 (n, A)."""
    model = LinearModel(features[:, 1:], ACTIONS)
    regression = model.regression(found, np.full((1, len(features), ACTIONS), 1 / ACTIONS), 1.0)
    return model.values(regression.backup(None, bounds), np.arange(len(features)), bounds)[0]


def test_the_shared_intercept_is_free_and_the_slopes_of_the_penalised_likelihood_vanish() -> None:
    features, actions, high, _ = drawn(300, 0.5)
    weights = fit(Rewarded.of(features, actions, high, ACTIONS), 1.0, 10.0, "logistic")
    left = high - probability((features * weights[actions]).sum(axis=1))
    slopes = np.stack([left[actions == each] @ features[actions == each] for each in range(ACTIONS)])
    assert slopes.sum(axis=0)[0] == pytest.approx(0.0, abs=0.02)
    # Σ_a β_a follows from β: at the optimum μ β_a = slope_a and λ β = Σ slope_a but for the intercept.
    shared = slopes.sum(axis=0)[1:] / 1.0
    np.testing.assert_allclose(weights[:, 1:], shared + slopes[:, 1:] / 10.0, atol=0.02)


def test_actions_that_are_alike_are_held_together_and_others_are_not() -> None:
    for seed in range(3):
        alike, apart = (held_out_errors(*drawn(1_500, each, seed)[:3], ACTIONS, 1.0) for each in (0.0, 2.0))
        assert APART[int(np.argmin(alike["logistic"]))] >= 100.0
        assert APART[int(np.argmin(apart["logistic"]))] <= 10.0


def test_the_choice_predicts_the_true_probabilities_better_than_ridge_does(monkeypatch: pytest.MonkeyPatch) -> None:
    features, actions, high, chances = drawn(1_000, 1.5, seed=1)
    found = transitions(actions, high)
    ours = np.abs(values(features, found) - chances).mean()
    monkeypatch.setattr(linear_model, "two_valued", lambda _: False)
    assert ours < 0.6 * np.abs(np.clip(values(features, found), 0.0, 1.0) - chances).mean()


def test_rewards_without_luck_that_a_line_fits_take_the_linear_link() -> None:
    state = np.random.default_rng(0).integers(0, 2, 200)
    features, actions = np.stack([np.ones(200), state, 1.0 - state], axis=1), np.arange(200) % ACTIONS
    found = transitions(actions, -200.0 + 10.0 * state)
    assert logistic_weights(lambda rows: features[rows], found, actions=ACTIONS, ridge=1.0) is None
    np.testing.assert_allclose(values(features, found), np.repeat(found.rewards[:, None], ACTIONS, axis=1), atol=0.2)


def bending(rows: int, choices: int, bend: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """As :func:`drawn`, of two columns, then the hinges of both."""
    rng = np.random.default_rng(seed)
    plain = rng.normal(size=(rows, 2))
    features = np.hstack([plain, *(np.maximum(plain - knot, 0.0) for knot in np.linspace(-1.5, 1.5, 9))])
    lines = features[:, :2] @ (rng.normal(size=(choices, 2))).T
    chances = probability(lines + bend * np.abs(plain[:, :1]) * rng.choice([-1.0, 1.0], size=choices))
    actions = rng.integers(choices, size=rows)
    return features, actions, (rng.random(rows) < chances[np.arange(rows), actions]).astype(float), chances


@pytest.mark.parametrize("seed", range(2))
def test_lines_are_kept_where_logits_are_lines_and_left_where_they_bend(seed: int) -> None:
    straight = np.arange(20) < 2
    for bend, choices, better in ((0.0, 20, True), (2.0, 3, False)):
        features, actions, high, chances = bending(1_200, choices, bend, seed)
        found, policy = transitions(actions, high), np.full((1, 1_200, choices), 1 / choices)
        errors = []
        for columns in (straight, None):
            model = LinearModel(features, choices, straight=columns)
            coefficients = model.regression(found, policy, 1.0).backup(None, None)
            errors.append(np.square(model.values(coefficients, np.arange(1_200), None)[0] - chances).mean())
            if columns is not None:
                assert (np.abs(coefficients[0][:, 3:-2]).max() == 0.0) == better
        assert (errors[0] < 0.8 * errors[1]) if better else (errors[0] == errors[1])


def test_the_two_rewards_may_be_any_and_are_never_left() -> None:
    features, actions, high, _ = drawn(300, 1.0)
    plain = values(features, transitions(actions, high))
    np.testing.assert_allclose(values(features, transitions(actions, 7.0 - 3.0 * high)), 7.0 - 3.0 * plain, atol=1e-2)
    assert 0.0 < plain.min() < plain.max() < 1.0
    assert values(features, transitions(actions, high), (0.2, 0.5)).max() == 0.5


def test_other_rewards_and_decisions_that_go_on_are_regressed_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(linear_model, "logistic_weights", refuse)
    features, actions, high, _ = drawn(60, 1.0)
    for rewards in (np.ones(60), high + np.where(np.arange(60) == 3, 0.5, 0.0)):
        assert np.isfinite(values(features, transitions(actions, rewards))).all()
    assert np.isfinite(values(features, transitions(actions, high, going=True))).all()


@pytest.mark.parametrize("rows", [2, 3, 5])
def test_few_rows_and_actions_that_were_never_taken_have_finite_values(rows: int) -> None:
    features, _, _, _ = drawn(rows, 1.0)
    found = values(features, transitions(np.zeros(rows, dtype=np.int64), np.eye(rows)[0]))
    assert np.isfinite(found).all()
    assert np.abs(found).max() <= 2.0


def test_a_fold_is_fitted_once_whatever_the_policies_and_no_other_row_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    features, actions, high, _ = drawn(150, 1.0)
    log = single_decisions(features[:, 1:], actions, high, np.full(150, 1 / ACTIONS), ACTIONS)
    model, every = LinearModel(np.repeat(features[:, 1:], 2, axis=0), ACTIONS), np.ones(150, dtype=bool)
    asked: list[int] = []
    weights = logistic_rewards.logistic_weights

    def counted(basis, found, **rest):  # type: ignore[no-untyped-def]
        asked.append(len(found.rows))
        return weights(basis, found, **rest)

    monkeypatch.setattr(linear_model, "logistic_weights", counted)
    of = np.random.default_rng(0).dirichlet(np.ones(ACTIONS), size=(3, 300))
    q, v = cross_fit(model, log, of, evaluated=every, folds=3)
    assert asked == [100, 100, 100]
    alone = cross_fit(model, log, of[1:2], evaluated=every, folds=3)
    assert asked == [100, 100, 100]
    np.testing.assert_array_equal(alone[0][0], q[1])
    np.testing.assert_array_equal(alone[1][0], v[1])
    # Another reward of one decision changes no value that its own fold was kept from.
    flipped = high.copy()
    flipped[7] = 1.0 - flipped[7]
    moved = single_decisions(features[:, 1:], actions, flipped, np.full(150, 1 / ACTIONS), ACTIONS)
    other = cross_fit(model, moved, of, evaluated=every, folds=3)[0]
    assert other[0, 7, 0] == q[0, 7, 0]
    assert (other != q).any()
