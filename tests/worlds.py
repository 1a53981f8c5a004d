"""Small worlds whose truth is known exactly, and logs of them as datasets. Import it from any test."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from envs.dataset import FINAL, SELECT, TRAIN, Dataset
from envs.observation import ObservationField, ObservationSpecification
from envs.specification import AgentSpecification


@dataclass(frozen=True, eq=False)
class World:
    """A finite-horizon tabular MDP.

    Attributes:
        transition: (S, A, S).
        reward: (S, A), mean reward.
        terminal: bool (S,), arriving there terminates.
        start: (S,), distribution of the first state.
        horizon: decisions until truncation.
        discount: per decision.
        noise: standard deviation of the reward's Gaussian noise.
        rows: (S, D), the raw observation of each state.
        vector: whether the observation is a vector (else the integer of the state).
    """

    transition: np.ndarray
    reward: np.ndarray
    terminal: np.ndarray
    start: np.ndarray
    horizon: int
    discount: float = 1.0
    noise: float = 0.0
    vector: bool = False

    @property
    def state_count(self) -> int:
        return self.transition.shape[0]

    @property
    def action_count(self) -> int:
        return self.transition.shape[1]

    @property
    def rows(self) -> np.ndarray:
        index = np.arange(self.state_count, dtype=np.float64)
        return np.stack([index, -0.5 * index], axis=1) if self.vector else index[:, None]

    def specification(self, **changes: object) -> AgentSpecification:
        """The declaration that fits this world."""
        high = float(self.state_count - 1)
        if self.vector:
            fields: tuple[ObservationField, ...] = (
                ObservationField("position", "number", 0.0, high),
                ObservationField("depth", "number", -0.5 * high, 0.0),
            )
        else:
            fields = (ObservationField("state", "integer", 0, high),)
        spread = 5.0 * self.noise
        declared = AgentSpecification(
            name="toy",
            observation=ObservationSpecification("vector" if self.vector else "int", fields),
            actions=tuple(f"a{index}" for index in range(self.action_count)),
            reward_range=(float(self.reward.min()) - spread, float(self.reward.max()) + spread),
            horizon=self.horizon,
            discount=self.discount,
        )
        return replace(declared, **changes)  # type: ignore[arg-type]

    def action_values(self, values: np.ndarray, discount: float | None = None) -> np.ndarray:
        """One-step look-ahead (S, A) of state values (S,)."""
        gamma = self.discount if discount is None else discount
        return self.reward + gamma * self.transition @ np.where(self.terminal, 0.0, values)

    def evaluate(self, policy: np.ndarray, horizon: int | None = None, discount: float | None = None) -> np.ndarray:
        """Exact state values (S,) of a stationary policy (S, A) over the horizon."""
        values = np.zeros(self.state_count)
        for _ in range(horizon or self.horizon):
            values = (policy * self.action_values(values, discount)).sum(axis=1)
        return values

    def optimal(self, horizon: int | None = None, discount: float | None = None) -> np.ndarray:
        """Exact optimal action values (S, A) with ``horizon`` decisions left (1,000 stands for endless)."""
        values = np.zeros(self.state_count)
        for _ in range((horizon or self.horizon) - 1):
            values = self.action_values(values, discount).max(axis=1)
        return self.action_values(values, discount)

    def value(self, policy: np.ndarray) -> float:
        """Exact value of a policy (S, A) from the start distribution."""
        return float(self.start @ self.evaluate(policy))

    def trajectories(self, policy: np.ndarray) -> Iterator[tuple[float, list[int], list[int], list[float], bool]]:
        """All trajectories: probability, T + 1 states, T actions, T (mean) rewards, terminated."""
        for first in np.flatnonzero(self.start > 0):
            yield from self._extend(policy, float(self.start[first]), [int(first)], [], [])

    def _extend(
        self, policy: np.ndarray, chance: float, states: list[int], actions: list[int], rewards: list[float]
    ) -> Iterator[tuple[float, list[int], list[int], list[float], bool]]:
        ended = bool(actions) and bool(self.terminal[states[-1]])
        if ended or len(actions) == self.horizon:
            yield chance, states, actions, rewards, ended
            return
        here = states[-1]
        for action, following in itertools.product(range(self.action_count), range(self.state_count)):
            step = policy[here, action] * self.transition[here, action, following]
            if step > 0:
                reward = float(self.reward[here, action])
                yield from self._extend(
                    policy, chance * step, [*states, following], [*actions, action], [*rewards, reward]
                )

    def log(
        self,
        behaviour: np.ndarray,
        episodes: int,
        seed: int = 0,
        *,
        root: np.ndarray | None = None,
        specification: AgentSpecification | None = None,
    ) -> Dataset:
        """A log of ``episodes`` episodes of a behaviour policy (S, A); ``root`` is the bare rule (S, A)."""
        random = np.random.default_rng(seed)
        runs = []
        for _ in range(episodes):
            states = [int(random.choice(self.state_count, p=self.start))]
            actions: list[int] = []
            rewards: list[float] = []
            while len(actions) < self.horizon and not (actions and self.terminal[states[-1]]):
                here = states[-1]
                action = int(random.choice(self.action_count, p=behaviour[here]))
                rewards.append(float(self.reward[here, action] + self.noise * random.standard_normal()))
                states.append(int(random.choice(self.state_count, p=self.transition[here, action])))
                actions.append(action)
            runs.append((states, actions, rewards, bool(self.terminal[states[-1]])))
        return self.dataset(runs, behaviour, root=root, specification=specification)

    def dataset(
        self,
        runs: list[tuple[list[int], list[int], list[float], bool]],
        behaviour: np.ndarray,
        *,
        root: np.ndarray | None = None,
        specification: AgentSpecification | None = None,
    ) -> Dataset:
        """The dataset of given runs (T + 1 states, T actions, T rewards, terminated); splits by turns 5:1.5:3.5."""
        lengths = np.array([len(actions) for _, actions, _, _ in runs])
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        states = np.concatenate([states for states, _, _, _ in runs]).astype(np.int64)
        actions = np.concatenate([actions for _, actions, _, _ in runs]).astype(np.int64)
        rewards = np.concatenate([rewards for _, _, rewards, _ in runs]).astype(np.float64)
        count, decisions = len(runs), len(actions)
        rows = np.arange(decisions) + np.repeat(np.arange(count), lengths)
        last = np.zeros(decisions, dtype=bool)
        last[offsets[1:] - 1] = True
        ended = np.repeat(np.array([terminated for *_, terminated in runs]), lengths) & last
        declared = specification or self.specification()
        known = np.full((len(states), self.action_count), np.nan) if root is None else root[states]
        turn = np.arange(count) % 20
        return Dataset(
            specification=declared,
            identifier=hashlib.sha256(states.tobytes() + actions.tobytes() + rewards.tobytes()).hexdigest(),
            offsets=offsets,
            observations=self.rows[states],
            allowed=np.ones((len(states), self.action_count), dtype=bool),
            actions=actions,
            propensities=behaviour[states[rows], actions],
            action_probabilities=behaviour[states[rows]],
            root_probabilities=known,
            rewards=rewards,
            worst=np.zeros(decisions, dtype=bool),
            terminated=ended,
            truncated=last & ~ended,
            end_known=np.ones(count, dtype=bool),
            timestamps=np.full(decisions, np.nan),
            policy_versions=np.full(decisions, declared.rule_version),
            units=np.array([f"episode-{index:06d}" for index in range(count)]),
            splits=np.where(turn < 10, TRAIN, np.where(turn < 13, SELECT, FINAL)).astype(np.int8),
            sequences=offsets[1:] - 1,
        )


def deterministic(actions: list[int] | np.ndarray, action_count: int) -> np.ndarray:
    """The policy (S, A) that takes ``actions[s]`` in state s."""
    return np.eye(action_count)[np.asarray(actions)]


def explored(root: np.ndarray, explore: float) -> np.ndarray:
    """(1 − e) root + e uniform."""
    return (1.0 - explore) * root + explore / root.shape[1]


def chain(length: int = 5, slip: float = 0.0, horizon: int = 20, vector: bool = False, noise: float = 0.0) -> World:
    """A corridor: left (0) or right (1), −0.1 a step, +1 on arriving at the right end, which terminates.

    The optimum is to walk right. With ``slip`` a step goes the other way.
    """
    transition = np.zeros((length, 2, length))
    for state in range(length):
        left, right = max(state - 1, 0), min(state + 1, length - 1)
        transition[state, 0, left] += 1.0 - slip
        transition[state, 0, right] += slip
        transition[state, 1, right] += 1.0 - slip
        transition[state, 1, left] += slip
    reward = np.full((length, 2), -0.1) + transition[:, :, length - 1]
    terminal = np.arange(length) == length - 1
    start = np.where(terminal, 0.0, 1.0 / (length - 1))
    return World(transition, reward, terminal, start, horizon, noise=noise, vector=vector)


def bandit(contexts: int = 4, noise: float = 0.3, vector: bool = True) -> World:
    """A two-armed contextual bandit, one decision an episode: arm 1 is better in the upper half of the contexts."""
    gain = np.where(np.arange(contexts) >= contexts / 2, 0.5, -0.5)
    reward = np.stack([np.zeros(contexts), gain], axis=1)
    transition = np.full((contexts, 2, contexts), 1.0 / contexts)
    start = np.full(contexts, 1.0 / contexts)
    return World(transition, reward, np.zeros(contexts, dtype=bool), start, 1, noise=noise, vector=vector)


def random_world(
    seed: int = 0, states: int = 6, actions: int = 3, horizon: int = 8, noise: float = 0.0, terminal: int = 1
) -> World:
    """A random MDP whose last ``terminal`` states end the episode."""
    random = np.random.default_rng(seed)
    transition = random.dirichlet(np.full(states, 0.5), size=(states, actions))
    ends = np.arange(states) >= states - terminal
    start = np.where(ends, 0.0, 1.0 / (states - terminal))
    return World(transition, random.uniform(-1.0, 1.0, (states, actions)), ends, start, horizon, noise=noise)
