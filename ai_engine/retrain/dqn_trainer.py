"""Deep Q-learning by hand: experience replay, conservative steps, and a policy file that goes on learning."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from ai_engine.retrain.dqn_statistics import DQNStatistics
from ai_engine.retrain.experience_replay import ExperienceReplayBuffer
from ai_engine.retrain.network_model import network_policy
from ai_engine.retrain.network_trainer import NetworkTrainer, check
from ai_engine.retrain.q_network import QBatch, QNetwork
from ai_engine.retrain.tabular_inputs import whole_index
from algorithms.policy.network import Network
from algorithms.policy.policy import Policy
from envs.adam import one_thread
from envs.errors import DataError, RecordError, SpecificationError
from envs.specification import Action


class DQNTrainer(NetworkTrainer[QNetwork]):
    """A deep Q-network (Mnih et al. 2015) on experience replay, held to what the experiences show.

    The loss is that of :mod:`algorithms.dqn_update`: double Q-learning with the penalty of CQL (Kumar et al. 2020)
    against actions that were never tried.

    The file of :meth:`save_model` is a policy artefact like any other, for ``ai_engine.deploy.load_policy``: it takes
    the action of the largest Q. Target network and optimizer moments lie in the same file, exactly, so that
    :meth:`load_model` goes on where :meth:`save_model` stopped. The replay buffer is not part of the file.

    Args:
        state_size: Z: states are vectors of Z numbers, or integers 0 … Z − 1; the first one seen decides which.
        action_size: number of actions, A.
        use_prioritized_replay: draw experiences by their TD error (Schaul et al. 2016), else uniformly.
        learning_rate: of Adam.
        discount_factor: γ in [0, 1].
        conservative_weight: α of the penalty; 0 is a plain DQN, which on a log that nobody adds to believes in
            what it has never seen.
        double: choose by the learning network, value by the target network (van Hasselt et al. 2016).
        target_period: steps between copies to the target network.
        value_scale: usual size of a return; the network learns in this unit.
        hidden: sizes of the hidden layers; tanh.
        center: subtracted from a vector's numbers; one for all, or Z of them.
        scale: these are divided by it; what lies beyond ±10 after that is cut.
        agent: whose policy it is.
        actions: what the A actions are called in the policy; 0 … A − 1 by default.
        explore: exploration floor of the policy, in [0, 1].
        capacity: of the replay buffer.
        buffer: a replay buffer to use in place of one of its own; it decides whether replay is prioritized.
        seed: of weights and draws; ``None`` takes the system's.

    Attributes:
        buffer: the replay buffer.

    Raises:
        SpecificationError: a setting out of its range; names it.
    """

    algorithm = "dqn"
    networks = QNetwork
    restored = (
        "learning_rate",
        "discount_factor",
        "conservative_weight",
        "double",
        "target_period",
        "value_scale",
        "hidden",
    )
    statistics: DQNStatistics | None = None

    def __init__(
        self,
        state_size: int,
        action_size: int,
        use_prioritized_replay: bool = True,
        *,
        learning_rate: float = 1e-3,
        discount_factor: float = 0.95,
        conservative_weight: float = 0.1,
        double: bool = True,
        target_period: int = 100,
        value_scale: float = 1.0,
        hidden: Sequence[int] = (64, 64),
        center: float | Sequence[float] = 0.0,
        scale: float | Sequence[float] = 1.0,
        agent: str = "dqn",
        actions: Sequence[Action] | None = None,
        explore: float = 0.0,
        capacity: int = 100_000,
        buffer: ExperienceReplayBuffer | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(
            state_size,
            action_size,
            learning_rate=learning_rate,
            discount_factor=discount_factor,
            value_scale=value_scale,
            hidden=hidden,
            center=center,
            scale=scale,
            agent=agent,
            actions=actions,
            explore=explore,
            seed=seed,
        )
        check(
            self.where,
            ("conservative_weight", conservative_weight, 0.0 <= conservative_weight < math.inf, "0 or more"),
            ("target_period", target_period, target_period >= 1, "1 or more"),
        )
        self.conservative_weight, self.double, self.target_period = conservative_weight, double, target_period
        # An empty buffer is false, and is still the one that was given.
        own = ExperienceReplayBuffer(capacity, prioritized=use_prioritized_replay, seed=seed)
        self.buffer = own if buffer is None else buffer

    def add_experience(self, state: Any, action: Any, reward: float, next_state: Any, done: bool) -> None:
        """Keep an experience for :meth:`train_from_replay`.

        Args:
            state: an integer in [0, Z), or a vector of Z numbers.
            action: an integer in [0, A).
            reward: a finite number.
            next_state: as ``state``; may be ``None`` where ``done``.
            done: whether the episode terminated; one that was merely cut off is not done.

        Raises:
            RecordError: a value does not fit; names the field.
        """
        taken = whole_index(action, "action", self.action_size)
        self._features([state], "state")
        if next_state is not None:
            self._features([next_state], "next_state")
        self.buffer.add(state, taken, reward, next_state, done)

    def train_from_replay(self, batch_size: int = 32, steps: int = 100) -> DQNStatistics:
        """Take optimizer steps on batches of kept experiences.

        Args:
            batch_size: experiences of a step; drawn with replacement where the buffer holds fewer.
            steps: optimizer steps.

        Raises:
            DataError: nothing was added, or the learning diverged.
            SpecificationError: no whole number of at least 1.
            RecordError: a shared buffer holds experiences that do not fit.
        """
        for name, value in (("batch_size", batch_size), ("steps", steps)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise SpecificationError(f"{name} is {value!r}", where=self.where, remedy="give 1 or more")
        if not len(self.buffer):
            raise DataError("has no experience to train from", where=self.where, remedy="add experiences first")
        if self._states is None:
            self._features(self.buffer.sample_batch(1).states, "states")
        with one_thread():
            found = self._networks.descend(
                self._batches(int(batch_size), int(steps)),
                learning_rate=self.learning_rate,
                discount=self.discount_factor,
                conservative_weight=self.conservative_weight,
                double=self.double,
                target_period=self.target_period,
            )
        self.statistics = DQNStatistics.of_steps(found, int(batch_size), self.value_scale, self.buffer.beta)
        if not math.isfinite(self.statistics.loss):
            raise DataError(
                f"the loss became {self.statistics.loss}", where=self.where, remedy="lower the learning rate"
            )
        return self.statistics

    def q_values(self, states: Any) -> np.ndarray:
        """Q of several states, float64 (n, A), in units of the reward.

        Args:
            states: integers (n,), or numbers (n, Z).

        Raises:
            RecordError: a state does not fit.
        """
        features = self._features(states, "states")
        with one_thread():
            return self.value_scale * self._networks.values(features)

    def policy(self) -> Policy:
        """The greedy policy of the network with the exploration floor.

        Raises:
            DataError: nothing was learned yet.
        """
        model = self._model()
        *below, (weight, bias) = self._networks.network.weights
        last = (self.value_scale * weight.astype(np.float64), self.value_scale * bias.astype(np.float64))
        component = Network(model.states.encoder, (*below, last), "tanh", temperature=0.0)
        return network_policy(model, component, self.updates)

    def _batches(self, batch_size: int, steps: int) -> Iterator[QBatch]:
        """Batches from replay; where prioritized, each step's errors are its experiences' new priorities."""
        for _ in range(steps):
            if not self.buffer.prioritized:
                yield self._batch(self.buffer.sample_batch(batch_size))
                continue
            *columns, indices, weights = self.buffer.sample_prioritized(batch_size)
            yield self._batch(columns, weights)
            self.buffer.update_priorities(indices, self._networks.errors)

    def _batch(self, columns: Sequence[np.ndarray], weights: np.ndarray | None = None) -> QBatch:
        states, actions, rewards, next_states, dones = columns
        if (
            actions.ndim != 1
            or actions.dtype.kind not in "iu"
            or actions.min() < 0
            or actions.max() >= self.action_size
        ):
            raise RecordError(
                f"of the buffer are not all integers in [0, {self.action_size})",
                field="actions",
                remedy="share a buffer only between trainers of the same states and actions",
            )
        return QBatch(
            features=torch.from_numpy(self._features(states, "states")),
            actions=torch.from_numpy(actions),
            rewards=torch.from_numpy((rewards / self.value_scale).astype(np.float32)),
            next_features=torch.from_numpy(self._features(next_states, "next_states")),
            dones=torch.from_numpy(dones),
            weights=None if weights is None else torch.from_numpy(weights.astype(np.float32)),
        )
