"""Errors of the estimates beside the peers': OBP's on its own set-ups, fitted Q evaluation on sequential logs."""

from __future__ import annotations

from benchmarks.rows import Row
from benchmarks.trust import bandit_errors, expected_errors, sequential_errors
from benchmarks.trust.request import Request

PARTS = (bandit_errors, expected_errors, sequential_errors)


def measure(request: Request) -> list[Row]:
    """All of them."""
    return [row for part in PARTS for row in part.measure(request)]
