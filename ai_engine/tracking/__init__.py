"""Runs and champions in MLflow and TensorBoard, beside the home, which stays the truth; off unless asked for."""

from __future__ import annotations

import importlib
from typing import Any

# Public name: the module that defines it.
_EXPORTS = {
    "TrackingError": "ai_engine.tracking.errors",
    "TrackingSettings": "ai_engine.tracking.settings",
    "TrackingWarning": "ai_engine.tracking.errors",
    "behind": "ai_engine.tracking.problems",
    "follow": "ai_engine.tracking.following",
    "track_sync": "ai_engine.tracking.synchronising",
    "tracked": "ai_engine.tracking.following",
}

__all__ = list(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)
