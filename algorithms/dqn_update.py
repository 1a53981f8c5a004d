"""The update rule of conservative deep Q-learning: pure functions on torch tensors.

Shapes: n rows, A actions. Values are float (n, A), masks bool (n, A), actions int64 (n,), all else float (n,).
A masked-out action is never chosen, never bootstrapped from, and no part of the penalty.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import huber_loss, mse_loss


def best_actions(values: Tensor, allowed: Tensor | None) -> Tensor:
    """argmax_a Q(s, a) over the allowed actions (the first of equals), int64 (n,)."""
    return (values if allowed is None else values.masked_fill(~allowed, -torch.inf)).argmax(dim=-1)


def pick(values: Tensor, actions: Tensor) -> Tensor:
    """Q(s, a) of one action a row, (n,)."""
    return values.gather(-1, actions[:, None]).squeeze(-1)


def improved(values: Tensor, allowed: Tensor | None, margin: float) -> Tensor:
    """Where the mass of each action b moves, int64 (n, A).

        m(s, b) = argmax_a Q(s, a) where max_a Q(s, a) − Q(s, b) > margin, else b

    Q-values that are not numbers move nothing.
    """
    best = best_actions(values, allowed)[:, None]
    gain = values.gather(-1, best) - values
    stay = torch.arange(values.shape[-1]).expand_as(values)
    return torch.where(gain > margin, best, stay)


def next_values(
    chooser: Tensor,
    target: Tensor,
    allowed: Tensor | None,
    *,
    base: Tensor | None = None,
    margin: float = 0.0,
) -> Tensor:
    """What the next state is worth, (n,).

        without base: V' = Q⁻(s', argmax_a Q(s', a))
        with base:    V' = Σ_b base(b | s') Q⁻(s', m(s', b))

    Double DQN (van Hasselt et al. 2016) where the chooser Q is the learning network; plain DQN (Mnih et
    al. 2015) where it is the target network itself. With a base it is the value of the policy that improves it.

    Args:
        chooser: Q(s', ·), chooses.
        target: Q⁻(s', ·), of the target network, values.
        allowed: actions possible in s'; all by default.
        base: probabilities (n, A) of the policy to improve, over the allowed actions.
        margin: gain that an improvement needs.
    """
    if base is None:
        return pick(target, best_actions(chooser, allowed))
    return (base * target.gather(-1, improved(chooser, allowed, margin))).sum(dim=-1)


def td_targets(rewards: Tensor, discounts: Tensor, terminated: Tensor, following: Tensor) -> Tensor:
    """y = R + γⁿ (1 − terminated) V', with R = Σ_{k<n} γᵏ r_k (Sutton 1988), (n,); no gradient.

    Args:
        rewards: R.
        discounts: γⁿ, n the steps that R holds.
        terminated: 1 where nothing follows.
        following: V'.
    """
    return (rewards + discounts * (1.0 - terminated.to(rewards.dtype)) * following).detach()


def conservative_gap(values: Tensor, actions: Tensor, allowed: Tensor | None) -> Tensor:
    """ln Σ_a exp Q(s, a) − Q(s, a_logged), (n,), over the allowed actions; at least 0.

    The penalty of CQL(H) (Kumar et al. 2020, eq. 4): it pulls down what the log does not show, against what
    it shows.
    """
    masked = values if allowed is None else values.masked_fill(~allowed, -torch.inf)
    return torch.logsumexp(masked, dim=-1) - pick(values, actions)


def q_loss(
    values: Tensor,
    actions: Tensor,
    targets: Tensor,
    *,
    weights: Tensor | None = None,
    allowed: Tensor | None = None,
    conservative_weight: float = 0.0,
    squared: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """mean_i w_i [ huber(Q(s_i, a_i) − y_i) + α gap_i ].

    Args:
        values: Q(s, ·).
        actions: logged ones.
        targets: y.
        weights: importance weights w of prioritised sampling (Schaul et al. 2016), 1 by default.
        allowed: actions possible in s; all by default.
        conservative_weight: α.
        squared: take δ² in place of Huber's loss, which large errors pull on no more than errors of 1.

    Returns:
        The loss, and without gradient δ = Q(s, a) − y and the gap, (n,) each.
    """
    chosen = pick(values, actions)
    each = (mse_loss if squared else huber_loss)(chosen, targets, reduction="none")
    gap = conservative_gap(values if conservative_weight else values.detach(), actions, allowed)
    if conservative_weight:
        each = each + conservative_weight * gap
    return (each if weights is None else weights * each).mean(), (chosen - targets).detach(), gap.detach()
