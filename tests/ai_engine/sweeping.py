"""Sweeps of the tests' agent, and what they leave in its home."""

from __future__ import annotations

import json
from typing import Any

from ai_engine import learning
from ai_engine.deploy import Registry
from ai_engine.tune_result import TuneResult
from ai_engine.workspace import open_workspace
from envs.home import Home
from tests import homes


def tuned(home: Home, **arguments: Any) -> TuneResult:
    return learning.tune(homes.AGENT, home=home, **{"trials": homes.TRIALS, **arguments})


def versions(home: Home) -> list[str]:
    return open_workspace(homes.AGENT, home).registry.versions(homes.AGENT)


def component(home: Home, reference: str) -> str:
    """What a version learned, without where it comes from."""
    policy = open_workspace(homes.AGENT, home).registry.version(homes.AGENT, reference.rpartition("@")[2])
    return json.dumps([(layer.step, layer.component.to_json()) for layer in policy.layers])


def looks(home: Home) -> tuple[int, float]:
    """How many looks the gate has spent, and their α."""
    spent = Registry(home).looks(homes.AGENT)
    return spent.count, spent.alpha
