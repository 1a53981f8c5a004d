"""What is sealed of a segment is, to the bit, what would be sealed of its decisions as single rows."""

from __future__ import annotations

import zlib
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from envs.journal.columns import Column, Objects, Same
from envs.journal.decision_columns import DecisionColumns
from envs.journal.departing import Page
from envs.journal.rows import row_of
from envs.journal.sealed import column_keys, row_keys
from envs.journal.segments import Segment
from envs.log.page_rows import page_rows
from envs.log.rows import SCHEMA, seal_rows
from envs.log.segment_rows import segment_rows
from envs.record import FIELD_NAMES
from tests.envs.log.logs import KEY, outcome, record

TODAY = date(2026, 3, 1)
NUMBERS = st.sampled_from([0.5, -0.0, 0.0, 1.0, 1e-7, 0.1 + 0.2, -2.0, 1e300, 3.0])
WHOLE = st.sampled_from([0, 1, -3, 2**53, 2**53 + 1, -(2**60), 7])
TEXTS = st.sampled_from(["a", "b", 'q"', "\\n", "é", "", "2", "{", "%"])
MOMENTS = st.sampled_from(
    ["2026-01-31T09:30:00Z", "1969-12-31T23:59:59.999999Z", "2024-02-29T00:00:00.500000Z", "0002-01-01T00:00:00Z"]
)
LEAVES = st.none() | st.booleans() | NUMBERS | WHOLE | TEXTS | st.lists(NUMBERS, max_size=2)
OBJECTS = st.dictionaries(st.sampled_from(["x", "y", "x.z", "n"]), LEAVES | st.dictionaries(TEXTS, LEAVES, max_size=2))


@st.composite
def leaf(draw: st.DrawFn, count: int) -> Column:
    kind = draw(st.sampled_from(["float", "int", "bool", "text", "same", "mixed"]))
    if kind == "same":
        return Same(draw(st.booleans() | NUMBERS | WHOLE | TEXTS))
    values = {"float": NUMBERS, "int": WHOLE, "bool": st.booleans(), "text": TEXTS, "mixed": LEAVES}[kind]
    made = draw(st.lists(values, min_size=count, max_size=count))
    arrays: dict[str, Any] = {"float": np.float64, "int": np.int64, "bool": np.bool_}
    return np.array(made, dtype=arrays[kind]) if kind in arrays else made


@st.composite
def objects(draw: st.DrawFn, count: int, depth: int = 1) -> Column:
    if draw(st.integers(0, 3)) == 0:
        return draw(st.lists(OBJECTS.filter(bool), min_size=count, max_size=count))
    names = draw(st.lists(st.sampled_from(["x", "y", "x.z", "z", "root_probabilities"]), min_size=1, unique=True))
    parts = [draw(objects(count, 0) if depth and not draw(st.integers(0, 3)) else leaf(count)) for _ in names]
    return Objects(tuple(names), tuple(parts))


@st.composite
def observed(draw: st.DrawFn, count: int) -> Column:
    kind = draw(st.sampled_from(["vector", "int", "lists", "same", "objects", "objects"]))
    if kind == "vector":
        width = draw(st.integers(1, 3))
        flat = draw(st.lists(NUMBERS, min_size=count * width, max_size=count * width))
        return np.array(flat, dtype=np.float64).reshape(count, width)
    if kind == "int":
        return np.array(draw(st.lists(WHOLE, min_size=count, max_size=count)), dtype=np.int64)
    if kind == "lists":
        return draw(st.lists(st.lists(NUMBERS | WHOLE, min_size=1, max_size=3), min_size=count, max_size=count))
    return Same(draw(WHOLE)) if kind == "same" else draw(objects(count))


@st.composite
def distributions(draw: st.DrawFn, count: int) -> Column:
    chances = st.lists(st.floats(0, 1), min_size=count, max_size=count).map(np.array)
    kind = draw(st.sampled_from(["objects", "matrix", "objects of each", "lists"]))
    if kind == "objects":
        return Objects(("up", 'do"wn'), (draw(chances), draw(chances | st.just(Same(0.5)))))
    if kind == "matrix":
        return np.stack([draw(chances), draw(chances)], axis=1)
    one = st.lists(st.floats(0, 1), min_size=1, max_size=3)
    each = one.map(lambda found: dict(zip("abc", found, strict=False))) if kind == "objects of each" else one
    return draw(st.lists(each, min_size=count, max_size=count))


@st.composite
def segments(draw: st.DrawFn) -> DecisionColumns:
    count = draw(st.integers(1, 6))

    def each(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values, min_size=count, max_size=count))

    events = [f"{draw(TEXTS)}{number}" for number in range(count)]
    columns: dict[str, Column] = {
        "event_id": events,
        "agent": Same("scaling"),
        "action": draw(st.sampled_from([each(TEXTS), np.array(each(st.integers(-1, 3))), Same("up"), Same(2)])),
        "observation": draw(observed(count)),
        "tenant": draw(st.sampled_from([Same("default"), Same('t"'), each(TEXTS)])),
        "episode_id": events,
        "step": draw(st.sampled_from([Same(0), Same(3), np.arange(count)])),
        "terminated": draw(st.sampled_from([Same(False), Same(True), np.array(each(st.booleans()))])),
        "truncated": draw(st.sampled_from([Same(False), np.array(each(st.booleans()))])),
        "mode": draw(st.sampled_from([Same("logging"), Same("shadow"), each(st.sampled_from(["live", "shadow"]))])),
    }
    if draw(st.booleans()):
        columns["episode_id"] = draw(st.sampled_from([each(TEXTS), list(events), Same("e"), [*events[:-1], "p"]]))
    if draw(st.integers(0, 5)) == 0:
        columns["action"] = Objects(("cpu", "memory"), (np.array(each(NUMBERS)), np.array(each(NUMBERS))))
    optional = {
        "timestamp": st.sampled_from([Same("2026-01-31T09:30:00Z"), each(MOMENTS)]),
        "allowed_actions": st.just(each(st.lists(TEXTS, min_size=1, max_size=3))),
        "propensity": st.sampled_from([Same(0.5), np.array(each(st.floats(0.1, 1.0)))]),
        "action_probabilities": distributions(count),
        "executed_action": st.just(each(TEXTS)),
        "reward": st.sampled_from([Same(-0.0), np.array(each(NUMBERS))]),
        "outcome": objects(count),
        "next_observation": observed(count),
        "policy_version": st.sampled_from([Same("7"), each(TEXTS)]),
        "experiment_arm": st.just(each(TEXTS)),
        "metadata": objects(count),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(optional))))
    columns |= {name: draw(optional[name]) for name in sorted(chosen)}
    made = {name: columns[name] for name in FIELD_NAMES if name in columns}
    return DecisionColumns.unpacked(DecisionColumns(count, made).packed())


@settings(max_examples=100, deadline=None)
@given(decisions=segments(), first=st.sampled_from([1, 10**12]))
def test_a_segment_is_sealed_as_its_rows_are(decisions: DecisionColumns, first: int) -> None:
    rows = decisions.rows()
    assert rows == list(map(row_of, decisions.records()))
    expected, hashes = seal_rows(enumerate(rows, first), KEY, TODAY)
    found = segment_rows(decisions, first, KEY, TODAY)
    assert found.table.schema == SCHEMA
    for name in SCHEMA.names:
        assert _bits(found.table[name]) == _bits(expected[name]), name
    assert [digest.hex() for digest in found.hashes] == [digest for _, digest in hashes]
    owners = {row.episode_id: row.tenant for row in rows}
    assume(all(owners[row.episode_id] == row.tenant for row in rows))  # another log is refused
    keys = column_keys(decisions, found.hashes)
    assert dict(keys) == {key: value for row, digest in hashes for key, value in row_keys(row, digest)}


def _bits(column: pa.ChunkedArray) -> list[Any]:
    """The values, with what is equal and not the same apart."""
    return [repr(value) for value in column.to_pylist()]


def test_segments_and_single_rows_are_sealed_in_the_order_of_their_positions() -> None:
    """An outcome beside its decision, one of an earlier sealing in front, a segment between single decisions."""
    names = [f"m{number}" for number in range(4)]
    columns = {
        "event_id": names, "agent": Same("scaling"), "action": Same("hold"), "observation": np.arange(4),
        "tenant": Same("default"), "episode_id": names, "step": Same(0), "terminated": Same(False),
        "truncated": Same(False), "mode": Same("logging"),
    }  # fmt: skip
    decisions = DecisionColumns(4, columns)
    single = [(place, row_of(record(f"e{place}"))) for place in (1, 2, 9, 10)]
    told = [(3, row_of(outcome("e2"))), (4, row_of(outcome("before"))), (11, row_of(outcome("e9")))]
    content = decisions.packed()
    segment = Segment(5, 8, "scaling", 1, 1, zlib.crc32(content), content)
    page = Page(sorted([*single, *told]), [segment], 11, 11)
    listed = sorted([*page.rows, *enumerate(decisions.rows(), 5)])
    expected, hashes = seal_rows(listed, KEY, TODAY)
    found = page_rows(page, KEY, TODAY)
    assert found.table.combine_chunks().equals(expected.combine_chunks())
    assert found.table["sequence"].to_pylist() == [4, 1, 2, 5, 6, 7, 8, 9, 10]
    assert sorted(found.keys) == sorted(pair for row, digest in hashes for pair in row_keys(row, digest))
