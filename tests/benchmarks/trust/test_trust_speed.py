"""What speed and memory are measured on: logs that are what they say, and estimates that are really asked for."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.ope.padding import trajectories_from
from algorithms.ope.registry import estimators_for
from benchmarks.trust import large_log, linear_process, speed
from benchmarks.trust.all_estimators import evaluate_all
from envs.columns import save_columns


def test_a_log_is_what_its_policy_drew() -> None:
    dataset = linear_process.log(30_000, 6)
    assert len(dataset) == pytest.approx(30_000, rel=0.02)
    assert dataset.lengths.max() == 6 and (dataset.lengths < 6).mean() == pytest.approx(1 - 0.98**5, abs=0.01)
    assert np.array_equal(dataset.lengths < 6, dataset.terminated[dataset.offsets[1:] - 1] & (dataset.lengths < 6))
    probabilities = linear_process.policy(dataset.observations[dataset.rows], 1.0)
    taken = np.arange(len(dataset)), dataset.actions
    np.testing.assert_array_equal(dataset.propensities, probabilities[taken])
    # Given the state, a policy over behaviour has mean 1 (a martingale); a wrong propensity breaks it.
    other = linear_process.policy(dataset.observations[dataset.rows], 2.0)
    ratio = other[taken] / dataset.propensities - 1.0
    assert abs(ratio.mean()) < 4 * ratio.std() / np.sqrt(len(ratio))


def test_another_policy_is_worth_on_it_what_its_own_log_earns(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = linear_process.log(40_000, 4)
    target = linear_process.policies(dataset, np.array([2.0]))[0]
    weights = trajectories_from(dataset, target[dataset.rows])
    values = weights.weights * weights.returns
    monkeypatch.setattr(linear_process, "LOGGED_SLOPE", 2.0)
    own = linear_process.log(40_000, 4, seed=1)
    earned = own.rewards.sum() / own.episode_count
    error = np.hypot(values.std(), 3.0) / np.sqrt(len(values))
    assert abs(values.mean() - earned) < 4 * error
    assert abs(weights.returns.mean() - earned) > 4 * error


@pytest.mark.parametrize("horizon", [1, 5])
def test_every_policy_is_asked_of_every_estimator_and_class(horizon: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = linear_process.log(1_500 * horizon, horizon)
    of = linear_process.policies(dataset, np.array([1.0, 1.5]))
    found = evaluate_all(dataset, of, folds=2, networks=False)
    assert found.asked == found.answered == 2 * 2 * len(estimators_for(horizon, state_ratios=True))
    far = linear_process.policies(dataset, np.array([1.0])) * 0.0
    far[:, :, 0] = 1.0
    if horizon == 5:
        assert evaluate_all(dataset, far, folds=2, networks=False).answered < found.asked / 2


def test_a_log_on_disk_gives_the_same_answers(tmp_path) -> None:
    dataset = linear_process.log(3_000, large_log.HORIZON)
    save_columns(dataset, tmp_path / "columns")
    found = large_log.evaluate(tmp_path)
    assert found.decisions == len(dataset)
    assert found.asked == 2 * 2 * len(estimators_for(large_log.HORIZON, state_ratios=True))
    assert found.columns > 100 * len(dataset)
    assert found.peak > 50_000_000


def test_rates_are_of_all_policies_and_their_values_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([0.0, 2.0, 1.0, 1.0, 4.0, 1.0, 1.0])
    monkeypatch.setattr(speed, "POLICIES", 4)
    monkeypatch.setattr(speed, "SLOPES", np.arange(4.0))
    monkeypatch.setattr(
        speed, "_values", lambda dataset, of, settings: (next(seconds), of[:, :7, 0] + 1e-3 * (len(of) == 1))
    )
    rate, same = speed.networks(32, quick=True)
    assert (rate.ours, rate.anchor_value) == (4 / 3, 1.0)
    assert not rate.holds
    assert same.ours == pytest.approx(1e-3) and not same.holds
