"""Damage to sources of foreign formats: nothing crashes or hangs, every bad row is named, every good row is kept."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgpack
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.errors import RecordError, RetrainerError
from envs.importing.reader_opentelemetry import translated as spans_of
from envs.importing.reader_record_action import translated as call_of
from envs.importing.reader_vowpal_wabbit import translated as decision_of
from envs.importing.readers import reader_of
from envs.importing.rows import SourceRow
from envs.importing.span_presets import PRESETS
from envs.outcome import OutcomeEvent
from envs.record import DecisionRecord
from envs.values import UnfitValueError
from tests.envs.importing.import_reading import DATA
from tests.envs.importing.importing_fuzz import mutated

LINES = {
    "record_action": DATA / "record_action.jsonl",
    "vowpal_wabbit": DATA / "vowpal_wabbit.dsjson",
    "opentelemetry": DATA / "opentelemetry_spans.jsonl",
}
FILES = {
    "d3rlpy": (DATA / "d3rlpy_tuple.h5", ""),
    "minari": (DATA / "minari", "data/main_data.hdf5"),
    "rllib": (DATA / "rllib_episodes/run-000000-00001", "part-0.parquet"),
    "rllib columns": (DATA / "rllib_columns/run-000000-00001", "part-0.parquet"),
}


def checked(path: Path, name: str) -> list[SourceRow]:
    """All rows; each is a row that the importer takes or refuses by name, or is rejected by name."""
    try:
        rows = [row for batch in reader_of(str(path), name.split()[0]).batches() for row in batch.rows]
    except RetrainerError as error:  # the file as a whole
        assert error.remedy and "\n" not in str(error)
        return []
    for row in rows:
        assert row.row >= 1
        if row.rejected is not None:
            assert row.rejected.field and row.rejected.problem and row.rejected.remedy
            assert row.rejected.row == row.row and "\n" not in row.rejected.problem
        else:
            taken(row.content)
    return rows


def taken(content: Any) -> None:
    assert isinstance(content, dict)
    kind = OutcomeEvent if "decision_id" in content else DecisionRecord
    try:
        kind.from_mapping(content, agent=content.get("agent") or "scaling")
    except RecordError as error:
        assert error.field and error.remedy


def damaged_lines(folder: Path, name: str, seed: int) -> int:
    """Every other line is damaged: the others give the rows that they gave. How many rows were rejected."""
    source = random.Random(seed)
    lines = LINES[name].read_bytes().splitlines()
    whole = undamaged(name)
    bad = [mutated(line, source).replace(b"\n", b" ") for line in lines]
    rows = checked(_written(folder, [part for pair in zip(bad, lines, strict=True) for part in pair]), name)
    by_line: dict[int, list[Any]] = {}
    for row in rows:
        by_line.setdefault(row.row, []).append(row.content)
    for place, expected in enumerate(whole):
        assert by_line.get(2 * place + 2, []) == expected
    return sum(row.rejected is not None for row in rows)


@cache
def undamaged(name: str) -> list[list[Any]]:
    """What each line gives by itself."""
    with TemporaryDirectory() as folder:
        return [
            [row.content for row in checked(_written(Path(folder), [line]), name)]
            for line in LINES[name].read_bytes().splitlines()
        ]


def _written(folder: Path, lines: list[bytes]) -> Path:
    path = folder / "lines"
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def damaged_file(folder: Path, name: str, seed: int) -> int:
    """Damage anywhere in a file; how many rows were rejected, one for a refusal of all."""
    source = random.Random(seed)
    original, inner = FILES[name]
    copy = folder / f"copy-{seed}"
    if original.is_dir():
        shutil.copytree(original, copy)
    else:
        shutil.copy(original, copy)
    path = copy / inner if inner else copy
    data = path.read_bytes()
    for _ in range(source.choice((1, 1, 3, 10))):
        data = mutated(data, source)
    path.write_bytes(data[: source.randrange(len(data))] if seed % 10 == 0 else data)
    rows = checked(copy, name)
    return sum(row.rejected is not None for row in rows) or not rows


@pytest.mark.parametrize("name", sorted(LINES))
def test_damaged_lines(tmp_path: Path, name: str) -> None:
    assert sum(damaged_lines(tmp_path, name, seed) for seed in range(60)) > 50


@pytest.mark.parametrize("name", sorted(FILES))
def test_damaged_files(tmp_path: Path, name: str) -> None:
    assert sum(damaged_file(tmp_path, name, seed) for seed in range(60)) > 20


@pytest.mark.full
@pytest.mark.parametrize("name", sorted(LINES))
def test_ten_thousand_damaged_rows(tmp_path: Path, name: str) -> None:
    rejected, seed = 0, 1000
    while rejected < 10_000:
        rejected += damaged_lines(tmp_path, name, seed)
        seed += 1


@pytest.mark.full
@pytest.mark.parametrize("name", sorted(FILES))
def test_two_thousand_damaged_files(tmp_path: Path, name: str) -> None:
    for seed in range(1000, 3000):
        damaged_file(tmp_path, name, seed)
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def spoilt(value: Any, places: Iterator[Any], draw: Any) -> Any:
    """The value with one part of it exchanged for anything."""
    if isinstance(value, dict) and value and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(value, key=str)))
        return {**value, name: spoilt(value[name], places, draw)}
    if isinstance(value, list) and value and draw(st.booleans()):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], spoilt(value[place], places, draw), *value[place + 1 :]]
    return next(places)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(LINES)))
def test_lines_of_any_content(data: st.DataObject, name: str) -> None:
    """Well-formed JSON that says the wrong thing somewhere: rows, or a complaint that names the place."""
    lines = LINES[name].read_text().splitlines()
    line = spoilt(json.loads(lines[0]), iter(lambda: data.draw(anything), object()), data.draw)
    translate: Any = {
        "record_action": call_of,
        "vowpal_wabbit": decision_of,
        "opentelemetry": lambda item: spans_of(item, PRESETS["retrainer.decision.v1"]),
    }[name]
    if not isinstance(line, dict):
        return
    try:
        rows = list(translate(line))
    except UnfitValueError as error:
        assert error.problem and error.remedy
        return
    for row in rows:
        if not isinstance(row, UnfitValueError):
            taken(row)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_packed_episodes_of_any_content(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """An episode's state that says the wrong thing somewhere."""
    packed = pq.read_table(DATA / "rllib_episodes/run-000000-00001/part-0.parquet").column(0)[1].as_py()
    state = msgpack.unpackb(packed, strict_map_key=False)
    keep = {name: state[name] for name in state if name not in ("infos", "_observation_space", "_action_space")}
    strange = anything.filter(lambda value: "Infinity" not in str(value))
    wrong = spoilt(keep, iter(lambda: data.draw(strange), object()), data.draw)
    try:
        item = msgpack.packb(wrong)
    except (OverflowError, ValueError):
        return
    path = tmp_path_factory.mktemp("state") / "e.parquet"
    pq.write_table(pa.table({"item": [item, packed]}), path)
    rows = checked(path, "rllib")
    assert [row for row in rows if row.row == 2 and row.rejected is None]
    assert any(row.row == 1 for row in rows)
