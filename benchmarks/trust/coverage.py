"""Do the 95 % intervals cover? On tabular settings and on the testbeds."""

from __future__ import annotations

from benchmarks.rows import Row
from benchmarks.trust import tabular_coverage, testbed_coverage
from benchmarks.trust.request import Request


def measure(request: Request) -> list[Row]:
    """All of them."""
    return tabular_coverage.measure(request) + testbed_coverage.measure(request)
