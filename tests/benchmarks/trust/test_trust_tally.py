"""A tally fails what does not cover, and passes what does."""

from __future__ import annotations

import math

import pytest

from algorithms.ope.estimate import Estimate
from benchmarks.trust.tally import FROM_BELOW, SELDOM, TWO_SIDED, Tally, of_pieces, rows_of, to_piece


def estimate(lower: float, upper: float, refused: str = "") -> Estimate:
    value = math.nan if refused else 0.5 * (lower + upper)
    return Estimate(value, lower, upper, 0.95, "ips", 100.0, 100, refused=refused)


def test_counting() -> None:
    tally = Tally()
    for each in (estimate(0, 2), estimate(2, 3), estimate(0, 0, refused="overlap too small")):
        tally.count(each, 1.0)
    assert tally == Tally(logs=3, answered=2, covered=1, width=3.0)
    assert (tally.wrong, tally.mean_width) == (1, 1.5)


@pytest.mark.parametrize(
    ("name", "kind", "covered", "goal", "holds"),
    [
        ("ips", "logged", 1_900, TWO_SIDED, True),
        ("ips", "logged", 1_874, TWO_SIDED, True),
        ("ips", "logged", 1_870, TWO_SIDED, False),
        ("ips", "logged", 1_930, TWO_SIDED, False),  # too wide is wrong as well
        ("ips", "estimated", 1_930, FROM_BELOW, True),
        ("ips", "estimated", 1_870, FROM_BELOW, False),
        ("clipped_pdis", "logged", 1_990, FROM_BELOW, True),
        ("clipped_pdis", "logged", 1_870, FROM_BELOW, False),
    ],
)
def test_two_thousand_logs_reject_what_is_more_than_a_point_and_a_quarter_off(name, kind, covered, goal, holds) -> None:
    (row,) = rows_of("s", {("45%", kind, name): Tally(2_000, 2_000, covered, 1.0)})
    assert (row.goal, row.holds, row.ours) == (goal, holds, covered / 2_000)


@pytest.mark.parametrize(("wrong", "holds"), [(100, True), (120, True), (126, False)])
def test_where_a_rule_refuses_many_logs_wrong_answers_are_counted_among_all(wrong, holds) -> None:
    (row,) = rows_of("s", {("16%", "logged", "ips"): Tally(2_000, 500, 500 - wrong, 1.0)})
    assert (row.goal, row.holds, row.ours) == (SELDOM, holds, wrong / 2_000)
    assert row.anchor_value == pytest.approx(1 - wrong / 500)


def test_pieces_add_up() -> None:
    one = {("45%", "logged", "ips"): Tally(50, 40, 38, 2.5)}
    two = {("45%", "logged", "ips"): Tally(10, 10, 9, 0.5), ("45%", "logged", "snips"): Tally(10, 9, 9, 1.0)}
    assert of_pieces([to_piece(one), to_piece(two)]) == {
        ("45%", "logged", "ips"): Tally(60, 50, 47, 3.0),
        ("45%", "logged", "snips"): Tally(10, 9, 9, 1.0),
    }
