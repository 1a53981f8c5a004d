"""Deep Q-learning by hand: known answers over several seeds, statistics, and files that act and go on learning."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ai_engine.deploy import load_policy
from ai_engine.retrain import DQNTrainer, ExperienceReplayBuffer, QLearningTrainer
from envs.errors import ArtefactError, DataError, RecordError, SpecificationError
from tests import worlds

CHAIN = worlds.chain(5)
EXACT = CHAIN.optimal(1000, discount=0.9)[:4]
QUICK: dict[str, Any] = {"learning_rate": 0.01, "hidden": (16,), "target_period": 25}


def chain_trainer(seed: int, *, one_hot: bool = False, prioritized: bool = True, **settings: Any) -> DQNTrainer:
    """A trainer with a log of random steps on the chain."""
    trainer = DQNTrainer(5, 2, prioritized, discount_factor=0.9, seed=seed, **QUICK | settings)
    random = np.random.default_rng(seed)
    for _ in range(300):
        state, action = int(random.integers(4)), int(random.integers(2))
        following = int(CHAIN.transition[state, action].argmax())
        seen, then = (np.eye(5)[state], np.eye(5)[following]) if one_hot else (state, following)
        trainer.add_experience(seen, action, float(CHAIN.reward[state, action]), then, following == 4)
    return trainer


@pytest.mark.parametrize(
    ("seed", "one_hot", "prioritized", "settings"),
    [(0, False, True, {}), (1, True, False, {"double": False}), (2, True, True, {"value_scale": 5.0})],
)
def test_without_penalty_the_chains_values_are_learned(
    seed: int, one_hot: bool, prioritized: bool, settings: dict[str, Any]
) -> None:
    trainer = chain_trainer(seed, one_hot=one_hot, prioritized=prioritized, conservative_weight=0.0, **settings)
    states = np.eye(5)[:4] if one_hot else np.arange(4)
    first = trainer.train_from_replay(batch_size=32, steps=200)
    last = trainer.train_from_replay(batch_size=32, steps=400)
    np.testing.assert_allclose(trainer.q_values(states), EXACT, atol=0.05)
    assert last.mean_td_error < 0.2 * first.mean_td_error and last.loss < first.loss
    assert trainer.updates == 600 and last.updates == 400 * 32


@pytest.mark.parametrize("seed", range(3))
def test_the_chain_is_walked_right_by_default(seed: int) -> None:
    trainer = chain_trainer(seed)
    trainer.train_from_replay(steps=300)
    assert trainer.policy().probabilities(np.arange(4.0)[:, None]).argmax(axis=1).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("seed", range(3))
def test_a_contextual_bandit_is_learned(seed: int) -> None:
    """The better arm is 1 where the first number is positive; the second number says nothing."""
    trainer, random = DQNTrainer(2, 2, seed=seed, **QUICK), np.random.default_rng(seed)
    for _ in range(500):
        state, action = random.normal(size=2), int(random.integers(2))
        reward = (1.0 if action == (state[0] > 0) else 0.0) + 0.2 * random.normal()
        trainer.add_experience(state, action, reward, None, True)
    trainer.train_from_replay(batch_size=64, steps=300)
    states = np.random.default_rng(9).normal(size=(200, 2))
    clear = states[np.abs(states[:, 0]) > 0.2]
    assert (trainer.q_values(clear).argmax(axis=1) == (clear[:, 0] > 0)).mean() > 0.97


def test_an_action_that_was_never_tried_is_not_dreamt_of() -> None:
    """All that was tried loses; a plain network still believes in the 0 it began with."""
    chosen = {}
    for weight in (0.0, 0.1):
        trainer, random = DQNTrainer(4, 3, seed=0, conservative_weight=weight, **QUICK), np.random.default_rng(0)
        for _ in range(300):
            state, action = int(random.integers(4)), int(random.integers(2))
            trainer.add_experience(state, action, -2.0 + action, None, True)
        trainer.train_from_replay(steps=300)
        chosen[weight] = trainer.q_values(np.arange(4)).argmax(axis=1).tolist()
    assert chosen == {0.0: [2, 2, 2, 2], 0.1: [1, 1, 1, 1]}


def test_statistics_of_one_step_are_the_textbooks() -> None:
    trainer = DQNTrainer(
        2, 2, False, seed=3, discount_factor=0.5, conservative_weight=0.25, value_scale=2.0, hidden=(4,)
    )
    trainer.add_experience(0, 1, 3.0, 1, False)
    before = trainer.q_values([0, 1]) / 2.0
    found = trainer.train_from_replay(batch_size=1, steps=1)
    error = before[0, 1] - (3.0 / 2.0 + 0.5 * before[1].max())
    gap = math.log(math.exp(before[0, 0]) + math.exp(before[0, 1])) - before[0, 1]
    huber = 0.5 * error**2 if abs(error) <= 1.0 else abs(error) - 0.5
    assert found.mean_td_error == pytest.approx(2.0 * abs(error), rel=1e-5)
    assert found.conservative_gap == pytest.approx(gap, rel=1e-5)
    assert found.loss == pytest.approx(huber + 0.25 * gap, rel=1e-5) and found.losses == (found.loss,)
    assert found.mean_q == pytest.approx(2.0 * before[0, 1], rel=1e-4, abs=1e-6)
    assert json.loads(json.dumps(found.to_json()))["steps"] == found.steps == 1


def test_what_stays_surprising_is_drawn_more_often() -> None:
    """State 0 always pays 0, state 1 pays 10 or -10 by chance: half of what was added, nearly all of what is drawn."""
    shares = []
    for prioritized in (True, False):
        trainer = DQNTrainer(2, 2, prioritized, seed=0, **QUICK)
        for number in range(200):
            trainer.add_experience(number % 2, 0, (0.0, 10.0, 0.0, -10.0)[number % 4], None, True)
        trainer.train_from_replay(steps=150)
        shares.append(float(np.mean(trainer.buffer.sample_batch(200).states)))
    assert shares[0] > 0.8 and shares[1] == 0.5


def test_the_file_acts_as_the_trainer(tmp_path: Path) -> None:
    trainer = chain_trainer(0, value_scale=3.0, explore=0.1, agent="walker", actions=("left", "right"))
    trainer.train_from_replay(steps=100)
    policy = load_policy(trainer.save_model(tmp_path / "models" / "dqn_model.json"))
    assert (policy.agent, policy.explore, policy.actions) == ("walker", 0.1, ("left", "right"))
    greedy = trainer.q_values(np.arange(5)).argmax(axis=1)
    assert [policy.actions.index(policy.act(state, greedy=True).action) for state in range(5)] == greedy.tolist()
    component = policy.layers[0].component
    np.testing.assert_allclose(component.logits(np.arange(5.0)[:, None]), trainer.q_values(np.arange(5)), atol=1e-5)


@pytest.mark.parametrize("one_hot", [False, True])
def test_loading_goes_on_exactly(tmp_path: Path, one_hot: bool) -> None:
    trainer = chain_trainer(0, one_hot=one_hot, double=False, conservative_weight=0.3)
    trainer.train_from_replay(steps=40)  # between two copies to the target network
    path = trainer.save_model(tmp_path / "model.json")
    other = DQNTrainer(5, 2, buffer=copy.deepcopy(trainer.buffer), seed=9).load_model(path)
    assert (other.conservative_weight, other.double, other.hidden, other.updates) == (0.3, False, (16,), 40)
    assert other.train_from_replay(steps=40) == trainer.train_from_replay(steps=40)
    first, second = (each.save_model(tmp_path / name) for each, name in ((trainer, "1.json"), (other, "2.json")))
    assert first.read_bytes() == second.read_bytes()


def test_same_seed_same_result() -> None:
    runs = []
    for seed in (4, 4, 5):
        trainer = chain_trainer(0, **{"learning_rate": 0.01})
        trainer = DQNTrainer(5, 2, buffer=copy.deepcopy(trainer.buffer), seed=seed, **QUICK)
        trainer.train_from_replay(steps=20)
        runs.append(trainer.q_values(np.arange(4)))
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_mistakes_are_named(tmp_path: Path) -> None:
    empty = DQNTrainer(state_size=10, action_size=5, use_prioritized_replay=True)
    with pytest.raises(DataError, match="has no experience to train from"):
        empty.train_from_replay(batch_size=32, steps=100)
    with pytest.raises(DataError, match="has learned nothing yet"):
        empty.save_model(tmp_path / "m.json")
    for setting, value in (
        ("learning_rate", 0.0),
        ("discount_factor", 1.5),
        ("conservative_weight", -1.0),
        ("hidden", (0,)),
    ):
        with pytest.raises(SpecificationError, match=setting):
            DQNTrainer(2, 2, **{setting: value})  # type: ignore[arg-type]
    with pytest.raises(RecordError, match="action"):
        empty.add_experience(np.zeros(10), 5, 0.0, None, True)
    with pytest.raises(RecordError, match="state"):
        empty.add_experience(np.zeros(9), 1, 0.0, None, True)
    empty.add_experience(np.zeros(10), 1, 0.0, None, True)
    with pytest.raises(RecordError, match="next_state"):
        empty.add_experience(np.zeros(10), 1, 0.0, 3, False)
    with pytest.raises(SpecificationError, match="steps is 0"):
        empty.train_from_replay(steps=0)
    shared = ExperienceReplayBuffer(10)
    shared.add(np.zeros(10), 7, 0.0, None, True)
    with pytest.raises(RecordError, match="actions"):
        DQNTrainer(10, 5, buffer=shared).train_from_replay()
    table = QLearningTrainer(5, 2)
    table.update_q_value(0, 1, 1.0, 1, False)
    with pytest.raises(ArtefactError, match="holds no model of dqn"):
        DQNTrainer(5, 2).load_model(table.save_model(tmp_path / "table.json"))
    trained = chain_trainer(0)
    trained.train_from_replay(steps=1)
    path = trained.save_model(tmp_path / "dqn.json")
    with pytest.raises(ArtefactError, match="has 5 states"):
        DQNTrainer(6, 2).load_model(path)
