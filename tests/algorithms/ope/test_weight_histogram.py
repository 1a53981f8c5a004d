"""How weight is spread over units."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.ope.weight_histogram import BINS, weight_histogram


def test_a_small_log_by_hand() -> None:
    # Weights 0, 1, 1, 1.5, 36.5 of mean 8: relative 0, 1/8, 1/8, 3/16, 4.6.
    with np.errstate(divide="ignore"):
        found = weight_histogram(np.log(np.array([0.0, 1.0, 1.0, 1.5, 36.5])))
    assert dict(zip(BINS, found.units, strict=True)) == pytest.approx(
        {"0": 0.2, "to 1/16": 0.0, "1/16 to 1/4": 0.6, "1/4 to 1": 0, "1 to 4": 0, "4 to 16": 0.2, "16 to 64": 0,
         "above 64": 0}
    )  # fmt: skip
    assert dict(zip(BINS, found.weight, strict=True))["4 to 16"] == pytest.approx(36.5 / 40)
    assert found.effective == pytest.approx(40**2 / (1 + 1 + 1.5**2 + 36.5**2))
    assert found.largest_share == pytest.approx(36.5 / 40)
    assert found.count == 5


@given(st.lists(st.floats(-2000.0, 2000.0), min_size=1, max_size=50).map(np.array), st.floats(-900.0, 900.0))
def test_shares_are_shares_at_any_scale(log_weights: np.ndarray, shift: float) -> None:
    found, moved = weight_histogram(log_weights), weight_histogram(log_weights + shift)
    for each in (found, moved):
        assert sum(each.units) == pytest.approx(1.0)
        assert sum(each.weight) == pytest.approx(1.0)
    assert moved.effective == pytest.approx(found.effective, rel=1e-6)
