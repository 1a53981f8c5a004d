"""Testbed: which of ten solvers should be given a task, when skill, load, price and deadline pull apart?

An episode is a batch of tasks that arrive one after the other and share the solvers' queues: what is
given to a solver now makes its next tasks late. Not every solver accepts every task. The reward of a
decision is the task's value times the graded quality of its result, minus the lateness penalty, minus the price.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from envs.observation import ObservationField, ObservationSpecification
from envs.specification import AgentSpecification
from envs.testbeds.rollout import Probabilities, explored, simulated_returns
from envs.testbeds.solvers import (
    CAPABLE,
    CATEGORIES,
    CATEGORY_SHARES,
    CLEARED,
    HUMAN,
    PRICE,
    SIZE,
    SKILL,
    SOLVERS,
    SPEED,
    TOOLS,
)

ACTIONS = SOLVERS
HORIZON = 6
"""Tasks of a batch: short enough that a log with a fifth of exploration still reaches a changed policy."""
EXPLORE = 0.2
INTERVAL = 0.5
"""Mean hours between two tasks."""
LOAD_LIMIT = 6.0
"""Hours of queued work from which a solver accepts nothing more."""
LATE_PENALTY = 0.8
WORST_COST = 0.8
BEST_VALUE = 1.25
TOPICS = 4

OBSERVATION = ObservationSpecification(
    "object",
    (
        ObservationField("category", "category", categories=CATEGORIES),
        ObservationField("position", "integer", low=0, high=HORIZON, unit="tasks of the batch before this one"),
        ObservationField("priority", "integer", low=0, high=3),
        ObservationField("size", low=0.0, unit="h, estimated"),
        ObservationField("difficulty", low=0.0, high=1.0, unit="estimated"),
        ObservationField("deadline", low=0.0, unit="h from now"),
        ObservationField("confidential", "boolean"),
        ObservationField("needs_tools", "boolean"),
        ObservationField("tokens", low=0.0, unit="thousands"),
        ObservationField("attachments", "integer", low=0),
        ObservationField("customer_tier", "integer", low=0, high=2),
        *(ObservationField(f"topic_{index}", unit="embedding") for index in range(TOPICS)),
        *(ObservationField(f"load.{name}", low=0.0, unit="h of queued work") for name in SOLVERS),
        *(ObservationField(f"accepts.{name}", "boolean") for name in SOLVERS),
    ),
)
COLUMN = {name: position for position, name in enumerate(OBSERVATION.names)}
LOADS = slice(COLUMN[f"load.{SOLVERS[0]}"], COLUMN[f"load.{SOLVERS[0]}"] + len(SOLVERS))
ACCEPTS = slice(COLUMN[f"accepts.{SOLVERS[0]}"], COLUMN[f"accepts.{SOLVERS[0]}"] + len(SOLVERS))


def specification(explore: float = EXPLORE) -> AgentSpecification:
    """The task-solving agent's declaration: batches are independent, the tasks of one are not."""
    return AgentSpecification(
        name="task-solving",
        observation=OBSERVATION,
        actions=ACTIONS,
        reward="value * quality - late_penalty - cost",
        reward_range=(-LATE_PENALTY - WORST_COST, BEST_VALUE),
        horizon=HORIZON,
        unit="episode",
        worst_class="breach > 0",
        practical_effect=0.02,
        explore=explore,
        rule="envs.testbeds.task_solving:least_loaded_rule",
        rule_version="least-loaded-1",
    )


def least_loaded_rule(observation: Mapping[str, Any]) -> str:
    """The present rule: the accepting solver with the least queued work, the first of equals."""
    accepting = [name for name in SOLVERS if observation["accepts"][name]]
    return min(accepting, key=lambda name: observation["load"][name])


def rule_probabilities(rows: np.ndarray) -> np.ndarray:
    """:func:`least_loaded_rule` on raw rows (N, 35) at once, as probabilities (N, 10)."""
    return np.eye(len(ACTIONS))[np.where(allowed_of(rows), rows[:, LOADS], np.inf).argmin(axis=1)]


def allowed_of(rows: np.ndarray) -> np.ndarray:
    """The solvers that accept the task of a row, bool (N, 10); the human expert always does."""
    return np.asarray(rows[:, ACCEPTS] > 0.5)


class TaskSolvingWorld:
    """E batches worked through together, one task of each at a time.

    Attributes:
        load: float64 (E, 10), hours of work queued at each solver.
        active: bool (E,), always True: a batch is only ever cut off at its last task.
        position: tasks given away so far.
    """

    def __init__(self, count: int, rng: np.random.Generator) -> None:
        self.rng = rng
        self.load = np.maximum(rng.normal(0.8, 1.0, size=(count, len(SOLVERS))), 0.0)
        self.active = np.ones(count, dtype=bool)
        self.position = 0
        # A topic embedding is a fixed rotation of the category, blurred: a second, noisy sight of it.
        self.topics = np.random.default_rng(35).normal(size=(len(CATEGORIES), TOPICS))
        self._arrive()

    def _arrive(self) -> None:
        """The next task of every batch."""
        rng, count = self.rng, len(self.load)
        self.category = rng.choice(len(CATEGORIES), size=count, p=CATEGORY_SHARES)
        self.size = np.clip(SIZE[self.category] * np.exp(rng.normal(0.0, 0.5, size=count)), 0.1, 5.0)
        self.difficulty = rng.uniform(0.3, 0.75, size=count)
        self.priority = rng.integers(0, 4, size=count)
        self.deadline = np.exp(rng.normal(np.log(3.0), 0.5, size=count)) * (1.3 - 0.2 * self.priority)
        self.confidential = rng.random(count) < 0.4
        self.needs_tools = rng.random(count) < 0.5
        load_fits = self.load < LOAD_LIMIT
        self.accepts = CAPABLE[self.category] & load_fits
        self.accepts &= CLEARED | ~self.confidential[:, None]
        self.accepts &= TOOLS | ~self.needs_tools[:, None]
        self.accepts[:, HUMAN] = True
        self.estimates = np.column_stack(
            [
                self.size * np.exp(rng.normal(0.0, 0.25, size=count)),
                np.clip(self.difficulty + rng.normal(0.0, 0.12, size=count), 0.0, 1.0),
            ]
        )
        self.decoration = np.column_stack(
            [
                self.size * rng.gamma(3.0, 0.7, size=count),
                rng.poisson(0.5 + self.difficulty),
                rng.integers(0, 3, size=count),
                self.topics[self.category] + rng.normal(0.0, 0.7, size=(count, TOPICS)),
            ]
        )

    def observe(self) -> np.ndarray:
        """Raw observation rows, float64 (E, 35), in the order of :data:`OBSERVATION`."""
        position = np.full(len(self.load), self.position)
        task = [self.category, position, self.priority, self.estimates, self.deadline]
        flags = [self.confidential, self.needs_tools]
        return np.column_stack([*task, *flags, self.decoration, self.load, self.accepts]).astype(np.float64)

    def allowed(self) -> np.ndarray:
        """Solvers that accept the present task, bool (E, 10)."""
        return self.accepts.copy()

    def step(self, actions: np.ndarray) -> dict[str, np.ndarray]:
        """Gives every batch's task to one solver; returns the outcome columns, (E,) each.

        Raises:
            ValueError: a solver was chosen that does not accept the task.
        """
        rng, every = self.rng, np.arange(len(actions))
        if not self.accepts[every, actions].all():
            raise ValueError("a task was given to a solver that does not accept it")
        hours = self.size / SPEED[actions] * np.exp(rng.normal(0.0, 0.2, size=len(actions)))
        done = self.load[every, actions] + hours
        expected = expected_quality(SKILL[self.category, actions], self.difficulty)
        quality = np.clip(expected + rng.normal(0.0, 0.12, size=len(actions)), 0.0, 1.0)
        late = np.clip(done / self.deadline - 1.0, 0.0, 1.0)
        outcome = {
            "value": 0.5 + 0.25 * self.priority,
            "quality": quality,
            "late_penalty": LATE_PENALTY * late,
            "cost": np.minimum(PRICE[actions] * self.size, WORST_COST),
            "hours": done,
            "breach": ((self.priority == 3) & ((quality < 0.1) | (late >= 1.0))).astype(float),
        }
        self.load[every, actions] = done
        self.load = np.maximum(self.load - rng.exponential(INTERVAL, size=len(actions))[:, None], 0.0)
        self.position += 1
        self._arrive()
        return outcome


def expected_quality(skill: np.ndarray, difficulty: np.ndarray) -> np.ndarray:
    """Mean grade, 0 … 1, of what a solver of this skill makes of a task of this difficulty."""
    return np.asarray(1.0 / (1.0 + np.exp(-9.0 * (skill - difficulty) + 0.5)))


def reward_of(outcome: Mapping[str, np.ndarray]) -> np.ndarray:
    """The declared reward expression on outcome columns."""
    return outcome["value"] * outcome["quality"] - outcome["late_penalty"] - outcome["cost"]


def matching_probabilities(rows: np.ndarray) -> np.ndarray:
    """A better policy by someone who knows the solvers' tables, (N, 10): a yardstick, never a training target.

    It takes the solver of the largest expected reward of this task, blind to what its queue does to the next.
    """
    skill = SKILL[rows[:, COLUMN["category"]].astype(int)]
    size = rows[:, COLUMN["size"], None]
    done = rows[:, LOADS] + size / SPEED
    late = LATE_PENALTY * np.clip(done / rows[:, COLUMN["deadline"], None] - 1.0, 0.0, 1.0)
    value = (0.5 + 0.25 * rows[:, COLUMN["priority"], None]) * expected_quality(
        skill, rows[:, COLUMN["difficulty"], None]
    )
    expected = value - late - np.minimum(PRICE * size, WORST_COST)
    return np.eye(len(ACTIONS))[np.where(allowed_of(rows), expected, -np.inf).argmax(axis=1)]


def draw_world(count: int, *, rng: np.random.Generator) -> TaskSolvingWorld:
    """E fresh independent batches; they draw from a generator of their own, seeded by ``rng``."""
    return TaskSolvingWorld(count, np.random.default_rng(rng.integers(2**63)))


def true_returns(probabilities: Probabilities, *, episodes: int = 4_000, seed: int = 0) -> np.ndarray:
    """Returns of simulated batches under a policy, float64 (E,); the same seed draws the same tasks.

    Args:
        probabilities: raw rows (E, 35) to action probabilities (E, 10); what a row does not allow is left out.
        episodes: number of batches.
        seed: of tasks and actions.
    """
    rng = np.random.default_rng([seed, 10])
    return simulated_returns(draw_world(episodes, rng=rng), probabilities, reward_of, horizon=HORIZON, rng=rng)


def exploring(explore: float = EXPLORE) -> Probabilities:
    """The policy that writes the log: the least loaded solver with bounded exploration."""
    return explored(rule_probabilities, explore, allowed_of)
