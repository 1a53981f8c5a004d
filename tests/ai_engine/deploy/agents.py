"""A small agent for the tests of this folder: three actions, one number to see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ai_engine.deploy.registry import Registry
from algorithms.policy import BaseReference, ImprovementMap, Policy, ProbabilityTable
from envs.encoding import QuantileGrid
from envs.observation import ObservationField, ObservationSpecification
from envs.specification import AgentSpecification
from envs.storage import LocalStorage

ACTIONS = ("down", "hold", "up")
OBSERVATION = ObservationSpecification(
    "object", (ObservationField("load", low=0.0, high=1.0), ObservationField("queue"))
)


def rule(observation: dict[str, Any]) -> str:
    return "up" if observation["load"] > 0.8 else "hold"


def specification(name: str = "scaling", **changes: Any) -> AgentSpecification:
    settings: dict[str, Any] = {"observation": OBSERVATION, "actions": ACTIONS, "explore": 0.1, **changes}
    return AgentSpecification(name=name, **settings)


def grid() -> QuantileGrid:
    rng = np.random.default_rng(0)
    return QuantileGrid.fit(rng.random((200, 2)), OBSERVATION, bins=4)


def version_zero(agent: str = "scaling", version: str = "rule-1", explore: float = 0.1) -> Policy:
    return Policy(agent, "", OBSERVATION, ACTIONS, explore, BaseReference(version))


def improved(agent: str = "scaling", seed: int = 0, step: float = 0.5) -> Policy:
    encoder = grid()
    moves = np.random.default_rng(seed).integers(0, 3, size=(encoder.count, 3))
    return version_zero(agent).with_layer(ImprovementMap(encoder, moves), step)


def whole(agent: str = "scaling", action: int = 0) -> Policy:
    """Always the same action, without the rule."""
    encoder = grid()
    certain = np.eye(3)[action]
    table = ProbabilityTable(encoder, np.tile(certain, (encoder.count, 1)), certain)
    return version_zero(agent).with_layer(table, 1.0)


def opened(path: Path) -> Registry:
    return Registry(storage=LocalStorage(path))


def passed(registry: Registry, candidate: str, decision: str = "promote", **changes: Any) -> Any:
    looks = registry.looks("scaling")
    settings: dict[str, Any] = {
        "decision": decision,
        "candidate": candidate,
        "champion": registry.champion("scaling"),
        "look": looks.count + 1,
        "alpha": 0.01,
        "final_sequence": looks.final_sequence + 100,
        **changes,
    }
    return registry.record_gate("scaling", **settings)


def promoted(registry: Registry, seed: int = 0) -> str:
    version = registry.add_version(improved(seed=seed))
    registry.promote("scaling", version, gate_entry=passed(registry, version))
    return version
