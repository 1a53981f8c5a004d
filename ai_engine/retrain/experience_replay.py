"""The experience replay buffer of the trainers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from algorithms.replay.prioritized import PrioritizedReplay
from algorithms.replay.uniform import Batch, UniformReplay
from envs.errors import SpecificationError


class PrioritizedBatch(NamedTuple):
    """A batch with what learning from it by priority needs; its first five columns are those of ``sample_batch``.

    Attributes:
        states: int64 (n,) or (n, ...).
        actions: int64 (n,), or float64 (n, ...) of continuous actions.
        rewards: float64 (n,).
        next_states: as ``states``.
        dones: bool (n,).
        indices: int64 (n,), for :meth:`ExperienceReplayBuffer.update_priorities`.
        weights: float64 (n,) in (0, 1], by which each experience's error is multiplied.
    """

    states: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    next_states: np.ndarray
    dones: np.ndarray
    indices: np.ndarray
    weights: np.ndarray


class ExperienceReplayBuffer:
    """The last ``capacity`` experiences, sampled uniformly or by priority.

    Priorities are proportional (Schaul et al. 2016; :class:`~algorithms.replay.prioritized.PrioritizedReplay`
    has the equations). A batch larger than the buffer is drawn with replacement.

    Args:
        capacity: largest number of experiences; then the oldest gives way.
        prioritized: whether large TD errors are drawn more often.
        alpha: how strongly they are, 0 is uniform.
        beta: importance correction at the beginning; it rises to 1.
        beta_steps: batches after which it is 1.
        seed: of the draws; ``None`` takes the system's.

    Raises:
        SpecificationError: a setting out of its range; names it.
    """

    def __init__(
        self,
        capacity: int = 100_000,
        *,
        prioritized: bool = False,
        alpha: float = 0.6,
        beta: float = 0.4,
        beta_steps: int = 10_000,
        seed: int | None = None,
    ) -> None:
        self._ring: UniformReplay = (
            PrioritizedReplay(capacity, alpha=alpha, beta=beta, beta_steps=beta_steps, seed=seed)
            if prioritized
            else UniformReplay(capacity, seed=seed)
        )

    @property
    def capacity(self) -> int:
        """Largest number of experiences."""
        return self._ring.capacity

    @property
    def prioritized(self) -> bool:
        """Whether it samples by priority."""
        return isinstance(self._ring, PrioritizedReplay)

    @property
    def beta(self) -> float:
        """Importance correction of the next batch; 1 where sampling is uniform, which needs none."""
        return self._ring.beta if isinstance(self._ring, PrioritizedReplay) else 1.0

    def __len__(self) -> int:
        return len(self._ring)

    def add(self, state: Any, action: Any, reward: float, next_state: Any, done: bool) -> None:
        """Keep one experience; the first one fixes the shapes and kinds of all.

        Args:
            state: an integer, or numbers of any one shape.
            action: index of the action (or numbers, of a continuous one).
            reward: a finite number.
            next_state: as ``state``; may be ``None`` where ``done``.
            done: whether the episode terminated; one that was merely cut off is not done.

        Raises:
            RecordError: a value of another shape or kind, or a number that is not finite; names the field.
        """
        self._ring.add(state, action, reward, next_state, done)

    def sample_batch(self, batch_size: int) -> Batch:
        """``states, actions, rewards, next_states, dones`` of ``batch_size`` experiences.

        Uniform: without repetition where the buffer holds enough, else with replacement. Prioritized: by
        priority, as :meth:`sample_prioritized` but without the weights that correct for it.

        Raises:
            DataError: the buffer is empty.
        """
        return self._ring.sample(batch_size)

    def sample_prioritized(self, batch_size: int) -> PrioritizedBatch:
        """A batch by priority, with its indices and importance weights; each call moves β on.

        Raises:
            DataError: the buffer is empty.
            SpecificationError: the buffer has no priorities.
        """
        ring = self._priorities()
        indices = ring.sample_indices(batch_size)
        return PrioritizedBatch(*ring.gather(indices), indices, ring.sample_weights(indices))

    def update_priorities(self, indices: Any, td_errors: Any) -> None:
        """Give the experiences of a batch the priority of their TD errors, int (n,) and float (n,).

        Raises:
            RecordError: they do not fit the buffer, or are not finite.
            SpecificationError: the buffer has no priorities.
        """
        self._priorities().update_priorities(indices, td_errors)

    def _priorities(self) -> PrioritizedReplay:
        if not isinstance(self._ring, PrioritizedReplay):
            raise SpecificationError(
                "has no priorities", where="replay buffer", remedy="create it with prioritized=True"
            )
        return self._ring
