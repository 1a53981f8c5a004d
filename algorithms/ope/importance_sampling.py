"""Importance sampling over whole trajectories (IPS at H = 1) and its self-normalised form (SNIPS).

    IPS    v̂ = (1/E) Σ_i w_i G_i            w_i = Π_t π(a_t|s_t) / b(a_t|s_t)
    SNIPS  v̂ = Σ_i w_i G_i / Σ_i w_i

References:
    Horvitz & Thompson (1952); Precup, Sutton & Singh (2000), eq. 4 and 5; Swaminathan & Joachims (2015), eq. 7.
"""

from __future__ import annotations

import numpy as np

from algorithms.ope._assembly import INDEPENDENT_UNITS, KNOWN_PROPENSITIES, assemble, trajectory_log_weights
from algorithms.ope.estimate import Estimate
from algorithms.ope.intervals import Interval, betting_interval
from algorithms.ope.overlap import WEIGHTED_RULE, WHOLE_TRAJECTORY_RULE, OverlapRule, scaled_weights
from algorithms.ope.trajectories import Trajectories
from envs.errors import DataError

NO_OVERLAP = "no overlap: the policy takes none of the logged actions, every weight is 0"


def default_rule(trajectories: Trajectories) -> OverlapRule:
    """Where whole-trajectory weights still cover: a product of ratios has a heavier tail than one ratio."""
    return WEIGHTED_RULE if trajectories.horizon == 1 else WHOLE_TRAJECTORY_RULE


def ips_contributions(trajectories: Trajectories) -> np.ndarray:
    """w_i G_i of each episode, float64 (E,): unbiased one by one."""
    return trajectories.weights * trajectories.returns


def ips(
    trajectories: Trajectories,
    confidence: float = 0.95,
    *,
    force: bool = False,
    overlap: OverlapRule | None = None,
    units: np.ndarray | None = None,
) -> Estimate:
    """Importance sampling: unbiased, and as wide as the weights vary.

    Args:
        trajectories: the log under the target's ratios; models are not read.
        confidence: coverage of the two-sided interval.
        force: give the numbers although the overlap is refused; the reason stays.
        overlap: smallest overlap that is answered; :func:`default_rule` by default.
        units: independent unit of each episode (E,), ``None`` where it is the episode.
    """
    return assemble(
        "ips",
        ips_contributions(trajectories),
        trajectories,
        confidence=confidence,
        force=force,
        overlap=overlap or default_rule(trajectories),
        units=units,
    )


def snips(
    trajectories: Trajectories,
    confidence: float = 0.95,
    *,
    force: bool = False,
    overlap: OverlapRule | None = None,
    units: np.ndarray | None = None,
) -> Estimate:
    """Self-normalised importance sampling: consistent, within the range of the returns, exact under reward shift.

    The interval is the delta method's: studentised over v̂ + w_i (G_i - v̂) / w̄. Arguments as :func:`ips`.
    """
    weights = scaled_weights(trajectory_log_weights(trajectories))
    total = weights.sum()
    if total > 0:
        value = float(weights @ trajectories.returns / total)
        contributions = value + weights * (trajectories.returns - value) * (len(weights) / total)
    else:
        contributions = np.full(len(weights), np.nan)
    return assemble(
        "snips",
        contributions,
        trajectories,
        confidence=confidence,
        force=force,
        overlap=overlap or default_rule(trajectories),
        units=units,
        assumptions=(INDEPENDENT_UNITS, KNOWN_PROPENSITIES, "enough units that the ratio's bias is small"),
        refused="" if total > 0 or not len(weights) else NO_OVERLAP,
    )


def ips_finite_sample(
    trajectories: Trajectories,
    confidence: float = 0.95,
    *,
    reward_range: tuple[float, float],
    largest_weight: float,
) -> Interval:
    """Interval of the value at H = 1 that covers at any number of units, by betting on w (r - r_min).

    Args:
        trajectories: one decision per episode.
        confidence: coverage.
        reward_range: declared smallest and largest reward.
        largest_weight: largest ratio that the two policies' floors allow; exact, never estimated.

    Raises:
        DataError: the horizon is not 1, or a value leaves what was declared.
    """
    if trajectories.horizon != 1:
        raise DataError(f"horizon {trajectories.horizon}, the finite-sample interval needs 1", remedy="use ips")
    low, high = reward_range
    values = trajectories.weights * (trajectories.rewards[:, 0] - low)
    interval = betting_interval(values, 0.0, largest_weight * (high - low), confidence)
    # E w = 1, so the shift by the smallest reward comes back as it went.
    return Interval(interval.value + low, interval.lower + low, interval.upper + low, interval.standard_error)
