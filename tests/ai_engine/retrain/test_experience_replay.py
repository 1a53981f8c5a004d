"""The buffer of the specification: its five columns, its priorities, its errors."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from ai_engine.retrain import ExperienceReplayBuffer
from envs.errors import DataError, SpecificationError


def test_the_example_of_the_specification() -> None:
    buffer = ExperienceReplayBuffer(capacity=100000)
    buffer.add([0.0, 1.0], 1, -1.0, [1.0, 1.0], True)
    states, actions, rewards, next_states, dones = buffer.sample_batch(32)  # fewer rows than the batch
    assert states.shape == next_states.shape == (32, 2) and len(buffer) == 1 and buffer.capacity == 100000
    assert actions.tolist() == [1] * 32 and rewards.tolist() == [-1.0] * 32 and dones.all()


def test_priorities_lead_to_what_surprises() -> None:
    buffer = ExperienceReplayBuffer(50, prioritized=True, alpha=1.0, beta=0.5, beta_steps=100, seed=0)
    for state in range(50):
        buffer.add(state, 0, 0.0, state, False)
    batch = buffer.sample_prioritized(50)
    assert np.array_equal(batch.states[:5], batch.indices[:5]) and batch.weights.tolist() == [1.0] * 50
    assert buffer.beta == pytest.approx(0.505)
    buffer.update_priorities(np.arange(50), np.where(np.arange(50) == 7, 50.0, 1.0))
    drawn = buffer.sample_batch(990).states
    assert 450 < (drawn == 7).sum() < 550  # 50 of 99
    weights = buffer.sample_prioritized(500)
    assert set(np.round(weights.weights[weights.states == 7], 4)) == {round(50**-0.505, 4)}


def test_errors_have_names() -> None:
    for prioritized in (False, True):
        with pytest.raises(DataError, match="is empty"):
            ExperienceReplayBuffer(prioritized=prioritized).sample_batch(4)
    uniform = ExperienceReplayBuffer()
    uniform.add(0, 0, 0.0, 0, True)
    with pytest.raises(SpecificationError, match="prioritized=True"):
        uniform.sample_prioritized(1)
    with pytest.raises(SpecificationError, match="prioritized=True"):
        uniform.update_priorities([0], [1.0])
    assert not uniform.prioritized and uniform.beta == 1.0


def test_neither_trainer_nor_buffer_needs_a_training_library() -> None:
    code = (
        "import sys; from ai_engine.retrain import ExperienceReplayBuffer, ModelRetrainer, QLearningTrainer; "
        "assert not {'ray', 'torch', 'pyarrow'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
