"""The original specification is the project's promise: every block of it runs as written and does what it says.

So does every block of the page on retraining.
"""

from __future__ import annotations

import importlib
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ai_engine import retrain
from ai_engine.continuous_learning import DataCollector, LearningPipeline
from ai_engine.deploy import load_policy
from envs.errors import DataError, RetrainerError
from tests.snippets import Snippet, run, snippets

DOCUMENT = Path(__file__).parents[2] / "docs" / "specification.md"
SNIPPETS = {snippet.heading: snippet for snippet in snippets(DOCUMENT)}
PAGE = {snippet.heading: snippet for snippet in snippets(DOCUMENT.with_name("retraining.md"))}
GRADIENT, EVOLUTIONARY = "Gradient-Based Optimization", "Evolutionary Algorithm"
STATES, ACTIONS = 10, 5
Values = list[Any]


def one_hot(state: int) -> np.ndarray:
    return np.eye(STATES)[state]


def acts(path: Path, best: int) -> Any:
    """The policy of a saved file, which prefers the action that was rewarded in state 3."""
    decision = load_policy(path).act(one_hot(3))
    assert len(decision.probabilities) == ACTIONS and sum(decision.probabilities.values()) == pytest.approx(1.0)
    assert max(decision.probabilities, key=lambda action: decision.probabilities[action]) == best
    return decision


def experience_replay(names: dict[str, Any], values: Values) -> None:
    buffer = names["buffer"]
    assert len(buffer) == 1 and buffer.capacity == 100_000
    assert names["states"].shape == names["next_states"].shape == (32, STATES)  # one row, drawn with replacement
    assert (names["states"] == one_hot(3)).all() and (names["next_states"] == one_hot(4)).all()
    assert names["actions"].tolist() == [2] * 32 and names["rewards"].tolist() == [1.0] * 32 and names["dones"].all()


def q_learning(names: dict[str, Any], values: Values) -> None:
    # One update and ten epochs of one batch of 32 copies, each a step of 0.01 towards 1.
    assert names["trainer"].q_values[3, 2] == pytest.approx(1 - 0.99 * 0.99 ** (32 * 10))
    assert np.count_nonzero(names["trainer"].q_values) == 1
    decision = load_policy("models/q_learning_model.json").act(3)
    assert decision.action == 2 and decision.propensity == 1.0
    assert load_policy("models/q_learning_model.json").act(4).propensity == pytest.approx(1 / ACTIONS)


def ppo(names: dict[str, Any], values: Values) -> None:
    acts(Path("models/ppo_model.json"), 2)


def dqn(names: dict[str, Any], values: Values) -> None:
    acts(Path("models/dqn_model.json"), 2)


def optimized(method: str) -> Callable[[dict[str, Any], Values], None]:
    def optimization(names: dict[str, Any], values: Values) -> None:
        statistics = values[-1]
        assert statistics.method == method and statistics.rows == 1
        assert all(np.diff(statistics.objective) >= 0.0)
        # One measured row proves nothing beyond itself.
        assert statistics.refused_contexts == statistics.contexts == 1

    return optimization


def model_retrainer(names: dict[str, Any], values: Values) -> None:
    one, every = values
    assert one.agent == "self-healing" and one.refused and not one.promoted and one.reasons
    assert list(every) == ["scaling", "self-healing"] and all(result.refused for result in every.values())
    assert every["self-healing"].reasons == one.reasons and "single action" in one.reasons[0]
    assert every["scaling"].reasons


def integration(names: dict[str, Any], values: Values) -> None:
    collector = names["data_collector"]
    assert collector.home.path == names["pipeline"].home.path == Path.cwd()
    (record,) = collector.records("self-healing")
    assert record.action == "restart_service" and record.observation == {"service": "api"}
    assert record.outcome == {"success": True, "execution_time": 2.5, "output": {"status": "restarted"}}
    assert record.metadata == {"confidence": 0.95, "explanation": "Service restarted"} and record.propensity is None
    ready = names["retrainer"].check_retraining_ready("self-healing")
    assert not ready and ready.reasons
    names["pipeline"].stop()
    assert collector.count("self-healing") == 1


def two_agents() -> None:
    with LearningPipeline() as pipeline:
        for agent in ("self-healing", "scaling"):
            pipeline.record_action(agent, "wait", {"load": 0.5}, success=True)


EXPERIENCE = {"state": one_hot(3), "action": 2, "reward": 1.0, "next_state": one_hot(4), "done": True}
EPISODE = {
    "states": np.tile(one_hot(3), (20, 1)),
    "actions": [2] * 10 + [0] * 10,
    "rewards": [1.0] * 10 + [0.0] * 10,
    "dones": [False] * 19 + [True],
}
PROMISES: dict[str, tuple[dict[str, Any], Callable[[dict[str, Any], Values], None]]] = {
    "Experience Replay": (EXPERIENCE, experience_replay),
    "Q-Learning": (EXPERIENCE, q_learning),
    "PPO": (EPISODE, ppo),
    "DQN": (EXPERIENCE, dqn),
    GRADIENT: ({}, optimized("gradient")),
    EVOLUTIONARY: ({}, optimized("evolutionary")),
    "Model Retrainer": ({}, model_retrainer),
    "Integration Example": ({}, integration),
}
"""For each block the values of its free variables, and what holds after it."""


def statements(snippet: Snippet) -> list[Any]:
    """The block's own. The evolutionary one gets the performance data of the one before it."""
    if snippet.heading != EVOLUTIONARY:
        return snippet.statements
    brought, _, data, _ = SNIPPETS[GRADIENT].statements  # import, trainer, data, training
    made, trained = snippet.statements
    return [brought, made, data, trained]


def test_every_block_is_run() -> None:
    assert list(SNIPPETS) == list(PROMISES)
    for document, blocks in ((DOCUMENT, SNIPPETS), (DOCUMENT.with_name("retraining.md"), PAGE)):
        assert len(blocks) == document.read_text().count("```python") > 0


@pytest.mark.parametrize("heading", PROMISES)
def test_a_block_runs_as_written(heading: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RETRAINER_HOME", raising=False)
    snippet, (given, holds) = SNIPPETS[heading], PROMISES[heading]
    assert snippet.free_names == set(given) | ({"OptimizationTrainer"} if heading == EVOLUTIONARY else set())
    if heading == "Model Retrainer":
        two_agents()
    threads, processes = set(threading.enumerate()), children()
    names, values = run(statements(snippet), given, snippet.place)
    holds(names, values)
    assert set(threading.enumerate()) <= threads and children() <= processes


@pytest.mark.parametrize("heading", PAGE)
def test_a_block_of_the_page_on_retraining_runs_by_itself(
    heading: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RETRAINER_HOME", raising=False)
    assert not PAGE[heading].free_names
    threads, processes = set(threading.enumerate()), children()
    run(PAGE[heading].statements, {}, PAGE[heading].place)
    assert set(threading.enumerate()) <= threads and children() <= processes
    for file in tmp_path.glob("models/*.json"):
        assert load_policy(file).actions


def children() -> set[str]:
    """Processes that this one started and that are still there."""
    return {child for task in Path("/proc/self/task").glob("*/children") for child in task.read_text().split()}


@pytest.mark.parametrize("heading", [line for line in DOCUMENT.read_text().splitlines() if line.endswith(".py`)")])
def test_a_component_is_where_it_is_said_to_be(heading: str) -> None:
    file = re.findall(r"`(\w+)\.py`", heading)[0]
    title = re.findall(r"\d+\. (.+?) \(", heading)[0]
    snippet = SNIPPETS[{"Optimization Trainer": GRADIENT}.get(title, title)]
    (name,) = re.findall(r"from ai_engine\.retrain import (\w+)", snippet.code)
    module = importlib.import_module(f"ai_engine.retrain.{file}")
    assert getattr(retrain, name) is getattr(module, name) and name in retrain.__all__
    assert getattr(module, name).__module__ == module.__name__


@pytest.mark.parametrize(
    ("trainer", "settings", "training"),
    [
        ("ExperienceReplayBuffer", {}, lambda it: it.sample_batch(32)),
        ("QLearningTrainer", {"state_size": 10, "action_size": 5}, lambda it: it.train_from_replay(32, 10)),
        ("DQNTrainer", {"state_size": 10, "action_size": 5}, lambda it: it.train_from_replay(batch_size=32, steps=1)),
        ("PPOTrainer", {"state_size": 10, "action_size": 5}, lambda it: it.train_episode([], [], [], [])),
        ("OptimizationTrainer", {}, lambda it: it.train(method="gradient", iterations=1)),
        ("OptimizationTrainer", {}, lambda it: it.train(method="evolutionary", iterations=1)),
    ],
)
def test_a_trainer_without_data_says_so(trainer: str, settings: dict[str, Any], training: Callable[[Any], Any]) -> None:
    with pytest.raises(RetrainerError) as caught:
        training(getattr(retrain, trainer)(**settings))
    assert isinstance(caught.value, DataError)


def test_too_little_data_is_a_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RETRAINER_HOME", raising=False)
    retrainer = retrain.ModelRetrainer(DataCollector())
    assert retrainer.retrain_agent("self-healing", batch_size=32, epochs=10).reasons == ("has no records",)
    assert retrainer.retrain_all_ready_agents() == {}
