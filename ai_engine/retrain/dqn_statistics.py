"""What a call of the DQN trainer did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ai_engine.retrain.q_network import QStep


@dataclass(frozen=True, slots=True)
class DQNStatistics:
    """What training from replay did; means over the steps of the call.

    Attributes:
        steps: optimizer steps of this call.
        updates: experiences learned from; a repeated one counts each time.
        loss: the whole loss, in units of ``value_scale``.
        mean_td_error: mean |δ|, in units of the reward, each δ taken before its own step.
        conservative_gap: mean ln Σ exp Q − Q(s, a), in units of ``value_scale``.
        mean_q: mean Q of the actions taken, in units of the reward.
        losses: the loss of every step.
        beta: importance correction at the end; 1 where sampling was uniform, which needs none.
    """

    steps: int
    updates: int
    loss: float
    mean_td_error: float
    conservative_gap: float
    mean_q: float
    losses: tuple[float, ...]
    beta: float

    @classmethod
    def of_steps(cls, steps: Sequence[QStep], batch_size: int, value_scale: float, beta: float) -> DQNStatistics:
        """The statistics of steps of ``batch_size`` experiences each."""
        return cls(
            steps=len(steps),
            updates=len(steps) * batch_size,
            loss=float(np.mean([step.loss for step in steps])),
            mean_td_error=value_scale * float(np.mean([step.td_error for step in steps])),
            conservative_gap=float(np.mean([step.conservative_gap for step in steps])),
            mean_q=value_scale * float(np.mean([step.q for step in steps])),
            losses=tuple(step.loss for step in steps),
            beta=beta,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "losses": list(self.losses)}
