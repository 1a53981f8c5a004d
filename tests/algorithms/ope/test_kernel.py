"""Continuous actions: the smoothed policy is a density, its value is unbiased, and the bias of smoothing is covered."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from algorithms.ope.kernel import ContinuousLog, continuous_trajectories, kernel_value, smoothed_value
from algorithms.ope.kernel_policy import KernelPolicy
from algorithms.ope.overlap import NO_RULE
from envs.errors import DataError
from envs.record import DecisionRecord
from tests.snippets import run, snippets

PAGE = Path(__file__).parents[3] / "docs" / "estimators" / "kernel.md"

LOW, HIGH = np.array([0.0, -1.0]), np.array([2.0, 1.0])


def response(states, actions):
    """Mean reward of actions (N, Q, 2) at states (N,): curved, not a quadratic."""
    aim = 1.0 + 0.5 * states[:, None]
    return np.cos(1.5 * (actions[..., 0] - aim)) - 0.5 * actions[..., 1] ** 2 + 0.3 * actions[..., 0] * actions[..., 1]


def draw(seed, count=4_000, noise=0.3):
    """Logged uniformly over the box with probability .3, else near the middle; the density is exact."""
    rng = np.random.default_rng(seed)
    states = rng.uniform(-1, 1, count)
    base = KernelPolicy(np.tile([1.0, 0.0], (count, 1)), np.array([0.9, 0.9]), LOW, HIGH)
    uniform = rng.random(count) < 0.3
    actions = np.where(uniform[:, None], rng.uniform(LOW, HIGH, (count, 2)), base.sample(rng))
    densities = 0.3 / np.prod(HIGH - LOW) + 0.7 * np.exp(base.log_density(actions))
    rewards = response(states, actions[:, None, :])[:, 0] + noise * rng.standard_normal(count)
    return states, ContinuousLog(actions, densities, rewards, LOW, HIGH)


def target(states):
    return np.stack([1.0 + 0.3 * states, 0.2 * states], axis=1)


def truth(centers_of, policy_of=None):
    """By quadrature over states: of the deterministic policy, or of a smoothed one."""
    states = np.linspace(-1, 1, 401)
    centers = centers_of(states)
    if policy_of is None:
        values = response(states, centers[:, None, :])[:, 0]
    else:
        nodes, weights = policy_of(centers).quadrature()
        values = (response(states, nodes) * weights).sum(axis=1)
    return float(np.trapezoid(values, states) / 2)


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 2), st.floats(0.05, 5))
def test_the_smoothed_policy_is_a_density_on_the_box(center, bandwidth):
    policy = KernelPolicy(np.array([[center]]), np.array([bandwidth]), np.array([0.0]), np.array([2.0]))
    density = lambda a: float(np.exp(policy.log_density(np.array([[a]])))[0])  # noqa: E731
    edges = np.clip([center - bandwidth, center + bandwidth], 0, 2)
    assert integrate.quad(density, *edges)[0] == pytest.approx(1.0, abs=1e-6)
    assert density(edges[0] - 1e-6) == density(edges[1] + 1e-6) == 0.0
    nodes, weights = policy.quadrature()
    for power in (1, 2, 5):
        moment = integrate.quad(lambda a, k: a**k * density(a), *edges, args=(power,))[0]
        assert (nodes[0, :, 0] ** power @ weights[0]) == pytest.approx(moment, rel=1e-6, abs=1e-9)


def test_samples_follow_the_density():
    policy = KernelPolicy(np.full((20_000, 1), 1.7), np.array([0.8]), np.array([0.0]), np.array([2.0]))
    drawn = policy.sample(np.random.default_rng(0))[:, 0]
    nodes, weights = policy.quadrature()
    mean, square = nodes[0, :, 0] @ weights[0], nodes[0, :, 0] ** 2 @ weights[0]
    assert drawn.max() <= 2.0
    assert drawn.mean() == pytest.approx(mean, abs=0.01) and (drawn**2).mean() == pytest.approx(square, abs=0.02)


@pytest.mark.parametrize("name", ["ips", "snips", "doubly_robust", "doubly_robust_shrinkage"])
def test_the_value_of_a_smoothed_policy_is_covered(name):
    def policy(centers):
        return KernelPolicy(centers, np.array([0.5, 0.5]), LOW, HIGH)

    true, hits = truth(target, policy), 0
    for seed in range(120):
        states, log = draw(seed, 1_500)
        found = smoothed_value(
            log,
            policy(target(states)),
            name=name,
            model=lambda actions, states=states: 0.7 * response(states, actions),
        )
        hits += found.lower <= true <= found.upper
    assert stats.binomtest(hits, 120, 0.95, alternative="less").pvalue > 0.01


def coverage(logs, modelled, count=3_000):
    true, hits, widths = truth(target), 0, []
    for seed in range(logs):
        states, log = draw(seed, count)
        model = (lambda actions, states=states: 0.7 * response(states, actions) + 0.1) if modelled else None
        found = kernel_value(log, target(states), model=model)
        hits += found.lower <= true <= found.upper
        widths.append(found.upper - found.lower)
    return hits, float(np.mean(widths))


@pytest.mark.parametrize("modelled", [False, True])
def test_the_value_of_a_deterministic_policy_is_covered(modelled):
    hits, width = coverage(100, modelled)
    assert stats.binomtest(hits, 100, 0.95, alternative="less").pvalue > 0.01
    assert width < 0.6


@pytest.mark.full
@pytest.mark.parametrize("modelled", [False, True])
def test_it_is_covered_over_2000_logs(modelled):
    hits, _ = coverage(2_000, modelled)
    assert stats.binomtest(hits, 2_000, 0.95, alternative="less").pvalue > 0.01


def test_without_its_bias_the_interval_would_not_cover():
    """Why B is added: the wide kernel alone misses a curved response."""
    true, hits = truth(target), 0
    for seed in range(60):
        states, log = draw(seed, 3_000)
        found = smoothed_value(log, KernelPolicy(target(states), log.scale * 2.0, LOW, HIGH))
        hits += found.lower <= true <= found.upper
    assert hits < 30


def test_more_decisions_narrow_the_kernel_and_the_error():
    states, small = draw(1, 1_000)
    more_states, large = draw(1, 64_000)
    first, second = kernel_value(small, target(states)), kernel_value(large, target(more_states))
    assert second.diagnostics["bandwidth"] < first.diagnostics["bandwidth"]
    assert abs(second.value - truth(target)) < second.upper - second.lower < 0.5 * (first.upper - first.lower)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_units_of_the_action_are_nothing(first, second):
    states, log = draw(3, 1_500)
    units = np.array([first, second])
    low = np.minimum(LOW * units, log.actions.min(0) * units)
    high = np.maximum(HIGH * units, log.actions.max(0) * units)
    other = ContinuousLog(log.actions * units, log.densities / units.prod(), log.rewards, low, high)
    ours, theirs = kernel_value(log, target(states)), kernel_value(other, target(states) * units)
    assert theirs.value == pytest.approx(ours.value, rel=1e-6)
    assert theirs.upper - theirs.lower == pytest.approx(ours.upper - ours.lower, rel=1e-6)


def test_a_policy_that_the_log_reaches_nowhere_is_refused_with_the_figure():
    _, log = draw(4, 400)
    away = np.tile([2.0, 1.0], (400, 1))
    found = kernel_value(log, away)
    assert "effective units" in found.refused and np.isnan(found.value)
    assert np.isfinite(kernel_value(log, away, force=True).value)
    assert kernel_value(log, away, force=True).refused


@pytest.mark.parametrize("centers", [np.ones((1, 2)), np.ones((39, 2)), np.ones((40, 1))])
def test_a_policy_is_of_the_decisions_of_the_log(centers):
    """One row for all would be taken as the same action everywhere, without a word."""
    _, log = draw(0, 40)
    for value in (kernel_value, lambda log, one: smoothed_value(log, KernelPolicy(one, np.ones(2), LOW, HIGH))):
        with pytest.raises(DataError, match="give one row of numbers for each decision"):
            value(log, centers)


def test_sequences_multiply_the_ratios():
    states, log = draw(5, 300)
    pairs = replace(log, offsets=np.arange(0, 301, 3), discount=0.9)
    policy = KernelPolicy(target(states), np.array([1.5, 1.5]), LOW, HIGH)
    single, together = continuous_trajectories(log, policy), continuous_trajectories(pairs, policy)
    assert together.weights == pytest.approx(single.weights.reshape(-1, 3).prod(axis=1))
    assert together.returns == pytest.approx(log.rewards.reshape(-1, 3) @ [1, 0.9, 0.81])
    assert smoothed_value(pairs, policy, name="pdis", overlap=NO_RULE).units == 100
    with pytest.raises(DataError, match="smoothed_value"):
        kernel_value(pairs, target(states))


def test_records_become_a_log():
    record = DecisionRecord(
        event_id="e1",
        agent="optimization",
        observation={"load": 1.0},
        action={"memory": 0.5, "cpu": 1.5},
        propensity=0.8,
        reward=-1.0,
    )
    log = ContinuousLog.from_records([record], {"cpu": 0.0, "memory": -1.0}, {"cpu": 2.0, "memory": 1.0})
    assert log.actions.tolist() == [[1.5, 0.5]] and log.densities.tolist() == [0.8]
    with pytest.raises(DataError, match=r"not an object of cpu"):
        ContinuousLog.from_records([record], {"cpu": 0.0}, {"cpu": 2.0})
    with pytest.raises(DataError, match="no density"):
        ContinuousLog.from_records(
            [replace(record, propensity=None)], {"cpu": 0.0, "memory": -1.0}, {"cpu": 2.0, "memory": 1.0}
        )
    for change, words in (({"mode": "shadow"}, "did not act"), ({"episode_id": "one", "step": 2}, "step 2 of an ep")):
        with pytest.raises(DataError, match=words):  # its reward is that of another action, or not its own alone
            ContinuousLog.from_records(
                [record, replace(record, event_id="e2", **change)],
                {"cpu": 0.0, "memory": -1.0},
                {"cpu": 2.0, "memory": 1.0},
            )
    with pytest.raises(DataError, match="out of range"):
        ContinuousLog.from_records([record], {"cpu": 0.0, "memory": -1.0}, {"cpu": 1.0, "memory": 1.0})


def test_the_page_runs():
    states, log = draw(6)
    given = {"actions": log.actions, "densities": log.densities, "rewards": log.rewards, "low": LOW, "high": HIGH}
    (block,) = snippets(PAGE)
    found, _ = run(block.statements, {**given, "wanted": target(states)}, block.place)
    assert found["exact_policy"].usable and found["served"].usable
    assert found["exact_policy"].lower < found["served"].lower  # the bias of the smoothing is counted in
