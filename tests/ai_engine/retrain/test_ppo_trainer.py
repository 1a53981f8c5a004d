"""PPO by hand: known answers on-policy, statistics, and files that act and go on learning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ai_engine.deploy import load_policy
from ai_engine.retrain import PPOTrainer, QLearningTrainer
from envs.errors import ArtefactError, DataError, RecordError, SpecificationError
from tests import worlds

CHAIN = worlds.chain(5)
QUICK: dict[str, Any] = {"learning_rate": 0.01, "hidden": (16,), "entropy_weight": 0.01}


def walk(trainer: PPOTrainer, random: np.random.Generator, *, one_hot: bool = False) -> tuple[list[Any], ...]:
    """One episode of the chain by the trainer's own policy: states, actions, rewards, dones and where it ended."""
    states, actions, rewards, dones = [], [], [], []
    state = int(random.integers(4))
    while not (dones and dones[-1]) and len(states) < 20:
        seen = np.eye(5)[state] if one_hot else state
        action = trainer.act(seen)
        following = int(CHAIN.transition[state, action].argmax())
        states.append(seen)
        actions.append(action)
        rewards.append(float(CHAIN.reward[state, action]))
        dones.append(bool(CHAIN.terminal[following]))
        state = following
    return states, actions, rewards, dones, np.eye(5)[state] if one_hot else state


def chain_trainer(seed: int, episodes: int, *, one_hot: bool = False) -> PPOTrainer:
    trainer, random = PPOTrainer(5, 2, seed=seed, **QUICK), np.random.default_rng(seed)
    for _ in range(episodes):
        *episode, following = walk(trainer, random, one_hot=one_hot)
        trainer.train_episode(*episode, next_state=following)
    return trainer


def episode(seed: int = 0, count: int = 40, size: int = 3, actions: int = 2) -> tuple[Any, ...]:
    random = np.random.default_rng(seed)
    dones = random.random(count) < 0.2
    dones[-1] = True
    return random.normal(size=(count, size)), random.integers(actions, size=count), random.normal(size=count), dones


@pytest.mark.parametrize(("seed", "one_hot"), [(0, False), (1, True), (2, False)])
def test_the_chain_is_walked_to_its_end(seed: int, one_hot: bool) -> None:
    trainer = chain_trainer(seed, 120, one_hot=one_hot)
    right = [trainer.action_probabilities(np.eye(5)[state] if one_hot else state)[1] for state in range(4)]
    assert min(right) > 0.9
    best = float(CHAIN.start @ CHAIN.optimal().max(axis=1))
    assert CHAIN.value(np.array([[1 - p, p] for p in [*right, 0.5]])) > best - 0.1


@pytest.mark.parametrize("seed", range(3))
def test_a_contextual_bandit_is_solved_one_decision_at_a_time(seed: int) -> None:
    """The better arm is 1 where the first number is positive; the second number says nothing."""
    trainer, random = PPOTrainer(2, 2, seed=seed, **QUICK | {"learning_rate": 0.02}), np.random.default_rng(seed)
    for _ in range(250):
        state = random.normal(size=2)
        action = trainer.act(state)
        reward = (1.0 if action == (state[0] > 0) else 0.0) + 0.2 * random.normal()
        trainer.train_episode([state], [action], [reward], [True])
    states = np.random.default_rng(9).normal(size=(200, 2))
    clear = states[np.abs(states[:, 0]) > 0.3]
    right = [trainer.action_probabilities(state)[int(state[0] > 0)] for state in clear]
    assert np.mean(right) > 0.9


def test_what_cannot_be_done_is_never_done_though_it_would_pay() -> None:
    trainer, random = PPOTrainer(3, 3, seed=0, **QUICK), np.random.default_rng(0)
    masks = np.array([[True, True, False], [False, True, True], [True, True, True]])
    for _ in range(60):
        states = random.integers(3, size=16)
        actions = [trainer.act(state, masks[state]) for state in states]
        assert masks[states, actions].all()
        trainer.train_episode(states, actions, np.array([0.0, 0.5, 1.0])[actions], [True] * 16, allowed=masks[states])
    best = [trainer.action_probabilities(state, masks[state]).argmax() for state in range(3)]
    assert best == [1, 2, 2]
    assert trainer.action_probabilities(0, masks[0])[2] == 0.0


def test_statistics_are_those_of_the_update() -> None:
    trainer = PPOTrainer(3, 2, 0.01, seed=1, epochs=3, minibatch_size=10, hidden=(16,), value_scale=2.0)
    first = trainer.train_episode(*episode())
    assert (first.decisions, first.updates, trainer.updates) == (40, 3 * 4, 12)
    assert first.entropy == pytest.approx(np.log(2), abs=0.05) and 0.0 <= first.kl < 0.05
    assert first.loss == pytest.approx(first.policy_loss + 0.5 * first.value_loss)
    for _ in range(60):
        last = trainer.train_episode(*episode())
    assert last.value_loss < 0.5 * first.value_loss and last.explained_variance > 0.5 > first.explained_variance
    assert json.loads(json.dumps(last.to_json())) == last.to_json()


def test_an_end_that_is_not_known_is_not_learned_from() -> None:
    """The last decision's reward must not matter where nothing says what followed it."""
    states, actions, rewards, dones = episode(count=12)
    dones[-1] = False
    weights = []
    for last in (0.0, 1000.0):
        trainer = PPOTrainer(3, 2, seed=2)
        statistics = trainer.train_episode(states, actions, np.append(rewards[:-1], last), dones)
        assert statistics.decisions == 11
        weights.append(trainer.action_probabilities(np.ones(3)))
    np.testing.assert_array_equal(*weights)
    assert trainer.train_episode(states, actions, rewards, dones, next_state=np.zeros(3)).decisions == 12
    with pytest.raises(DataError, match="does not know what follows its only decision; give next_state"):
        trainer.train_episode(states[:1], actions[:1], rewards[:1], [False])


def test_propensities_replace_the_policys_own() -> None:
    """Known to have been drawn evenly, evenly drawn decisions are on-policy for a policy that is even."""
    states, actions, rewards, dones = episode()
    own, given, rare = (PPOTrainer(3, 2, seed=3, epochs=1) for _ in range(3))
    on_policy = own.train_episode(states, actions, rewards, dones)
    even = given.train_episode(states, actions, rewards, dones, propensities=np.full(40, 0.5))
    assert even.policy_loss == pytest.approx(on_policy.policy_loss, abs=0.02)
    assert rare.train_episode(states, actions, rewards, dones, propensities=np.full(40, 0.9)).clipped_share == 1.0


def test_the_file_acts_as_the_trainer_and_shows_its_floor(tmp_path: Path) -> None:
    trainer = PPOTrainer(3, 2, seed=4, actions=("left", "right"), explore=0.1, agent="walker", hidden=(8,))
    trainer.train_episode(*episode())
    policy = load_policy(trainer.save_model(tmp_path / "ppo_model.json"))
    state = [0.3, -1.0, 20.0]
    decision = policy.act(state)
    own = 0.9 * trainer.action_probabilities(state) + 0.05
    np.testing.assert_allclose([decision.probabilities[name] for name in ("left", "right")], own, atol=1e-6)
    whole = chain_trainer(0, 2)
    policy = load_policy(whole.save_model(tmp_path / "chain.json"))
    np.testing.assert_allclose(list(policy.act(3).probabilities.values()), whole.action_probabilities(3), atol=1e-6)


@pytest.mark.parametrize("one_hot", [False, True])
def test_training_goes_on_exactly_where_it_was_saved(tmp_path: Path, one_hot: bool) -> None:
    whole = chain_trainer(5, 6, one_hot=one_hot)
    path = whole.save_model(tmp_path / "ppo_model.json")
    part = PPOTrainer(5, 2).load_model(path)
    assert (part.learning_rate, part.hidden, part.updates) == (whole.learning_rate, (16,), whole.updates)
    random = [np.random.default_rng(1) for _ in range(2)]
    for _ in range(3):
        episodes = [walk(each, source, one_hot=one_hot) for each, source in zip((whole, part), random, strict=True)]
        np.testing.assert_array_equal(episodes[0][1], episodes[1][1])
        statistics = [
            each.train_episode(*played[:4], next_state=played[4])
            for each, played in zip((whole, part), episodes, strict=True)
        ]
        assert statistics[0] == statistics[1]
    assert whole.save_model(tmp_path / "a.json").read_bytes() == part.save_model(tmp_path / "b.json").read_bytes()


def test_same_seed_same_result() -> None:
    runs = []
    for seed in (0, 0, 1):
        trainer = PPOTrainer(3, 2, seed=seed)
        trainer.train_episode(*episode())
        runs.append(trainer.action_probabilities(np.ones(3)))
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_numbers_are_scaled_before_they_are_cut() -> None:
    scaled, plain = PPOTrainer(1, 2, seed=0, center=500.0, scale=100.0), PPOTrainer(1, 2, seed=0)
    for state in (300.0, 650.0):
        np.testing.assert_array_equal(
            scaled.action_probabilities([state]), plain.action_probabilities([(state - 500.0) / 100.0])
        )
    np.testing.assert_array_equal(plain.action_probabilities([300.0]), plain.action_probabilities([650.0]))


def test_nothing_is_learned_from_no_data(tmp_path: Path) -> None:
    trainer = PPOTrainer(state_size=10, action_size=5, learning_rate=3e-4, clip_epsilon=0.2)
    with pytest.raises(DataError, match="PPOTrainer: has no decision to train from"):
        trainer.train_episode([], [], [], [])
    with pytest.raises(DataError, match="has learned nothing yet; train it first"):
        trainer.save_model(tmp_path / "model.json")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"states": np.zeros((2, 4))}, "states: has 4 numbers a state; give 3"),
        ({"states": [0, 1]}, "states: has shape .* states are vectors of 3 numbers"),
        ({"states": [[0, 1, 2], [0, 1, np.nan]]}, "states: holds numbers that are not finite"),
        ({"states": np.zeros((3, 3))}, "states: are 3, actions are 2"),
        ({"actions": [0, 2]}, r"actions: 2 is not an index; give an integer in \[0, 2\)"),
        ({"rewards": [0.0, np.inf]}, "rewards: holds numbers that are not finite"),
        ({"rewards": ["much", "little"]}, "rewards: are not numbers"),
        ({"dones": [True]}, r"dones: has shape \(1,\); give one for each of 2 decisions"),
        ({"propensities": [0.5, 0.0]}, r"propensities: are not in \(0, 1\]"),
        ({"allowed": [[True, True], [False, False]]}, "allowed: is no mask of 2 decisions and 2 actions"),
        ({"allowed": [[True, True], [True, False]]}, "actions: holds one that was not allowed"),
    ],
)
def test_values_that_do_not_fit_are_named_and_change_nothing(changes: dict[str, Any], problem: str) -> None:
    trainer = PPOTrainer(3, 2, seed=0)
    trainer.train_episode(*episode())
    before = trainer.action_probabilities(np.ones(3))
    values = {"states": np.zeros((2, 3)), "actions": [0, 1], "rewards": [0.0, 1.0], "dones": [False, True]} | changes
    with pytest.raises(RecordError, match=problem):
        trainer.train_episode(**values)
    np.testing.assert_array_equal(trainer.action_probabilities(np.ones(3)), before)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("clip_epsilon", 1.0), ("learning_rate", 0.0), ("epochs", 0), ("scale", 0.0), ("center", (1.0, 2.0))],
)
def test_settings_out_of_range_are_named(setting: str, value: Any) -> None:
    with pytest.raises(SpecificationError, match=f"PPOTrainer: {setting} is"):
        PPOTrainer(3, 2, **{setting: value})


def test_only_a_file_of_its_own_kind_is_loaded(tmp_path: Path) -> None:
    other = QLearningTrainer(3, 2)
    other.update_q_value(0, 1, 1.0, None, True)
    with pytest.raises(ArtefactError, match="holds no model of ppo"):
        PPOTrainer(3, 2).load_model(other.save_model(tmp_path / "q.json"))
    with pytest.raises(ArtefactError, match="cannot be read"):
        PPOTrainer(3, 2).load_model(tmp_path / "nothing.json")
    trainer = PPOTrainer(3, 2, seed=0)
    trainer.train_episode(*episode())
    path = trainer.save_model(tmp_path / "ppo.json")
    with pytest.raises(ArtefactError, match="has 3 states and the actions"):
        PPOTrainer(4, 2).load_model(path)
    path.write_bytes(path.read_bytes().replace(b"actor", b"ector", 1))
    with pytest.raises(ArtefactError):
        PPOTrainer(3, 2).load_model(path)
