"""Gate requests with one change each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tune_configs.gate.request import GateRequest, Planning
from tune_configs.gate.tail import TailEvidence


@pytest.fixture
def request_for() -> Callable[..., GateRequest]:
    """A grade A request with ample overlap over the given differences (K, n)."""

    def build(differences: np.ndarray, **changes: object) -> GateRequest:
        differences = np.atleast_2d(np.asarray(differences, dtype=float))
        count, units = differences.shape
        returns = np.random.default_rng(0).normal(size=units)
        arguments: dict[str, object] = {
            "effective_sample_sizes": np.full(count, 0.9 * units),
            "tail": TailEvidence(returns),
            "grade": "A",
            "look": 1,
            "practical_effect": 0.1,
            "planning": Planning(decisions_per_unit=12.0, units_per_second=0.01, explore=0.1),
        }
        return GateRequest(differences, **(arguments | changes))

    return build
