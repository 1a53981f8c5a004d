"""What an estimate hangs on: large weights, the declared horizon, the declared discount.

What was not recorded is the third thing: :mod:`algorithms.ope.confounding`.

References:
    Ionides (2008), Truncated importance sampling; Swaminathan & Joachims (2015), section 3, on what a
    clip does to bias and variance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from algorithms.ope.overlap import NO_RULE
from algorithms.ope.registry import NEEDS_MODEL, estimator
from algorithms.ope.trajectories import Trajectories
from envs.errors import DataError

CLIP_LEVELS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)


@dataclass(frozen=True, slots=True)
class ClippingSensitivity:
    """An estimate along a path of clip levels; clipping trades variance for a bias that is not known.

    Attributes:
        estimator: registry name.
        levels: largest cumulative weight that is let through, increasing.
        values: the estimate at each level.
        effective: its effective number of units.
        value: without clipping.
        effective_sample_size: without clipping.
        standard_error: without clipping.
        sentence: what it means.
    """

    estimator: str
    levels: tuple[float, ...]
    values: tuple[float, ...]
    effective: tuple[float, ...]
    value: float
    effective_sample_size: float
    standard_error: float
    sentence: str


@dataclass(frozen=True, slots=True)
class SettingSensitivity:
    """An estimate under other horizons or discounts, beside the log's own return under the same.

    Attributes:
        estimator: registry name.
        setting: ``horizon`` or ``discount``.
        settings: the horizons or discounts, increasing.
        values: the estimate under each.
        logged: mean return of the log under each.
        effective: effective number of units under each.
        sentence: what it means.
    """

    estimator: str
    setting: str
    settings: tuple[float, ...]
    values: tuple[float, ...]
    logged: tuple[float, ...]
    effective: tuple[float, ...]
    sentence: str


def clipped(trajectories: Trajectories, level: float) -> Trajectories:
    """The trajectories with no cumulative weight above ``level``.

    Raises:
        DataError: the level is not above 0.
    """
    if not level > 0.0:
        raise DataError(f"clip level {level}", where="clipped", remedy="give one above 0")
    cumulative = np.minimum(np.cumsum(trajectories.log_ratios, axis=1), np.log(level))
    before = np.concatenate([np.zeros((len(cumulative), 1)), cumulative[:, :-1]], axis=1)
    gone = np.isneginf(before)  # a weight of 0 stays 0
    log_ratios = np.where(gone, 0.0, cumulative - np.where(gone, 0.0, before))
    return replace(trajectories, log_ratios=log_ratios)


def clipping_sensitivity(
    trajectories: Trajectories,
    name: str = "snips",
    *,
    levels: Sequence[float] = CLIP_LEVELS,
    units: np.ndarray | None = None,
) -> ClippingSensitivity:
    """An estimate and its effective sample size along a path of clip levels.

    Args:
        trajectories: the log under the target's ratios.
        name: registry name of the estimator.
        levels: increasing.
        units: independent unit of each episode (E,), ``None`` where it is the episode.
    """
    estimate = estimator(name)
    plain = estimate(trajectories, force=True, overlap=NO_RULE, units=units)
    path = [estimate(clipped(trajectories, level), force=True, overlap=NO_RULE, units=units) for level in levels]
    error = plain.diagnostics["standard_error"]
    shifts = [abs(step.value - plain.value) for step in path]
    # The smallest clip that, with all above it, moves the value by less than a standard error.
    safe = next((index for index in range(len(path)) if all(s < error for s in shifts[index:])), len(path))
    if safe < len(path):
        sentence = f"clipping weights at {levels[safe]:g} or more moves the value by less than one standard error"
    else:
        sentence = (
            f"clipping weights at {levels[-1]:g} moves the value from {plain.value:.4g} to {path[-1].value:.4g}, "
            "more than one standard error: it hangs on a few large weights"
        )
    return ClippingSensitivity(
        name,
        tuple(map(float, levels)),
        tuple(step.value for step in path),
        tuple(step.effective_sample_size for step in path),
        plain.value,
        plain.effective_sample_size,
        error,
        sentence,
    )


def horizon_sensitivity(
    trajectories: Trajectories,
    name: str = "weighted_pdis",
    *,
    horizons: Sequence[int] | None = None,
    units: np.ndarray | None = None,
) -> SettingSensitivity:
    """The estimate to shorter horizons; up to eight by default, the declared one last.

    Args:
        trajectories: the log under the target's ratios; models, made for one horizon, are not read.
        name: registry name of an estimator without a model.
        horizons: increasing, at most that of the trajectories.
        units: as everywhere.

    Raises:
        DataError: the estimator needs a model, or a horizon is out of range.
    """
    longest = trajectories.horizon
    chosen = sorted({int(h) for h in np.linspace(1, longest, 8)}) if horizons is None else list(horizons)
    if min(chosen) < 1 or max(chosen) > longest:
        raise DataError(f"horizons {chosen} of 1 to {longest}", where="horizon_sensitivity", remedy="stay in range")
    logs = [
        Trajectories(
            trajectories.rewards[:, :h], trajectories.log_ratios[:, :h], trajectories.active[:, :h],
            trajectories.discount, estimated=trajectories.estimated,
        )
        for h in chosen
    ]  # fmt: skip
    return _settings("horizon", [float(h) for h in chosen], logs, name, units)


def discount_sensitivity(
    trajectories: Trajectories,
    name: str = "weighted_pdis",
    *,
    discounts: Sequence[float] = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 1.0),
    units: np.ndarray | None = None,
) -> SettingSensitivity:
    """The estimate under other discounts. Arguments and errors as :func:`horizon_sensitivity`."""
    plain = replace(trajectories, q_values=None, v_values=None)
    return _settings(
        "discount", [float(g) for g in discounts], [replace(plain, discount=g) for g in discounts], name, units
    )


def _settings(
    setting: str, settings: list[float], logs: list[Trajectories], name: str, units: np.ndarray | None
) -> SettingSensitivity:
    if name in NEEDS_MODEL:
        raise DataError(
            f"{name} has a model made for one {setting}", where="sensitivity", remedy="use an estimator without one"
        )
    found = [estimator(name)(log, force=True, overlap=NO_RULE, units=units) for log in logs]
    logged = [float(log.returns.mean()) for log in logs]
    better = [estimate.value > own for estimate, own in zip(found, logged, strict=True)]
    changes = [index for index in range(1, len(better)) if better[index] != better[index - 1]]
    side = "above" if better[-1] else "at or below"
    if not changes:
        sentence = (
            f"the estimate is {side} the log's own return at every {setting} from {settings[0]:g} to {settings[-1]:g}"
        )
    else:
        sentence = (
            f"the estimate is {side} the log's own return from {setting} {settings[changes[-1]]:g} on, "
            f"and on the other side at {settings[changes[-1] - 1]:g}: the answer depends on the declared {setting}"
        )
    return SettingSensitivity(
        name,
        setting,
        tuple(settings),
        tuple(estimate.value for estimate in found),
        tuple(logged),
        tuple(estimate.effective_sample_size for estimate in found),
        sentence,
    )
