"""Diagnostics beside an estimate: overlap region by region, the model's Bellman error, labels of what was estimated.

References:
    Kish (1965), section 8.2, for effective numbers; Baird (1995) and Antos, Szepesvári & Munos (2008),
    section 3, for why one sample of the next state cannot tell Bellman error from noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from algorithms.ope.intervals import unit_log_weights
from algorithms.ope.overlap import effective_sample_size, largest_weight_share, scaled_weights
from algorithms.ope.trajectories import Trajectories
from envs.dataset import Dataset
from envs.encoding.kmeans import KMeansStates
from envs.errors import DataError

NAMED_STATES = 12
"""An integer observation of at most so many values is its own region."""


@dataclass(frozen=True, slots=True)
class RegionOverlap:
    """How far the log reaches a policy in one region of the state space.

    Attributes:
        region: its name.
        decisions: logged decisions there.
        units: units with one or more of them.
        effective: Kish effective number of those units, by their cumulative weights at those decisions.
        largest_share: the largest unit's share of that weight.
        logged_share: share of the log's decisions that are there.
        target_share: share of the policy's decisions that would be there, by self-normalised weights.
        sentence: what it means.
    """

    region: str
    decisions: int
    units: int
    effective: float
    largest_share: float
    logged_share: float
    target_share: float
    sentence: str


@dataclass(frozen=True, slots=True)
class BellmanError:
    """How well a model of values explains held-out decisions: δ = r + γ V̂(s') - Q̂(s, a).

    δ² has the Bellman error and the chance of reward and next state in it, and one logged next state
    cannot tell them apart. What can be told is the mean of δ over many decisions: the square of a
    group's mean, less its own sampling variance, is an unbiased estimate of the group's squared mean
    Bellman error. ``systematic`` is the root of that over the groups, a lower estimate of the true one.

    Attributes:
        model: name of the model class.
        decisions: held-out decisions.
        mean: of δ; positive where the model is too low.
        root_mean_square: of δ, noise included.
        systematic: root mean squared Bellman error of the groups, noise removed; 0 where none is seen.
        explained: share of the variance of r + γ V̂(s') within a step that Q̂ explains.
        sentence: what it means.
    """

    model: str
    decisions: int
    mean: float
    root_mean_square: float
    systematic: float
    explained: float
    sentence: str


def overlap_by_region(
    trajectories: Trajectories, regions: np.ndarray, *, units: np.ndarray | None = None
) -> tuple[RegionOverlap, ...]:
    """Effective sample size and largest share in each region, those that the policy visits most first.

    Args:
        trajectories: the log under the target's ratios.
        regions: labels (E, H), :func:`algorithms.ope.padding.pad` of one per decision
            (:func:`state_regions`, or declared segments); read where active.
        units: independent unit of each episode (E,), ``None`` where it is the episode.

    Raises:
        DataError: shapes disagree.
    """
    active = trajectories.active
    if np.shape(regions) != active.shape:
        raise DataError(f"regions have shape {np.shape(regions)}, not {active.shape}", remedy="pad them (pad)")
    with_action = np.cumsum(trajectories.log_ratios, axis=1)
    # A state is reached before its action is taken: its weight is that of the step before.
    reached = np.concatenate([np.zeros((len(active), 1)), with_action[:, :-1]], axis=1)
    weights = scaled_weights(reached)
    visits = np.where(active, weights / np.maximum(weights.sum(axis=0), 1e-300), 0.0)
    names, code = np.unique(np.asarray(regions)[active], return_inverse=True)
    episode = np.nonzero(active)[0]
    owner = np.arange(len(active)) if units is None else np.unique(units, return_inverse=True)[1]
    found = []
    for number, name in enumerate(names):
        here = code == number
        by_unit = unit_log_weights(with_action[active][here], owner[episode[here]])
        effective, share = effective_sample_size(by_unit), largest_weight_share(by_unit)
        logged = float(here.mean())
        target = float(visits[active][here].sum() / visits.sum()) if visits.sum() > 0.0 else 0.0
        where = f"{name}: {100 * target:.0f} % of the policy's decisions, {100 * logged:.0f} % of the log's"
        reach = (
            f"{effective:,.0f} effective of {len(by_unit):,} units, the largest has {100 * share:.0f} % of the weight"
        )
        found.append(
            RegionOverlap(
                str(name),
                int(here.sum()),
                len(by_unit),
                effective,
                share,
                logged,
                target,
                f"{where}; {reach}",
            )
        )
    return tuple(sorted(found, key=lambda region: (-region.target_share, region.region)))


def state_regions(dataset: Dataset, *, count: int = 6, seed: int = 0) -> np.ndarray:
    """A region for each decision, str (N,): the state itself where there are few, else named k-means cells.

    A cell is named by the two fields in which its medians are farthest from the log's.

    Args:
        dataset: the log.
        count: number of cells.
        seed: of the cells.
    """
    observation, rows = dataset.specification.observation, dataset.observations[dataset.rows]
    if observation.kind == "int" and len(np.unique(rows)) <= NAMED_STATES:
        return np.array([f"{observation.fields[0].name} = {value:g}" for value in rows[:, 0]])
    states = KMeansStates.fit(rows, observation, count=count, seed=seed)
    cell = states.states(rows)
    names = {-1: "incomplete observation"}
    for number in np.unique(cell[cell >= 0]):
        names[int(number)] = f"cell {number + 1}: " + ", ".join(_typical(dataset, rows, cell == number))
    return np.array([names[int(number)] for number in cell])


def bellman_error(trajectories: Trajectories, groups: np.ndarray, *, model: str = "model") -> BellmanError:
    """The Bellman error of held-out model values.

    Args:
        trajectories: with model values fitted on other episodes.
        groups: labels (E, H) of what the mean error is taken over (region and action, say); read where active.
        model: name of the model class.

    Raises:
        DataError: no model values, or shapes disagree.
    """
    q, v, active = trajectories.q_values, trajectories.v_values, trajectories.explained
    if q is None or v is None:
        raise DataError("no model values", where="bellman_error", remedy="fit a model first (cross_fit)")
    if np.shape(groups) != active.shape or not active.any():
        raise DataError(f"groups have shape {np.shape(groups)}, not {active.shape}", remedy="pad them (pad)")
    target = (trajectories.rewards + trajectories.discount * v[:, 1:])[active]
    residual = target - q[active]
    step = np.nonzero(active)[1]
    counts = np.bincount(step)
    mean_of_step = np.bincount(step, weights=target) / np.maximum(counts, 1)
    variance = float(np.mean((target - mean_of_step[step]) ** 2))
    square = float(np.mean(residual**2))
    _, code = np.unique(np.asarray(groups)[active], return_inverse=True)
    sizes = np.bincount(code).astype(np.float64)
    means = np.bincount(code, weights=residual) / sizes
    spread = np.bincount(code, weights=(residual - means[code]) ** 2)
    several = sizes > 1
    unbiased = means[several] ** 2 - spread[several] / (sizes[several] - 1.0) / sizes[several]
    systematic = math.sqrt(max(float(sizes[several] @ unbiased) / max(float(sizes[several].sum()), 1.0), 0.0))
    explained = 1.0 - square / variance if variance > 0.0 else 0.0
    return BellmanError(
        model,
        len(residual),
        float(residual.mean()),
        math.sqrt(square),
        systematic,
        explained,
        f"{model}: off by {systematic:.3g} a decision on average over groups of states, "
        f"by {math.sqrt(square):.3g} with the chance of reward and next state in it",
    )


def _typical(dataset: Dataset, rows: np.ndarray, chosen: np.ndarray) -> list[str]:
    """The two fields that set the chosen rows apart most, with their usual values."""
    found = []
    for index, declared in enumerate(dataset.specification.observation.fields):
        column = rows[:, index]
        column, own = column[np.isfinite(column)], column[chosen & np.isfinite(column)]
        if not len(own):
            continue
        if declared.type == "category":
            values, counts = np.unique(own, return_counts=True)
            usual = values[counts.argmax()]
            distance = float(counts.max() / len(own) - (column == usual).mean())
            found.append((distance, f"{declared.name} {declared.categories[int(usual)]}"))
            continue
        low, middle, high = np.quantile(column, [0.25, 0.5, 0.75])
        distance = abs(float(np.median(own) - middle)) / (float(high - low) or float(column.std()) or 1.0)
        found.append((distance, f"{declared.name} near {np.median(own):.3g}"))
    return [text for _, text in sorted(found, key=lambda item: -item[0])[:2]]
