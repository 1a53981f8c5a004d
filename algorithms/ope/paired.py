"""The paired difference of two policies on the same episodes: what the gate tests.

    D_i = ψ_i(candidate) - ψ_i(champion)

Both numbers come from the same estimator, the same model class and the same folds: against the raw
return, a policy identical to the champion would look better by the model's bias alone.
"""

from __future__ import annotations

import numpy as np

from algorithms.ope._assembly import INDEPENDENT_UNITS, KNOWN_PROPENSITIES, stated, trajectory_log_weights
from algorithms.ope.doubly_robust import doubly_robust_contributions
from algorithms.ope.doubly_robust_marginalized import MARGINAL_RULE, marginalized_contributions
from algorithms.ope.estimate import Estimate
from algorithms.ope.intervals import student_t, unit_log_weights, unit_values
from algorithms.ope.marginalized_importance_sampling import thinnest_step
from algorithms.ope.overlap import (
    DOUBLY_ROBUST_RULE,
    OverlapRule,
    effective_error,
    effective_sample_size,
    largest_weight_share,
)
from algorithms.ope.support import support_refusal, undrawn_refusal, unsupported_difference
from algorithms.ope.trajectories import Trajectories
from algorithms.ope.unseen_rest import REST_AT_WORST, with_least_gain
from envs.errors import DataError

ROUNDING = 1e-11
"""Of a contribution of usual size: what rounding alone makes of a difference of equals."""


def paired_difference(
    candidate: Trajectories, champion: Trajectories, *, units: np.ndarray | None = None, marginal: bool = False
) -> np.ndarray:
    """D of each independent unit, float64 (U,), in the order of the sorted unit labels.

    Args:
        candidate: the episodes under the candidate's ratios and model.
        champion: the same episodes, in the same order, under the champion's.
        units: independent unit of each episode (E,), ``None`` where it is the episode.
        marginal: by marginal weights instead of their products (both carry state ratios).

    The rest of episodes that were cut counts where D is smallest (:mod:`algorithms.ope.unseen_rest`).

    Raises:
        DataError: the two are not the same episodes, or carry no model values.
    """
    same = (
        candidate.rewards.shape == champion.rewards.shape
        and candidate.discount == champion.discount
        and np.array_equal(candidate.rewards, champion.rewards)
        and np.array_equal(candidate.active, champion.active)
    )
    if not same:
        raise DataError("candidate and champion are on different episodes", remedy="build both from one dataset")
    contributions = marginalized_contributions if marginal else doubly_robust_contributions
    candidate, champion = with_least_gain(candidate, champion, marginal=marginal)
    ours, theirs = contributions(candidate), contributions(champion)
    return unit_values(np.where(_is_rounding(ours, theirs), 0.0, ours - theirs), units)


def _is_rounding(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Where two contributions (E,) differ by no more than sums in another order do: there the policies are equal."""
    sizes = np.maximum(np.abs(ours), np.abs(theirs))
    usual = float(np.median(sizes)) if len(sizes) else 0.0  # what cancels within one that is small was not small itself
    return np.isfinite(sizes) & (np.abs(ours - theirs) <= ROUNDING * np.maximum(sizes, usual))


def paired_overlap(trajectories: Trajectories, *, units: np.ndarray | None = None, marginal: bool = False) -> float:
    """Kish effective number of units under whole-trajectory weights, or marginal ones at their thinnest step."""
    return effective_sample_size(_unit_weights(trajectories, units, marginal))


def paired_overlap_error(
    trajectories: Trajectories, *, units: np.ndarray | None = None, marginal: bool = False
) -> float:
    """Standard error of the logarithm of :func:`paired_overlap`, times the root of the number of units."""
    return effective_error(_unit_weights(trajectories, units, marginal))


def _unit_weights(trajectories: Trajectories, units: np.ndarray | None, marginal: bool) -> np.ndarray:
    logs = thinnest_step(trajectories, units)[1] if marginal else trajectory_log_weights(trajectories)
    return unit_log_weights(logs, units)


def paired_estimate(
    candidate: Trajectories,
    champion: Trajectories,
    confidence: float = 0.95,
    *,
    force: bool = False,
    overlap: OverlapRule | None = None,
    units: np.ndarray | None = None,
    marginal: bool = False,
) -> Estimate:
    """The expected gain of the candidate over the champion, with a two-sided Student-t interval.

    Refuses where the candidate's effective sample size breaks ``overlap``, where the champion's does (a champion that
    did not write this log must be reached by it as well), and where the two differ in actions that the log gave no
    chance. The effective sample size reported is the candidate's. Arguments and errors as :func:`paired_difference`.
    """
    overlap = overlap or (MARGINAL_RULE if marginal else DOUBLY_ROBUST_RULE)
    differences = paired_difference(candidate, champion, units=units, marginal=marginal)
    count = len(differences)
    if count == 0:
        raise DataError("no episode to compare on", where="paired", remedy="log decisions, or choose another split")
    interval = student_t(differences, confidence)
    by_unit = _unit_weights(candidate, units, marginal)
    effective = effective_sample_size(by_unit)
    champion_effective = paired_overlap(champion, units=units, marginal=marginal)
    refused = overlap.refusal(effective, count)
    if not refused and (reason := overlap.refusal(champion_effective, count)):
        refused = f"champion: {reason}"
    if not refused:
        beyond = unsupported_difference(candidate, champion)
        refused = support_refusal(beyond, estimated=candidate.estimated)
    if not refused and not marginal:
        refused = undrawn_refusal(candidate, units)
        if not refused and (reason := undrawn_refusal(champion, units)):
            refused = f"champion: {reason}"
    shown = force or not refused
    missing = float("nan")
    deviation = float(np.std(differences, ddof=1)) if count > 1 else missing
    return Estimate(
        value=interval.value if shown else missing,
        lower=interval.lower if shown else missing,
        upper=interval.upper if shown else missing,
        confidence=confidence,
        estimator="paired_doubly_robust_marginalized" if marginal else "paired_doubly_robust",
        effective_sample_size=effective,
        units=count,
        evidence="model" if marginal and not (candidate.markov and champion.markov) else "log",
        refused=refused,
        diagnostics={
            "standard_error": interval.standard_error if shown else missing,
            "standard_deviation": deviation,
            "effective_fraction": effective / count,
            "champion_effective_fraction": champion_effective / count,
            "largest_weight_share": largest_weight_share(by_unit),
        },
        assumptions=stated(
            (
                INDEPENDENT_UNITS,
                KNOWN_PROPENSITIES,
                "the models were fitted on other episodes",
                *((REST_AT_WORST,) if candidate.rest is not None else ()),
            ),
            candidate,
        ),
    )
