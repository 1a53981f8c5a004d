"""The least standard error of a difference: what it is, and that without it a rare loss passes as a gain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from algorithms.ope.expected_error import at_least_expected, expected_standard_error, residual_variances
from algorithms.ope.multiple_testing import SAME, corrected
from algorithms.ope.overlap import NO_RULE, OverlapRule
from algorithms.ope.paired import paired_estimate
from algorithms.ope.segment_effects import Segmentation, segment_effects
from algorithms.ope.trajectories import Trajectories
from envs.errors import DataError

STEP, RARE = 0.1, 1 / 30
"""Size of the candidate's step towards an action, and the log's probability of that action."""


def steps(rng: np.random.Generator, episodes: int, horizon: int, rewards: np.ndarray) -> tuple[Trajectories, ...]:
    """Episodes of the champion's log under a candidate that takes the rare action more often, and under itself."""
    hit = rng.random((episodes, horizon)) < RARE
    ratios = np.where(hit, np.log(((1 - STEP) * RARE + STEP) / RARE), np.log(1 - STEP))
    q, v = np.full(rewards.shape, rewards.mean()), np.full((episodes, horizon + 1), rewards.mean())
    v[:, -1] = 0.0
    v[:, :-1] *= np.arange(horizon, 0, -1)
    q = q * np.arange(horizon, 0, -1)
    active = np.ones(rewards.shape, dtype=bool)
    champion = Trajectories(rewards, np.zeros(rewards.shape), active, 1.0, q, v)
    return replace(champion, log_ratios=ratios), champion


def test_the_figures_of_two_episodes_by_hand() -> None:
    champion = Trajectories(
        rewards=np.array([[1.0, 3.0], [5.0, 0.0]]),
        log_ratios=np.zeros((2, 2)),
        active=np.array([[True, True], [True, False]]),
        discount=0.5,
        q_values=np.array([[2.0, 1.0], [1.0, 0.0]]),
        v_values=np.array([[0.0, 2.0, 0.0], [0.0, 0.0, 0.0]]),
    )
    candidate = replace(champion, log_ratios=np.log(np.array([[2.0, 3.0], [0.5, 1.0]])))
    # Residuals: 1 + .5 * 2 - 2 = 0 and 5 - 1 = 4 at the first step, 3 - 1 = 2 at the second.
    variances = residual_variances(champion)
    assert variances == pytest.approx([8.0, 4.0])
    # Weights are 2 and .5, then 6 (the second episode has ended): apart by 1, -.5 and 5.
    expected = (1.0 + 0.25) / 2 * 8.0 + 0.25 * 25.0 / 2 * 4.0
    assert expected_standard_error(candidate, champion, variances) == pytest.approx(np.sqrt(expected / 2))


def test_where_residuals_are_alike_it_is_the_standard_error() -> None:
    rng = np.random.default_rng(0)
    candidate, champion = steps(rng, 40_000, 3, rng.normal(size=(40_000, 3)))
    own = paired_estimate(candidate, champion, overlap=NO_RULE).diagnostics["standard_error"]
    assert expected_standard_error(candidate, champion, residual_variances(champion)) == pytest.approx(own, rel=0.03)


def test_equal_policies_are_the_same_whatever_rounding_says() -> None:
    rng = np.random.default_rng(1)
    _, champion = steps(rng, 300, 4, rng.normal(size=(300, 4)))
    assert champion.q_values is not None
    other = replace(
        champion,
        q_values=champion.q_values * (1 + 1e-14 * rng.normal(size=(300, 4))),
        log_ratios=1e-15 * rng.normal(size=(300, 4)),
    )
    raw, variances = paired_estimate(other, champion), residual_variances(champion)
    assert expected_standard_error(other, champion, variances) > 0.0
    cleaned = at_least_expected(raw, other, champion, variances)
    assert (cleaned.value, cleaned.lower, cleaned.upper) == (0.0, 0.0, 0.0)
    assert corrected([cleaned])[0].verdict == SAME


def test_a_small_difference_is_no_rounding() -> None:
    rng = np.random.default_rng(2)
    candidate, champion = steps(rng, 300, 4, rng.normal(size=(300, 4)))
    slight = replace(candidate, log_ratios=1e-4 * candidate.log_ratios)
    found = at_least_expected(paired_estimate(slight, champion), slight, champion, residual_variances(champion))
    assert found.value != 0.0
    assert corrected([found])[0].verdict != SAME


def test_the_own_error_stays_where_it_is_larger() -> None:
    rng = np.random.default_rng(3)
    candidate, champion = steps(rng, 300, 2, rng.normal(size=(300, 2)))
    raw = paired_estimate(candidate, champion, overlap=NO_RULE)
    found = at_least_expected(raw, candidate, champion, np.zeros(2))
    assert found.diagnostics["standard_error"] == raw.diagnostics["standard_error"]
    found = at_least_expected(raw, candidate, champion, np.full(2, 1e6))
    assert found.diagnostics["standard_error"] > 100 * raw.diagnostics["standard_error"]
    assert found.diagnostics["own_standard_error"] == raw.diagnostics["standard_error"]


def test_a_refusal_stays_a_refusal() -> None:
    rng = np.random.default_rng(4)
    candidate, champion = steps(rng, 30, 2, rng.normal(size=(30, 2)))
    raw = paired_estimate(candidate, champion)
    assert raw.refused
    assert at_least_expected(raw, candidate, champion, residual_variances(champion)) is raw
    with pytest.raises(DataError, match="model"):
        residual_variances(replace(champion, q_values=None))


def test_segments_without_a_catastrophe_by_chance_are_not_shown_to_gain() -> None:
    rng = np.random.default_rng(5)
    segments, size, logs = 12, 400, 60
    labels = np.repeat(np.arange(segments).astype(str), size)
    segmentation = Segmentation("tenant", labels)
    naive = careful = 0
    for _ in range(logs):
        # Actions change nothing: every claim is false. One decision in fifty costs 10.
        shape = (segments * size, 1)
        rewards = -10.0 * (rng.random(shape) < 0.02) - rng.exponential(0.3, shape)
        candidate, champion = steps(rng, segments * size, 1, rewards)
        found = list(segment_effects(candidate, champion, segmentation, overlap=OverlapRule(43.0, 0.1)).values())
        careful += any(effect.verdict in ("better", "worse") for effect in corrected(found))
        own = [
            replace(each, diagnostics={"standard_error": each.diagnostics.get("own_standard_error", 0.0)})
            for each in found
        ]
        naive += any(effect.verdict in ("better", "worse") for effect in corrected(own))
    assert naive > 0.3 * logs
    assert careful <= 0.05 * logs
