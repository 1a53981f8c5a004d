"""What could be proven next: step sizes on this log, and the exploration that would make one provable."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np

from envs.clock import DAY, mistimed
from envs.counting import counted
from envs.dataset import Dataset

STEPS = (0.05, 0.1, 0.25, 0.5, 1.0)
EXPLORATIONS = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
# Share of decisions in which the candidate of a step differs from the logged habit.
DEPARTURE = 0.2
ADVISED_STEP = 0.1
MINIMUM_FRACTION = 0.1
MINIMUM_UNITS = 200
MINIMUM_PROPENSITY = 0.003


@dataclass(frozen=True, slots=True)
class Plan:
    """Uniform exploration around a deterministic rule that makes a log provable.

    Attributes:
        explore: share of decisions taken uniformly at random.
        cost: share of decisions that then differ from the rule's.
        fraction: effective sample size of the reference policy, as a share of the units.
        step: whether a step of a tenth towards a better policy is provable too.
        units: units needed.
    """

    explore: float
    cost: float
    fraction: float
    step: bool
    units: int


def provable_steps(dataset: Dataset, modal: np.ndarray, propensities: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Expected effective share of units for (1 - η) behaviour + η candidate, for each step size η.

    The candidate c is not known yet: taken is one that in every fifth decision takes another allowed
    action than a usual one, any of them. A step's squared weight is then, on average over such candidates,
    1 + η² Σ c(a) (1 / p(a) - 1), and the steps of an episode multiply.

    Args:
        dataset: the log.
        modal: distribution of the usual action, float64 (N, A).
        propensities: probability of each logged action, float64 (N,).
    """
    other = ((modal == 0.0) & dataset.allowed[dataset.rows]).astype(np.float64)
    others = other.sum(axis=1, keepdims=True)
    departure = np.where(others > 0.0, DEPARTURE, 0.0)
    candidate = (1.0 - departure) * modal + departure * other / np.maximum(others, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.where(candidate > 0.0, candidate / dataset.action_probabilities, 0.0).sum(axis=1)
    unknown = ~np.isfinite(dataset.action_probabilities).all(axis=1)
    if unknown.any():
        # Without all probabilities the logged actions of a kind stand for those that were not drawn.
        usual = modal[np.arange(len(dataset)), dataset.actions] > 0.0
        share = departure[unknown, 0]
        inverse[unknown] = (1.0 - share) * _mean_inverse(propensities[usual])
        inverse[unknown] += share * np.where(share > 0.0, _mean_inverse(propensities[~usual]), 0.0)
    within = dataset.steps < dataset.specification.horizon
    out = []
    for step in STEPS:
        growth = np.where(within, np.log1p(step**2 * np.maximum(inverse - 1.0, 0.0)), 0.0)
        squared = np.add.reduceat(growth, dataset.offsets[:-1])
        largest = float(squared.max())
        # 1 / mean(exp(x)), without overflow.
        share_of_units = 0.0
        if largest < math.inf:
            share_of_units = math.exp(-largest) / float(np.exp(squared - largest).mean())
        out.append((step, share_of_units))
    return tuple(out)


def _mean_inverse(propensities: np.ndarray) -> float:
    return float((1.0 / propensities).mean()) if len(propensities) else math.inf


def plan_exploration(actions: float, length: float) -> Plan | None:
    """The least exploration that leads to grade A, or ``None`` where none does.

    Preferred is the least with which a step of a tenth is provable too.

    Args:
        actions: number of allowed actions.
        length: decisions of an episode, to the horizon.
    """
    fallback = None
    for explore in EXPLORATIONS:
        floor = explore / actions
        usual = 1.0 - explore + floor
        if floor < MINIMUM_PROPENSITY:
            continue
        reference = (usual * (0.5 + 0.5 / usual) ** 2 + (1.0 - usual) / 4.0) ** -length
        excess = (1.0 - DEPARTURE) * (1.0 / usual - 1.0) + DEPARTURE * (1.0 / floor - 1.0)
        stepping = (1.0 + ADVISED_STEP**2 * excess) ** -length
        if reference < MINIMUM_FRACTION:
            continue
        step = stepping >= MINIMUM_FRACTION
        units = math.ceil(MINIMUM_UNITS / (min(stepping, reference) if step else reference))
        plan = Plan(explore, explore - floor, reference, step, units)
        if step:
            return plan
        fallback = fallback or plan
    return fallback


def credible_times(dataset: Dataset) -> np.ndarray:
    """Timestamps that a clock can have had, float64 seconds since the epoch: a wrong one must make no rate."""
    known = np.isfinite(dataset.timestamps) & ~mistimed(dataset.timestamps, time.time())
    return np.asarray(dataset.timestamps[known])


def decisions_per_day(dataset: Dataset) -> float:
    """The log's rate; NaN without timestamps."""
    times = credible_times(dataset)
    span = float(np.ptp(times)) if len(times) > 1 else 0.0
    return len(times) / span * DAY if span > 0.0 else math.nan


def exploration_advice(dataset: Dataset) -> str:
    """What exploration would lead to grade A, at what cost, and in how many days at the present rate."""
    specification = dataset.specification
    length = float(np.minimum(dataset.lengths, specification.horizon).mean())
    actions = float(dataset.allowed[dataset.rows].sum(axis=1).mean())
    plan = plan_exploration(actions, length)
    if plan is None:
        return (
            f"no uniform exploration makes {length:.0f} decisions in sequence among {actions:.0f} actions provable; "
            f"declare a shorter horizon, or allow fewer actions"
        )
    also = (
        f"a step of {ADVISED_STEP:g} towards a better policy is then provable too"
        if plan.step
        else "it proves policies near the present one; larger steps need a shorter horizon"
    )
    return (
        f"explore = {plan.explore:g} leads to grade A: {100 * plan.cost:.1f} % of the decisions are then others than "
        f"the rule's, and {_time_for(dataset, math.ceil(plan.units * length))}; {also}"
    )


def patience_advice(dataset: Dataset, units: int) -> str:
    """How many more decisions lead to grade A where only their number is lacking.

    Args:
        dataset: the log.
        units: units that are still needed.
    """
    each = len(dataset) / max(len(np.unique(dataset.units)), 1)
    wanted = counted(units, "more unit leads", "more units lead")
    return f"go on as now: {wanted} to grade A, and {_time_for(dataset, math.ceil(units * each))}"


def _time_for(dataset: Dataset, decisions: int) -> str:
    rate = decisions_per_day(dataset)
    when = f", {decisions / rate:.1f} days at the present {rate:,.0f} a day" if math.isfinite(rate) else ""
    return f"{counted(decisions, 'decision is', 'decisions are')} needed{when}"
