"""Replay buffers: rings of numpy columns, sampled uniformly or by priority. Needs numpy alone."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {"Batch": "uniform", "PrioritizedReplay": "prioritized", "SumTree": "sum_tree", "UniformReplay": "uniform"}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
