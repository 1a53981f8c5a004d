"""Continuous actions: the value of a policy of numbers from a log with densities.

A smoothed policy π_h (:mod:`algorithms.ope.kernel_policy`) has a density, so its ratio to the logged density
is a weight like any other, and every estimator of the registry values it without bias. What a deterministic
policy τ earns differs from that by a bias that vanishes with the bandwidth h: as h² inside the allowed range, as
h at its edge. It is measured at twice the bandwidth,

    B_h = (|v̂_h - v̂_2h| + se(v̂_h - v̂_2h)) / (2^k - 1),   k = 2 inside, 1 at an edge,

h is the one of least  se² + B²,  and B is added to both sides of the interval.

References:
    Kallus & Zhou (2018), Policy evaluation and optimization with continuous treatments, sections 3 and 4;
    Richardson (1911) for the difference at twice the step as a measure of the error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from algorithms.ope.estimate import Estimate
from algorithms.ope.intervals import student_t, unit_values
from algorithms.ope.kernel_policy import ContinuousPolicy, KernelPolicy
from algorithms.ope.overlap import OverlapRule
from algorithms.ope.registry import NEEDS_MODEL, estimator
from algorithms.ope.trajectories import Trajectories
from envs.errors import DataError
from envs.record import DecisionRecord

KERNEL_RULE = OverlapRule(200.0, 0.0)
"""A narrow kernel leaves most units without weight: what counts is how many are left."""
SCALES = 2.0 ** np.arange(1.0, -6.0, -1.0)
"""Bandwidths, in standard deviations of the logged actions; each but the first is judged by the one before it."""
SMOOTH = "the reward is twice differentiable in the action, at the scale of twice the bandwidth"
ActionValue = Callable[[np.ndarray], np.ndarray]
"""Model Q̂ of a horizon of one: actions (N, Q, D) at the N decisions to values (N, Q); fitted on other units."""


@dataclass(frozen=True, slots=True, eq=False)
class ContinuousLog:
    """N decisions with actions of D numbers.

    Attributes:
        actions: float64 (N, D).
        densities: float64 (N,), logged density of each action, > 0, per unit of the action.
        rewards: float64 (N,).
        low: float64 (D,), smallest allowed action.
        high: float64 (D,), largest allowed action.
        offsets: int64 (E + 1,), first decision of each episode; ``None`` where each decision is one.
        discount: per decision.

    Raises:
        DataError: shapes disagree, a value is not finite, or a density is not above 0.
    """

    actions: np.ndarray
    densities: np.ndarray
    rewards: np.ndarray
    low: np.ndarray
    high: np.ndarray
    offsets: np.ndarray | None = None
    discount: float = 1.0

    def __post_init__(self) -> None:
        count = len(self.rewards)
        if self.actions.ndim != 2 or len(self.actions) != count or self.densities.shape != (count,):
            raise DataError(
                f"actions {self.actions.shape} and densities {self.densities.shape} for {count} rewards",
                where="ContinuousLog",
                remedy="give (N, D), (N,) and (N,)",
            )
        bad = ~(np.isfinite(self.densities) & (self.densities > 0)) | ~np.isfinite(self.rewards)
        bad |= ~np.all(np.isfinite(self.actions) & (self.actions >= self.low) & (self.actions <= self.high), axis=1)
        if bad.any():
            raise DataError(
                f"decision {int(np.argmax(bad))} has no positive density, no finite reward, or an action out of range",
                where="ContinuousLog",
                remedy="log the density of the draw as propensity, and declare the range of the actions",
            )

    @classmethod
    def from_records(
        cls, records: Sequence[DecisionRecord], low: dict[str, float], high: dict[str, float]
    ) -> ContinuousLog:
        """Single decisions whose action is an object of numbers.

        Args:
            records: each with ``action``, ``propensity`` (a density) and ``reward``.
            low: smallest allowed value of each number, in the order in which they become columns.
            high: largest, of the same names.

        Raises:
            DataError: a record without one of them, or that did not act, or of a later step; names its event.
        """
        for record in records:
            if not isinstance(record.action, dict) or set(record.action) != set(low) or low.keys() != high.keys():
                raise DataError(
                    f"its action is not an object of {', '.join(low)}",
                    where=f"event {record.event_id}",
                    remedy="name every number of the action once, in low and in high",
                )
            if record.mode == "shadow" or record.step > 0:
                raise DataError(
                    "it did not act" if record.mode == "shadow" else f"it is step {record.step} of an episode",
                    where=f"event {record.event_id}",
                    remedy="give single decisions that acted; sequences as arrays with their offsets",
                )
            if record.propensity is None or record.reward is None:
                raise DataError(
                    "has no density or no reward", where=f"event {record.event_id}", remedy="log both with the decision"
                )
        names = list(low)
        return cls(
            np.array([[float(record.action[name]) for name in names] for record in records]).reshape(-1, len(names)),
            np.array([record.propensity for record in records], dtype=np.float64),
            np.array([record.reward for record in records], dtype=np.float64),
            np.array([low[name] for name in names], dtype=np.float64),
            np.array([high[name] for name in names], dtype=np.float64),
        )

    @property
    def scale(self) -> np.ndarray:
        """Standard deviation of the logged actions, float64 (D,)."""
        deviation: np.ndarray = self.actions.std(axis=0)
        if not np.all(deviation > 0):
            raise DataError("a number of the action never varies", where="ContinuousLog", remedy="leave it out")
        return deviation


def continuous_trajectories(
    log: ContinuousLog, policy: ContinuousPolicy, *, model: ActionValue | None = None
) -> Trajectories:
    """The log under a policy with a density: what every estimator reads.

    Args:
        log: the decisions.
        policy: the target at those decisions.
        model: Q̂ for single decisions; needs a :class:`KernelPolicy`.

    Raises:
        DataError: a model for sequences, or for a policy without a quadrature.
    """
    ratios = policy.log_density(log.actions) - np.log(log.densities)
    offsets = np.arange(len(ratios) + 1) if log.offsets is None else log.offsets
    lengths = np.diff(offsets)
    horizon = int(lengths.max(initial=1))
    active = np.arange(horizon) < lengths[:, None]
    rewards, log_ratios = np.zeros(active.shape), np.zeros(active.shape)
    rewards[active], log_ratios[active] = log.rewards, ratios
    plain = Trajectories(rewards, log_ratios, active, log.discount)
    if model is None:
        return plain
    if horizon > 1 or not isinstance(policy, KernelPolicy):
        raise DataError("a model serves single decisions of a kernel policy", where="continuous_trajectories")
    nodes, weights = policy.quadrature()
    values = np.einsum("nq,nq->n", model(nodes), weights)
    return replace(
        plain, q_values=model(log.actions[:, None, :]), v_values=np.stack([values, np.zeros_like(values)], axis=1)
    )


def smoothed_value(
    log: ContinuousLog,
    policy: ContinuousPolicy,
    confidence: float = 0.95,
    *,
    name: str = "snips",
    model: ActionValue | None = None,
    force: bool = False,
    overlap: OverlapRule = KERNEL_RULE,
    units: np.ndarray | None = None,
) -> Estimate:
    """The value of a policy that has a density, by an estimator of the registry: nothing of it is approximate.

    Args:
        log: the decisions.
        policy: the policy that would be served, smoothing included.
        confidence: of the interval.
        name: of the estimator.
        model: Q̂ for the estimators that need one.
        force: give the numbers although the overlap is refused; the reason stays.
        overlap: smallest overlap that is answered.
        units: independent unit of each episode (E,), ``None`` where it is the episode.
    """
    trajectories = continuous_trajectories(log, policy, model=model if name in NEEDS_MODEL else None)
    return estimator(name)(trajectories, confidence, force=force, overlap=overlap, units=units)


def kernel_value(
    log: ContinuousLog,
    centers: np.ndarray,
    confidence: float = 0.95,
    *,
    model: ActionValue | None = None,
    force: bool = False,
    overlap: OverlapRule = KERNEL_RULE,
    units: np.ndarray | None = None,
) -> Estimate:
    """The value of a deterministic policy τ at single decisions, the bias of its smoothing counted in.

    Self-normalised weights, or doubly robust where there is a model. Of the bandwidths whose overlap is
    answered, the one of least estimated squared error is taken. Arguments as :func:`smoothed_value`.

    Args:
        log: single decisions.
        centers: τ at each of them, float64 (N, D), inside the allowed range.
        confidence: of the interval, before the bias is added.
        model: Q̂ fitted on other units.
        force: give the numbers of the widest bandwidth although all are refused; the reason stays.
        overlap: smallest overlap that is answered.
        units: independent unit of each decision.

    Raises:
        DataError: the log holds sequences: there the ratios multiply, and the bias with them.
    """
    if log.offsets is not None and np.any(np.diff(log.offsets) != 1):
        raise DataError(
            "a deterministic policy over sequences", where="kernel_value", remedy="smooth it and use smoothed_value"
        )
    found = [_candidate(log, centers, scale, confidence, model, overlap, units) for scale in SCALES]
    reach = np.abs(np.stack([centers - log.low, log.high - centers])).min(axis=0)
    best: Estimate | None = None
    for (wide, wide_values), (narrow, values), scale in zip(found, found[1:], SCALES[1:], strict=False):
        if narrow.refused and not (force and best is None):
            continue
        order = 2 if np.all(reach >= 2.0 * scale * log.scale) else 1
        apart = student_t(unit_values(values - wide_values, units), confidence)
        error = 0.0 if not np.isfinite(apart.standard_error) else apart.standard_error
        bias = float(abs(narrow.value - wide.value) + error) / (2.0**order - 1.0)
        squared = narrow.diagnostics["standard_error"] ** 2 + bias**2
        if best is None or squared < best.diagnostics["squared_error"]:
            figures = {"bandwidth": float(scale), "bias_bound": bias, "squared_error": squared}
            best = replace(
                narrow,
                lower=narrow.lower - bias,
                upper=narrow.upper + bias,
                estimator="kernel",
                diagnostics={**narrow.diagnostics, **figures},
                assumptions=(*narrow.assumptions, SMOOTH),
            )
    if best is not None and (force or not best.refused):
        return best if not best.refused else replace(best, refused=found[1][0].refused)
    missing = float("nan")
    return replace(
        found[1][0], value=missing, lower=missing, upper=missing, estimator="kernel", refused=found[1][0].refused
    )


def _candidate(
    log: ContinuousLog,
    centers: np.ndarray,
    scale: float,
    confidence: float,
    model: ActionValue | None,
    overlap: OverlapRule,
    units: np.ndarray | None,
) -> tuple[Estimate, np.ndarray]:
    """The estimate at one bandwidth, numbers given even where refused, and its influence (N,)."""
    policy = KernelPolicy(centers, scale * log.scale, log.low, log.high)
    trajectories = continuous_trajectories(log, policy, model=model)
    name = "snips" if model is None else "doubly_robust"
    estimate = estimator(name)(trajectories, confidence, force=True, overlap=overlap, units=units)
    weights, rewards = trajectories.weights, trajectories.rewards[:, 0]
    if model is None:
        influence = estimate.value + weights * (rewards - estimate.value) / max(float(weights.mean()), 1e-300)
    else:
        assert trajectories.q_values is not None and trajectories.v_values is not None
        influence = trajectories.v_values[:, 0] + weights * (rewards - trajectories.q_values[:, 0])
    return estimate, influence
