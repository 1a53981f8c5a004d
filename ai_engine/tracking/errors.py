"""What tracking says when it fails: an error where it was asked for itself, a warning where it only follows."""

from __future__ import annotations

from envs.errors import RetrainerError, RetrainerWarning


class TrackingError(RetrainerError):
    """A tracker did not take what it was told; the home itself is unharmed."""

    exit_code = 1


class TrackingWarning(RetrainerWarning):
    """A tracker is behind; the home itself is unharmed, and ``retrainer track sync`` repairs the tracker."""
