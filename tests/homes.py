"""A small agent whose best policy is known, and homes with its log. Import it from any test.

The state says which action is right: "down" below 2, "up" above 3, "hold" between. The agent's own
rule knows only "up", so that a better policy exists and the log can prove a step towards it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ai_engine.continuous_learning import LearningPipeline
from envs.home import Home
from envs.observation import ObservationField, ObservationSpecification
from envs.record import DecisionRecord
from envs.specification import AgentSpecification
from tune_configs.sweep import SweepResult
from tune_configs.trial import TrialPlan, TrialResult, run_variant

AGENT = "dial"
KEY = bytes(range(32))
ACTIONS = ("down", "hold", "up")
STATES = 6
HORIZON = 3
EXPLORE = 0.3
RULE_VERSION = "dial-rule-1"
EPISODES = 1200
TRIALS = 4
INTEGER = ObservationSpecification("int", (ObservationField("state", "integer", 0, STATES - 1),))
OBJECT = ObservationSpecification("object", (ObservationField("state"), ObservationField("noise")))


def specification(**changes: Any) -> AgentSpecification:
    """The declaration; its rule is imported from this very file."""
    declared = AgentSpecification(
        name=AGENT,
        observation=INTEGER,
        actions=ACTIONS,
        reward="gain",
        reward_range=(-0.5, 1.5),
        horizon=HORIZON,
        worst_class="gain < -0.4",
        practical_effect=0.02,
        explore=EXPLORE,
        rule="tests.homes:rule",
        rule_version=RULE_VERSION,
    )
    return replace(declared, **changes)


def rule(observation: Any) -> str:
    """The agent's own rule: right where the state is high, else it holds."""
    state = observation["state"] if isinstance(observation, dict) else observation
    return "up" if state > 3 else "hold"


def right_rule(observation: Any) -> str:
    """A rule that knows which action is right."""
    return ACTIONS[right(observation["state"] if isinstance(observation, dict) else observation)]


def right(state: int) -> int:
    """Index of the right action."""
    return 0 if state < 2 else 2 if state > 3 else 1


def records(
    episodes: int = EPISODES, *, seed: int = 0, declared: AgentSpecification | None = None, day: int = 1
) -> list[DecisionRecord]:
    """Whole episodes of the exploring rule, propensities exact; the seed names them."""
    spec = declared or specification()
    rng = np.random.default_rng(seed)
    found = []
    for episode in range(episodes):
        states = rng.integers(STATES, size=spec.horizon + 1)
        noises = rng.normal(size=spec.horizon + 1)
        views: list[Any] = [int(state) for state in states]
        if spec.observation.kind == "object":
            views = [{"state": float(s), "noise": float(n)} for s, n in zip(states, noises, strict=True)]
        for step in range(spec.horizon):
            seen, state, last = views[step], int(states[step]), step == spec.horizon - 1
            root = np.eye(3)[ACTIONS.index(rule(seen))]
            chances = (1 - spec.explore) * root + spec.explore / 3
            drawn = int(rng.choice(3, p=chances))
            gain = float(drawn == right(state)) + float(rng.uniform(-0.5, 0.5))
            found.append(
                {
                    "event_id": f"{seed}-{episode}-{step}",
                    "agent": spec.name,
                    "episode_id": f"{seed}-{episode:05d}",
                    "step": step,
                    "timestamp": f"2024-01-{day + episode % 24:02d}T{episode // 24 % 24:02d}:{step:02d}:00Z",
                    "observation": seen,
                    "action": ACTIONS[drawn],
                    "propensity": float(chances[drawn]),
                    "action_probabilities": dict(zip(ACTIONS, chances.tolist(), strict=True)),
                    "outcome": {"gain": gain},
                    "policy_version": spec.rule_version,
                    "truncated": last,
                    "next_observation": views[-1] if last else None,
                }
            )
    return [DecisionRecord.from_mapping(mapping) for mapping in found]


def make_home(path: Path, rows: Iterable[DecisionRecord] | None = None, **changes: Any) -> Home:
    """A home with the agent declared and its log written."""
    home = Home.create(path, split_key=KEY)
    home.declare(specification(**changes))
    write(home, records(declared=specification(**changes)) if rows is None else rows)
    return home


def write(home: Home, rows: Iterable[DecisionRecord]) -> None:
    """Append records to the home's journal."""
    with LearningPipeline(home) as pipeline:
        pipeline.record_many(rows)


def run_here(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let ``tune`` run its trials in this process, without Ray; gives the growing list of variants run."""
    ran: list[int] = []

    def run_sweeps(
        plans: Sequence[TrialPlan], *, time_budget: Any = None, progress: Any = None
    ) -> tuple[SweepResult, ...]:
        for plan in plans:
            for index in plan.missing():
                ran.append(index)
                run_variant(plan, index)
                if progress:
                    progress(index + 1, len(plan.variants), 0.0)
        return tuple(
            SweepResult(tuple(TrialResult.load(plan.result_path(i)) for i in range(len(plan.variants))), (), 0.0)
            for plan in plans
        )

    monkeypatch.setattr("ai_engine.learning.run_sweeps", run_sweeps)
    return ran


def comparable(value: Any) -> Any:
    """A result's JSON without what differs between two homes: run names, paths and times."""
    if isinstance(value, dict):
        return {
            key: comparable(item)
            for key, item in value.items()
            if key not in ("run", "artefact", "seconds", "home", "report", "entry")
        }
    return [comparable(item) for item in value] if isinstance(value, list) else value
