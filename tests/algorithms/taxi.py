"""The taxi's exact dynamics, the log of a soft controller on it, and the true return of a table."""

from __future__ import annotations

import gymnasium
import numpy as np

from algorithms.policy.components import ProbabilityTable
from envs.dataset import TRAIN, Dataset
from envs.observation import ObservationField, ObservationSpecification
from envs.specification import AgentSpecification

STATES, ACTIONS, HORIZON = 500, 6, 200
TEMPERATURES = (2.0, 4.0, 8.0)
STARTS = [s for s in range(STATES) if (s // 4) % 5 < 4 and (s // 4) % 5 != s % 4]


def _dynamics() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = gymnasium.make("Taxi-v3").unwrapped.P  # type: ignore[attr-defined]
    entries = [[table[s][a][0] for a in range(ACTIONS)] for s in range(STATES)]
    columns = [np.array([[entry[index] for entry in row] for row in entries]) for index in (1, 2, 3)]
    return columns[0].astype(int), columns[1].astype(float), columns[2].astype(bool)


NEXT, REWARD, DONE = _dynamics()


def optimal_values() -> np.ndarray:
    """Undiscounted optimal action values, (500, 6)."""
    values = np.zeros((STATES, ACTIONS))
    for _ in range(300):
        values = REWARD + np.where(DONE, 0.0, values.max(axis=1)[NEXT])
    return values


def taxi_log(seed: int, rows: int = 20_000) -> Dataset:
    """30 % uniform, 70 % softmax of the optimal values at temperature 2, 4, 8 by episode."""
    random = np.random.default_rng(seed)
    best = optimal_values()
    states: list[list[int]] = []
    actions: list[list[int]] = []
    chances: list[np.ndarray] = []
    ends: list[bool] = []
    while sum(map(len, actions)) < rows:
        temperature = TEMPERATURES[len(states) % 3]
        run, taken, ended = [int(random.choice(STARTS))], [], False
        while not ended and len(taken) < HORIZON:
            scaled = best[run[-1]] / temperature
            soft = np.exp(scaled - scaled.max())
            chance = 0.3 / ACTIONS + 0.7 * soft / soft.sum()
            action = int(random.choice(ACTIONS, p=chance))
            ended = bool(DONE[run[-1], action])
            taken.append(action)
            chances.append(chance)
            run.append(int(NEXT[run[-1], action]))
        states.append(run)
        actions.append(taken)
        ends.append(ended)
    return _dataset(states, actions, np.array(chances), np.array(ends))


def _dataset(states: list[list[int]], actions: list[list[int]], chances: np.ndarray, ends: np.ndarray) -> Dataset:
    count, lengths = len(states), np.array([len(run) for run in actions])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    flat, taken = np.concatenate(states), np.concatenate(actions).astype(np.int64)
    rows = np.arange(len(taken)) + np.repeat(np.arange(count), lengths)
    last = np.zeros(len(taken), dtype=bool)
    last[offsets[1:] - 1] = True
    terminated = last & np.repeat(ends, lengths)
    observation = ObservationSpecification("int", (ObservationField("state", "integer", 0, STATES - 1),))
    names = tuple(range(ACTIONS))
    return Dataset(
        specification=AgentSpecification("taxi", observation, names, reward_range=(-10.0, 20.0), horizon=HORIZON),
        identifier=f"taxi-{len(taken)}-{int(flat.sum())}",
        offsets=offsets,
        observations=flat[:, None].astype(np.float64),
        allowed=np.ones((len(flat), ACTIONS), dtype=bool),
        actions=taken,
        propensities=chances[np.arange(len(taken)), taken],
        action_probabilities=chances,
        root_probabilities=np.full((len(flat), ACTIONS), np.nan),
        rewards=REWARD[flat[rows], taken],
        worst=np.zeros(len(taken), dtype=bool),
        terminated=terminated,
        truncated=last & ~terminated,
        end_known=np.ones(count, dtype=bool),
        timestamps=np.full(len(taken), np.nan),
        policy_versions=np.full(len(taken), ""),
        units=np.array([f"episode-{index}" for index in range(count)]),
        splits=np.full(count, TRAIN, dtype=np.int8),
        sequences=offsets[1:] - 1,
    )


def greedy_return(component: ProbabilityTable, seed: int, rounds: int = 5) -> float:
    """Mean undiscounted return over all starts, ``rounds`` times: the modal action, a draw in uncertain states."""
    random = np.random.default_rng(seed)
    rows = np.arange(STATES, dtype=float)[:, None]
    table = component(rows)
    sure = np.array([not component.is_uncertain(row) for row in rows])
    table[sure] = np.eye(ACTIONS)[table[sure].argmax(axis=1)]
    state = np.tile(STARTS, rounds)
    total, alive = np.zeros(len(state)), np.ones(len(state), dtype=bool)
    for _ in range(HORIZON):
        action = (random.random(len(state))[:, None] < np.cumsum(table[state], axis=1) + 1e-12).argmax(axis=1)
        total += np.where(alive, REWARD[state, action], 0.0)
        alive &= ~DONE[state, action]
        state = NEXT[state, action]
    return float(total.mean())
