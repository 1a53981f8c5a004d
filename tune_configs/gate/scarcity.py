"""Which action the log has too little of: the one whose ratios make a finalist's weights vary.

    E[ω_H²] - 1 = Σ_t E[ω_{t-1}² (ρ_t - 1)²],   because E[ρ_t | past] = 1

so the variance of the whole-trajectory weights is a sum over decisions, and each decision belongs to
the action that was taken there. Only actions and propensities are read, no outcome.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from algorithms.ope.padding import pad
from algorithms.ope.trajectories import Trajectories
from envs.dataset import Dataset


@dataclass(frozen=True, slots=True)
class ScarceAction:
    """The action that more exploration would help most.

    Attributes:
        action: its declared name.
        share: its part of the weights' variance, in (0, 1].
        frequency: share of the logged decisions that took it.
    """

    action: str
    share: float
    frequency: float


def scarce_action(dataset: Dataset, trajectories: Trajectories) -> ScarceAction | None:
    """The action with the largest part of the weights' variance; ``None`` where the weights do not vary.

    Args:
        dataset: the episodes, in the order of the trajectories.
        trajectories: under the finalist.
    """
    earlier = np.zeros(trajectories.log_ratios.shape)
    np.cumsum(trajectories.log_ratios[:, :-1], axis=1, out=earlier[:, 1:])
    earlier = np.where(trajectories.active, earlier, -np.inf)
    # An action with ρ = 0 ends a weight: it counts once.
    excess = np.exp(2.0 * (earlier - np.max(earlier, initial=0.0))) * np.square(np.expm1(trajectories.log_ratios))
    actions = pad(dataset, dataset.actions, trajectories.horizon)
    names = dataset.specification.actions
    by_action = np.bincount(actions.ravel(), excess.ravel(), len(names))
    total = float(by_action.sum())
    if not total > 1e-12:
        return None
    worst = int(by_action.argmax())
    return ScarceAction(str(names[worst]), float(by_action[worst]) / total, float((dataset.actions == worst).mean()))
