"""Rings keep the newest experiences exactly, draw fairly, and refuse what does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from algorithms.replay import PrioritizedReplay, UniformReplay
from envs.errors import DataError, RecordError, SpecificationError

RINGS = [UniformReplay, PrioritizedReplay]


def filled(ring: UniformReplay, count: int) -> UniformReplay:
    for index in range(count):
        ring.add(index, index % 3, float(index), index + 1, index % 5 == 4)
    return ring


@pytest.mark.parametrize("kind", RINGS)
@pytest.mark.parametrize(("capacity", "count"), [(7, 5), (7, 7), (7, 20), (3000, 2500), (1500, 4000)])
def test_the_newest_are_kept_whole(kind: type[UniformReplay], capacity: int, count: int) -> None:
    ring = filled(kind(capacity, seed=0), count)
    assert len(ring) == min(capacity, count)
    batch = ring.gather(np.arange(len(ring)))
    assert sorted(batch.states) == list(range(max(count - capacity, 0), count))
    assert np.array_equal(batch.next_states, batch.states + 1) and np.array_equal(batch.actions, batch.states % 3)
    assert np.array_equal(batch.rewards, batch.states) and np.array_equal(batch.dones, batch.states % 5 == 4)
    assert batch.states.dtype == batch.actions.dtype == np.int64 and batch.rewards.dtype == np.float64


def test_uniform_draws() -> None:
    ring = filled(UniformReplay(10, seed=1), 10)
    assert sorted(ring.sample(10).states) == list(range(10))  # enough: none twice
    drawn = ring.sample(50_000).states  # too few: with replacement
    assert np.abs(np.bincount(drawn, minlength=10) / 5000 - 1).max() < 0.06
    again = filled(UniformReplay(10, seed=1), 10)
    assert np.array_equal(again.sample(10).states, filled(UniformReplay(10, seed=1), 10).sample(10).states)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
def test_priorities_are_proportional(alpha: float) -> None:
    ring = PrioritizedReplay(8, alpha=alpha, seed=0)
    filled(ring, 5)
    errors = np.array([0.0, -1.0, 2.0, -4.0, 8.0])
    ring.update_priorities(np.arange(5), errors)
    wanted = (np.abs(errors) + 1e-6) ** alpha
    wanted /= wanted.sum()
    np.testing.assert_allclose(ring.chances, wanted, rtol=1e-12)
    draws = np.concatenate([ring.sample_indices(7) for _ in range(6000)])
    shares = np.bincount(draws, minlength=5) / len(draws)
    np.testing.assert_allclose(shares, wanted, atol=0.006)
    # A new experience is drawn as often as the largest so far.
    slot = ring.add(9, 0, 0.0, 9, False)
    assert ring.chances[slot] == pytest.approx(ring.chances[4])


def test_weights_undo_the_priorities() -> None:
    ring = PrioritizedReplay(8, alpha=0.7, beta=1.0, seed=0)
    filled(ring, 6)
    ring.update_priorities(np.arange(6), np.array([0.1, 0.5, 1.0, 2.0, 3.0, 5.0]))
    weights = ring.sample_weights(np.arange(6))
    assert weights.max() == 1.0 and np.argmax(weights) == 0
    # With β = 1 the weighted mean of anything is its plain mean.
    values = np.array([3.0, -1.0, 4.0, 1.0, -5.0, 9.0])
    product = ring.chances * weights
    assert (product / product.sum() * values).sum() == pytest.approx(values.mean())


def test_beta_rises_to_one() -> None:
    ring = PrioritizedReplay(4, beta=0.4, beta_steps=4, seed=0)
    filled(ring, 4)
    ring.update_priorities(np.arange(4), np.array([1.0, 2.0, 3.0, 4.0]))
    seen = []
    for _ in range(6):
        seen.append(ring.beta)
        expected = (ring.chances * 4) ** -ring.beta
        np.testing.assert_allclose(ring.sample_weights(np.arange(4)), expected / expected.max())
    np.testing.assert_allclose(seen, [0.4, 0.55, 0.7, 0.85, 1.0, 1.0])


def test_an_overwritten_slot_forgets_its_priority() -> None:
    ring = PrioritizedReplay(3, alpha=1.0, seed=0)
    filled(ring, 3)
    ring.update_priorities([0, 1, 2], [0.5, 0.5, 0.0])
    filled(ring, 1)  # takes slot 0
    np.testing.assert_allclose(ring.chances, np.array([1.0, 0.5, 0.0]) / 1.5, atol=1e-5)


@pytest.mark.parametrize("kind", RINGS)
def test_vectors_and_continuous_actions(kind: type[UniformReplay]) -> None:
    ring = kind(5, seed=0)
    ring.add([0, 1], [0.5], 1, [1, 0.25], True)
    ring.add(np.array([2.5, 3.0]), np.array([1.0]), 2.0, None, True)
    batch = ring.gather(np.array([0, 1]))
    assert batch.states.tolist() == [[0.0, 1.0], [2.5, 3.0]] and batch.next_states[0].tolist() == [1.0, 0.25]
    assert batch.actions.tolist() == [[0.5], [1.0]] and batch.dones.dtype == bool
    images = kind(5, seed=0)
    images.add(np.zeros((2, 3), np.uint8), 0, 0.0, np.full((2, 3), 255, np.uint8), False)
    assert images.sample(4).next_states.dtype == np.uint8


@pytest.mark.parametrize("kind", RINGS)
def test_refusals(kind: type[UniformReplay]) -> None:
    ring = kind(5, seed=0)
    with pytest.raises(DataError, match="replay buffer: is empty; add experiences first"):
        ring.sample(1)
    ring.add([0.0, 1.0], 0, 0.0, [0.0, 1.0], False)
    bad: list[tuple[tuple[Any, ...], str]] = [
        (([0.0], 0, 0.0, [0.0], False), "state"),
        (([0.0, np.nan], 0, 0.0, [0.0, 1.0], False), "state"),
        (("left", 0, 0.0, [0.0, 1.0], False), "state"),
        (([[0.0], [1.0, 2.0]], 0, 0.0, [0.0, 1.0], False), "state"),
        (([0.0, 1.0], "up", 0.0, [0.0, 1.0], False), "action"),
        (([0.0, 1.0], 0.5, 0.0, [0.0, 1.0], False), "action"),
        (([0.0, 1.0], 0, np.inf, [0.0, 1.0], False), "reward"),
        (([0.0, 1.0], 0, [1.0, 2.0], [0.0, 1.0], False), "reward"),
        (([0.0, 1.0], 0, 0.0, None, False), "next_state"),
        (([0.0, 1.0], 0, 0.0, 3, False), "next_state"),
    ]
    for row, field in bad:
        with pytest.raises(RecordError) as caught:
            ring.add(*row)
        assert caught.value.field == field and "\n" not in str(caught.value)
    assert len(ring) == 1
    for size in (0, -1, 2.5, True):
        with pytest.raises(SpecificationError, match="batch size"):
            ring.sample(size)  # type: ignore[arg-type]
        with pytest.raises(SpecificationError, match="capacity"):
            kind(size)  # type: ignore[arg-type]


def test_refused_priorities() -> None:
    ring = PrioritizedReplay(5, seed=0)
    filled(ring, 3)
    before = ring.chances.copy()
    for indices, errors in (([3], [1.0]), ([-1], [1.0]), ([0, 1], [1.0]), ([0], [np.nan]), ([0.5], [1.0])):
        with pytest.raises(RecordError):
            ring.update_priorities(indices, errors)
    assert np.array_equal(ring.chances, before)
    for change in ({"alpha": -1.0}, {"alpha": np.inf}, {"beta": 1.5}, {"beta_steps": 0}):
        with pytest.raises(SpecificationError, match=next(iter(change))):
            PrioritizedReplay(5, **change)  # type: ignore[arg-type]
