"""Tabular worlds whose truth is exact, and logs of them drawn many at a time."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from envs.dataset import FINAL, SELECT, TRAIN, Dataset
from envs.observation import ObservationField, ObservationSpecification
from envs.specification import AgentSpecification

NOISES = ("sign", "skewed", "bernoulli")


@dataclass(frozen=True, eq=False)
class World:
    """A finite-horizon decision process with noisy rewards.

    Attributes:
        start: float64 (S,), distribution of the first state.
        move: float64 (S, A, S).
        end: float64 (S, A), chance that the episode ends with the decision.
        mean: float64 (S, A), mean reward.
        horizon: decisions until the episode is cut.
        noise: size of the reward's deviation; not read by ``bernoulli``.
        kind: ``sign`` (mean ± noise), ``skewed`` (mean + noise (1 - Exp(1))) or ``bernoulli``.
        alias: int64 (S,), what is observed of each state; ``None`` where the state is.
        discount: per decision.
    """

    start: np.ndarray
    move: np.ndarray
    end: np.ndarray
    mean: np.ndarray
    horizon: int
    noise: float = 1.0
    kind: str = "sign"
    alias: np.ndarray | None = None
    discount: float = 1.0

    @property
    def observed_count(self) -> int:
        """Number of distinct observations."""
        return len(self.start) if self.alias is None else int(self.alias.max()) + 1

    def on_states(self, policy: np.ndarray) -> np.ndarray:
        """A policy over observations, (O, A), as one over states, (S, A)."""
        return policy if self.alias is None else policy[self.alias]

    def q_values(self, policy: np.ndarray) -> np.ndarray:
        """Q_h of a policy over observations for h = 0 … H, float64 (H + 1, S, A)."""
        on_states = self.on_states(policy)
        q = np.zeros((self.horizon + 1, *self.mean.shape))
        for h in range(1, self.horizon + 1):
            following = (on_states * q[h - 1]).sum(axis=1)
            q[h] = self.mean + self.discount * (1.0 - self.end) * (self.move @ following)
        return q

    def value(self, policy: np.ndarray) -> float:
        """Exact expected return of a policy over observations."""
        return float(self.start @ (self.on_states(policy) * self.q_values(policy)[-1]).sum(axis=1))

    def best_policy(self) -> np.ndarray:
        """A greedy policy (S, A) of the exact optimal values with H decisions to go."""
        values = np.zeros(len(self.start))
        q = self.mean
        for _ in range(self.horizon):
            q = self.mean + self.discount * (1.0 - self.end) * (self.move @ values)
            values = q.max(axis=1)
        return np.eye(self.mean.shape[1])[q.argmax(axis=1)]

    def overlap(self, behaviour: np.ndarray, target: np.ndarray) -> float:
        """Expected effective share of episodes, 1 / E w², exact."""
        b, p = self.on_states(behaviour), self.on_states(target)
        ratio = np.divide(p * p, b, out=np.zeros_like(b), where=p > 0)
        squared = np.ones(len(self.start))
        for _ in range(self.horizon):
            squared = (ratio * (self.end + (1.0 - self.end) * (self.move @ squared))).sum(axis=1)
        return 1.0 / float(self.start @ squared)

    def step_of_overlap(self, behaviour: np.ndarray, aim: np.ndarray, wanted: float) -> np.ndarray:
        """(1 - η) behaviour + η aim with the largest η ≤ 1 whose overlap is at least ``wanted``, (O, A)."""
        below, above = 0.0, 1.0
        if self.overlap(behaviour, aim) >= wanted:
            return aim
        for _ in range(40):
            middle = 0.5 * (below + above)
            if self.overlap(behaviour, (1 - middle) * behaviour + middle * aim) >= wanted:
                below = middle
            else:
                above = middle
        return (1 - below) * behaviour + below * aim

    def reward_range(self) -> tuple[float, float]:
        """Smallest and largest possible reward; skewed noise is cut at 20 of its scale."""
        low, high = float(self.mean.min()), float(self.mean.max())
        if self.kind == "bernoulli":
            return 0.0, 1.0
        return (
            (low - 20 * self.noise, high + self.noise)
            if self.kind == "skewed"
            else (low - self.noise, high + self.noise)
        )

    def draw(self, policy: np.ndarray, episodes: int, rng: np.random.Generator) -> Log:
        """Independent episodes of a policy over observations."""
        shape = (episodes, self.horizon)
        policy_edges, move_edges = policy.cumsum(axis=1), self.move.cumsum(axis=2)
        policy_edges[:, -1] = move_edges[:, :, -1] = 2.0
        states = np.zeros((episodes, self.horizon + 1), dtype=np.int64)
        actions = np.zeros(shape, dtype=np.int64)
        rewards, active = np.zeros(shape), np.zeros(shape, dtype=bool)
        state = rng.choice(len(self.start), episodes, p=self.start)
        running = np.ones(episodes, dtype=bool)
        for step in range(self.horizon):
            seen = state if self.alias is None else self.alias[state]
            action = (rng.random((episodes, 1)) > policy_edges[seen]).sum(axis=1)
            states[:, step], actions[:, step], active[:, step] = seen, action, running
            rewards[:, step] = np.where(running, self._rewards(self.mean[state, action], rng), 0.0)
            ended = rng.random(episodes) < self.end[state, action]
            state = (rng.random((episodes, 1)) > move_edges[state, action]).sum(axis=1)
            running = running & ~ended
        states[:, -1] = state if self.alias is None else self.alias[state]
        # The observation after an early end stands behind it, whatever it is: a termination is never looked behind.
        return Log(states, actions, rewards, active, ~running, policy[states[:, :-1]])

    def _rewards(self, means: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if self.kind == "bernoulli":
            return (rng.random(len(means)) < means).astype(np.float64)
        if self.kind == "skewed":
            return means + self.noise * (1.0 - np.minimum(rng.exponential(size=len(means)), 21.0))
        return means + self.noise * (2.0 * rng.integers(2, size=len(means)) - 1.0)


@dataclass(frozen=True, eq=False)
class Log:
    """E episodes, padded to H decisions.

    Attributes:
        states: int64 (E, H + 1), observations.
        actions: int64 (E, H).
        rewards: float64 (E, H), 0 after the end.
        active: bool (E, H).
        terminated: bool (E,).
        probabilities: float64 (E, H, A), of all actions when it was drawn.
    """

    states: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    active: np.ndarray
    terminated: np.ndarray
    probabilities: np.ndarray

    def __len__(self) -> int:
        return len(self.actions)

    def select(self, chosen: np.ndarray | slice) -> Log:
        """Some of the episodes."""
        return Log(*(getattr(self, column.name)[chosen] for column in fields(self)))


def join(logs: list[Log]) -> Log:
    """Logs one after the other."""
    return Log(*(np.concatenate([getattr(log, column.name) for log in logs]) for column in fields(Log)))


def uniform_start_world(
    seed: int, states: int, actions: int, horizon: int, *, end: float = 0.0, **changes: object
) -> World:
    """A random world: transitions Dirichlet(1), mean rewards standard normal."""
    rng = np.random.default_rng(seed)
    move = rng.dirichlet(np.ones(states), (states, actions))
    mean = rng.normal(size=(states, actions))
    world = World(np.full(states, 1.0 / states), move, np.full((states, actions), end), mean, horizon)
    return replace(world, **changes)  # type: ignore[arg-type]


def explored(rule: np.ndarray, explore: float) -> np.ndarray:
    """(1 - ε) rule + ε uniform."""
    return (1.0 - explore) * rule + explore / rule.shape[1]


def turns(count: int) -> np.ndarray:
    """Splits .5, .15 and .35 by turns of 20, int8 (E,)."""
    turn = np.arange(count) % 20
    return np.where(turn < 10, TRAIN, np.where(turn < 13, SELECT, FINAL)).astype(np.int8)


def dataset_of(
    log: Log,
    world: World,
    *,
    explore: float = 0.0,
    splits: np.ndarray | None = None,
    units: np.ndarray | None = None,
    worst: np.ndarray | None = None,
    reward_range: tuple[float, float] | None = None,
    **declared: object,
) -> Dataset:
    """A log as a dataset of an agent that observes an integer.

    Args:
        log: the episodes.
        world: gives horizon, discount and the reward range.
        explore: the declared floor.
        splits: int8 (E,); by turns by default.
        units: (E,), the independent unit of each episode; the episode by default.
        worst: bool (E, H), outcomes of the worst class.
        reward_range: the world's by default.
        declared: further fields of the specification.
    """
    episodes, size = len(log), world.mean.shape[1]
    lengths = log.active.sum(axis=1)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    count = int(offsets[-1])
    rows = np.arange(count) + np.repeat(np.arange(episodes), lengths)
    observations = np.empty((count + episodes, 1))
    observations[rows, 0] = log.states[:, :-1][log.active]
    observations[offsets[1:] + np.arange(episodes), 0] = log.states[np.arange(episodes), lengths]
    last = offsets[1:] - 1
    terminated, truncated = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    terminated[last], truncated[last] = log.terminated, ~log.terminated
    actions, probabilities = log.actions[log.active], log.probabilities[log.active]
    values = {
        "reward_range": world.reward_range() if reward_range is None else reward_range,
        "horizon": world.horizon,
        "discount": world.discount,
        "explore": explore,
        "unit": "episode" if units is None else "day",
    }
    specification = AgentSpecification(
        "world",
        ObservationSpecification("int", (ObservationField("state", "integer", 0, max(world.observed_count - 1, 1)),)),
        tuple(f"a{action}" for action in range(size)),
        **(values | declared),  # type: ignore[arg-type]
    )
    return Dataset(
        specification=specification,
        identifier="world",
        offsets=offsets,
        observations=observations,
        allowed=np.ones((count + episodes, size), dtype=bool),
        actions=actions,
        propensities=probabilities[np.arange(count), actions],
        action_probabilities=probabilities,
        root_probabilities=np.full((count + episodes, size), np.nan),
        rewards=log.rewards[log.active],
        worst=np.zeros(count, dtype=bool) if worst is None else worst[log.active],
        terminated=terminated,
        truncated=truncated,
        end_known=np.ones(episodes, dtype=bool),
        timestamps=np.full(count, np.nan),
        policy_versions=np.full(count, specification.rule_version),
        units=np.char.mod("%07d", np.arange(episodes)) if units is None else np.char.mod("%07d", units),
        splits=turns(episodes) if splits is None else splits,
        sequences=offsets[1:] - 1,
    )


def on_rows(dataset: Dataset, policies: np.ndarray) -> np.ndarray:
    """Policies over observations, (P, O, A), at all rows of a dataset, (P, N + E, A)."""
    return policies[:, dataset.observations[:, 0].astype(np.int64)]
