"""What runs while it is killed: processes that record, seal, import, compact and promote in one home.

Each writes down what was acknowledged to it, in a file of its own, after the call has returned.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

import ai_engine
from ai_engine.continuous_learning import LearningPipeline
from ai_engine.deploy.registry import Registry
from algorithms.policy import BaseReference, Policy, ProbabilityTable, load_policy
from envs.encoding import QuantileGrid
from envs.errors import BusyError
from envs.home import Home
from envs.journal.journal import Journal
from envs.log.compaction import compact
from envs.log.sealing import seal
from envs.observation import ObservationField, ObservationSpecification
from envs.specification import AgentSpecification

RECORDED, IMPORTED, PROMOTED = "recorded", "imported", "promoted"
ACTIONS = ("down", "hold", "up")
OBSERVATION = ObservationSpecification("object", (ObservationField("load"),))
HORIZON = 3


def prepare(folder: Path) -> Home:
    """A home with the agents that the processes work for."""
    home = Home.create(folder / "home")
    for name in (RECORDED, IMPORTED, PROMOTED):
        home.declare(
            AgentSpecification(name, OBSERVATION, ACTIONS, horizon=HORIZON, reward_range=(0.0, 1.0), explore=0.1)
        )
    (folder / "acknowledged").mkdir()
    Journal(home.journal_path).open()
    registry = Registry(home)
    registry.initialise(_policy(0))
    for action in (0, 2):
        registry.add_version(_policy(action))
    return home


def record(folder: Path, name: str, seed: int) -> None:
    """Episodes of three steps, one call a decision; the outcome of some comes later, as its own event."""
    rng = random.Random(seed)
    with LearningPipeline(Home(folder / "home"), timeout=60.0) as pipeline:
        for number in count():
            episode = f"{name}-{seed}-{number}"
            rows = [_decision(RECORDED, episode, step, late=rng.random() < 0.3) for step in range(HORIZON)]
            if rng.random() < 0.5:
                pipeline.record_many(rows)
                acknowledge(folder, name, [row["event_id"] for row in rows])
            else:
                for row in rows:
                    pipeline.record_many([row])
                    acknowledge(folder, name, [row["event_id"]])
            for row in rows:
                if row["reward"] is None:
                    pipeline.record_outcome(RECORDED, row["event_id"], reward=0.5)
                    acknowledge(folder, f"{name}.outcomes", [row["event_id"]])


def record_buffered(folder: Path, name: str, seed: int) -> None:
    """The same through a buffer: acknowledged is what was flushed."""
    with LearningPipeline(Home(folder / "home"), durability="buffered", timeout=60.0) as pipeline:
        for number in count():
            rows = [_decision(RECORDED, f"{name}-{seed}-{number}", step) for step in range(HORIZON)]
            for row in rows:
                pipeline.record_action(row.pop("agent"), row.pop("action"), row.pop("observation"), **row)
            pipeline.flush()
            acknowledge(folder, name, [row["event_id"] for row in rows])


def import_files(folder: Path, name: str, seed: int) -> None:
    """A file after another; who was killed in one imports it again."""
    for number in count():
        path = folder / f"{name}-{number}.jsonl"
        if path.with_suffix(".done").exists():
            continue
        rows = [
            _decision(IMPORTED, f"{name}-{number}-{episode}", step) for episode in range(150) for step in range(HORIZON)
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        ai_engine.import_log(IMPORTED, [path], home=folder / "home")
        acknowledge(folder, name, [row["event_id"] for row in rows])
        path.with_suffix(".done").touch()
        if number % 3 == 0:  # the same once more is nothing new
            assert ai_engine.import_log(IMPORTED, [path], home=folder / "home").added == 0


def seal_now_and_then(folder: Path, name: str, seed: int) -> None:
    """Seal what there is, over and over."""
    rng = random.Random(seed)
    while True:
        _patiently(lambda: seal(Home(folder / "home"), keep=rng.choice((0, 5, 50))))
        acknowledge(folder, name, ["done"])
        time.sleep(rng.random() / 5)


def compact_now_and_then(folder: Path, name: str, seed: int) -> None:
    """Merge the table's files and remove the unused ones at once."""
    rng = random.Random(seed)
    while True:
        _patiently(lambda: compact(Home(folder / "home"), older_than_hours=0))
        acknowledge(folder, name, ["done"])
        time.sleep(rng.random() / 5)


def promote(folder: Path, name: str, seed: int) -> None:
    """One version after the other becomes champion."""
    registry = Registry(Home(folder / "home"))
    for number in count(seed):
        registry.override(PROMOTED, ("1", "2")[number % 2], reason="fault benchmark")
        acknowledge(folder, name, ["done"])


ROLES: dict[str, Callable[[Path, str, int], None]] = {
    "record-1": record,
    "record-2": record,
    "record-3": record_buffered,
    "seal": seal_now_and_then,
    "import": import_files,
    "compact": compact_now_and_then,
    "promote": promote,
}


def acknowledge(folder: Path, name: str, events: list[str]) -> None:
    """Write down what a call has returned for: the system keeps it, whatever becomes of this process."""
    descriptor = os.open(folder / "acknowledged" / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(descriptor, "".join(f"{event}\n" for event in events).encode())
    finally:
        os.close(descriptor)


def champion_problem(home: Home) -> str:
    """What is wrong with the champion, or empty: there is exactly one, and it can be loaded and decides."""
    try:
        registry = Registry(home)
        version = registry.champion(PROMOTED)
        path = home.models_path / f"{PROMOTED}_model.json"
        for policy in (registry.version(PROMOTED, "champion"), load_policy(path)):
            policy.act({"load": 1.0})
        return "" if version in registry.versions(PROMOTED) else f"champion {version} is no version"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _patiently(work: Callable[[], Any]) -> None:
    try:
        work()
    except BusyError:
        time.sleep(0.01)


def _decision(agent: str, episode: str, step: int, *, late: bool = False) -> dict[str, Any]:
    return {
        "event_id": f"{episode}-{step}",
        "agent": agent,
        "episode_id": episode,
        "step": step,
        "timestamp": "2026-01-01T00:00:00Z",
        "observation": {"load": float(step)},
        "action": "hold",
        "propensity": 0.9,
        "reward": None if late else 0.5,
        "terminated": step == HORIZON - 1,
    }


def _policy(action: int) -> Policy:
    encoder = QuantileGrid.fit(np.random.default_rng(0).random((50, 1)), OBSERVATION, bins=2)
    certain = np.eye(len(ACTIONS))[action]
    table = ProbabilityTable(encoder, np.tile(certain, (encoder.count, 1)), certain)
    return Policy(PROMOTED, "", OBSERVATION, ACTIONS, 0.1, BaseReference("rule-1")).with_layer(table, 1.0)
