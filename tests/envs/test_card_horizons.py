"""A grade belongs to a horizon."""

from __future__ import annotations

from dataclasses import replace

from envs.card import build_card
from envs.card.horizons import grades_by_horizon
from tests.envs.samples import built, specification


def test_overlap_is_lost_with_the_horizon_and_the_last_grade_is_the_cards() -> None:
    """Nine in ten actions random: eight ratios in a row leave no unit, one leaves nearly all."""
    declared = specification(horizon=8, practical_effect=1.0)
    dataset, report = built(episodes=500, horizon=8, explore=0.9, declared=declared)
    grades = grades_by_horizon(dataset)
    assert list(grades) == [1, 2, 4, 8]
    assert grades[8] == build_card(dataset, report).grade
    letters = [("A", "A-M", "B", "C", "D").index(grade) for grade in grades.values()]
    assert letters == sorted(letters) and grades[1] == "A" and grades[8] == "C", grades


def test_a_declared_horizon_that_is_no_power_stands_last() -> None:
    dataset, _ = built(episodes=60, horizon=4)
    three = replace(dataset, specification=replace(dataset.specification, horizon=3))
    assert list(grades_by_horizon(three)) == [1, 2, 3]
    one = replace(dataset, specification=replace(dataset.specification, horizon=1))
    assert list(grades_by_horizon(one)) == [1]
