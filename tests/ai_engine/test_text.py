"""Plain terminal text."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_engine.text import interval, number, signed, table


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.23456, "1.23"),
        (-0.5, "-0.5"),
        (0.0, "0"),
        (123456.7, "123,457"),
        (999.4, "999"),
        (None, "–"),
        (math.nan, "–"),
    ],
)
def test_numbers_have_three_digits(value: float | None, text: str) -> None:
    assert number(value) == text


def test_signs_and_intervals() -> None:
    assert (signed(0.5), signed(-0.5), signed(None)) == ("+0.5", "-0.5", "–")
    assert interval(-1.0, 2.0) == "[-1, 2]"
    assert interval(math.nan, math.nan) == "–"
    assert interval(1.0, math.inf) == "[1, –]"


@given(st.lists(st.tuples(*[st.text("abc ", max_size=6)] * 3), max_size=5))
def test_columns_stand_under_their_headers(rows: list[tuple[str, str, str]]) -> None:
    header = ("first", "second", "third")
    lines = table(header, rows).split("\n")
    assert len(lines) == 1 + len(rows)
    starts = [lines[0].index(name) for name in header]
    for row, line in zip(rows, lines[1:], strict=True):
        padded = line.ljust(60)
        for start, cell in zip(starts, row, strict=True):
            assert padded[start : start + len(cell)].rstrip() == cell.rstrip()
        assert line == line.rstrip()


def test_an_empty_table_is_nothing() -> None:
    assert table((), []) == ""
