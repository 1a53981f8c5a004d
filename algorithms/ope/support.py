"""Whether a log can tell of all that a policy does: an action that was given no chance leaves no trace in weights.

    u_t(a) = π(a | s_t) where b(a | s_t) = 0, else 0 (where b is estimated: where the action is untried in like states)
    P(the policy ever takes such an action) = Σ_t E_b[w_{0:t-1} Σ_a u_t(a)]

Effective sample sizes are made of the actions that were taken, and do not see what never could be. What such an action
earns is a model's word, which no weight corrects: the bias is at most that chance times the range of returns. Of a
difference only what the two policies do not share counts.

References:
    Precup, Sutton & Singh (2000), Eligibility traces for off-policy policy evaluation (the soft behaviour policy).
"""

from __future__ import annotations

import math

import numpy as np

from algorithms.ope.intervals import unit_values
from algorithms.ope.trajectories import Trajectories
from envs.dataset import Dataset

NEGLIGIBLE = 0.001
"""Chance up to which a policy is valued as if the log could tell all of it: a thousandth of the range of returns."""

SHORT = 4.0
"""Standard errors by which a mean weight may fall short of 1: by more, few rare draws have not come."""


def unsupported_probabilities(
    dataset: Dataset, target_probabilities: np.ndarray, behavior: np.ndarray | None = None
) -> np.ndarray | None:
    """The target's probabilities (N, A) where the log says that the action had none, else 0.

    ``None`` where the target takes no such action. A log of taken actions' propensities alone tells of the others only
    where the taken one was certain; ``behavior`` (N, A) is the estimate that stands in place of logged ones.
    """
    hopeless = (dataset.action_probabilities if behavior is None else behavior) == 0.0
    certain = dataset.propensities == 1.0
    if behavior is None and certain.any():
        hopeless[certain] = True
        hopeless[np.flatnonzero(certain), dataset.actions[certain]] = False
    if not hopeless.any():
        return None  # as on most logs, for every policy
    found = np.where(hopeless, target_probabilities, 0.0)
    return found if found.any() else None


def unsupported_chance(trajectories: Trajectories) -> float:
    """Chance that the policy takes an action in an episode that the log gave none."""
    if trajectories.unsupported is None:
        return 0.0
    return float((_before(trajectories) * trajectories.unsupported.sum(axis=2)).sum())


def unsupported_difference(candidate: Trajectories, champion: Trajectories) -> float:
    """The same of what two policies do not share."""
    if candidate.unsupported is None and champion.unsupported is None:
        return 0.0
    ours, theirs = (
        0.0 if each.unsupported is None else _before(each)[:, :, None] * each.unsupported
        for each in (candidate, champion)
    )
    return float(np.abs(ours - theirs).sum())


def support_refusal(chance: float, *, estimated: bool = False) -> str:
    """Why a policy with that chance must not be valued from the log, or ``""``; of an estimated behaviour or not."""
    if chance <= NEGLIGIBLE:
        return ""
    share = f"{min(chance, 1.0):.0%}" if chance >= 0.01 else f"{chance:.1%}"
    untried = " (never taken in like states)" if estimated else ""
    remedy = "explore there and log the propensities" if estimated else "explore there"
    return (
        f"takes actions that the log gave no chance{untried}, with a chance of {share} in an episode: {remedy}, or "
        "forbid them (allowed_actions)"
    )


def undrawn_refusal(trajectories: Trajectories, units: np.ndarray | None = None) -> str:
    """Why a policy must not be valued whose weights fall short of their mean of 1, or ``""``.

    An action that had a small chance and was never drawn leaves no weight: the effective size is then that of the
    others, and what the policy earns by it is a model's word with an interval that does not know. Of 300 logs with a
    propensity of .003 and 315 tested units, a candidate that takes that action half the time and gains nothing was
    promoted on 26. Estimated propensities have weights of another mean.

    Args:
        trajectories: under the policy.
        units: independent unit of each episode (E,), ``None`` where it is the episode.
    """
    return "" if trajectories.estimated else short_weights(trajectories.weights, units)


def short_weights(weights: np.ndarray, units: np.ndarray | None = None) -> str:
    """The same of weights (E,) by logged propensities."""
    weights = unit_values(weights, units)
    if len(weights) < 2:
        return ""
    mean, error = float(weights.mean()), float(weights.std(ddof=1)) / math.sqrt(len(weights))
    if not 1.0 - mean > max(NEGLIGIBLE, SHORT * error):
        return ""
    return (
        f"what it does was drawn too seldom: its weights are {mean:.3g} on the average, and 1 in the long run; "
        "log more decisions, or explore more"
    )


def _before(trajectories: Trajectories) -> np.ndarray:
    """Weights of coming to each step over the number of episodes, (E, H): of its state, where that tells all."""
    if trajectories.markov and trajectories.state_log_ratios is not None:
        logs = trajectories.state_log_ratios
    else:
        logs = np.cumsum(trajectories.log_ratios, axis=1)
        logs = np.concatenate([np.zeros((len(logs), 1)), logs[:, :-1]], axis=1)
    with np.errstate(over="ignore"):  # what overflows is refused for lack of overlap
        return np.where(trajectories.active, np.exp(logs) / len(logs), 0.0)
