"""Errors of the estimates beside the peers': OBP's on its own set-ups, fitted Q evaluation on sequential logs."""

from __future__ import annotations

from benchmarks.rows import Row
from benchmarks.trust import bandit_errors, sequential_errors
from benchmarks.trust.request import Request


def measure(request: Request) -> list[Row]:
    """Both."""
    return bandit_errors.measure(request) + sequential_errors.measure(request)
