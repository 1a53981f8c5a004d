"""The stochastic policy that is evaluated, gated and served, and its file. Needs numpy alone."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "AdvantageNetwork": "advantage_network",
    "BaseReference": "parts",
    "Decision": "parts",
    "ImprovementMap": "components",
    "Layer": "parts",
    "Network": "network",
    "Policy": "policy",
    "ProbabilityTable": "components",
    "Provenance": "provenance",
    "load_policy": "artefact",
    "rule_probabilities": "rule",
    "save_policy": "artefact",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
