"""Proportional prioritised replay (Schaul et al. 2016)."""

from __future__ import annotations

from typing import Any

import numpy as np

from algorithms.replay.sum_tree import SumTree
from algorithms.replay.uniform import UniformReplay
from envs.errors import RecordError, SpecificationError

SMALLEST_PRIORITY = 1e-6
"""ε of the paper: an experience with a TD error of 0 is still drawn now and then."""


class PrioritizedReplay(UniformReplay):
    """Experiences drawn as often as their TD errors are large.

        P(i) = p_i^α / Σ_k p_k^α,   p_i = |δ_i| + ε                        (eq. 1)
        w_i  = (N · P(i))^−β / max_k w_k                                   (section 3.4)

    The maximum is that of the whole buffer, so that a weight means the same in every batch. β rises in a
    straight line to 1 over ``beta_steps`` draws of a batch. A new experience has the largest priority so far.

    Args:
        capacity: largest number of experiences, at least 1.
        alpha: α ≥ 0; 0 is uniform.
        beta: β in [0, 1] at the beginning.
        beta_steps: batches after which β is 1, at least 1.
        seed: of the draws; ``None`` takes the system's.

    Raises:
        SpecificationError: a setting out of its range; names it.
    """

    def __init__(
        self,
        capacity: int,
        *,
        alpha: float = 0.6,
        beta: float = 0.4,
        beta_steps: int = 10_000,
        seed: int | None = None,
    ) -> None:
        super().__init__(capacity, seed=seed)
        for name, value, fits, wanted in (
            ("alpha", alpha, 0.0 <= alpha < np.inf, "a number of at least 0"),
            ("beta", beta, 0.0 <= beta <= 1.0, "a number in [0, 1]"),
            ("beta_steps", beta_steps, beta_steps >= 1, "1 or more"),
        ):
            if not fits:
                raise SpecificationError(f"{name} is {value!r}", where="replay buffer", remedy=f"give {wanted}")
        self.alpha, self.beta_steps, self.draws = alpha, beta_steps, 0
        self._first_beta, self._largest = beta, 1.0
        self._tree = SumTree(self.capacity)

    @property
    def beta(self) -> float:
        """β of the next batch."""
        done = min(self.draws / self.beta_steps, 1.0)
        return (1.0 - done) * self._first_beta + done

    @property
    def chances(self) -> np.ndarray:
        """P(i) of every experience, float64 (N,)."""
        return self._tree.weights[: len(self)] / self._tree.total

    def add(self, state: Any, action: Any, reward: float, next_state: Any, done: bool) -> int:
        """Keep one experience, with the largest priority so far; see :meth:`UniformReplay.add`."""
        slot = super().add(state, action, reward, next_state, done)
        self._tree.set(np.array([slot]), np.array([self._largest**self.alpha]))
        return slot

    def sample_indices(self, count: int) -> np.ndarray:
        """Slots int64 (count,), one from each ``count``-th of the total priority; may repeat. Raises as its parent."""
        self.need(count)
        marks = (np.arange(count) + self.random.random(count)) * (self._tree.total / count)
        return self._tree.find(marks)

    def sample_weights(self, indices: np.ndarray) -> np.ndarray:
        """Importance weights float64 (n,) in (0, 1] of a batch that was just drawn; moves β on by one batch."""
        weights = self._tree.weights
        # (N P_i)^−β / max_k (N P_k)^−β: neither N nor the total is left.
        out = (weights[indices] / weights[: len(self)].min()) ** -self.beta
        self.draws += 1
        return np.asarray(out)

    def update_priorities(self, indices: Any, td_errors: Any) -> None:
        """Give experiences the priority of their TD errors (their sign is ignored).

        Args:
            indices: int (n,), slots of a batch; of a repeated one the last counts.
            td_errors: float (n,).

        Raises:
            RecordError: sizes that differ, a slot that holds nothing, an error that is not finite.
        """
        slots, sizes = np.asarray(indices), np.abs(np.asarray(td_errors, dtype=np.float64))
        if slots.ndim != 1 or slots.shape != sizes.shape or slots.dtype.kind not in "iu":
            raise RecordError(
                f"has shape {slots.shape}, td_errors {sizes.shape}",
                field="indices",
                remedy="give a batch's own indices",
            )
        if len(slots) and not (slots.min() >= 0 and slots.max() < len(self)):
            raise RecordError(
                f"names slots outside [0, {len(self)})", field="indices", remedy="give a batch's own indices"
            )
        if not np.isfinite(sizes).all():
            raise RecordError("is not finite", field="td_errors", remedy="learn with a smaller learning rate")
        priorities = sizes + SMALLEST_PRIORITY
        self._largest = max(self._largest, float(priorities.max(initial=0.0)))
        self._tree.set(slots, priorities**self.alpha)
