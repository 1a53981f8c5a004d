"""Columns are written as their rows are, one by one: as they are stored, and in canonical form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from envs.canonical import canonical_text
from envs.journal.columns import Column, Objects, Same, listed
from envs.journal.row_texts import RowTexts
from envs.record import stored_json

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, -0.0, 2.0**53, 1e-4, 1e16, 3.0])
WHOLE = st.integers(-(2**63), 2**63 - 1) | st.integers(-9, 9)
NAMES = st.text('a",{}[]%b', max_size=3)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | NUMBERS | st.text('a",\\{}[]:é%', max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
KINDS = (
    st.text('a",\\{}[]%', max_size=4), NUMBERS, WHOLE, st.booleans(), st.integers(0, 3) | st.just(1.0),
    st.lists(VALUES, max_size=3), st.dictionaries(NAMES, VALUES, max_size=3), VALUES,
)  # fmt: skip


@st.composite
def columns(draw: st.DrawFn, count: int, depth: int = 2) -> Column:
    shape = draw(st.sampled_from(["list", "list", "array", "matrix", "same", "objects"]))
    if shape == "objects" and depth:
        names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
        return Objects(tuple(names), tuple(draw(columns(count, depth - 1)) for _ in names))
    if shape == "same":
        return Same(draw(st.booleans() | WHOLE | NUMBERS | st.text('a"%é', max_size=3)))
    if shape in ("array", "matrix"):
        kind, values = draw(st.sampled_from([(np.float64, NUMBERS), (np.int64, WHOLE), (np.bool_, st.booleans())]))
        width = draw(st.integers(1, 3)) if shape == "matrix" else 1
        flat = np.array(draw(st.lists(values, min_size=count * width, max_size=count * width)), dtype=kind)
        return flat.reshape(count, width) if shape == "matrix" else flat
    made = draw(st.lists(draw(st.sampled_from(KINDS)), min_size=count, max_size=count))
    return tuple(made) if draw(st.booleans()) else made


@settings(max_examples=150, deadline=None)
@given(data=st.data(), count=st.integers(1, 6))
def test_columns_are_written_as_rows_are(data: st.DataObject, count: int) -> None:
    """Each value whole, whatever separates values inside it, and equal ones of different types as they are."""
    names = data.draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    made = {name: data.draw(columns(count)) for name in names}
    values = [listed(column, count) for column in made.values()]
    rows: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
    texts = RowTexts(made, count)
    assert texts.stored() == list(map(stored_json, rows))
    assert texts.canonical() == [canonical_text(row).encode() for row in rows]
    assert texts.stored() == list(map(stored_json, rows))


@given(numbers=st.lists(NUMBERS, min_size=2, max_size=20))
@example(numbers=[10.0**power for power in range(-9, 20)])
@example(numbers=[math.nextafter(10.0**power, 0.0) for power in range(-9, 20)])
def test_each_number_has_its_own_canonical_text(numbers: list[float]) -> None:
    found = RowTexts({"x": np.array(numbers)}, len(numbers)).canonical()
    assert found == [canonical_text({"x": number}).encode() for number in numbers]


def test_equal_numbers_of_different_types_are_written_as_they_are() -> None:
    texts = RowTexts({"step": [1, 1.0, True]}, 3)
    assert texts.stored() == [b'{"step":1}', b'{"step":1.0}', b'{"step":true}']
    assert texts.canonical() == [b'{"step":1}', b'{"step":1}', b'{"step":true}']
