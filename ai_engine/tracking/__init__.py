"""Runs and champions in MLflow and TensorBoard, beside the home, which stays the truth; off unless asked for."""

from __future__ import annotations

from envs.lazy import lazily

# Public name: the module that defines it.
_HOMES = {
    "TrackingError": ".errors",
    "TrackingSettings": ".settings",
    "TrackingWarning": ".errors",
    "behind": ".problems",
    "follow": ".following",
    "track_sync": ".synchronising",
    "tracked": ".following",
}

__all__ = list(_HOMES)

__getattr__, __dir__ = lazily(__name__, _HOMES)
