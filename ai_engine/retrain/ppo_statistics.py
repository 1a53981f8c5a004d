"""What one update of PPO did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class PPOStatistics:
    """What one call of ``train_episode`` did; losses are means over its steps.

    Attributes:
        decisions: decisions that were learned from.
        updates: optimizer steps.
        loss: all that was descended on.
        policy_loss: minus the clipped surrogate.
        value_loss: mean squared error of the value function, in units of ``value_scale``.
        entropy: of the policy, in nats.
        kl: KL divergence of the policy that acted from the present one, estimated, in nats.
        clipped_share: of decisions whose probability had left the clip.
        explained_variance: of the returns by the value function before the update; 1 is all of it.
    """

    decisions: int
    updates: int
    loss: float
    policy_loss: float
    value_loss: float
    entropy: float
    kl: float
    clipped_share: float
    explained_variance: float

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def of_steps(cls, steps: Sequence[Mapping[str, float]], decisions: int, explained_variance: float) -> PPOStatistics:
        """The statistics of optimizer steps, each the parts of :class:`algorithms.ppo_update.Losses` by name."""
        mean = {part: float(np.mean([losses[part] for losses in steps])) for part in steps[0]}
        return cls(
            decisions=decisions,
            updates=len(steps),
            loss=mean["total"],
            policy_loss=mean["policy"],
            value_loss=mean["value"],
            entropy=mean["entropy"],
            kl=mean["kl"],
            clipped_share=mean["clipped"],
            explained_variance=explained_variance,
        )
