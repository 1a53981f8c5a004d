"""One thing is one thing."""

from __future__ import annotations

import pytest

from envs.counting import counted


@pytest.mark.parametrize(
    ("number", "several", "expected"),
    [
        (0, "", "0 decisions"),
        (1, "", "1 decision"),
        (1, "decisions are", "1 decision"),
        (2, "decisions are", "2 decisions are"),
        (1200, "", "1,200 decisions"),
        (-1, "", "-1 decisions"),
    ],
)
def test_a_number_and_what_it_counts(number: int, several: str, expected: str) -> None:
    assert counted(number, "decision", several) == expected
