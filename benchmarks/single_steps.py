"""What a user waits for in single steps: deciding, recording in bulk, building a dataset, fitting.

python -m benchmarks.single_steps [--quick] [--json]

The limits are seconds of one core, not ratios: a shared machine can miss them where a quiet one does not.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ai_engine.deploy import Agent, Policy, Registry
from algorithms.ope.fitted_q_evaluation import fit_q
from algorithms.ope.linear_model import LinearModel
from algorithms.ope.state_action_models import TabularModel
from algorithms.policy import ImprovementMap
from algorithms.tabular_q import TabularQConfig
from benchmarks.log_loading import AGENT, FIELDS, HORIZON, specification
from benchmarks.rows import Row, arguments, publish
from envs.build import build_dataset
from envs.dataset import Dataset
from envs.encoding import QuantileGrid
from envs.home import Home
from envs.journal.journal import Journal
from envs.record import DecisionRecord

COUNT = 20_000


def main() -> None:
    """Measure."""
    options = arguments(__doc__)
    repeats = 2 if options.quick else 5
    with tempfile.TemporaryDirectory() as folder:
        rows = [*_logging(Path(folder), repeats), *_deciding(Path(folder), repeats)]
    rows += [_policies(kind, repeats) for kind in ("linear", "table")]
    publish("single_steps", rows, options.json)


def _logging(folder: Path, repeats: int) -> list[Row]:
    home = Home.create(folder / "log", split_key=bytes(range(32)))
    home.declare(specification())
    records = list(_records())
    journals = [Journal(folder / f"{index}.sqlite") for index in range(repeats)]
    written = [_cpu(lambda journal=journal: journal.append(records)) for journal in journals]
    read = _cpu(lambda: sum(1 for _ in journals[0].read(AGENT)))
    Journal(home.journal_path).append(records)
    built = _best(lambda: build_dataset(home, AGENT), repeats)
    dataset, _ = build_dataset(home, AGENT)
    learned = _best(lambda: _learn(dataset), repeats)
    return [
        _row("a journal takes them", min(written), 1.5),
        _row("a journal is read", read, 1.0),
        _row("a dataset is built of a journal", built, 2.0),
        _row("tabular Q learns", learned, 8.0),
    ]


def _learn(dataset: Dataset) -> None:
    """Twelve iterations of tabular Q."""
    config = TabularQConfig().training(anchored=False)
    algorithm = config.offline(dataset=dataset, splits=("train", "select", "final")).build_algo()
    for _ in range(12):
        algorithm.train()


def _records() -> Any:
    """Decisions of a uniform rule with eight numbers seen."""
    seen = np.random.default_rng(0).normal(size=(COUNT, FIELDS))
    probabilities = {"down": 0.2, "hold": 0.3, "up": 0.5}
    for index, row in enumerate(seen):
        episode, step = divmod(index, HORIZON)
        yield DecisionRecord.from_mapping(
            {
                "agent": AGENT, "event_id": f"d{index}", "episode_id": f"e{episode}", "step": step,
                "timestamp": f"2024-01-01T{episode % 24:02d}:{step:02d}:00Z",
                "observation": {f"f{field}": value for field, value in enumerate(row.tolist())},
                "action": "up", "action_probabilities": probabilities, "reward": 1.0,
            }
        )  # fmt: skip


def _policies(kind: str, repeats: int) -> Row:
    """Several policies are evaluated in one fit."""
    rng, actions = np.random.default_rng(2), 6
    policies, horizon, limit = (16, 12, 3.0) if kind == "linear" else (8, 200, 2.0)
    model: Any = (
        LinearModel(rng.normal(size=(2 * COUNT, 100)), actions)
        if kind == "linear"
        else TabularModel(rng.integers(0, 500, 2 * COUNT), 500, actions)
    )
    rows = np.arange(0, 2 * COUNT, 2)
    given: dict[str, Any] = {
        "rows": rows,
        "actions": rng.integers(0, actions, COUNT),
        "rewards": rng.normal(size=COUNT),
        "terminated": np.zeros(COUNT, dtype=bool),
        "next_rows": rows + 1,
        "next_valid": np.ones(COUNT, dtype=bool),
        "probabilities": rng.dirichlet(np.ones(actions), (policies, 2 * COUNT)),
        "horizon": horizon,
        "reward_range": (-5, 5),
    }
    return _row(
        f"{policies} policies, {kind} FQE, {horizon} steps", _best(lambda: fit_q(model, **given), repeats), limit
    )


def _row(metric: str, seconds: float, limit: float) -> Row:
    return Row(
        f"{COUNT:,} decisions", metric, "s", seconds, "limit", limit, f"{metric}: at most {limit:g} s", seconds <= limit
    )


def _deciding(folder: Path, repeats: int) -> list[Row]:
    home = Home.create(folder / "decide")
    home.declare(specification())
    seen = {f"f{field}": 0.4 for field in range(FIELDS)}
    agent = Agent(AGENT, policy=_rule, home=home, limits={"up": {"cooldown": 1}})
    registry = Registry(home)
    registry.override(AGENT, registry.add_version(_layered(agent.policy)), "measured")
    agent.refresh()
    policy = agent.policy
    found = []
    for metric, call, limit in (
        ("an agent decides", lambda: agent.decide(seen, episode_id="e"), 150.0),
        ("a policy acts", lambda: policy.act(seen), 60.0),
    ):
        took = _best(lambda call=call: [call() for _ in range(200)], 10 * repeats) / 200 * 1e6
        goal = f"{metric} within {limit:g} us, the best of {10 * repeats} times 200"
        found.append(Row("one decision", metric, "us", took, "limit", limit, goal, took <= limit))
    return found


def _rule(observation: Any) -> str:
    return "up" if observation["f0"] > 0.5 else "hold"


def _layered(policy: Policy) -> Policy:
    """The rule with a learned correction, as a promotion leaves it."""
    rng = np.random.default_rng(0)
    states = QuantileGrid.fit(rng.random((200, FIELDS)), policy.observation, bins=4)
    return policy.with_layer(ImprovementMap(states, rng.integers(0, 3, size=(states.count, 3))), 0.5)


def _best(call: Callable[[], object], repeats: int) -> float:
    """The least that it took, CPU seconds: other work on the machine is not what is measured."""
    return min(_cpu(call) for _ in range(repeats))


def _cpu(call: Callable[[], object]) -> float:
    begin = time.process_time()
    call()
    return time.process_time() - begin


if __name__ == "__main__":
    main()
