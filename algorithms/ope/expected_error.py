"""The standard error that a paired difference should have, where its own few units cannot show it.

In a segment in which the candidate's actions happened to meet none of the rare catastrophes, the
differences are alike, their own standard error is small, and chance poses as a gain. What the
catastrophes do is known from the rest of the log. With the weights ω of the two policies in the segment,
and σ_t² the mean squared residual r + γ V̂(s') - Q̂(s, a) at step t of *all* evaluated episodes,

    expected variance of D = Σ_t γ^(2t) mean_i (ω_it(candidate) - ω_it(champion))² σ_t²

is what it would be if residuals there were like everywhere. A standard error is taken to be at least
that. The weights and the pooling do not read the segment's own rewards for themselves.

Measured (twelve segments without any effect, 300 logs in each of ten settings of horizon, step and size;
share of logs in which Student-t with Holm's correction falsely shows some segment to gain or lose): by
their own standard errors 9 to 94 % where a loss of 10 comes with 2 % of the decisions, and none by these;
with Gaussian rewards at most 3.3 and 2.3 %.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from algorithms.ope.estimate import Estimate
from algorithms.ope.trajectories import Trajectories
from envs.errors import DataError

ROUNDING = 1e-9
"""A difference below this share of an episode's residual deviation is arithmetic, and no difference."""


def residual_variances(trajectories: Trajectories) -> np.ndarray:
    """Mean squared residual r + γ V̂(s') - Q̂(s, a) at each step over the episodes that still ran, (H,).

    Raises:
        DataError: the trajectories carry no model values.
    """
    q, v, active = trajectories.q_values, trajectories.v_values, trajectories.explained
    if q is None or v is None:
        raise DataError("no model values", where="residual_variances", remedy="fit a model first (cross_fit)")
    squares = np.where(active, trajectories.rewards + trajectories.discount * v[:, 1:] - q, 0.0) ** 2
    variances: np.ndarray = squares.sum(axis=0) / np.maximum(active.sum(axis=0), 1)
    return variances


def expected_standard_error(candidate: Trajectories, champion: Trajectories, variances: np.ndarray) -> float:
    """Of the mean paired difference of these episodes, by the residual variances (H,) of all."""
    apart = np.where(candidate.active, candidate.cumulative_weights - champion.cumulative_weights, 0.0) ** 2
    variance = float(apart.mean(axis=0) @ (candidate.discounts**2 * variances))
    return float(np.sqrt(variance / max(len(candidate), 1)))


def at_least_expected(
    estimate: Estimate, candidate: Trajectories, champion: Trajectories, variances: np.ndarray
) -> Estimate:
    """The paired estimate with a standard error that is at least the expected one; a difference of rounding is 0.

    Its interval is left as it was: :func:`algorithms.ope.multiple_testing.corrected` takes the family's.

    Args:
        estimate: of :func:`algorithms.ope.paired.paired_estimate`, of these episodes.
        candidate: its episodes under the candidate's ratios and model.
        champion: the same under the champion's.
        variances: float64 (H,), :func:`residual_variances` of all evaluated episodes under the champion.
    """
    if estimate.refused:
        return estimate
    own, expected = estimate.diagnostics["standard_error"], expected_standard_error(candidate, champion, variances)
    smallest = ROUNDING * float(np.sqrt((variances * candidate.discounts**2).sum() / max(len(candidate), 1)))
    if own <= smallest and expected <= smallest and abs(estimate.value) <= smallest:
        return no_difference(estimate)
    return replace(
        estimate,
        diagnostics={
            **estimate.diagnostics,
            "standard_error": max(own, expected),
            "own_standard_error": own,
            "expected_standard_error": expected,
        },
    )


def no_difference(estimate: Estimate) -> Estimate:
    """The estimate of a difference that is known to be 0, because the two policies decide alike; refusals stay."""
    if estimate.refused:
        return estimate
    return replace(
        estimate, value=0.0, lower=0.0, upper=0.0, diagnostics={**estimate.diagnostics, "standard_error": 0.0}
    )
