"""Tabular Q-learning by hand: single updates, replay, and a policy file that goes on learning."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ai_engine.retrain.experience_replay import ExperienceReplayBuffer
from ai_engine.retrain.q_learning_model import QTable, read_table, table_policy
from ai_engine.retrain.tabular_inputs import index_columns, state_index, whole_index
from algorithms.policy.artefact import save_policy
from algorithms.policy.policy import Policy
from algorithms.q_learning_update import steps_towards, temporal_differences
from envs.errors import ArtefactError, DataError, RecordError, SpecificationError
from envs.specification import Action

WHERE = "QLearningTrainer"
RESTORED = ("learning_rate", "discount_factor", "tried_only")
"""Settings that a saved model brings with it."""


@dataclass(frozen=True, slots=True)
class QLearningStatistics:
    """What training from replay did.

    Attributes:
        updates: experiences learned from in this call; a repeated one counts each time.
        epochs: passes.
        mean_td_error: mean |δ| of the last epoch, each δ taken before its own step.
        loss: mean weighted ½ δ² of the last epoch.
        losses: the same of every epoch.
        beta: importance correction at the end; 1 where sampling was uniform, which needs none.
    """

    updates: int
    epochs: int
    mean_td_error: float
    loss: float
    losses: tuple[float, ...]
    beta: float

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "losses": list(self.losses)}


class QLearningTrainer:
    """Q-learning with a table (Watkins & Dayan 1992): δ = r + γ (1 − done) max Q(s′, ·) − Q(s, a), Q ← Q + α δ.

    The file of :meth:`save_model` is a policy artefact like any other, for ``ai_engine.deploy.load_policy``: it
    takes the best of the actions that were tried in a state and draws uniformly in a state that never was.
    The Q table and its counts lie in the same file, exactly, under ``provenance.training``, so that
    :meth:`load_model` goes on where :meth:`save_model` stopped. The replay buffer is not part of the file.

    Args:
        state_size: number of states, Z; states are 0 … Z − 1.
        action_size: number of actions, A.
        learning_rate: α in (0, 1].
        discount_factor: γ in [0, 1].
        agent: whose policy it is.
        actions: what the A actions are called in the policy; 0 … A − 1 by default.
        explore: exploration floor of the policy, in [0, 1].
        tried_only: whether the maximum is over the actions tried in s′ alone. The textbook's is over all,
            which believes the 0 that a table begins with of whatever a log never shows; a log that will
            not be added to is better learned with ``True``.
        use_prioritized_replay: whether the replay buffer has priorities.
        capacity: of the replay buffer.
        buffer: a replay buffer to use in place of one of its own.
        seed: of the replay's draws; ``None`` takes the system's.

    Attributes:
        q_values: Q, float64 (Z, A).
        counts: updates of each entry, int64 (Z, A).
        buffer: the replay buffer.

    Raises:
        SpecificationError: a setting out of its range; names it.
    """

    def __init__(
        self,
        state_size: int,
        action_size: int,
        learning_rate: float = 0.01,
        discount_factor: float = 0.95,
        *,
        agent: str = "q-learning",
        actions: Sequence[Action] | None = None,
        explore: float = 0.0,
        tried_only: bool = False,
        use_prioritized_replay: bool = False,
        capacity: int = 100_000,
        buffer: ExperienceReplayBuffer | None = None,
        seed: int | None = None,
    ) -> None:
        self.actions: tuple[Action, ...] = tuple(range(action_size) if actions is None else actions)
        for name, value, fits, wanted in (
            ("state_size", state_size, state_size >= 1, "1 or more"),
            ("action_size", action_size, action_size >= 1, "1 or more"),
            ("learning_rate", learning_rate, 0.0 < learning_rate <= 1.0, "a number in (0, 1]"),
            ("discount_factor", discount_factor, 0.0 <= discount_factor <= 1.0, "a number in [0, 1]"),
            ("explore", explore, 0.0 <= explore <= 1.0, "a number in [0, 1]"),
            ("actions", actions, len(set(self.actions)) == action_size, f"{action_size} different names"),
        ):
            if not fits:
                raise SpecificationError(f"{name} is {value!r}", where=WHERE, remedy=f"give {wanted}")
        self.state_size, self.action_size = state_size, action_size
        self.learning_rate, self.discount_factor = learning_rate, discount_factor
        self.agent, self.explore, self.tried_only = agent, explore, tried_only
        self.q_values = np.zeros((state_size, action_size))
        self.counts = np.zeros((state_size, action_size), dtype=np.int64)
        # An empty buffer is false, and is still the one that was given.
        own = ExperienceReplayBuffer(capacity, prioritized=use_prioritized_replay, seed=seed)
        self.buffer = own if buffer is None else buffer
        self.statistics: QLearningStatistics | None = None

    @property
    def updates(self) -> int:
        """Experiences learned from so far."""
        return int(self.counts.sum())

    def add_experience(self, state: Any, action: Any, reward: float, next_state: Any, done: bool) -> None:
        """Keep an experience for :meth:`train_from_replay` without learning from it now.

        Args:
            state: an integer in [0, Z), or a one-hot vector of Z numbers.
            action: an integer in [0, A).
            reward: a finite number.
            next_state: as ``state``; may be ``None`` where ``done``.
            done: whether the episode terminated; one that was merely cut off is not done.

        Raises:
            RecordError: a value does not fit; names the field.
        """
        self.buffer.add(*self._row(state, action, reward, next_state, done))

    def update_q_value(self, state: Any, action: Any, reward: float, next_state: Any, done: bool) -> float:
        """Learn from one experience now, and keep it for replay.

        Args:
            state: see :meth:`add_experience`, as all others.
            action: an integer in [0, A).
            reward: a finite number.
            next_state: as ``state``.
            done: whether the episode terminated.

        Returns:
            The TD error δ before the step.

        Raises:
            RecordError: a value does not fit; names the field.
        """
        row = self._row(state, action, reward, next_state, done)
        self.buffer.add(*row)
        return float(self._learn(tuple(np.array([value]) for value in row))[0])

    def train_from_replay(self, batch_size: int = 32, epochs: int = 10) -> QLearningStatistics:
        """Learn from kept experiences; an epoch is as many batches as the buffer's experiences fill.

        Args:
            batch_size: experiences of a step; drawn with replacement where the buffer holds fewer.
            epochs: passes.

        Raises:
            DataError: nothing was added.
            SpecificationError: no whole number of at least 1.
            RecordError: a shared buffer holds experiences that do not fit.
        """
        for name, value in (("batch_size", batch_size), ("epochs", epochs)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise SpecificationError(f"{name} is {value!r}", where=WHERE, remedy="give 1 or more")
        if not len(self.buffer):
            raise DataError("has no experience to train from", where=WHERE, remedy="add experiences first")
        batches = -(-len(self.buffer) // batch_size)
        losses, mean_error = [], 0.0
        for _ in range(epochs):
            squares = sizes = 0.0
            for _ in range(batches):
                errors, weights = self._replay(batch_size)
                squares += float((weights * errors**2).sum())
                sizes += float(np.abs(errors).sum())
            losses.append(squares / (2 * batches * batch_size))
            mean_error = sizes / (batches * batch_size)
        self.statistics = QLearningStatistics(
            updates=int(epochs) * batches * int(batch_size),
            epochs=int(epochs),
            mean_td_error=mean_error,
            loss=losses[-1],
            losses=tuple(losses),
            beta=self.buffer.beta,
        )
        return self.statistics

    def policy(self) -> Policy:
        """The greedy policy of the table with the exploration floor.

        Raises:
            DataError: nothing was learned yet.
        """
        if not self.updates:
            raise DataError("has learned nothing yet", where=WHERE, remedy="train it first")
        return table_policy(
            QTable(
                agent=self.agent,
                actions=self.actions,
                explore=self.explore,
                values=self.q_values,
                counts=self.counts,
                settings={name: getattr(self, name) for name in RESTORED},
                statistics=self.statistics.to_json() if self.statistics else {},
            )
        )

    def save_model(self, path: str | os.PathLike[str]) -> Path:
        """Write the policy artefact atomically, Q table included; raises as :meth:`policy`."""
        return save_policy(self.policy(), path)

    def load_model(self, path: str | os.PathLike[str]) -> QLearningTrainer:
        """Go on from a file of :meth:`save_model`: its Q table, counts, learning rate and discount, exactly.

        Raises:
            ArtefactError: no such file, a damaged one, or one of another trainer or of other states or actions.
        """
        table, where = read_table(path), os.fspath(path)
        shapes = {table.values.shape, table.counts.shape}
        if shapes != {self.q_values.shape} or table.actions != self.actions:
            raise ArtefactError(
                f"has a table {table.values.shape} of the actions {table.actions}",
                where=where,
                remedy=f"this trainer has {self.q_values.shape} and {self.actions}",
            )
        if set(RESTORED) != set(table.settings):
            raise ArtefactError(f"lacks one of {', '.join(RESTORED)}", where=where, remedy="train it again")
        for name in RESTORED:
            setattr(self, name, table.settings[name])
        self.q_values, self.counts, self.statistics = table.values, table.counts, None
        self.agent, self.explore = table.agent, table.explore
        return self

    def _row(
        self, state: Any, action: Any, reward: float, next_state: Any, done: bool
    ) -> tuple[int, int, float, int, bool]:
        here = state_index(state, "state", self.state_size)
        taken = whole_index(action, "action", self.action_size)
        if not np.isfinite(reward):
            raise RecordError(f"{reward} is not finite", field="reward", remedy="give a finite number")
        if next_state is None and done:
            return here, taken, float(reward), here, True
        return here, taken, float(reward), state_index(next_state, "next_state", self.state_size), bool(done)

    def _replay(self, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        """TD errors and importance weights of one batch, learned from."""
        size = self.state_size, self.action_size
        if not self.buffer.prioritized:
            errors = self._learn(index_columns(self.buffer.sample_batch(batch_size), *size))
            return errors, np.ones(len(errors))
        *columns, indices, weights = self.buffer.sample_prioritized(batch_size)
        errors = self._learn(index_columns(columns, *size), weights)
        self.buffer.update_priorities(indices, errors)
        return errors, weights

    def _learn(self, columns: tuple[np.ndarray, ...], weights: np.ndarray | None = None) -> np.ndarray:
        states, actions, rewards, next_states, dones = columns
        possible = self.counts > 0 if self.tried_only else None
        errors = temporal_differences(
            self.q_values, states, actions, rewards, next_states, dones, self.discount_factor, possible
        )
        cells = states * self.action_size + actions
        moved, changes = steps_towards(cells, errors, self.learning_rate, weights)
        self.q_values.ravel()[moved] += changes
        np.add.at(self.counts.ravel(), cells, 1)
        return errors
