"""Logs in which nothing is wrong, of every kind that has fooled a detector: sticky, seasonal, coarse, small.

Built as columns directly: there are hundreds of them. A world is linear and noisy; its rule explores uniformly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from envs.build_report import BuildReport
from envs.dataset import Dataset
from envs.observation import ObservationField, ObservationSpecification
from envs.specification import AgentSpecification
from envs.splits import assign_splits
from tests.envs.samples import ACTIONS, KEY

DAY = 86_400.0
MONDAY = 1_704_067_200.0  # 1 January 2024


@dataclass(frozen=True)
class Kind:
    """A kind of log.

    Attributes:
        episodes: of the log.
        horizon: decisions of each.
        interval: seconds between the starts of two episodes; 0 for no clock.
        sticky: correlation of the level of an episode with the one before.
        within: correlation of the load with the one a decision before.
        daily: amplitude of the day.
        weekly: how much lower weekends are.
        explore: share of decisions drawn uniformly.
        logged: ``probabilities``, ``propensity`` or ``nothing``.
        tenants: how many, each with a level of its own.
        coarse: whether the load is one of five values.
        effect: how much the right action is worth.
        masked: whether an action is forbidden where the load is high.
    """

    episodes: int = 500
    horizon: int = 3
    interval: float = 1800.0
    sticky: float = 0.0
    within: float = 0.5
    daily: float = 0.0
    weekly: float = 0.0
    explore: float = 0.3
    logged: str = "probabilities"
    tenants: int = 1
    coarse: bool = False
    effect: float = 1.0
    masked: bool = False


KINDS: tuple[Kind, ...] = (
    Kind(),
    Kind(horizon=1, episodes=1500),
    Kind(sticky=0.6),
    Kind(sticky=0.9, episodes=1000),
    Kind(sticky=0.97, episodes=1500, horizon=2),
    Kind(within=0.95, horizon=6, logged="propensity", explore=0.4),
    Kind(daily=1.0),
    Kind(daily=2.0, interval=600.0, episodes=600),
    Kind(daily=1.5, sticky=0.8, interval=900.0, episodes=900),
    Kind(daily=1.0, weekly=1.5, interval=3600.0, episodes=900),
    Kind(weekly=2.0, interval=2400.0, episodes=800),
    Kind(daily=2.0, weekly=1.0, interval=1200.0, episodes=600, logged="nothing"),
    Kind(interval=0.0, sticky=0.7, logged="nothing"),
    Kind(interval=0.0, logged="propensity"),
    Kind(tenants=6, sticky=0.5, daily=1.0),
    Kind(coarse=True, sticky=0.8, logged="propensity"),
    Kind(coarse=True, daily=1.0, horizon=1, episodes=1200, interval=300.0),
    Kind(effect=0.0, daily=1.0),
    Kind(masked=True, daily=1.0),
    Kind(explore=0.06, horizon=2, episodes=1200, sticky=0.9, logged="propensity"),
)


def clean_log(seed: int, kind: Kind | None = None) -> tuple[Dataset, BuildReport]:
    """A log of the given kind, or of that whose turn it is."""
    kind = kind or KINDS[seed % len(KINDS)]
    return sound(kind, seed)


def sound(kind: Kind, seed: int, **changes: Any) -> tuple[Dataset, BuildReport]:
    """A log of that kind in which nothing is wrong, and the report that left nothing out."""
    random = np.random.default_rng([seed, 6])
    count, horizon = kind.episodes, kind.horizon
    starts = MONDAY + (seed * 7919.0) % (7 * DAY) + kind.interval * np.arange(count)
    tenant = random.integers(kind.tenants, size=count)
    level = random.normal(size=kind.tenants)[tenant] * (kind.tenants > 1)
    level += _autoregressive(count, kind.sticky, random) if kind.sticky else 0.0
    level += kind.daily * np.sin(2 * np.pi * (starts % DAY) / DAY + 1.0)
    level -= kind.weekly * (((starts - MONDAY) % (7 * DAY)) >= 5 * DAY)
    load = np.empty((count, horizon + 1))
    load[:, 0] = random.normal(size=count)
    for step in range(1, horizon + 1):
        load[:, step] = kind.within * load[:, step - 1] + np.sqrt(1 - kind.within**2) * random.normal(size=count)
    load += level[:, None]
    if kind.coarse:
        load = np.clip(np.round(load), -2.0, 2.0)
    size = (count, horizon + 1)
    zone = random.integers(3, size=size).astype(np.float64)
    hint = np.where(random.random(size) < 0.3, np.nan, random.normal(size=size))
    rows = np.stack([load, random.normal(size=size), zone, hint], axis=2).reshape(-1, 4)
    seen = np.arange(count * horizon) + np.repeat(np.arange(count), horizon)
    now = rows[seen, 0]
    rule = np.where(now > 0.5, 2, np.where(now < -0.5, 0, 1))
    allowed = np.ones((len(rows), 3), dtype=bool)
    if kind.masked:
        allowed[rows[:, 0] > 1.0, 0] = False
    mask = allowed[seen]
    probabilities = kind.explore * mask / mask.sum(axis=1, keepdims=True) + (1 - kind.explore) * np.eye(3)[rule]
    actions = (random.random(len(now))[:, None] > np.cumsum(probabilities, axis=1)).sum(axis=1)
    rewards = -kind.effect * np.abs(now - (actions - 1)) + 0.3 * rows[seen, 1] + random.normal(size=len(now))
    taken = probabilities[np.arange(len(now)), actions]
    names = [f"e{number:05d}" for number in range(count)]
    tenants = [f"tenant-{number}" for number in tenant]
    clock = starts if kind.interval else np.full(count, np.nan)
    units, splits = assign_splits(KEY, "episode", 0.0, tenants, names, clock, clock)
    last = np.tile(np.arange(horizon) == horizon - 1, count)
    dataset = Dataset(
        specification=_specification(horizon),
        identifier=f"{seed:064x}",
        offsets=np.arange(count + 1, dtype=np.int64) * horizon,
        observations=rows,
        allowed=allowed,
        actions=actions.astype(np.int64),
        propensities=taken if kind.logged != "nothing" else np.full(len(now), np.nan),
        action_probabilities=probabilities if kind.logged == "probabilities" else np.full((len(now), 3), np.nan),
        root_probabilities=np.full((len(rows), 3), np.nan),
        rewards=rewards,
        worst=np.zeros(len(now), dtype=bool),
        terminated=np.zeros(len(now), dtype=bool),
        truncated=last,
        end_known=np.ones(count, dtype=bool),
        timestamps=(clock[:, None] + 60.0 * np.arange(horizon)).ravel(),
        policy_versions=np.full(len(now), "rule-1"),
        units=units,
        splits=splits,
        sequences=np.arange(count, dtype=np.int64) * horizon + horizon,
    )
    return replace(dataset, **changes), BuildReport(len(now), len(now), count)


def of_many_actions(dataset: Dataset, actions: int, spread: float, seed: int) -> Dataset:
    """The same decisions among so many actions, which do nothing; uniform with ``spread`` 0."""
    random = np.random.default_rng([seed, 7])
    size, rows = (len(dataset), actions), dataset.observations[dataset.rows, :2]
    likely = np.exp(spread * rows @ random.normal(size=(2, actions)))
    likely /= likely.sum(axis=1, keepdims=True)
    taken = (random.random(len(dataset))[:, None] > np.cumsum(likely, axis=1)).sum(axis=1)
    return replace(
        dataset,
        specification=replace(dataset.specification, actions=tuple(f"a{each}" for each in range(actions))),
        allowed=np.ones((len(dataset.observations), actions), dtype=bool),
        actions=taken,
        propensities=likely[np.arange(len(dataset)), taken],
        action_probabilities=np.full(size, np.nan),
        root_probabilities=np.full((len(dataset.observations), actions), np.nan),
        rewards=random.normal(size=len(dataset)),
    )


def _specification(horizon: int) -> AgentSpecification:
    fields = (
        ObservationField("load"),
        ObservationField("noise"),
        ObservationField("zone", "category", categories=("a", "b", "c")),
        ObservationField("hint", optional=True),
    )
    observation = ObservationSpecification("object", fields)
    return AgentSpecification("scaling", observation, ACTIONS, horizon=horizon, minimum_units=20, practical_effect=1.0)


def _autoregressive(count: int, correlation: float, random: np.random.Generator) -> np.ndarray:
    """A process of mean 0 and variance 1 with that correlation from one to the next."""
    noise = random.normal(size=count) * np.sqrt(1 - correlation**2)
    out = np.empty(count)
    out[0] = random.normal()
    for index in range(1, count):
        out[index] = correlation * out[index - 1] + noise[index]
    return out
