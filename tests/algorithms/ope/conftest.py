"""Worlds small enough that every trajectory can be written down, and logs drawn from them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from algorithms.ope.trajectories import Trajectories
from envs.dataset import Dataset
from envs.observation import ObservationField, ObservationSpecification
from envs.specification import AgentSpecification
from tests.algorithms.ope.marginals import state_ratios


@dataclass
class Batch:
    """Episodes with their states; ``probability`` is set when they were enumerated."""

    states: np.ndarray  # (E, H), -1 after the end
    actions: np.ndarray  # (E, H)
    rewards: np.ndarray  # (E, H)
    active: np.ndarray  # (E, H)
    terminated: np.ndarray  # (E,)
    probability: np.ndarray  # (E,)

    def take(self, index: np.ndarray) -> Batch:
        """The episodes of these indices, in their order."""
        return Batch(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


@dataclass
class World:
    """An MDP with rewards base ± 1 (even odds) and a chance to end after each decision."""

    start: np.ndarray  # (S,)
    move: np.ndarray  # (S, A, S)
    end: np.ndarray  # (S, A)
    base: np.ndarray  # (S, A)
    horizon: int
    discount: float = 0.9
    noise: float = 1.0

    def q_values(self, policy: np.ndarray) -> np.ndarray:
        """Q_h for h = 0 … H by dynamic programming, (H + 1, S, A)."""
        q = np.zeros((self.horizon + 1, *self.base.shape))
        for h in range(1, self.horizon + 1):
            value = (policy * q[h - 1]).sum(axis=1)
            q[h] = self.base + self.discount * (1 - self.end) * (self.move @ value)
        return q

    def value(self, policy: np.ndarray) -> float:
        return float(self.start @ (policy * self.q_values(policy)[-1]).sum(axis=1))

    def enumerate(self, behaviour: np.ndarray) -> Batch:
        """Every trajectory with its probability under the behaviour."""
        found: list[tuple[float, list[tuple[int, int, float]], bool]] = []

        def grow(probability: float, state: int, path: list[tuple[int, int, float]]) -> None:
            for action in range(self.base.shape[1]):
                for sign in (-1.0, 1.0):
                    p = probability * behaviour[state, action] * 0.5
                    step = [*path, (state, action, self.base[state, action] + sign * self.noise)]
                    if p == 0.0:
                        continue
                    if len(step) == self.horizon:
                        found.append((p, step, False))
                        continue
                    if self.end[state, action] > 0:
                        found.append((p * self.end[state, action], step, True))
                    for following, chance in enumerate(self.move[state, action]):
                        if chance > 0:
                            grow(p * (1 - self.end[state, action]) * chance, following, step)

        for state, chance in enumerate(self.start):
            if chance > 0:
                grow(chance, state, [])
        shape = (len(found), self.horizon)
        batch = Batch(
            np.full(shape, -1),
            np.zeros(shape, dtype=np.int64),
            np.zeros(shape),
            np.zeros(shape, dtype=bool),
            np.array([item[2] for item in found]),
            np.array([item[0] for item in found]),
        )
        for row, (_, path, _) in enumerate(found):
            for step, (state, action, reward) in enumerate(path):
                batch.states[row, step], batch.actions[row, step] = state, action
                batch.rewards[row, step], batch.active[row, step] = reward, True
        return batch

    def frequency_log(self, behaviour: np.ndarray) -> Batch:
        """A log whose frequencies are the probabilities, for a world and behaviour of powers of 2."""
        batch = self.enumerate(behaviour)
        copies = batch.probability * 2.0 ** round(np.log2(1.0 / batch.probability.min()))
        assert np.allclose(copies, copies.round())
        return batch.take(np.repeat(np.arange(len(copies)), copies.round().astype(int)))

    def draw(self, behaviour: np.ndarray, episodes: int, rng: np.random.Generator) -> Batch:
        """A log of independent episodes."""
        shape = (episodes, self.horizon)
        batch = Batch(
            np.full(shape, -1),
            np.zeros(shape, dtype=np.int64),
            np.zeros(shape),
            np.zeros(shape, dtype=bool),
            np.zeros(episodes, dtype=bool),
            np.full(episodes, 1.0 / episodes),
        )
        state = rng.choice(len(self.start), episodes, p=self.start)
        running = np.ones(episodes, dtype=bool)
        policy_edges, move_edges = behaviour.cumsum(axis=1), self.move.cumsum(axis=2)
        last_action, last_state = self.base.shape[1] - 1, len(self.start) - 1
        for step in range(self.horizon):
            action = np.minimum((rng.random((episodes, 1)) > policy_edges[state]).sum(axis=1), last_action)
            reward = self.base[state, action] + self.noise * rng.choice([-1.0, 1.0], episodes)
            batch.states[:, step] = np.where(running, state, -1)
            batch.actions[:, step] = np.where(running, action, 0)
            batch.rewards[:, step] = np.where(running, reward, 0.0)
            batch.active[:, step] = running
            ended = running & (rng.random(episodes) < self.end[state, action])
            batch.terminated |= ended
            running = running & ~ended
            state = np.minimum((rng.random((episodes, 1)) > move_edges[state, action]).sum(axis=1), last_state)
        return batch

    def trajectories(
        self, batch: Batch, behaviour: np.ndarray, target: np.ndarray, q: np.ndarray | None = None
    ) -> Trajectories:
        """The batch under a target, its states' ratios exact; ``q`` (H + 1, S, A) is the model, by steps to go."""
        state = np.maximum(batch.states, 0)
        with np.errstate(divide="ignore"):
            ratios = np.log(target[state, batch.actions]) - np.log(behaviour[state, batch.actions])
            of_states = np.log(state_ratios(self, behaviour, target))[np.arange(self.horizon), state]
        plain = Trajectories(
            batch.rewards,
            np.where(batch.active, ratios, 0.0),
            batch.active,
            self.discount,
            state_log_ratios=np.where(batch.active, of_states, 0.0),
            markov=True,
        )
        if q is None:
            return plain
        to_go = self.horizon - np.arange(self.horizon)
        model_q = np.where(batch.active, q[to_go, state, batch.actions], 0.0)
        model_v = np.where(batch.active, (q[to_go, state] * target[state]).sum(axis=2), 0.0)
        return replace(plain, q_values=model_q, v_values=np.concatenate([model_v, np.zeros((len(state), 1))], axis=1))

    def dataset(self, batch: Batch, behaviour: np.ndarray, *, end_known: bool = False) -> Dataset:
        """The batch as a dataset of an agent that observes the state as an integer."""
        lengths = batch.active.sum(axis=1)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        count, episodes = int(offsets[-1]), len(lengths)
        rows = np.arange(count) + np.repeat(np.arange(episodes), lengths)
        observations = np.full((count + episodes, 1), np.nan)
        observations[rows, 0] = batch.states[batch.active]
        if end_known:
            observations[offsets[1:] + np.arange(episodes), 0] = 0.0
        last = offsets[1:] - 1
        terminated = np.zeros(count, dtype=bool)
        terminated[last] = batch.terminated
        truncated = np.zeros(count, dtype=bool)
        truncated[last] = ~batch.terminated
        size = self.base.shape[1]
        specification = AgentSpecification(
            "tiny",
            ObservationSpecification("int", (ObservationField("state", "integer"),)),
            tuple(range(size)),
            reward_range=(float(self.base.min() - self.noise), float(self.base.max() + self.noise)),
            horizon=self.horizon,
            discount=self.discount,
        )
        probabilities = behaviour[batch.states[batch.active]]
        actions = batch.actions[batch.active]
        return Dataset(
            specification,
            "tiny",
            offsets,
            observations,
            np.ones((count + episodes, size), dtype=bool),
            actions,
            probabilities[np.arange(count), actions],
            probabilities,
            np.full((count + episodes, size), np.nan),
            batch.rewards[batch.active],
            np.zeros(count, dtype=bool),
            terminated,
            truncated,
            np.full(episodes, end_known),
            np.full(count, np.nan),
            np.full(count, ""),
            np.arange(episodes).astype(str),
            np.zeros(episodes, dtype=np.int8),
            np.arange(episodes),
        )


@pytest.fixture(scope="session")
def world() -> World:
    """Three states, two actions, three steps, endings: irregular numbers, for enumeration."""
    rng = np.random.default_rng(5)
    return World(
        start=np.array([0.55, 0.45, 0.0]),
        move=rng.dirichlet(np.ones(3), (3, 2)),
        end=np.array([[0.1, 0.3], [0.0, 0.25], [0.4, 0.05]]),
        base=rng.normal(size=(3, 2)) * 2 - 1,
        horizon=3,
    )


@pytest.fixture(scope="session")
def dyadic() -> World:
    """A world whose trajectories have whole numbers of copies in a log of 16,384 or fewer episodes."""
    move = np.array([[[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]], [[0.5, 0.0, 0.5], [0.5, 0.5, 0.0]], [[0.0, 0.5, 0.5]] * 2])
    return World(
        start=np.array([0.5, 0.5, 0.0]),
        move=move,
        end=np.array([[0.0, 0.5], [0.0, 0.0], [0.5, 0.0]]),
        base=np.array([[-1.0, 0.7], [2.0, -3.0], [0.3, 1.1]]),
        horizon=3,
    )


@pytest.fixture(scope="session")
def exact_log(dyadic: World) -> tuple[World, np.ndarray, Batch]:
    """A log whose frequencies are the probabilities, so that a consistent estimator is exact on it."""
    behaviour = np.array([[0.5, 0.5], [0.25, 0.75], [0.5, 0.5]])
    return dyadic, behaviour, dyadic.frequency_log(behaviour)


@pytest.fixture(scope="session")
def bigger() -> World:
    """Four states, three actions, eight steps: for drawn logs."""
    rng = np.random.default_rng(11)
    return World(
        start=np.array([0.4, 0.3, 0.2, 0.1]),
        move=rng.dirichlet(np.ones(4), (4, 3)),
        end=np.full((4, 3), 0.02),
        base=rng.normal(size=(4, 3)),
        horizon=8,
        discount=1.0,
    )
