"""Logs with one defect each, made from clean ones: what the card's detectors must find."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from envs.dataset import Dataset
from envs.observation import ObservationField, ObservationSpecification


def later(dataset: Dataset, share: float) -> np.ndarray:
    """Decisions after that share of the log, bool (N,)."""
    return np.asarray(dataset.episode_index >= share * dataset.episode_count)


def with_new_traffic(dataset: Dataset, share: float = 0.5, size: float = 1.5) -> Dataset:
    """From a day on a number that the rule does not look at is higher."""
    rows = dataset.observations.copy()
    episode = np.repeat(np.arange(dataset.episode_count), dataset.lengths + 1)
    rows[episode >= share * dataset.episode_count, 1] += size
    return replace(dataset, observations=rows)


def with_new_rule(dataset: Dataset, share: float = 0.6) -> Dataset:
    """From a day on the rule takes "up" where it took "down", and the other way round."""
    changed = later(dataset, share)
    actions, probabilities = dataset.actions.copy(), dataset.action_probabilities.copy()
    actions[changed] = 2 - actions[changed]
    probabilities[changed] = probabilities[changed][:, ::-1]
    return replace(dataset, actions=actions, action_probabilities=probabilities)


def with_field(dataset: Dataset, name: str, values: np.ndarray) -> Dataset:
    """With one more number in each observation; the last one of an episode has that of the decision before."""
    column = np.zeros(len(dataset.observations))
    column[dataset.rows] = values
    column[dataset.rows[dataset.offsets[1:] - 1] + 1] = values[dataset.offsets[1:] - 1]
    observation = dataset.specification.observation
    fields = (*observation.fields, ObservationField(name))
    declared = replace(dataset.specification, observation=ObservationSpecification("object", fields))
    rows = np.column_stack([dataset.observations, column])
    return replace(dataset, specification=declared, observations=rows)


def with_confidence(dataset: Dataset, noise: float = 0.3, seed: int = 0) -> Dataset:
    """A ``confidence`` that was set when the reward was known."""
    draw = np.random.default_rng(seed).normal(size=len(dataset))
    return with_field(dataset, "confidence", dataset.rewards / dataset.rewards.std() + noise * draw)


def with_persistent_cost(dataset: Dataset, seed: int = 0) -> Dataset:
    """A ``backlog`` that tells the reward and was there before: it only moves slowly."""
    random = np.random.default_rng(seed)
    backlog = np.repeat(random.normal(size=dataset.episode_count), dataset.lengths)
    backlog += 0.1 * random.normal(size=len(backlog))
    return replace(with_field(dataset, "backlog", backlog), rewards=-backlog)


def without_region(dataset: Dataset) -> Dataset:
    """Where the load is above 0.2 nobody takes "down", though it was allowed: what was likely for it goes to "hold"."""
    high = dataset.observations[dataset.rows, 0] > 0.2
    actions, probabilities = dataset.actions.copy(), dataset.action_probabilities.copy()
    actions[high & (actions == 0)] = 1
    probabilities[high, 1] += probabilities[high, 0]
    probabilities[high, 0] = 0.0
    propensities = dataset.propensities.copy()
    merged = high & (actions == 1)
    if np.isfinite(probabilities).all():
        propensities[merged] = probabilities[merged, 1]
    else:
        propensities[merged] = np.minimum(2.0 * propensities[merged], 1.0)
    return replace(dataset, actions=actions, action_probabilities=probabilities, propensities=propensities)


def with_opposite_tenants(dataset: Dataset) -> Dataset:
    """For every other tenant "up" earns what "down" earns for the others; no observation tells whose it is."""
    odd = np.array([int(unit.partition("/")[0].rpartition("-")[2]) % 2 == 1 for unit in dataset.units])
    sign = np.where(odd, 1.0, -1.0)[dataset.episode_index]
    return replace(dataset, rewards=dataset.rewards + sign * (dataset.actions - 1))


def imported_twice(dataset: Dataset, share: float = 0.2) -> Dataset:
    """A part of the episodes once more, under other names."""
    again = np.arange(int(share * dataset.episode_count))
    doubled = dataset.select_episodes(np.concatenate([np.arange(dataset.episode_count), again]))
    names = np.array([f"copy-{number}" for number in again])
    return replace(doubled, units=np.concatenate([dataset.units, names]))


def resent(dataset: Dataset, share: float = 0.2) -> Dataset:
    """In a part of the episodes the second decision is the first one, recorded again."""
    chosen = np.flatnonzero(later(dataset, 1.0 - share) & (dataset.steps == 1))
    changed = {}
    for column in ("actions", "rewards", "timestamps", "propensities", "action_probabilities"):
        values = getattr(dataset, column).copy()
        values[chosen] = values[chosen - 1]
        changed[column] = values
    rows = dataset.observations.copy()
    rows[dataset.rows[chosen]] = rows[dataset.rows[chosen] - 1]
    return replace(dataset, observations=rows, **changed)


def shuffled(dataset: Dataset, share: float = 0.2) -> Dataset:
    """In a part of the episodes the steps are in another order than they happened: the clock tells."""
    moments = dataset.timestamps.copy()
    for episode in range(int((1.0 - share) * dataset.episode_count), dataset.episode_count):
        own = slice(dataset.offsets[episode], dataset.offsets[episode + 1])
        moments[own] = moments[own][::-1]
    return replace(dataset, timestamps=moments)
