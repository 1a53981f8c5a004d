"""Acting: the agent in production, its policies and their registry. Needs numpy alone."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Agent": "ai_engine.deploy.agent",
    "Decision": "algorithms.policy.parts",
    "Policy": "algorithms.policy.policy",
    "Registry": "ai_engine.deploy.registry",
    "load_policy": "algorithms.policy.artefact",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
