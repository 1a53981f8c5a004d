"""Testbed: how much CPU and memory should a service hold while its load and the price vary?

Allocations are continuous; a decision every ten minutes multiplies each of them by a factor. What the
load needs beyond the allocation makes responses slow, and memory beyond its limit kills the service for
the interval. The policies that a search moves through have four continuous parameters: the CPU and
memory usage below which to give back, and above which to take more (:func:`band_probabilities`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from envs.observation import ObservationField, ObservationSpecification
from envs.specification import AgentSpecification
from envs.testbeds.rollout import Probabilities, explored, simulated_returns

DIRECTIONS = ("down", "hold", "up")
ACTIONS = tuple(f"cpu_{cpu}_memory_{memory}" for cpu in DIRECTIONS for memory in DIRECTIONS)
FACTORS = np.array([0.75, 1.0, 1.35])
HORIZON = 8
INTERVAL = 10
"""Minutes between two decisions."""
EXPLORE = 0.2
SMALLEST, LARGEST = 0.5, 64.0
"""Bounds of both allocations, in cores and in units of 2 GiB."""
COST_WEIGHT, WORST_COST = 0.35, 2.0
MEMORY_PRICE = 0.5
SLOW_PENALTY = 1.0
KILL_PENALTY = 2.0
BASE_TIME, OBJECTIVE = 0.1, 0.5
WORST_REWARD = -WORST_COST - SLOW_PENALTY - KILL_PENALTY
RULE_BANDS = (0.30, 0.90, 0.30, 0.92)
"""The present rule's parameters: it gives back late and takes more late."""
BETTER_BANDS = (0.50, 0.72, 0.55, 0.78)

OBSERVATION = ObservationSpecification(
    "object",
    (
        ObservationField("cpu_usage", low=0.0, unit="demand over allocation"),
        ObservationField("memory_usage", low=0.0, unit="demand over allocation"),
        ObservationField("response_time", low=0.0, unit="s"),
        ObservationField("trend", unit="log ratio of the load to that of the interval before"),
        ObservationField("price", low=0.0, unit="of a core, relative to its usual price"),
        ObservationField("cpu", low=0.0, unit="cores"),
        ObservationField("memory", low=0.0, unit="units of 2 GiB"),
    ),
)


def specification(explore: float = EXPLORE) -> AgentSpecification:
    """The optimization agent's declaration: an episode is a service's stretch of 80 minutes."""
    return AgentSpecification(
        name="optimization",
        observation=OBSERVATION,
        actions=ACTIONS,
        reward="-cost - slow_penalty - kill_penalty",
        reward_range=(WORST_REWARD, 0.0),
        horizon=HORIZON,
        unit="episode",
        worst_class="killed > 0",
        practical_effect=0.02,
        explore=explore,
        rule="envs.testbeds.optimization:band_rule",
        rule_version="band-1",
    )


def band_rule(observation: Mapping[str, Any]) -> str:
    """The present rule: wide bands of usage, for CPU and for memory apart."""
    low, high, memory_low, memory_high = RULE_BANDS
    cpu, memory = observation["cpu_usage"], observation["memory_usage"]
    cpu_word = "up" if cpu > high else "down" if cpu < low else "hold"
    memory_word = "up" if memory > memory_high else "down" if memory < memory_low else "hold"
    return f"cpu_{cpu_word}_memory_{memory_word}"


def band_probabilities(rows: np.ndarray, bands: tuple[float, float, float, float]) -> np.ndarray:
    """The rule's family on raw rows (N, 7): (cpu low, cpu high, memory low, memory high) to (N, 9)."""
    cpu = 1 + (rows[:, 0] > bands[1]).astype(int) - (rows[:, 0] < bands[0])
    memory = 1 + (rows[:, 1] > bands[3]).astype(int) - (rows[:, 1] < bands[2])
    return np.eye(len(ACTIONS))[cpu * len(DIRECTIONS) + memory]


def rule_probabilities(rows: np.ndarray) -> np.ndarray:
    """:func:`band_rule` on raw rows (N, 7) at once, as probabilities (N, 9)."""
    return band_probabilities(rows, RULE_BANDS)


def better_probabilities(rows: np.ndarray) -> np.ndarray:
    """A better member of the same family, (N, 9): a yardstick, never a training target."""
    return band_probabilities(rows, BETTER_BANDS)


def allowed_of(rows: np.ndarray) -> np.ndarray:
    """Every change may be requested, bool (N, 9); the allocation's bounds belong to the environment."""
    return np.ones((len(rows), len(ACTIONS)), dtype=bool)


class OptimizationWorld:
    """E services stepped together.

    Attributes:
        allocation: float64 (E, 2), cores and units of 2 GiB.
        active: bool (E,), always True.
    """

    def __init__(self, count: int, rng: np.random.Generator) -> None:
        self.rng = rng
        self.base = np.exp(rng.uniform(np.log(1.5), np.log(12.0), size=count))
        self.memory_share = rng.uniform(0.6, 1.4, size=count)
        self.level = rng.normal(0.0, 0.15, size=count)
        self.drift = rng.normal(0.0, 0.06, size=count)
        self.price = rng.uniform(0.7, 1.3, size=count)
        self.trend = np.zeros(count)
        demand = self._demand()
        usage = rng.uniform(0.25, 1.1, size=(count, 2))
        self.allocation = np.clip(demand / usage, SMALLEST, LARGEST)
        self.response = self._response(demand / self.allocation)
        self.active = np.ones(count, dtype=bool)

    def _demand(self) -> np.ndarray:
        """Cores and memory that the present load needs, (E, 2)."""
        cpu = self.base * np.exp(self.level)
        return np.column_stack([cpu, self.base * self.memory_share * np.exp(0.5 * self.level)])

    def _response(self, usage: np.ndarray) -> np.ndarray:
        load = np.minimum(usage[:, 0], 0.97)
        swapping = 2.0 * np.clip(usage[:, 1] - 0.85, 0.0, None)
        return BASE_TIME / (1.0 - load) + swapping + np.clip(usage[:, 0] - 1.0, 0.0, None)

    def observe(self) -> np.ndarray:
        """Raw observation rows, float64 (E, 7), in the order of :data:`OBSERVATION`."""
        usage = self._demand() / self.allocation
        return np.column_stack([usage, self.response, self.trend, self.price, self.allocation])

    def allowed(self) -> np.ndarray:
        """Actions possible now, bool (E, 9): all."""
        return np.ones((len(self.active), len(ACTIONS)), dtype=bool)

    def step(self, actions: np.ndarray) -> dict[str, np.ndarray]:
        """Changes the allocations and runs ten minutes; returns the outcome columns, (E,) each."""
        rng, count = self.rng, len(actions)
        change = np.column_stack([FACTORS[actions // len(DIRECTIONS)], FACTORS[actions % len(DIRECTIONS)]])
        self.allocation = np.clip(self.allocation * change, SMALLEST, LARGEST)
        self.trend = self.drift + rng.normal(0.0, 0.08, size=count)
        self.level = self.level + self.trend
        demand = self._demand()
        usage = demand / self.allocation
        self.response = self._response(usage)
        killed = usage[:, 1] > 1.0
        price = np.column_stack([self.price, np.full(count, MEMORY_PRICE)])
        paid = (price * self.allocation).sum(axis=1) / demand.sum(axis=1)
        outcome = {
            "cost": np.minimum(COST_WEIGHT * paid, WORST_COST),
            "slow_penalty": SLOW_PENALTY * np.clip((self.response - OBJECTIVE) / OBJECTIVE, 0.0, 1.0),
            "kill_penalty": KILL_PENALTY * killed,
            "killed": killed.astype(float),
            "response_time": self.response.copy(),
            "cpu_usage": usage[:, 0],
            "memory_usage": usage[:, 1],
        }
        self.price = np.clip(self.price * np.exp(rng.normal(0.0, 0.1, size=count)), 0.4, 2.5)
        return outcome


def reward_of(outcome: Mapping[str, np.ndarray]) -> np.ndarray:
    """The declared reward expression on outcome columns."""
    return -outcome["cost"] - outcome["slow_penalty"] - outcome["kill_penalty"]


def draw_world(count: int, *, rng: np.random.Generator) -> OptimizationWorld:
    """E fresh independent services; they draw from a generator of their own, seeded by ``rng``."""
    return OptimizationWorld(count, np.random.default_rng(rng.integers(2**63)))


def true_returns(probabilities: Probabilities, *, episodes: int = 4_000, seed: int = 0) -> np.ndarray:
    """Returns of simulated services under a policy, float64 (E,); the same seed draws the same load and price.

    Args:
        probabilities: raw rows (E, 7) to action probabilities (E, 9).
        episodes: number of services.
        seed: of load, price and actions.
    """
    rng = np.random.default_rng([seed, 7])
    return simulated_returns(draw_world(episodes, rng=rng), probabilities, reward_of, horizon=HORIZON, rng=rng)


def exploring(explore: float = EXPLORE) -> Probabilities:
    """The policy that writes the log: the wide bands with bounded exploration."""
    return explored(rule_probabilities, explore, allowed_of)
