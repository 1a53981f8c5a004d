"""The expected error is that of all logs there could be, and the model that it is given is the one that DR reads."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from benchmarks.trust import bandit_errors, expected_errors
from benchmarks.trust.expected_errors import our_rewards, variance_given
from benchmarks.trust.request import Request

LOGGED = np.array([[0.5, 0.3, 0.2], [0.4, 0.6, 0.0]])
TARGET = np.array([[0.1, 0.2, 0.7], [0.9, 0.1, 0.0]])
LOW, HIGH = -1.0, 3.0
CHANCES = np.array([[0.2, 0.9, 0.5], [0.6, 0.3, 0.5]])
"""Of the high reward."""
EXPECTED, VARIANCE = LOW + (HIGH - LOW) * CHANCES, (HIGH - LOW) ** 2 * CHANCES * (1.0 - CHANCES)
OFF = np.array([[0.8, -0.5, 0.1], [-1.0, 0.7, 0.4]])


def every_log(modelled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DR of each log of two decisions, and the log's probability."""
    values, chances = [], []
    for log in product(product(range(3), (False, True)), repeat=2):
        value, chance = 0.0, 1.0
        for context, (action, high) in enumerate(log):
            here = context, action
            chance *= LOGGED[here] * (CHANCES[here] if high else 1.0 - CHANCES[here])
            if chance:
                left = (HIGH if high else LOW) - modelled[here]
                value += TARGET[context] @ modelled[context] + TARGET[here] / LOGGED[here] * left
        values.append(value / 2)
        chances.append(chance)
    return np.array(values), np.array(chances)


@pytest.mark.parametrize("scale", [0.0, 1.0, -2.0])
def test_the_variance_is_that_over_all_logs(scale: float) -> None:
    modelled = EXPECTED + scale * OFF
    values, chances = every_log(modelled)
    mean = chances @ values
    assert chances.sum() == pytest.approx(1.0) and mean == pytest.approx((TARGET * EXPECTED).sum() / 2)
    spread = chances @ (values - mean) ** 2
    assert variance_given(modelled, EXPECTED, VARIANCE, LOGGED, TARGET) == pytest.approx(spread)


def test_a_worse_model_has_a_larger_variance() -> None:
    found = [variance_given(EXPECTED + scale * OFF, EXPECTED, VARIANCE, LOGGED, TARGET) for scale in (0.0, 0.5, 1.0)]
    assert 0.0 < found[0] < found[1] < found[2]


def test_the_model_of_all_actions_is_the_one_that_our_estimate_reads() -> None:
    rng = np.random.default_rng(0)
    count = 600
    every, context = np.arange(count), rng.normal(size=(count, 2))
    action = rng.integers(3, size=count)
    reward = (rng.random(count) < 1 / (1 + np.exp(-context[:, 0] * (action - 1.0)))).astype(float)
    log = {"context": context, "action": action, "reward": reward, "pscore": np.full(count, 1 / 3)}
    target = rng.dirichlet(np.ones(3), size=count)
    modelled = our_rewards(**log, choices=3)
    weight = target[every, action] * 3
    value = ((target * modelled).sum(axis=1) + weight * (reward - modelled[every, action])).mean()
    assert value == pytest.approx(bandit_errors.our_estimates(**log, target=target)["doubly_robust"])


def test_a_row_says_how_far_the_models_are_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(index: int, runs: int) -> dict[str, object]:
        return {
            "digits": {"ours": [0.01, 0.03], "obp": [0.02, 0.06], "floor": [0.0, 0.0]},
            "synthetic": {"ours": [0.05, 0.07], "obp": [0.05, 0.06], "floor": [0.02, 0.04]},
        }

    monkeypatch.setattr(expected_errors, "piece", made)
    digits, synthetic = expected_errors.measure(Request(quick=True))
    assert (digits.ours, digits.anchor_value, digits.holds) == (pytest.approx(0.02), pytest.approx(0.04), True)
    assert not synthetic.holds and "difference ± 0.005, floor 0.03" in synthetic.metric
