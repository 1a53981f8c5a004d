"""The mathematics of PPO (Schulman et al. 2017): pure functions, of torch tensors but for the advantages (numpy).

With ρ = π(a | x) / π_old(a | x) and Â the advantage that π_old's rollouts gave, one step descends on

    L = − mean min(ρ Â, clip(ρ, 1 − ε, 1 + ε) Â) + c mean (V(x) − R̂)² − h mean H(π(· | x)) + β mean KL(π ‖ π_ref)

where all probabilities, entropies and divergences are over the actions allowed at x alone, and π_ref is a
policy that never moves. Shapes: B rows, A actions; T steps of n episodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

FORBIDDEN = -1e9
"""Logit of an action that is not allowed: its probability is exactly 0 and so is its gradient, and 0 · ln 0 is 0."""


def log_probabilities(logits: torch.Tensor, allowed: torch.Tensor | None = None) -> torch.Tensor:
    """ln softmax of the logits over the allowed actions, (B, A); about −1e9 for the others.

    Args:
        logits: float (B, A).
        allowed: bool (B, A), at least one in each row; all by default.
    """
    masked = logits if allowed is None else logits.masked_fill(~allowed, FORBIDDEN)
    return torch.log_softmax(masked, dim=-1)


def entropy(log_p: torch.Tensor) -> torch.Tensor:
    """H = − Σ p ln p in nats, (B,), of :func:`log_probabilities` (B, A)."""
    return -(log_p.exp() * log_p).sum(dim=-1)


def kl_divergence(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """KL(p ‖ q) = Σ p (ln p − ln q) in nats, (B,), of two :func:`log_probabilities` (B, A) under the same mask."""
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1)


def clipped_surrogate(log_ratio: torch.Tensor, advantages: torch.Tensor, clip: float) -> torch.Tensor:
    """min(ρ Â, clip(ρ, 1 − ε, 1 + ε) Â), (B,), which is to be made large.

    Args:
        log_ratio: ln ρ, float (B,).
        advantages: Â, float (B,).
        clip: ε in (0, 1).
    """
    ratio = log_ratio.exp()
    return torch.minimum(advantages * ratio, advantages * ratio.clamp(1.0 - clip, 1.0 + clip))


def value_errors(values: torch.Tensor, targets: torch.Tensor, clip: float = float("inf")) -> torch.Tensor:
    """min((V − R̂)², clip), (B,). No gradient comes from a row beyond the clip."""
    return (values - targets).square().clamp(max=clip)


@dataclass(frozen=True, slots=True)
class Coefficients:
    """What the terms of the loss weigh.

    Attributes:
        clip: ε of the surrogate, in (0, 1).
        value_weight: c.
        value_clip: largest squared error of the value that is learned from.
        entropy_weight: h.
        kl_weight: β, of the divergence from the reference.
    """

    clip: float = 0.2
    value_weight: float = 0.5
    value_clip: float = float("inf")
    entropy_weight: float = 0.0
    kl_weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Losses:
    """The loss and its parts, means over the batch; scalars.

    Attributes:
        total: L.
        policy: minus the surrogate.
        value: of the (clipped) squared errors.
        entropy: H(π).
        kl: an estimate of KL(π_old ‖ π), the mean of (ρ − 1) − ln ρ (Schulman 2020); never negative.
        reference_kl: KL(π ‖ π_ref), 0 without a reference.
        clipped: share of rows whose ratio left [1 − ε, 1 + ε].
    """

    total: torch.Tensor
    policy: torch.Tensor
    value: torch.Tensor
    entropy: torch.Tensor
    kl: torch.Tensor
    reference_kl: torch.Tensor
    clipped: torch.Tensor


def ppo_losses(
    log_p: torch.Tensor,
    values: torch.Tensor,
    actions: torch.Tensor,
    old_log_p: torch.Tensor,
    advantages: torch.Tensor,
    targets: torch.Tensor,
    coefficients: Coefficients,
    reference_log_p: torch.Tensor | None = None,
) -> Losses:
    """The loss of the module's docstring.

    Args:
        log_p: ln π, :func:`log_probabilities` (B, A) of the present policy.
        values: V(x), (B,).
        actions: int64 (B,).
        old_log_p: ln π_old(a | x) of those actions, (B,).
        advantages: Â, (B,).
        targets: R̂, (B,).
        coefficients: the weights.
        reference_log_p: ln π_ref, (B, A) under the same mask, or ``None``.
    """
    log_ratio = log_p.gather(-1, actions[:, None]).squeeze(-1) - old_log_p
    policy = -clipped_surrogate(log_ratio, advantages, coefficients.clip).mean()
    value = value_errors(values, targets, coefficients.value_clip).mean()
    disorder = entropy(log_p).mean()
    total = policy + coefficients.value_weight * value - coefficients.entropy_weight * disorder
    held = torch.zeros_like(total)
    if reference_log_p is not None:
        held = kl_divergence(log_p, reference_log_p).mean()
        total = total + coefficients.kl_weight * held
    with torch.no_grad():
        ratio = log_ratio.exp()
        moved = (ratio - 1.0 - log_ratio).mean()
        clipped = ((ratio - 1.0).abs() > coefficients.clip).to(total.dtype).mean()
    return Losses(total, policy, value, disorder, moved, held, clipped)


def generalized_advantages(
    rewards: np.ndarray,
    values: np.ndarray,
    terminated: np.ndarray,
    ended: np.ndarray,
    discount: float,
    trace: float,
) -> np.ndarray:
    """Generalised advantage estimation (Schulman et al. 2016), float64 (T, n).

        δ_t = r_t + γ (1 − terminated_t) V(x_{t+1}) − V(x_t),   Â_t = δ_t + γ λ (1 − ended_t) Â_{t+1}

    An end that is no termination (a truncation, or the last step at hand) bootstraps. The target of the
    value function is Â_t + V(x_t).

    Args:
        rewards: float64 (T, n).
        values: V, float64 (T + 1, n); the entry after an end is that of the observation it ended in.
        terminated: bool (T, n), nothing follows.
        ended: bool (T, n), the next entry belongs to another episode; terminated ones count anyway.
        discount: γ in [0, 1].
        trace: λ in [0, 1].
    """
    errors = rewards + discount * np.where(terminated, 0.0, values[1:]) - values[:-1]
    stop = terminated | ended
    advantages = np.zeros_like(errors)
    following = np.zeros(errors.shape[1:])
    for step in range(len(errors) - 1, -1, -1):
        following = errors[step] + discount * trace * np.where(stop[step], 0.0, following)
        advantages[step] = following
    return advantages


def standardized(advantages: np.ndarray) -> np.ndarray:
    """Less their mean, over their standard deviation; all 0 where they do not differ."""
    spread = advantages.std()
    centred = advantages - advantages.mean()
    return centred / spread if spread > 1e-12 else np.zeros_like(centred)


def explained_variance(targets: np.ndarray, values: np.ndarray) -> float:
    """1 − Var(R̂ − V) / Var(R̂): 1 is a perfect value function, 0 no better than a constant; at least −1.

    0 where the targets do not differ.
    """
    spread = float(targets.var())
    if spread <= 1e-24:
        return 0.0
    return max(-1.0, 1.0 - float((targets - values).var()) / spread)
