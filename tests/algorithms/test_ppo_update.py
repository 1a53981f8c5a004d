"""The terms of PPO's loss by hand values, and the advantages by their definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from algorithms.ppo_update import (
    Coefficients,
    clipped_surrogate,
    entropy,
    explained_variance,
    generalized_advantages,
    kl_divergence,
    log_probabilities,
    ppo_losses,
    standardized,
    value_errors,
)


def test_the_clipped_objective_by_hand() -> None:
    """Schulman et al. 2017, figure 1: no reward for moving beyond the clip, and full punishment on the wrong side."""
    ratio = torch.tensor([1.5, 1.1, 0.5, 1.5, 0.5, 0.9], requires_grad=True)
    advantages = torch.tensor([2.0, 2.0, 2.0, -2.0, -2.0, -2.0])
    value = clipped_surrogate(ratio.log(), advantages, 0.2)
    torch.testing.assert_close(value, torch.tensor([2.4, 2.2, 1.0, -3.0, -1.6, -1.8]))
    value.sum().backward()
    torch.testing.assert_close(ratio.grad, torch.tensor([0.0, 2.0, 2.0, -2.0, 0.0, -2.0]))


def test_value_errors_beyond_the_clip_teach_nothing() -> None:
    values = torch.tensor([0.0, 3.0], requires_grad=True)
    errors = value_errors(values, torch.tensor([1.0, 0.0]), 4.0)
    assert errors.tolist() == [1.0, 4.0]
    errors.sum().backward()
    assert values.grad.tolist() == [-2.0, 0.0]


def test_entropy_and_divergence_by_hand() -> None:
    p, q = torch.tensor([[0.5, 0.25, 0.25]]).log(), torch.tensor([[0.25, 0.25, 0.5]]).log()
    assert float(entropy(p)) == pytest.approx(1.5 * math.log(2))
    assert float(kl_divergence(p, q)) == pytest.approx(0.5 * math.log(2) - 0.25 * math.log(2))
    assert float(kl_divergence(p, p)) == 0.0


def test_forbidden_actions_have_no_probability_and_no_gradient() -> None:
    logits = torch.tensor([[0.3, -1.0, 9.0], [0.1, 0.2, 0.3]], dtype=torch.float32, requires_grad=True)
    allowed = torch.tensor([[True, True, False], [True, True, True]])
    log_p = log_probabilities(logits, allowed)
    assert log_p.exp()[0, 2] == 0.0
    torch.testing.assert_close(log_p[0, :2], torch.log_softmax(logits[0, :2], dim=0))
    reference = log_probabilities(torch.tensor([[2.0, 1.0, -7.0], [0.0, 0.0, 0.0]]), allowed)
    losses = ppo_losses(
        log_p,
        torch.zeros(2),
        torch.tensor([0, 2]),
        torch.tensor([-0.5, -1.0]),
        torch.tensor([1.0, -1.0]),
        torch.ones(2),
        Coefficients(entropy_weight=0.1, kl_weight=0.5),
        reference,
    )
    losses.total.backward()
    assert logits.grad[0, 2] == 0.0
    assert (logits.grad[:, :2] != 0.0).all() and torch.isfinite(logits.grad).all()
    assert float(entropy(log_p)[0].detach()) == pytest.approx(
        float(entropy(torch.log_softmax(logits[0, :2].detach(), 0)))
    )


def test_the_loss_is_the_sum_of_its_weighted_parts() -> None:
    random = torch.Generator().manual_seed(0)
    logits, other = torch.randn(64, 4, generator=random), torch.randn(64, 4, generator=random)
    log_p, reference = log_probabilities(logits), log_probabilities(other)
    actions = torch.randint(4, (64,), generator=random)
    old = log_p.gather(1, actions[:, None]).squeeze(1) + 0.3 * torch.randn(64, generator=random)
    values, targets, advantages = (torch.randn(64, generator=random) for _ in range(3))
    weights = Coefficients(clip=0.1, value_weight=0.7, value_clip=1.5, entropy_weight=0.03, kl_weight=2.0)
    losses = ppo_losses(log_p, values, actions, old, advantages, targets, weights, reference)
    ratio = (log_p[torch.arange(64), actions] - old).exp()
    policy = -torch.minimum(ratio * advantages, ratio.clamp(0.9, 1.1) * advantages).mean()
    value = (values - targets).square().clamp(max=1.5).mean()
    disorder = torch.distributions.Categorical(logits=logits)
    divergence = torch.distributions.kl_divergence(disorder, torch.distributions.Categorical(logits=other)).mean()
    total = policy + 0.7 * value - 0.03 * disorder.entropy().mean() + 2.0 * divergence
    torch.testing.assert_close(losses.total, total)
    torch.testing.assert_close(losses.reference_kl, divergence)
    assert float(losses.clipped) == pytest.approx(float(((ratio - 1).abs() > 0.1).float().mean()))
    assert float(losses.kl) > 0.0
    unheld = ppo_losses(log_p, values, actions, old, advantages, targets, weights)
    torch.testing.assert_close(unheld.total, total - 2.0 * divergence)


@given(st.integers(0, 9999), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_advantages_are_the_sum_that_defines_them(seed: int, discount: float, trace: float) -> None:
    """Â_t = Σ_k (γλ)^k δ_{t+k} up to the end of the episode, by brute force, ends of both kinds at random."""
    random = np.random.default_rng(seed)
    steps, count = 9, 4
    rewards, values = random.normal(size=(steps, count)), random.normal(size=(steps + 1, count))
    terminated, truncated = random.random((2, steps, count)) < 0.25
    found = generalized_advantages(rewards, values, terminated, truncated, discount, trace)
    for episode in range(count):
        for start in range(steps):
            total, step = 0.0, start
            while True:
                following = 0.0 if terminated[step, episode] else values[step + 1, episode]
                error = rewards[step, episode] + discount * following - values[step, episode]
                total += (discount * trace) ** (step - start) * error
                if terminated[step, episode] or truncated[step, episode] or step == steps - 1:
                    break
                step += 1
            assert found[start, episode] == pytest.approx(total, abs=1e-9)


def test_without_a_value_function_and_with_a_full_trace_advantages_are_returns() -> None:
    rewards = np.array([[1.0], [2.0], [4.0], [8.0]])
    ended = np.array([[False], [True], [False], [True]])
    found = generalized_advantages(rewards, np.zeros((5, 1)), ended, ended, 0.5, 1.0)
    assert found[:, 0].tolist() == [2.0, 2.0, 8.0, 8.0]
    bootstrapped = generalized_advantages(rewards, np.full((5, 1), 10.0), np.zeros_like(ended), ended, 0.5, 1.0)
    assert (bootstrapped[:, 0] + 10.0).tolist() == [1.0 + 0.5 * 7.0, 7.0, 4.0 + 0.5 * 13.0, 13.0]


def test_standardized_advantages_and_explained_variance() -> None:
    values = np.array([1.0, 2.0, 4.0])
    scaled = standardized(values)
    assert scaled.mean() == pytest.approx(0.0) and scaled.std() == pytest.approx(1.0)
    assert (standardized(np.full(5, 0.1)) == 0.0).all()
    assert explained_variance(values, values + 3.0) == 1.0
    assert explained_variance(values, np.zeros(3)) == 0.0
    assert explained_variance(values, -9.0 * values) == -1.0
    assert explained_variance(np.ones(3), values) == 0.0
