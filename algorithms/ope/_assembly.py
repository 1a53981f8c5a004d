"""From per-episode contributions to an :class:`Estimate`: interval, overlap, refusal. Shared by all estimators."""

from __future__ import annotations

import numpy as np

from algorithms.ope.estimate import ESTIMATED_PROPENSITIES, Estimate
from algorithms.ope.intervals import studentised, unit_log_weights, unit_values
from algorithms.ope.overlap import OverlapRule, effective_sample_size, largest_weight_share
from algorithms.ope.support import support_refusal, unsupported_chance
from algorithms.ope.trajectories import Trajectories
from envs.errors import DataError

INDEPENDENT_UNITS = "units are independent and alike"
KNOWN_PROPENSITIES = "the logged propensities are the true ones, above 0 wherever the policy acts"
CENSORED_AT_RANDOM = "episodes were cut by chance, given what was observed until then"


def stated(assumptions: tuple[str, ...], trajectories: Trajectories) -> tuple[str, ...]:
    """The assumptions as they are of these trajectories: of estimated propensities, or weighed for cut episodes."""
    propensities = ESTIMATED_PROPENSITIES if trajectories.estimated else KNOWN_PROPENSITIES
    told = tuple(propensities if each == KNOWN_PROPENSITIES else each for each in assumptions)
    return (*told, CENSORED_AT_RANDOM) if trajectories.at_random else told


def trajectory_log_weights(trajectories: Trajectories) -> np.ndarray:
    """Log of each episode's whole-trajectory weight, (E,)."""
    return trajectories.log_ratios.sum(axis=1)


def assemble(
    name: str,
    contributions: np.ndarray,
    trajectories: Trajectories,
    *,
    confidence: float,
    force: bool,
    overlap: OverlapRule,
    units: np.ndarray | None,
    evidence: str = "log",
    assumptions: tuple[str, ...] = (INDEPENDENT_UNITS, KNOWN_PROPENSITIES),
    refused: str = "",
    log_weights: np.ndarray | None = None,
) -> Estimate:
    """The estimate whose value is the mean of ``contributions`` (E,), with its studentised interval over units.

    A refused estimate carries NaN unless ``force``; its reason is set either way. The overlap is that of
    ``log_weights`` (E,), the whole trajectories' by default.
    """
    if len(trajectories) == 0:
        raise DataError("no episode to evaluate on", where=name, remedy="log decisions, or choose another split")
    interval = studentised(unit_values(contributions, units), confidence)
    log_weights = trajectory_log_weights(trajectories) if log_weights is None else log_weights
    by_unit = unit_log_weights(log_weights, units)
    count = len(by_unit)
    effective = effective_sample_size(by_unit)
    refused = refused or overlap.refusal(effective, count)
    if not refused and evidence == "log":
        chance = unsupported_chance(trajectories)
        refused = support_refusal(chance, estimated=trajectories.estimated)
    shown = force or not refused
    missing = float("nan")
    with np.errstate(over="ignore"):
        mean_weight = float(np.mean(np.exp(log_weights)))
    return Estimate(
        value=interval.value if shown else missing,
        lower=interval.lower if shown else missing,
        upper=interval.upper if shown else missing,
        confidence=confidence,
        estimator=name,
        effective_sample_size=effective,
        units=count,
        evidence=evidence,
        refused=refused,
        diagnostics={
            "standard_error": interval.standard_error if shown else missing,
            "effective_fraction": effective / count,
            "largest_weight_share": largest_weight_share(by_unit),
            "mean_weight": mean_weight,
        },
        assumptions=stated(assumptions, trajectories),
    )
