"""Testbed: how many replicas should a service under real traffic run?

A queueing model in steps of one minute with a decision every five: replicas need
:attr:`ScalingConstants.start_up` minutes before they serve, what exceeds the capacity waits in a
finite queue, what exceeds the queue is dropped. The reward of a decision is minus its replica cost,
its latency penalty and its drop penalty, all relative to the load the service was sized for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.observation import ObservationField, ObservationSpecification
from envs.specification import AgentSpecification
from envs.testbeds.traffic import HISTORY, TrafficEpisodes, draw_episodes

ACTIONS = ("down_30", "down_15", "hold", "up_15", "up_35", "up_80")
CHANGES = np.array([-0.30, -0.15, 0.0, 0.15, 0.35, 0.80])
HORIZON = 12
INTERVAL = 5


@dataclass(frozen=True, slots=True)
class ScalingConstants:
    """The physics and the prices of the testbed.

    Attributes:
        capacity: requests per minute that one ready replica serves.
        start_up: minutes from the request for a replica to its readiness.
        queue_limit: longest queue, in minutes of the present capacity.
        base_latency: latency of an idle service, in seconds.
        objective: latency objective, in seconds.
        sized_at: utilisation at which a replica costs what it is worth.
        replica_cost: cost of a decision interval in which the load was served at ``sized_at``.
        worst_cost: cost of idle replicas is counted up to this.
        latency_penalty: penalty of one minute in which the objective is fully missed.
        drop_penalty: penalty of an interval in which every request is dropped.
    """

    capacity: float = 1_000.0
    start_up: int = 6
    queue_limit: float = 1.0
    base_latency: float = 0.1
    objective: float = 0.4
    sized_at: float = 0.6
    replica_cost: float = 0.5
    worst_cost: float = 3.0
    latency_penalty: float = 0.3
    drop_penalty: float = 6.0

    @property
    def worst_reward(self) -> float:
        """Lower bound of a decision's reward, the declared range."""
        return -self.worst_cost - INTERVAL * self.latency_penalty - self.drop_penalty


CONSTANTS = ScalingConstants()
OBSERVATION = ObservationSpecification(
    "object",
    (
        ObservationField("utilisation", low=0.0, unit="share of the ready capacity, last 5 minutes"),
        ObservationField("trend", unit="log ratio of the last 5 minutes' requests to the 5 before"),
        ObservationField("queue", low=0.0, unit="minutes of the ready capacity"),
        ObservationField("pending", low=0.0, unit="starting over ready replicas"),
        ObservationField("latency", low=0.0, unit="s"),
        ObservationField("replicas", "integer", low=0.0),
        ObservationField("requests", low=0.0, unit="requests/min"),
    ),
)
SCALE_FREE = ("utilisation", "trend", "queue", "pending")


def specification(explore: float) -> AgentSpecification:
    """The scaling agent's declaration."""
    return AgentSpecification(
        name="scaling",
        observation=OBSERVATION,
        actions=ACTIONS,
        reward="-replica_cost - latency_penalty - drop_penalty",
        reward_range=(CONSTANTS.worst_reward, 0.0),
        horizon=HORIZON,
        unit="episode",
        worst_class="dropped > 0",
        practical_effect=0.02,
        explore=explore,
        rule="envs.testbeds.scaling:threshold_rule",
        rule_version="threshold-1",
    )


def threshold_rule(observation: Mapping[str, Any]) -> str:
    """The present rule: a slow threshold autoscaler that looks at utilisation alone."""
    utilisation = observation["utilisation"]
    if utilisation > 1.05:
        return "up_15"
    return "down_15" if utilisation < 0.3 else "hold"


def rule_probabilities(rows: np.ndarray) -> np.ndarray:
    """:func:`threshold_rule` on raw rows (N, 7) at once, as probabilities (N, 6)."""
    utilisation = rows[:, 0]
    chosen = np.where(utilisation > 1.05, ACTIONS.index("up_15"), ACTIONS.index("hold"))
    chosen = np.where(utilisation < 0.3, ACTIONS.index("down_15"), chosen)
    return np.eye(len(ACTIONS))[chosen]


def allowed_of(rows: np.ndarray) -> np.ndarray:
    """Every change may always be requested, bool (N, 6)."""
    return np.ones((len(rows), len(ACTIONS)), dtype=bool)


class ScalingWorld:
    """E services stepped together, one decision of all of them at a time.

    Attributes:
        active: bool (E,), always True: an episode is only ever cut off at its last decision.
    """

    def __init__(self, episodes: TrafficEpisodes, rng: np.random.Generator) -> None:
        self.episodes = episodes
        self.minute = 0
        count = len(episodes.nominal)
        start = episodes.nominal / (rng.uniform(0.25, 1.5, size=count) * CONSTANTS.capacity)
        self.ready = np.maximum(np.round(start), 1.0)
        self.starting = np.zeros((count, CONSTANTS.start_up))
        self.queue = np.zeros(count)
        self.latency = np.full(count, CONSTANTS.base_latency)
        self.active = np.ones(count, dtype=bool)

    def allowed(self) -> np.ndarray:
        """Actions possible now, bool (E, 6): all."""
        return np.ones((len(self.active), len(ACTIONS)), dtype=bool)

    def observe(self) -> np.ndarray:
        """Raw observation rows, float64 (E, 7), in the order of :data:`OBSERVATION`."""
        now = HISTORY + self.minute
        recent = self.episodes.arrivals[:, now - INTERVAL : now].mean(axis=1)
        before = self.episodes.arrivals[:, now - 2 * INTERVAL : now - INTERVAL].mean(axis=1)
        capacity = self.ready * CONSTANTS.capacity
        trend = np.log((recent + 1.0) / (before + 1.0))
        pending = self.starting.sum(axis=1) / self.ready
        return np.column_stack(
            [recent / capacity, trend, self.queue / capacity, pending, self.latency, self.ready, recent]
        )

    def step(self, actions: np.ndarray) -> dict[str, np.ndarray]:
        """Applies one action index per service and runs five minutes; returns the outcome columns, (E,) each."""
        self._scale(CHANGES[actions])
        replica_minutes = np.zeros(len(self.ready))
        late = np.zeros(len(self.ready))
        dropped = np.zeros(len(self.ready))
        arrived = np.zeros(len(self.ready))
        latencies = np.zeros(len(self.ready))
        for _ in range(INTERVAL):
            arrivals = self.episodes.arrivals[:, HISTORY + self.minute]
            capacity = self.ready * CONSTANTS.capacity
            waiting = self.queue + arrivals
            left = np.maximum(waiting - capacity, 0.0)
            self.queue = np.minimum(left, CONSTANTS.queue_limit * capacity)
            lost = left - self.queue
            load = np.minimum(waiting / capacity, 0.98)
            service = CONSTANTS.base_latency * (1.0 + load**4 / (1.0 - load) / 4.0)
            self.latency = service + 60.0 * self.queue / capacity
            replica_minutes += self.ready + self.starting.sum(axis=1)
            late += np.clip((self.latency - CONSTANTS.objective) / CONSTANTS.objective, 0.0, 1.0)
            dropped += lost
            arrived += arrivals
            latencies += self.latency
            self.ready += self.starting[:, 0]
            self.starting = np.column_stack([self.starting[:, 1:], np.zeros(len(self.ready))])
            self.minute += 1
        needed = np.maximum(arrived, 1.0) / (CONSTANTS.sized_at * CONSTANTS.capacity)
        cost = np.minimum(CONSTANTS.replica_cost * replica_minutes / needed, CONSTANTS.worst_cost)
        late_penalty = CONSTANTS.latency_penalty * late
        drop_penalty = CONSTANTS.drop_penalty * dropped / np.maximum(arrived, 1.0)
        return {
            "replica_cost": cost,
            "latency_penalty": late_penalty,
            "drop_penalty": drop_penalty,
            "dropped": dropped,
            "latency": latencies / INTERVAL,
        }

    def _scale(self, change: np.ndarray) -> None:
        total = self.ready + self.starting.sum(axis=1)
        wanted = np.where(change > 0, np.ceil(total * (1.0 + change)), np.floor(total * (1.0 + change)))
        wanted = np.maximum(np.where(change == 0, total, wanted), 1.0)
        self.starting[:, -1] += np.maximum(wanted - total, 0.0)
        surplus = np.maximum(total - wanted, 0.0)
        for slot in range(CONSTANTS.start_up - 1, -1, -1):  # the youngest starting replicas go first
            cancelled = np.minimum(self.starting[:, slot], surplus)
            self.starting[:, slot] -= cancelled
            surplus -= cancelled
        self.ready -= np.minimum(surplus, self.ready - 1.0)


def reward_of(outcome: Mapping[str, np.ndarray]) -> np.ndarray:
    """The declared reward expression on outcome columns."""
    return -outcome["replica_cost"] - outcome["latency_penalty"] - outcome["drop_penalty"]


def draw_world(count: int, *, logged: bool, rng: np.random.Generator) -> ScalingWorld:
    """E fresh one-hour episodes from the logged days or from the unseen ones."""
    return ScalingWorld(draw_episodes(count, HORIZON * INTERVAL, logged=logged, rng=rng), rng)


def true_returns(
    probabilities: Callable[[np.ndarray], np.ndarray], *, logged: bool, episodes: int = 4_000, seed: int = 0
) -> np.ndarray:
    """Returns of simulated episodes under a policy, float64 (E,); the same seed draws the same traffic.

    Args:
        probabilities: raw rows (E, 7) to action probabilities (E, 6).
        logged: whether episodes come from the pool of logged days or from the days never logged.
        episodes: number of episodes.
        seed: of traffic and actions.
    """
    rng = np.random.default_rng([seed, int(logged)])
    world = draw_world(episodes, logged=logged, rng=rng)
    returns = np.zeros(episodes)
    for _ in range(HORIZON):
        cumulative = np.cumsum(probabilities(world.observe()), axis=1)
        drawn = rng.random(episodes)[:, None] * cumulative[:, -1:]
        returns += reward_of(world.step((drawn >= cumulative).sum(axis=1)))
    return returns
