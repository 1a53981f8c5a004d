"""A ring of experiences in numpy columns, sampled uniformly."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from envs.errors import DataError, RecordError, SpecificationError

FIRST_ROWS = 1024
KEPT_DTYPES = ("float32", "uint8")
"""Arrays of these keep their dtype (images, network inputs); all other numbers are float64, integers int64."""


class Batch(NamedTuple):
    """Columns of n experiences.

    Attributes:
        states: int64 (n,) or (n, ...), as they were added.
        actions: int64 (n,), or float64 (n, ...) of continuous actions.
        rewards: float64 (n,).
        next_states: as ``states``; where done without meaning.
        dones: bool (n,).
    """

    states: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    next_states: np.ndarray
    dones: np.ndarray


class UniformReplay:
    """The last ``capacity`` experiences; every one is as likely as any other (Lin 1992).

    Columns grow by doubling up to the capacity, then the oldest experience gives way.

    Args:
        capacity: largest number of experiences, at least 1.
        seed: of the draws; ``None`` takes the system's.

    Raises:
        SpecificationError: the capacity is not a whole number of at least 1.
    """

    def __init__(self, capacity: int, *, seed: int | None = None) -> None:
        if isinstance(capacity, bool) or not isinstance(capacity, (int, np.integer)) or capacity < 1:
            raise SpecificationError(f"capacity is {capacity!r}", where="replay buffer", remedy="give 1 or more")
        self.capacity = int(capacity)
        self.random = np.random.default_rng(seed)
        self._columns: Batch | None = None
        self._size = 0
        self._next = 0

    def __len__(self) -> int:
        return self._size

    def add(self, state: Any, action: Any, reward: float, next_state: Any, done: bool) -> int:
        """Keep one experience; the first one fixes the shapes and kinds of all.

        Args:
            state: an integer, or numbers of any one shape.
            action: an integer, or numbers of a continuous action.
            reward: a finite number.
            next_state: as ``state``; may be ``None`` where ``done``.
            done: whether the episode *terminated*: nothing follows that is worth anything. A truncated
                episode is not done, its last state is worth what a state is worth.

        Returns:
            The slot that it was written to.

        Raises:
            RecordError: a value of another shape or kind, or a number that is not finite; names the field.
        """
        seen, taken = _array(state, "state"), _array(action, "action")
        gain = _array(reward, "reward")
        if gain.ndim:
            raise RecordError(f"has shape {gain.shape}", field="reward", where="experience", remedy="give one number")
        if next_state is None and not done:
            raise RecordError(
                "is missing", field="next_state", where="experience", remedy="give it, or say that the episode is done"
            )
        following = seen if next_state is None else _array(next_state, "next_state")
        columns = self._room(seen, taken)
        _fits(columns.states, seen, "state")
        _fits(columns.states, following, "next_state")
        _fits(columns.actions, taken, "action")
        slot = self._next
        for column, value in zip(columns, (seen, taken, gain, following, bool(done)), strict=True):
            column[slot] = value
        self._next = (slot + 1) % self.capacity
        self._size = min(self._size + 1, self.capacity)
        return slot

    def sample_indices(self, count: int) -> np.ndarray:
        """Slots int64 (count,), without repetition where there are enough, else drawn with replacement.

        Raises:
            DataError: the buffer is empty.
            SpecificationError: the count is not a whole number of at least 1.
        """
        self.need(count)
        if count > self._size:
            return self.random.integers(self._size, size=count)
        return self.random.choice(self._size, size=count, replace=False)

    def gather(self, indices: np.ndarray) -> Batch:
        """Copies of the experiences in these slots."""
        assert self._columns is not None
        return Batch(*(column[indices] for column in self._columns))

    def sample(self, count: int) -> Batch:
        """A batch of ``count`` experiences; raises as :meth:`sample_indices`."""
        return self.gather(self.sample_indices(count))

    def need(self, count: int) -> None:
        """Raise the error of :meth:`sample_indices` where such a batch cannot be drawn."""
        if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
            raise SpecificationError(f"batch size is {count!r}", where="replay buffer", remedy="give 1 or more")
        if not self._size:
            raise DataError("is empty", where="replay buffer", remedy="add experiences first")

    def _room(self, state: np.ndarray, action: np.ndarray) -> Batch:
        """The columns, with a row free at the next slot."""
        if self._columns is None:
            rows = min(FIRST_ROWS, self.capacity)
            states = np.zeros((rows, *state.shape), state.dtype)
            actions = np.zeros((rows, *action.shape), action.dtype)
            self._columns = Batch(states, actions, np.zeros(rows), states.copy(), np.zeros(rows, dtype=bool))
        elif self._next == len(self._columns.rewards):
            more = min(2 * self._next, self.capacity) - self._next
            self._columns = Batch(
                *(
                    np.concatenate([column, np.zeros((more, *column.shape[1:]), column.dtype)])
                    for column in self._columns
                )
            )
        return self._columns


def _array(value: Any, field: str) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "iuf":
        raise RecordError(
            f"{value!r:.60} is no number and no array of numbers",
            field=field,
            where="experience",
            remedy="give an integer or a vector of numbers",
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise RecordError("is not finite", field=field, where="experience", remedy="give finite numbers")
    if array.dtype.name in KEPT_DTYPES and array.ndim:
        return array
    # A vector is numbers, whoever wrote [0, 1] for [0.0, 1.0]; a single integer is a state or an action.
    return array.astype(np.int64 if array.ndim == 0 and array.dtype.kind in "iu" else np.float64)


def _fits(column: np.ndarray, value: np.ndarray, field: str) -> None:
    if value.shape != column.shape[1:] or not np.can_cast(value.dtype, column.dtype, "same_kind"):
        wanted = f"{column.dtype} of shape {column.shape[1:]}"
        raise RecordError(
            f"is {value.dtype} of shape {value.shape}, the first experience had {wanted}",
            field=field,
            where="experience",
            remedy="keep one kind in one buffer",
        )
