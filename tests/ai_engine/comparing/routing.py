"""An agent whose change pays in one service and harms in another, and the policies that are compared.

Each episode is of one service and has two decisions, ``stay`` or ``switch``. Switching raises the chance of
success by .6 in the database under load, lowers it by .4 in the api under load, and changes nothing
elsewhere; it costs .1. The rule always stays, and explores.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from envs.home import Home
from envs.observation import ObservationField, ObservationSpecification
from envs.record import DecisionRecord
from envs.specification import AgentSpecification
from tests import homes

AGENT = "router"
ACTIONS = ("stay", "switch")
SERVICES = ("api", "database", "web")
HORIZON, EXPLORE, EPISODES = 2, 0.5, 2400
EFFECT = {"database": 0.6, "api": -0.4, "web": 0.0}
COST, BASE, BUSY = 0.1, 0.4, 0.5
MODULE = "tests.ai_engine.comparing.routing"
OBSERVATION = ObservationSpecification(
    "object",
    (ObservationField("service", "category", categories=SERVICES), ObservationField("load", low=0.0, high=1.0)),
)


def specification() -> AgentSpecification:
    return AgentSpecification(
        name=AGENT,
        observation=OBSERVATION,
        actions=ACTIONS,
        reward="success - cost",
        reward_range=(-1.0, 1.0),
        horizon=HORIZON,
        explore=EXPLORE,
        rule=f"{MODULE}:stay",
        rule_version="stay-1",
    )


def stay(observation: Any) -> str:
    return "stay"


def database_only(observation: Any) -> str:
    """Right: switches where it helps."""
    return "switch" if observation["service"] == "database" and observation["load"] > BUSY else "stay"


def under_load(observation: Any) -> dict[str, float]:
    """Switches under load in every service: helps in one and harms in another."""
    return {"switch": 0.9, "stay": 0.1} if observation["load"] > BUSY else {"stay": 1.0}


def truth(policy: Any, service: str | None = None, reward: Any = None) -> float:
    """Exact value of a callable served with the floor, over all episodes or those of one service."""
    worth = reward or (lambda success, cost: success - cost)
    total = 0.0
    for name in [service] if service else SERVICES:
        for load in (0.25, 0.75):
            answer = policy({"service": name, "load": load})
            asked = answer.get("switch", 0.0) if isinstance(answer, dict) else float(answer == "switch")
            switch = (1 - EXPLORE) * asked + EXPLORE / 2
            gain = EFFECT[name] if load > BUSY else 0.0
            for chance, raised, cost in ((switch, gain, COST), (1 - switch, 0.0, 0.0)):
                success = BASE + raised
                total += HORIZON * chance * (success * worth(1.0, cost) + (1 - success) * worth(0.0, cost)) / 2
    return total / (1 if service else len(SERVICES))


def records(episodes: int = EPISODES, seed: int = 0, **outcome: Any) -> list[DecisionRecord]:
    """The rule's log; ``outcome`` changes what is recorded of every decision."""
    rng = np.random.default_rng(seed)
    found = []
    for episode in range(episodes):
        service = SERVICES[rng.integers(len(SERVICES))]
        loads = rng.random(HORIZON + 1)
        for step in range(HORIZON):
            switched = rng.random() < EXPLORE / 2
            raised = EFFECT[service] if switched and loads[step] > BUSY else 0.0
            last = step == HORIZON - 1
            success = float(rng.random() < BASE + raised)
            cost = COST * switched
            recorded: dict[str, Any] = {"outcome": {"success": success, "cost": cost}}
            found.append(
                {
                    "event_id": f"{seed}-{episode}-{step}",
                    "agent": AGENT,
                    "tenant": f"tenant-{episode % 3}",
                    "episode_id": f"{seed}-{episode:05d}",
                    "step": step,
                    "observation": {"service": service, "load": float(loads[step])},
                    "action": ACTIONS[int(switched)],
                    "propensity": EXPLORE / 2 if switched else 1 - EXPLORE / 2,
                    "action_probabilities": {"stay": 1 - EXPLORE / 2, "switch": EXPLORE / 2},
                    "policy_version": "stay-1",
                    "truncated": last,
                    "next_observation": {"service": service, "load": float(loads[step + 1])} if last else None,
                    **recorded,
                    **outcome,
                }
            )
    return [DecisionRecord.from_mapping(mapping) for mapping in found]


def make_home(path: Path, rows: list[DecisionRecord] | None = None) -> Home:
    home = Home.create(path, split_key=homes.KEY)
    home.declare(specification())
    homes.write(home, records() if rows is None else rows)
    return home
