"""Q-learning by hand: known answers, statistics, and files that act and go on learning."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ai_engine.deploy import load_policy
from ai_engine.retrain import ExperienceReplayBuffer, QLearningTrainer
from algorithms.policy import Policy, save_policy
from algorithms.policy.parts import BaseReference
from envs.errors import ArtefactError, DataError, RecordError, SpecificationError
from envs.observation import ObservationField, ObservationSpecification
from tests import worlds

CHAIN = worlds.chain(5)
EXACT = CHAIN.optimal(1000, discount=0.9)[:4]


def walked(trainer: QLearningTrainer, one_hot: bool = False) -> QLearningTrainer:
    """Every step that the chain has, once."""
    for state in range(4):
        for action in range(2):
            following = int(CHAIN.transition[state, action].argmax())
            seen, then = (np.eye(5)[state], np.eye(5)[following]) if one_hot else (state, following)
            trainer.add_experience(
                seen, action, float(CHAIN.reward[state, action]), then, bool(CHAIN.terminal[following])
            )
    return trainer


def logged(**settings: Any) -> QLearningTrainer:
    """A trainer with a noisy log of random walks."""
    trainer = QLearningTrainer(5, 2, discount_factor=0.9, seed=3, **settings)
    random = np.random.default_rng(0)
    for _ in range(300):
        state, action = int(random.integers(4)), int(random.integers(2))
        following = int(CHAIN.transition[state, action].argmax())
        reward = float(CHAIN.reward[state, action] + random.normal() / 10)
        trainer.add_experience(state, action, reward, following, following == 4)
    return trainer


@pytest.mark.parametrize("prioritized", [False, True])
@pytest.mark.parametrize("one_hot", [False, True])
@pytest.mark.parametrize(("rate", "batch"), [(1.0, 8), (0.5, 3), (0.5, 32)])
def test_the_chain_is_learned_exactly(prioritized: bool, one_hot: bool, rate: float, batch: int) -> None:
    trainer = QLearningTrainer(5, 2, rate, 0.9, use_prioritized_replay=prioritized, seed=0)
    epochs = 1000 if prioritized else 200  # a priority that was 0 once waits until the others are small
    statistics = walked(trainer, one_hot).train_from_replay(batch_size=batch, epochs=epochs)
    np.testing.assert_allclose(trainer.q_values[:4], EXACT, atol=1e-9)
    assert (trainer.q_values[4] == 0).all()
    assert statistics.mean_td_error < 1e-9 and statistics.loss < 1e-18 and statistics.losses[0] > 1e-3
    assert statistics.updates == trainer.updates == epochs * -(-8 // batch) * batch
    assert statistics.epochs == len(statistics.losses) == epochs
    assert trainer.policy().probabilities(np.arange(4.0)[:, None]).argmax(axis=1).tolist() == [1, 1, 1, 1]


def test_noise_is_averaged() -> None:
    trainer = logged(learning_rate=0.01)
    trainer.train_from_replay(batch_size=32, epochs=300)
    assert np.abs(trainer.q_values[:4] - EXACT).max() < 0.1


def test_single_updates_are_the_textbook_and_are_kept_for_replay() -> None:
    trainer = QLearningTrainer(state_size=10, action_size=5, learning_rate=0.01, discount_factor=0.95)
    random, table = np.random.default_rng(0), np.zeros((10, 5))
    for _ in range(500):
        state, action, following = int(random.integers(10)), int(random.integers(5)), int(random.integers(10))
        reward, done = float(random.normal()), bool(random.random() < 0.1)
        wanted = reward + (0.0 if done else 0.95 * table[following].max()) - table[state, action]
        assert trainer.update_q_value(state, action, reward, following, done) == pytest.approx(wanted)
        table[state, action] += 0.01 * wanted
    np.testing.assert_allclose(trainer.q_values, table)
    assert len(trainer.buffer) == trainer.updates == 500
    assert trainer.train_from_replay(batch_size=32, epochs=10).updates == 10 * 16 * 32


def test_what_a_log_never_shows_is_not_believed() -> None:
    for tried_only, wanted in ((False, -1.0), (True, -2.0)):
        trainer = QLearningTrainer(2, 2, 1.0, 1.0, tried_only=tried_only)
        trainer.update_q_value(1, 0, -1.0, None, True)
        trainer.update_q_value(0, 0, -1.0, 1, False)
        assert trainer.q_values[0, 0] == wanted
        assert trainer.policy().act(0, greedy=True).action == 0  # in spite of the 0 of the action never tried


def test_the_example_of_the_specification(tmp_path: Path) -> None:
    trainer = QLearningTrainer(state_size=10, action_size=5, learning_rate=0.01, discount_factor=0.95)
    trainer.update_q_value(3, 2, 1.0, 4, False)
    trainer.train_from_replay(batch_size=32, epochs=10)
    trainer.save_model(tmp_path / "models" / "q_learning_model.json")
    policy = load_policy(tmp_path / "models" / "q_learning_model.json")
    decision = policy.act(3)
    assert (decision.action, decision.propensity) == (2, 1.0)
    assert policy.act(4).propensity == pytest.approx(0.2)  # never tried: uniform
    facts = policy.provenance.training
    assert facts["updates"] == 321 and facts["statistics"]["updates"] == 320 and facts["statistics"]["loss"] > 0


def test_names_and_floor(tmp_path: Path) -> None:
    trainer = QLearningTrainer(5, 2, 0.5, 0.9, agent="walker", actions=("left", "right"), explore=0.2, seed=0)
    walked(trainer).train_from_replay(epochs=100)
    policy = load_policy(trainer.save_model(tmp_path / "m.json"))
    assert policy.agent == "walker" and policy.act(0, greedy=True).action == "right"
    assert policy.act(0).probabilities == pytest.approx({"left": 0.1, "right": 0.9})
    assert policy.act(0, ["left"]).action == "left"


@pytest.mark.parametrize("prioritized", [False, True])
def test_learning_goes_on_as_if_it_had_never_stopped(prioritized: bool, tmp_path: Path) -> None:
    whole = logged(learning_rate=0.03, use_prioritized_replay=prioritized)
    whole.train_from_replay(epochs=3)
    path = whole.save_model(tmp_path / "m.json")
    other = QLearningTrainer(5, 2, buffer=copy.deepcopy(whole.buffer)).load_model(path)
    assert np.array_equal(other.q_values, whole.q_values) and np.array_equal(other.counts, whole.counts)
    assert (other.learning_rate, other.discount_factor, other.updates) == (0.03, 0.9, whole.updates)
    assert whole.train_from_replay(epochs=3) == other.train_from_replay(epochs=3)
    assert np.array_equal(other.q_values, whole.q_values)
    assert whole.policy().to_bytes() == other.policy().to_bytes()


def test_the_same_seed_is_the_same_table() -> None:
    first, second = logged(), logged()
    first.train_from_replay(epochs=2), second.train_from_replay(epochs=2)
    assert np.array_equal(first.q_values, second.q_values)


def test_a_shared_buffer_is_used_and_checked() -> None:
    buffer = ExperienceReplayBuffer(seed=0)
    trainer = QLearningTrainer(5, 2, buffer=buffer)
    assert trainer.buffer is buffer
    buffer.add(7, 0, 0.0, 0, False)
    with pytest.raises(RecordError, match="states: of the buffer"):
        trainer.train_from_replay()
    assert trainer.updates == 0


def test_without_data(tmp_path: Path) -> None:
    trainer = QLearningTrainer(5, 2)
    with pytest.raises(DataError, match="QLearningTrainer: has no experience to train from; add experiences first"):
        trainer.train_from_replay(batch_size=32, epochs=10)
    with pytest.raises(DataError, match="has learned nothing yet"):
        trainer.save_model(tmp_path / "m.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ((5, 0, 0.0, 0, False), "state"),
        ((-1, 0, 0.0, 0, False), "state"),
        ((0.5, 0, 0.0, 0, False), "state"),
        ((np.nan, 0, 0.0, 0, False), "state"),
        ((True, 0, 0.0, 0, False), "state"),
        (([0.1, 0.9, 0, 0, 0], 0, 0.0, 0, False), "state"),
        (([1, 1, 0, 0, 0], 0, 0.0, 0, False), "state"),
        (([0, 0, 0, 0, 0], 0, 0.0, 0, False), "state"),
        ((0, 2, 0.0, 0, False), "action"),
        ((0, "left", 0.0, 0, False), "action"),
        ((0, 0, np.nan, 0, False), "reward"),
        ((0, 0, 0.0, 9, False), "next_state"),
        ((0, 0, 0.0, None, False), "next_state"),
    ],
)
def test_experiences_that_do_not_fit(row: tuple[Any, ...], field: str) -> None:
    trainer = QLearningTrainer(5, 2)
    for call in (trainer.update_q_value, trainer.add_experience):
        with pytest.raises(RecordError) as caught:
            call(*row)
        assert caught.value.field == field and "\n" not in str(caught.value)
    assert trainer.updates == len(trainer.buffer) == 0


def test_states_of_any_integer_kind() -> None:
    trainer = QLearningTrainer(5, 2)
    for state in (3, 3.0, np.int64(3), np.float32(3), np.array(3), [3], np.array([3]), np.eye(5)[3], [0, 0, 0, 1, 0]):
        trainer.update_q_value(state, np.int64(1), 1, state, False)
    assert trainer.counts[3, 1] == trainer.updates == 9


@pytest.mark.parametrize(
    "change",
    [
        {"state_size": 0},
        {"action_size": 0},
        {"learning_rate": 0.0},
        {"learning_rate": 1.5},
        {"discount_factor": 1.5},
        {"explore": -0.1},
        {"actions": ("a",)},
        {"actions": ("a", "a")},
    ],
)
def test_settings_out_of_range(change: dict[str, Any]) -> None:
    with pytest.raises(SpecificationError, match=next(iter(change))):
        QLearningTrainer(**{"state_size": 5, "action_size": 2, **change})
    trainer = walked(QLearningTrainer(5, 2))
    for bad in ({"epochs": 0}, {"batch_size": 0}, {"batch_size": 1.5}):
        with pytest.raises(SpecificationError, match=next(iter(bad))):
            trainer.train_from_replay(**bad)  # type: ignore[arg-type]


def test_models_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    trainer = walked(QLearningTrainer(5, 2))
    trainer.train_from_replay(epochs=1)
    trainer.save_model(path)
    for other in (QLearningTrainer(6, 2), QLearningTrainer(5, 3), QLearningTrainer(5, 2, actions=("a", "b"))):
        with pytest.raises(ArtefactError, match="has a table"):
            other.load_model(path)
        assert other.updates == 0
    with pytest.raises(ArtefactError, match="cannot be read"):
        trainer.load_model(tmp_path / "none.json")
    path.write_bytes(path.read_bytes().replace(b'"updates": 32', b'"updates": 33'))
    with pytest.raises(ArtefactError, match="SHA-256"):
        trainer.load_model(path)
    observed = ObservationSpecification("int", (ObservationField("state", "integer"),))
    save_policy(Policy("walker", "1", observed, (0, 1), base=BaseReference("rule-1")), path)
    with pytest.raises(ArtefactError, match="holds no Q table"):
        trainer.load_model(path)
