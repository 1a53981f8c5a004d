"""Small logs with known properties, shared by the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cache
from itertools import product
from typing import Any

import numpy as np

from envs.build import dataset_from_records
from envs.build_report import BuildReport
from envs.dataset import Dataset
from envs.observation import ObservationField, ObservationSpecification
from envs.record import DecisionRecord
from envs.specification import AgentSpecification

KEY = bytes(range(32))
ACTIONS = ("down", "hold", "up")


def specification(**changes: Any) -> AgentSpecification:
    values: dict[str, Any] = {
        "name": "scaling",
        "observation": ObservationSpecification("object", (ObservationField("load"), ObservationField("queue.size"))),
        "actions": ACTIONS,
        "horizon": 4,
        "minimum_units": 20,
    }
    return AgentSpecification(**(values | changes))


def record(episode: str | None = "e", step: int | None = 0, **changes: Any) -> DecisionRecord:
    values: dict[str, Any] = {
        "event_id": f"{episode}-{step}" if episode else "decision-1",
        "episode_id": episode,
        "step": step,
        "agent": "scaling",
        "observation": {"load": float(step or 0), "queue": {"size": 1.0}},
        "action": "hold",
        "reward": 1.0,
    }
    merged = {name: value for name, value in (values | changes).items() if value is not None}
    return DecisionRecord.from_mapping(merged)


def numbered(records: Iterable[DecisionRecord]) -> list[tuple[int, DecisionRecord]]:
    return list(enumerate(records, start=1))


def episode(name: str, length: int, **last: Any) -> list[DecisionRecord]:
    """An episode that ends with the given fields."""
    return [record(name, step, **(last if step == length - 1 else {})) for step in range(length)]


def simulated(
    *,
    episodes: int = 400,
    horizon: int = 4,
    explore: float = 0.2,
    seed: int = 0,
    logged: str = "probabilities",
    start: str | None = "2024-01-01",
    declared: AgentSpecification | None = None,
) -> tuple[AgentSpecification, list[DecisionRecord]]:
    """A rule ("up" when the load is high, else "hold") with uniform exploration, on a random load.

    Args:
        episodes: number of episodes.
        horizon: decisions of each.
        explore: share of decisions taken uniformly at random.
        seed: of everything drawn.
        logged: ``probabilities``, ``propensity`` or ``nothing``.
        start: day of the first episode, one every half hour; ``None`` for no timestamps.
        declared: the specification; one of that horizon where not given.
    """
    random = np.random.default_rng(seed)
    declared = declared or specification(horizon=horizon)
    loads = random.normal(size=(episodes, horizon + 1))
    draws, noise = random.random((episodes, horizon)), random.normal(size=(episodes, horizon)) / 4
    # The two distributions that the rule with its exploration has, by its choice.
    tables = {rule: np.full(3, explore / 3) + (1 - explore) * np.eye(3)[rule] for rule in (1, 2)}
    named = {rule: dict(zip(ACTIONS, table.tolist(), strict=True)) for rule, table in tables.items()}
    first = None if start is None else datetime.fromisoformat(start)
    out = []
    for number, step in product(range(episodes), range(horizon)):
        load, rule = float(loads[number, step]), 2 if loads[number, step] > 0.0 else 1
        action = min(int(np.searchsorted(np.cumsum(tables[rule]), draws[number, step], side="right")), 2)
        last = step == horizon - 1
        moment = None if first is None else first + timedelta(minutes=30 * number + 5 * step)
        # Built directly: what a test of the dataset or the card needs is valid, and there is much of it.
        out.append(
            DecisionRecord(
                event_id=f"e{number}-{step}",
                episode_id=f"e{number}",
                step=step,
                agent=declared.name,
                observation=_seen(load),
                action=ACTIONS[action],
                reward=-abs(load - (action - 1)) + float(noise[number, step]) + 10.0,
                propensity=None if logged == "nothing" else float(tables[rule][action]),
                action_probabilities=named[rule] if logged == "probabilities" else None,
                timestamp=None if moment is None else f"{moment.isoformat()}Z",
                truncated=last,
                next_observation=_seen(float(loads[number, horizon])) if last else None,
            )
        )
    return declared, out


def _seen(load: float) -> dict[str, Any]:
    return {"load": load, "queue": {"size": max(load, 0.0)}}


@cache
def built(**options: Any) -> tuple[Dataset, BuildReport]:
    """The dataset of a simulated log, kept because nothing writes to one."""
    declared, records = simulated(**options)
    return dataset_from_records(declared, numbered(records), KEY)
