"""What a rule that leaves nothing to chance never took is told from what a rule that explores takes seldom."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from envs.build import dataset_from_records
from envs.dataset import Dataset
from envs.untried import behavior_probabilities, untried_actions
from tests.envs.samples import KEY, specification
from tests.envs.test_behavior import tabular

ACTIONS = 3


def drawn(rows: np.ndarray, probabilities: np.ndarray, seed: int = 0) -> Dataset:
    """One-decision episodes (N, 2) that took what the probabilities (N, A) gave, none of them logged."""
    count = len(rows)
    base = dataset_from_records(specification(horizon=1), [], KEY)[0]
    draws = np.random.default_rng([seed, 1]).random(count)[:, None]
    empty = np.full((count, ACTIONS), np.nan)
    return replace(
        base,
        offsets=np.arange(count + 1),
        observations=np.repeat(rows, 2, axis=0),
        allowed=np.ones((2 * count, ACTIONS), dtype=bool),
        actions=np.minimum((draws > probabilities.cumsum(axis=1)).sum(axis=1), ACTIONS - 1),
        units=np.arange(count).astype(str),
        propensities=np.full(count, np.nan),
        action_probabilities=empty,
    )


def thresholds(rows: np.ndarray) -> np.ndarray:
    return np.where((rows[:, 0] > 0.6) & (rows[:, 1] > -0.3), 2, np.where(rows[:, 0] < -0.8, 0, 1))


def slanted(rows: np.ndarray) -> np.ndarray:
    return (rows @ np.array([[1.0, -0.3, 0.1], [0.2, 0.9, -0.8]])).argmax(axis=1)


def round_rule(rows: np.ndarray) -> np.ndarray:
    return np.where((rows**2).sum(axis=1) > 1.3, 2, 0)


def states(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 2))


@pytest.mark.parametrize("rule", [thresholds, slanted, round_rule])
def test_of_a_rule_without_chance_the_other_actions_are_untried(rule) -> None:
    rows = states(1_500)
    certain = np.eye(ACTIONS)[rule(rows)]
    dataset = drawn(rows, certain)
    untried = untried_actions(dataset)
    assert untried is not None
    assert untried[certain == 1.0].mean() < 0.01
    # Of the two other actions of each decision, all but those at the rule's edges.
    assert untried[certain == 0.0].mean() > (0.9 if rule is round_rule else 0.98)
    found = behavior_probabilities(dataset, believed=False)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    assert (found[certain == 1.0] > 0.0).all(), "what was taken had a chance"
    astray = untried[certain == 1.0]
    assert astray.any() or rule is thresholds
    assert (found[certain == 1.0][astray] == 1.0).all(), "where likeness errs no weight is drawn from it"
    assert (found[certain == 1.0] == 1.0).mean() > (0.7 if rule is round_rule else 0.97)


@pytest.mark.parametrize("rule", [thresholds, slanted])
@pytest.mark.parametrize("explore", [0.05, 0.3])
def test_of_a_rule_that_explores_none_is(rule, explore: float) -> None:
    rows = states(1_500, seed=1)
    probabilities = (1 - explore) * np.eye(ACTIONS)[rule(rows)] + explore / ACTIONS
    assert all(untried_actions(drawn(rows, probabilities, seed)) is None for seed in range(2))


def test_of_a_softmax_that_is_nearly_sure_in_places_none_is() -> None:
    rows = states(1_500, seed=2)
    logits = 6.0 * rows @ np.random.default_rng(0).normal(size=(2, ACTIONS))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert (probabilities.max(axis=1) > 0.99).mean() > 0.1
    assert untried_actions(drawn(rows, probabilities)) is None


def test_a_sample_tells_of_a_long_log_and_all_of_it_is_answered() -> None:
    rows = states(8_400, seed=3)
    certain = np.eye(ACTIONS)[thresholds(rows)]
    untried = untried_actions(drawn(rows, certain))
    assert untried is not None and untried[certain == 0.0].mean() > 0.99


def test_named_states_tell_of_themselves_alone() -> None:
    random = np.random.default_rng(0)
    codes = np.append(random.integers(5, size=600), 77)
    untried = untried_actions(tabular(codes, np.where(codes < 3, 0, 1)))
    assert untried is not None
    np.testing.assert_array_equal(untried[:-1, :2], np.stack([codes >= 3, codes < 3], axis=1)[:-1])
    assert not untried[-1].any(), "no other decision was in that state"
    mixed = np.where(random.random(601) < 0.05, 2, np.where(codes < 3, 0, 1))
    explored = untried_actions(tabular(codes, mixed))
    assert explored is None or not explored[:-1, 2].any()


def test_what_was_forbidden_is_not_called_untried() -> None:
    rows = states(600)
    dataset = drawn(rows, np.eye(ACTIONS)[np.where(rows[:, 0] > 0.0, 1, 0)])
    allowed = dataset.allowed.copy()
    allowed[:, 2] = False
    untried = untried_actions(replace(dataset, allowed=allowed))
    assert untried is not None and not untried[:, 2].any() and untried[:, :2].any()


def test_believed_propensities_stand_and_say_that_others_had_a_chance() -> None:
    rows = states(800)
    dataset = drawn(rows, np.eye(ACTIONS)[thresholds(rows)])
    some = replace(dataset, propensities=np.where(np.arange(800) % 4 == 0, 0.9, np.nan))
    taken = np.arange(800), dataset.actions
    found = behavior_probabilities(some, believed=True)
    np.testing.assert_allclose(found[taken][::4], 0.9)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    assert (found[::4] > 0.0).all() and (found[1::4] == 0.0).any(axis=1).mean() > 0.9
    doubted = behavior_probabilities(some, believed=False)
    assert (doubted[::4] == 0.0).any(axis=1).mean() > 0.9
