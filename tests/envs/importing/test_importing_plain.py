"""Rows checked column by column are what they are when each is checked by itself: the same texts, the same errors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.importing import reader_jsonl
from envs.importing.checking import Checker
from envs.importing.identity import Identifier
from envs.importing.plain_rows import PlainChecker
from envs.importing.reader_jsonl import open_reader
from envs.importing.rows import SourceRow
from envs.journal.decision_columns import DecisionColumns
from envs.journal.rows import JournalRow
from envs.observation import ObservationField, ObservationSpecification
from envs.specification import AgentSpecification

OBSERVATIONS = {
    "object": ObservationSpecification(
        "object",
        (
            ObservationField("load", low=0.0, high=10.0),
            ObservationField("count", "integer"),
            ObservationField("busy", "boolean"),
            ObservationField("zone", "category", categories=("a", "b")),
        ),
    ),
    "vector": ObservationSpecification("vector", (ObservationField("x"), ObservationField("y", low=-1.0, high=5.0))),
    "int": ObservationSpecification("int", (ObservationField("state", "integer", low=0.0, high=9.0),)),
}
NUMBER = st.sampled_from(
    [0.0, -0.0, 1, 1.0, 0.5, 7, 5.0, 11.0, -1, 2**63, -(2**63), 1e300, float("nan"), float("inf"), True]
)
TEXT = st.sampled_from(["a", "b", "", "é", "\n", "x" * 257, "up", "a:b"])
STRANGE = st.sampled_from([None, [], {}, "up", 3, -1, 2.5, True, [1.0], {"a": 1}, [[1]]])
OBSERVED = {
    "object": st.fixed_dictionaries(
        {"load": NUMBER, "count": NUMBER, "busy": st.booleans() | NUMBER, "zone": TEXT}, optional={"other": NUMBER}
    ),
    "vector": st.lists(NUMBER, min_size=1, max_size=3),
    "int": NUMBER,
}
PROBABILITY = st.sampled_from([0.0, 0.25, 0.5, 0.5004, 0.75, 1.0, 1, -0.5, None])


def fields(kind: str) -> dict[str, Any]:
    """Values of each field, good and bad."""
    return {
        "event_id": TEXT, "tenant": TEXT, "episode_id": TEXT, "step": st.sampled_from([0, 1, 2**63, -1, 1.0]),
        "timestamp": st.sampled_from(
            ["2026-01-31T09:30:00Z", "2026-01-31T09:30:00+01:00", "2026-01-31 09:30:00.5Z", "2026-W05-1T09:30:00Z",
             "2026-02-30T09:30:00Z", "2026-01-31T09:30:00", "2026-01-31t09:30:00z", ""]
        ),
        "observation": OBSERVED[kind], "next_observation": OBSERVED[kind],
        "action": st.sampled_from(["up", "down", "jump", 1]), "propensity": NUMBER | PROBABILITY,
        "action_probabilities": st.fixed_dictionaries({"up": PROBABILITY, "down": PROBABILITY}),
        "reward": NUMBER, "outcome": st.fixed_dictionaries({"cost": NUMBER, "ok": st.booleans(), "note": TEXT}),
        "terminated": st.booleans(), "truncated": st.booleans(), "mode": st.sampled_from(["live", "shadow", "x"]),
        "agent": st.sampled_from(["scaling", "other"]), "policy_version": TEXT,
        "metadata": st.dictionaries(TEXT, NUMBER), "colour": TEXT,
    }  # fmt: skip


GOOD: dict[str, Any] = {
    "event_id": "e", "episode_id": "p", "step": 1, "action": "up", "timestamp": "2026-01-31T09:30:00Z",
    "propensity": 0.5, "action_probabilities": {"up": 0.5, "down": 0.5}, "reward": 1.0, "terminated": False,
    "outcome": {"cost": 1, "ok": True, "note": "fine"}, "tenant": "t", "metadata": {"x": 1.5}, "mode": "live",
}  # fmt: skip
SEEN = {"object": {"load": 1.5, "count": 2, "busy": True, "zone": "c"}, "vector": [1.5, 2.0], "int": 3}


def plain_lines(checker: PlainChecker, rows: Sequence[SourceRow]) -> list[JournalRow | None]:
    """What is written of each row; of columns by way of the bytes that a segment keeps."""
    found = checker.checked(rows)
    return found if isinstance(found, list) else [*DecisionColumns.unpacked(found.packed()).rows()]


@settings(max_examples=200, deadline=None)
@given(data=st.data(), kind=st.sampled_from(sorted(OBSERVATIONS)), reward=st.sampled_from(["", "-cost"]))
def test_columns_and_rows_agree(data: st.DataObject, kind: str, reward: str) -> None:
    specification = AgentSpecification(
        "scaling", OBSERVATIONS[kind], ("down", "up"), reward=reward, reward_range=(-10.0, 10.0), horizon=4
    )
    strategies = fields(kind)
    base = {**GOOD, "observation": SEEN[kind]}
    for name in data.draw(st.sets(st.sampled_from(sorted(base)))) - {"action", "observation"}:
        del base[name]
    changed = data.draw(st.lists(st.sampled_from(sorted(strategies)), max_size=3, unique=True))
    contents = []
    for _ in range(5):
        row = dict(base)
        if data.draw(st.integers(0, 2)) == 0:
            row |= {name: data.draw(strategies[name] | STRANGE) for name in changed}
        contents.append(row)
    rows = [SourceRow("log", number, content) for number, content in enumerate(contents, 1)]
    plain = plain_lines(PlainChecker(specification, set()), rows)
    checker, identifier = Checker("scaling", {}, "error", specification), Identifier()
    for row, line in zip(rows, plain, strict=True):
        if line is not None:
            _, written, naming = checker.checked(row.content, row.row, identifier)  # raises where it is no record
            assert (line, naming) == (written, "")


@pytest.mark.parametrize("kind", sorted(OBSERVATIONS))
def test_good_rows_are_plain(kind: str) -> None:
    """Else the test above compares nothing."""
    specification = AgentSpecification("scaling", OBSERVATIONS[kind], ("down", "up"), reward_range=(-10.0, 10.0))
    base = {**GOOD, "observation": SEEN[kind]}
    rows = [SourceRow("log", number, {**base, "event_id": f"e{number}"}) for number in range(1, 9)]
    rows += [
        SourceRow("log", number, {name: value for name, value in row.content.items() if name != "propensity"})
        for number, row in enumerate(rows, 9)
    ]
    rows[3].content["reward"] = 11.0  # spoils those of its own fields only
    found = plain_lines(PlainChecker(specification, set()), rows)
    assert [line is not None for line in found] == [False] * 8 + [True] * 8


@settings(max_examples=150, deadline=None)
@given(
    lines=st.lists(
        st.sampled_from(['{"a":1}', '{"a":"%s"}' % ("x" * 30), "", " ", "[1]", "y" * 50, '{"b":2}\r']), max_size=12
    ),
    ended=st.booleans(),
    block=st.integers(1, 44),  # a longer line is never whole in one
    batch=st.integers(1, 4),
)
def test_lines_are_the_same_in_whatever_pieces_a_file_is_read(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], ended: bool, block: int, batch: int
) -> None:
    """Numbered as they stand in the file, and from each position on those that are behind it."""
    path = Path(tmp_path_factory.mktemp("pieces")) / "log.jsonl"
    path.write_bytes(("\n".join(lines) + "\n" * ended).encode())
    expected = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        problem = "is longer than 0 MB" if len(line) > 45 else "is not an object" if text[:1] == "[" else ""
        if text:
            expected.append((number, None if problem else json.loads(text), problem))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"BLOCK": block, "BATCH": batch, "MAXIMUM_LINE": 45}.items():
            patch.setattr(reader_jsonl, name, value)
        reader = open_reader(str(path), {})
        found = list(reader.batches())
        for index in range(len(found) + 1):
            rows = [row for batch in reader.batches(found[index - 1].position if index else "") for row in batch.rows]
            read = [row for piece in found[index:] for row in piece.rows]
            assert [(row.row, row.content, row.rejected) for row in rows] == [
                (row.row, row.content, row.rejected) for row in read
            ]
    rows = [row for piece in found for row in piece.rows]
    assert [(row.row, None if row.rejected else row.content) for row in rows] == [item[:2] for item in expected]
    assert all(
        problem in (row.rejected.problem if row.rejected else "")
        for row, (_, _, problem) in zip(rows, expected, strict=True)
    )
