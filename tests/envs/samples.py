"""Small logs with known properties, shared by the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

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
    out = []
    for number in range(episodes):
        loads = random.normal(size=horizon + 1)
        for step in range(horizon):
            rule = 2 if loads[step] > 0.0 else 1
            probabilities = np.full(3, explore / 3) + (1 - explore) * np.eye(3)[rule]
            action = int(random.choice(3, p=probabilities))
            fields: dict[str, Any] = {}
            if logged == "probabilities":
                fields["action_probabilities"] = dict(zip(ACTIONS, probabilities.tolist(), strict=True))
            elif logged == "propensity":
                fields["propensity"] = float(probabilities[action])
            if start is not None:
                moment = np.datetime64(start) + np.timedelta64(30 * number, "m") + np.timedelta64(5 * step, "m")
                fields["timestamp"] = f"{moment}:00Z"
            if step == horizon - 1:
                fields |= {"truncated": True, "next_observation": _seen(loads[horizon])}
            reward = -abs(loads[step] - (action - 1)) + random.normal() / 4 + 10.0
            out.append(
                record(
                    f"e{number}", step, action=ACTIONS[action], reward=reward, observation=_seen(loads[step]), **fields
                )
            )
    return declared, out


def _seen(load: float) -> dict[str, Any]:
    return {"load": float(load), "queue": {"size": float(max(load, 0.0))}}
