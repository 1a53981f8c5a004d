"""Regions: every state in exactly one, a planted box found, names that say what they mean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.ope.readable_partition import Condition, Region, readable_partition, region_of
from envs.errors import DataError
from envs.observation import ObservationField, ObservationSpecification

FIELDS = ObservationSpecification(
    "object",
    (
        ObservationField("load", "number", optional=True),
        ObservationField("minutes", "integer"),
        ObservationField("service", "category", categories=("api", "database", "web")),
        ObservationField("night", "boolean"),
    ),
)


def states(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack(
        [rng.normal(size=count), rng.integers(0, 60, count), rng.integers(0, 3, count), rng.integers(0, 2, count)],
        axis=1,
    ).astype(np.float64)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 9), outputs=st.integers(1, 4))
def test_every_state_lies_in_exactly_one_region_seen_or_not(seed: int, count: int, outputs: int) -> None:
    rng = np.random.default_rng(seed)
    rows = states(300, seed)
    rows[rng.random(300) < 0.1, 0] = np.nan
    rows[rng.random(300) < 0.1, 2] = -1
    targets = rng.normal(size=(300, outputs)) + (rows[:, [2]] == 1) + np.nan_to_num(rows[:, [0]]) * (rows[:, [1]] > 20)
    regions = readable_partition(rows, FIELDS, targets, count=count)
    assert len(regions) <= count
    unseen = np.concatenate([rows, states(200, seed + 1), [[np.nan, -1e9, -1, np.nan], [1e9, 1e9, 7, 5]]])
    inside = np.stack([region.holds(unseen) for region in regions])
    assert (inside.sum(axis=0) == 1).all()
    assert (inside.argmax(axis=0) == region_of(regions, unseen)).all()
    assert min(region.holds(rows).sum() for region in regions) >= 9


def test_a_planted_box_is_found_and_named() -> None:
    rows = states(4000, 0)
    inside = (rows[:, 0] > 0.5) & (rows[:, 2] == 1)
    targets = np.where(inside[:, None], [0.8, -0.8, 0.0], 0.0)
    regions = readable_partition(rows, FIELDS, targets)
    code = region_of(regions, rows)
    shares = [inside[code == number].mean() for number in range(len(regions))]
    assert all(share < 0.02 or share > 0.95 for share in shares)
    (found,) = (region for region, share in zip(regions, shares, strict=True) if share > 0.95)
    name = found.name(FIELDS)
    assert name.startswith("load > ") and name.endswith(" or unknown, service database")
    edge = float(name.split()[2])
    assert abs(edge - 0.5) < 0.1


def test_what_explains_most_is_split_first_whatever_the_order_of_rows() -> None:
    rows = states(1000, 1)
    targets = 3.0 * (rows[:, [1]] > 29) + 1.0 * (rows[:, [3]] == 1)
    two = readable_partition(rows, FIELDS, targets, count=2)
    assert len({float(targets[region.holds(rows)].mean()) for region in two}) == 2
    assert all("minutes" in region.name(FIELDS) for region in two)
    four = readable_partition(rows, FIELDS, targets, count=9)
    assert [np.ptp(targets[region.holds(rows)]) for region in four] == [0.0] * len(four)
    order = np.random.default_rng(2).permutation(1000)
    shuffled = readable_partition(rows[order], FIELDS, targets[order], count=9)
    assert {region.name(FIELDS) for region in shuffled} == {region.name(FIELDS) for region in four}


def test_several_outputs_count_together() -> None:
    rows = states(1000, 3)
    # Each output alone depends on one field; the second moves four times as much.
    targets = np.stack([(rows[:, 1] > 29) * 1.0, (rows[:, 3] == 1) * 2.0], axis=1)
    (first, second) = readable_partition(rows, FIELDS, targets, count=2)
    assert {first.name(FIELDS), second.name(FIELDS)} == {"night", "not night"}


def test_without_a_difference_there_is_one_region() -> None:
    rows = states(200, 4)
    assert [r.name(FIELDS) for r in readable_partition(rows, FIELDS, np.ones((200, 3)))] == ["all states"]
    noise = np.random.default_rng(50).normal(size=(5000, 1))
    assert len(readable_partition(states(5000, 5), FIELDS, noise)) == 1
    with pytest.raises(DataError):
        readable_partition(rows[:0], FIELDS, np.ones((0, 1)))


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (Condition(0, low=0.25), "load > 0.25 or unknown"),
        (Condition(0, high=0.25), "load ≤ 0.25"),
        (Condition(0, low=-0.5, high=0.25), "-0.5 < load ≤ 0.25"),
        (Condition(1, low=4, high=9), "minutes 5 to 9"),
        (Condition(1, low=4, high=5), "minutes = 5"),
        (Condition(1, low=1234567.0), "minutes > 1234567"),
        (Condition(2, category=1), "service database"),
        (Condition(2, excluded=(0, 2)), "service not api or web"),
        (Condition(3, low=0.0), "night"),
        (Condition(3, high=0.0), "not night"),
    ],
)
def test_conditions_in_words(condition: Condition, words: str) -> None:
    assert Region((condition,)).name(FIELDS) == words


def test_a_missing_value_is_on_the_side_that_says_so() -> None:
    rows = np.array([[np.nan, 0.0, 0.0, 0.0]])
    assert Condition(0, low=0.25).holds(rows).all()
    assert not Condition(0, high=0.25).holds(rows).any()


def test_narrowing_twice_is_the_intersection() -> None:
    rows = states(500, 6)
    whole = Region().narrowed(Condition(0, low=-1.0)).narrowed(Condition(2, excluded=(1,)))
    both = whole.narrowed(Condition(0, high=1.0)).narrowed(Condition(2, excluded=(0,)))
    expected = (rows[:, 0] > -1) & (rows[:, 0] <= 1) & (rows[:, 2] == 2)
    assert (both.holds(rows) == expected).all()
    assert both.name(FIELDS) == "-1 < load ≤ 1, service not database or api"
