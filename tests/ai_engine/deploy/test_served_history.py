"""An agent that remembers decides by the rows that its log will have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ai_engine.deploy import Agent
from algorithms.policy import Policy
from envs.build import build_dataset
from envs.home import Home
from envs.observation import ObservationField, ObservationSpecification, with_history
from envs.specification import AgentSpecification


def test_an_agent_decides_by_the_rows_that_the_dataset_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = ObservationSpecification(
        "object", (ObservationField("load"), ObservationField("zone", "category", categories=("a",)))
    )
    actions = ("down", "hold", "up")
    home = Home.create(tmp_path)
    home.declare(AgentSpecification("scaling", with_history(own, actions, 2), actions, horizon=5, explore=0.5))
    rows: dict[tuple[str, int], np.ndarray] = {}
    decide = Policy.decide
    now: list[tuple[str, int]] = []

    def noted(self: Policy, row: np.ndarray, *arguments: Any, **keywords: Any) -> Any:
        rows[now[-1]] = row.copy()
        return decide(self, row, *arguments, **keywords)

    monkeypatch.setattr(Policy, "decide", noted)
    random = np.random.default_rng(0)
    seen_by_rule: list[Any] = []

    def rule(observation: Any) -> str:
        seen_by_rule.append(observation)
        return "hold"

    with Agent("scaling", policy=rule, explore=0.5, home=home, seed=1) as agent:
        for step in range(5):  # three episodes at once
            for name in ("x", "y", "z"):
                now.append((name, step))
                seen = {"load": float(random.normal()), "zone": "ab"[step % 2]}
                decision = agent.decide(seen, episode_id=name)
                end = {"truncated": True, "next_observation": seen} if step == 4 else {}
                agent.record(decision, reward=1.0, **end)
    assert all(set(observation) == {"load", "zone"} for observation in seen_by_rule)
    dataset, _ = build_dataset(home, "scaling")
    for episode, unit in enumerate(dataset.units):
        for step in range(5):
            row = dataset.observations[episode * 6 + step]
            np.testing.assert_array_equal(rows[unit.rpartition("/")[2], step], row)
    assert np.isfinite(dataset.observations[2]).all()
