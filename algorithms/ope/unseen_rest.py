"""What was cut off an episode counts where it makes the gain smallest, within the declared reward range.

An incident whose end nobody saw says by that something about its end. With its rest R, as of the cut at decision T and
the same whoever would have gone on to decide, an episode's paired difference is a line in R,

    D(R) = D(0) + γᵀ (ω_T - ωᶜ_T) R,   R in [R_min, R_max],

ω and ωᶜ the weights of both policies up to the cut. A candidate that is cut more often than the champion is charged
the worst of what may have followed, one that is cut less often is credited the best. A model's value of the rest was
learned from episodes that went on: of 20 logs in which every cut hid an outage, all promoted the worse policy.

Reference: Manski (1990), Nonparametric bounds on treatment effects.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from algorithms.ope.marginalized_importance_sampling import marginal_weights
from algorithms.ope.trajectories import Trajectories

REST_AT_WORST = "what was cut off an episode is the same under both policies; it counts where the gain is smallest"


def with_least_gain(
    candidate: Trajectories, champion: Trajectories, *, marginal: bool = False
) -> tuple[Trajectories, Trajectories]:
    """Both with the value after a cut set to that of their bounds at which the difference is smallest.

    Args:
        candidate: episodes under the candidate, with model values.
        champion: the same under the champion.
        marginal: by marginal weights instead of their products.
    """
    if candidate.rest is None or candidate.v_values is None or champion.v_values is None:
        return candidate, champion
    cut = np.flatnonzero(np.isfinite(candidate.rest[:, 0]))
    end = candidate.active[cut].sum(axis=1)
    ours, theirs = (
        (marginal_weights(each) if marginal else each.cumulative_weights)[cut, np.maximum(end - 1, 0)]
        for each in (candidate, champion)
    )
    least, largest = candidate.rest[cut].T
    rest = np.where(ours > theirs, least, largest)
    changed = []
    for each in (candidate.v_values, champion.v_values):
        values = each.copy()
        values[cut, end] = rest
        changed.append(values)
    return replace(candidate, v_values=changed[0]), replace(champion, v_values=changed[1])


def least_returns(trajectories: Trajectories) -> np.ndarray:
    """Returns (E,) with the rest at which (w - 1) G is smallest, for a champion whose weights are 1."""
    if trajectories.rest is None:
        return trajectories.returns
    rest = np.where(trajectories.weights > 1.0, *trajectories.rest.T)
    unseen = trajectories.discount ** trajectories.active.sum(axis=1) * rest
    return trajectories.returns + np.where(np.isfinite(rest), unseen, 0.0)
