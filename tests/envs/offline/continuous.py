"""A noisy world of real-valued observations whose law is known, and logs of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from envs.dataset import TRAIN, Dataset
from envs.observation import ObservationField, ObservationSpecification
from envs.specification import AgentSpecification

Policy = Callable[[np.ndarray], np.ndarray]
"""Rows (n, D) to probabilities (n, 3)."""
PUSHES = np.array([-0.6, 0.0, 0.6])


@dataclass(frozen=True)
class LinearWorld:
    """x' = ½ x + push(a) e_1 + drift + ¼ noise; reward = 1 − ½ |x_1| − ¼ |x_2| + noise · N(0, 1); ends where x_1 > 1.5.

    Attributes:
        noise: standard deviation of the reward's noise.
        horizon: decisions until truncation.
        ends: whether anything terminates.
    """

    noise: float = 0.3
    horizon: int = 6
    ends: bool = True

    def specification(self) -> AgentSpecification:
        fields = (ObservationField("first"), ObservationField("second"))
        spread = 5.0 * self.noise
        return AgentSpecification(
            name="linear",
            observation=ObservationSpecification("vector", fields),
            actions=("down", "hold", "up"),
            reward_range=(-2.0 - spread, 1.0 + spread),
            horizon=self.horizon,
        )

    def mean_next(self, rows: np.ndarray, actions: np.ndarray) -> np.ndarray:
        return 0.5 * rows + np.stack([PUSHES[actions], np.full(len(rows), 0.2)], axis=1)

    def mean_reward(self, rows: np.ndarray) -> np.ndarray:
        return 1.0 - 0.5 * np.abs(rows[:, 0]) - 0.25 * np.abs(rows[:, 1])

    def runs(self, policy: Policy, episodes: int, seed: int) -> tuple[np.ndarray, ...]:
        """Rows (E, H + 1, 2), actions (E, H), rewards (E, H), and decisions of each episode (E,)."""
        random = np.random.default_rng(seed)
        rows = [random.normal(size=(episodes, 2))]
        actions, rewards, lengths = [], [], np.full(episodes, self.horizon)
        for step in range(self.horizon):
            chosen = (random.random(episodes)[:, None] >= np.cumsum(policy(rows[-1]), axis=1)[:, :-1]).sum(axis=1)
            actions.append(chosen)
            rewards.append(self.mean_reward(rows[-1]) + self.noise * random.normal(size=episodes))
            rows.append(self.mean_next(rows[-1], chosen) + 0.25 * random.normal(size=(episodes, 2)))
            if self.ends:
                lengths = np.where((rows[-1][:, 0] > 1.5) & (lengths == self.horizon), step + 1, lengths)
        return np.stack(rows, axis=1), np.stack(actions, axis=1), np.stack(rewards, axis=1), lengths

    def value(self, policy: Policy, episodes: int = 40_000, seed: int = 99) -> float:
        _, _, rewards, lengths = self.runs(policy, episodes, seed)
        return float((rewards * (np.arange(self.horizon) < lengths[:, None])).sum(axis=1).mean())

    def log(self, policy: Policy, episodes: int, seed: int = 0) -> Dataset:
        rows, actions, rewards, lengths = self.runs(policy, episodes, seed)
        steps = np.arange(self.horizon + 1)
        lived, seen = steps[:-1] < lengths[:, None], steps <= lengths[:, None]
        chances = policy(rows[:, :-1][lived])
        last = (steps[:-1] == lengths[:, None] - 1)[lived]
        beyond = (rows[:, 1:, 0] > 1.5)[lived] & self.ends
        decisions = int(lived.sum())
        return Dataset(
            specification=self.specification(),
            identifier="linear",
            offsets=np.concatenate([[0], np.cumsum(lengths)]),
            observations=rows[seen],
            allowed=np.ones((decisions + episodes, 3), dtype=bool),
            actions=actions[lived],
            propensities=chances[np.arange(decisions), actions[lived]],
            action_probabilities=chances,
            root_probabilities=np.full((decisions + episodes, 3), np.nan),
            rewards=rewards[lived],
            worst=np.zeros(decisions, dtype=bool),
            terminated=last & beyond,
            truncated=last & ~beyond,
            end_known=np.ones(episodes, dtype=bool),
            timestamps=np.full(decisions, np.nan),
            policy_versions=np.full(decisions, "rule-1"),
            units=np.array([f"episode-{index}" for index in range(episodes)]),
            splits=np.full(episodes, TRAIN, dtype=np.int8),
            sequences=np.cumsum(lengths) - 1,
        )


def inward(rows: np.ndarray) -> np.ndarray:
    """Pushes towards the centre most of the time."""
    wanted = np.where(rows[:, 0] > 0.4, 0, np.where(rows[:, 0] < -0.4, 2, 1))
    return np.full((len(rows), 3), 0.2) + 0.4 * np.eye(3)[wanted]


def uniform(rows: np.ndarray) -> np.ndarray:
    return np.full((len(rows), 3), 1.0 / 3.0)
