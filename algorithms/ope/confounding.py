"""How wrong an estimate may be through what was not recorded: bounds under hidden confounding.

The true propensity b* given what the log does not hold, and the nominal b, are apart by an odds ratio of
at most Γ, so that 1 / b* lies in [1 + (1/b - 1) / Γ, 1 + (1/b - 1) Γ], and the ratio π / b* in
[b + (1 - b) / Γ, b + (1 - b) Γ] times π / b. Over these intervals the self-normalised mean is smallest
and largest where all weights on one side of a threshold of the return are at their upper end and all
others at their lower: one sort.

References:
    Tan (2006), A distributional approach for causal inference using propensity scores (marginal
    sensitivity model); Kallus & Zhou (2018), Confounding-robust policy improvement, section 3; Zhao, Small
    & Bhattacharya (2019), Sensitivity analysis for inverse probability weighting estimators via the
    percentile bootstrap, section 4 (the sort); Dorn & Guo (2023) for narrower bounds that also use the
    balance of covariates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from algorithms.ope._assembly import trajectory_log_weights
from algorithms.ope.trajectories import Trajectories
from envs.errors import DataError

GAMMAS = (1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0)
LARGEST_GAMMA = 20.0


@dataclass(frozen=True, slots=True)
class ConfoundingSensitivity:
    """Bounds of the self-normalised estimate under hidden confounding; sampling error is not in them.

    Attributes:
        gammas: odds ratios Γ, increasing from 1.
        lower: smallest estimate at each.
        upper: largest estimate at each.
        reference: what the policy is compared with.
        tipping: least Γ whose bounds hold the reference; 20 where even that one's do not.
        attained: whether some propensities within Γ give the bounds (one decision an episode). Over longer
            episodes they are conservative: all decisions are off at once, in the worst direction.
        sentence: what it means.
    """

    gammas: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    reference: float
    tipping: float
    attained: bool
    sentence: str


def confounding_sensitivity(
    trajectories: Trajectories,
    propensities: np.ndarray,
    *,
    gammas: Sequence[float] = GAMMAS,
    reference: float | None = None,
) -> ConfoundingSensitivity:
    """Bounds of SNIPS where the odds of each logged action may be off by a factor of Γ.

    The bounds are those of weights in their intervals; that true propensities also balance covariates is
    not used, so they are valid and not the narrowest.

    Args:
        trajectories: the log under the target's ratios.
        propensities: float64 (E, H), nominal probability of the logged action
            (:func:`algorithms.ope.padding.pad` of those that the ratios were made with); read where active.
        gammas: each at least 1.
        reference: what the policy is compared with, the log's mean return by default.

    Raises:
        DataError: shapes disagree, a Γ below 1, a propensity outside (0, 1], or every weight is 0.
    """
    where = "confounding_sensitivity"
    if propensities.shape != trajectories.rewards.shape:
        raise DataError(f"propensities have shape {propensities.shape}", where=where, remedy="pad them (pad)")
    nominal = np.where(trajectories.active, propensities, 1.0)
    if not (np.all((nominal > 0.0) & (nominal <= 1.0)) and len(gammas) and min(gammas) >= 1.0):
        raise DataError("a Γ below 1 or a propensity outside (0, 1]", where=where, remedy="check both")
    log_weights = trajectory_log_weights(trajectories)
    if not np.isfinite(log_weights).any():
        raise DataError("every weight is 0", where=where, remedy="choose a policy that the log reaches")
    returns = trajectories.returns
    compared = float(returns.mean()) if reference is None else float(reference)

    def bounds(gamma: float) -> tuple[float, float]:
        small = log_weights + np.log(nominal + (1.0 - nominal) / gamma).sum(axis=1)
        large = log_weights + np.log(nominal + (1.0 - nominal) * gamma).sum(axis=1)
        return extreme_means(np.exp(small - large.max()), np.exp(large - large.max()), returns)

    found = [bounds(gamma) for gamma in gammas]
    tipping = _tipping(bounds, compared)
    attained = trajectories.horizon == 1
    manner = "" if attained else ", at every decision at once"
    if tipping >= LARGEST_GAMMA:
        sentence = f"unrecorded causes that change the odds of an action {tipping:g}-fold{manner} leave the difference"
    else:
        sentence = (
            f"an unrecorded cause that changes the odds of an action by a factor of {tipping:.2f}{manner} "
            "could be the whole difference"
        )
    return ConfoundingSensitivity(
        tuple(map(float, gammas)),
        tuple(low for low, _ in found),
        tuple(high for _, high in found),
        compared,
        tipping,
        attained,
        sentence,
    )


def extreme_means(small: np.ndarray, large: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Smallest and largest Σ w v / Σ w over weights with small ≤ w ≤ large, by one sort.

    Args:
        small: float64 (n,), at least 0.
        large: float64 (n,), at least ``small``, with a positive sum.
        values: float64 (n,).
    """
    order = np.argsort(values, kind="stable")
    ends = []
    for first, second in ((large[order], small[order]), (small[order], large[order])):
        # The first k weights of the sorted values from one end of the intervals, the others from the other.
        mass = _either(first, second)
        total = _either(first * values[order], second * values[order])
        ends.append(total[mass > 0.0] / mass[mass > 0.0])
    return float(ends[0].min()), float(ends[1].max())


def _either(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Σ_{i<k} first_i + Σ_{i≥k} second_i for k = 0 … n."""
    before = np.concatenate([[0.0], np.cumsum(first)])
    return np.asarray(before + np.concatenate([np.cumsum(second[::-1])[::-1], [0.0]]))


def _tipping(bounds: Callable[[float], tuple[float, float]], reference: float) -> float:
    """The least Γ whose bounds hold the reference, by bisection."""

    def holds(gamma: float) -> bool:
        low, high = bounds(gamma)
        return bool(low <= reference <= high)

    if holds(1.0):
        return 1.0
    if not holds(LARGEST_GAMMA):
        return LARGEST_GAMMA
    below, above = 1.0, LARGEST_GAMMA
    for _ in range(40):
        middle = 0.5 * (below + above)
        below, above = (below, middle) if holds(middle) else (middle, above)
    return above
