"""Malformed rows of every format by byte mutation: no crash, no hang, every rejected row named, every good one kept."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from envs.record import DecisionRecord
from tests.envs.importing.importing_fuzz import FUZZED, Fuzzed, decisions, import_damaged, mutated

LINES = sorted(name for name, fuzzed in FUZZED.items() if fuzzed.lines)


def malformed_lines(folder: Path, fuzzed: Fuzzed, count: int, seed: int) -> int:
    """Every other line is damaged; returns how many rows were rejected."""
    source = random.Random(seed)
    path = folder / "log"
    fuzzed.write(path, decisions(count))
    head, *lines = path.read_bytes().splitlines()
    if fuzzed.format_name == "jsonl":
        lines.insert(0, head)
    # A line break in the middle makes two bad lines; a row is known by its event_id, not by its place.
    spoilt = [mutated(line, source) if index % 2 else line for index, line in enumerate(lines)]
    path.write_bytes(b"\n".join([head, *spoilt] if fuzzed.format_name == "csv" else spoilt) + b"\n")
    report, found = import_damaged(folder, path, fuzzed)
    assert report is not None
    whole = {record.event_id: record for record in found}
    clashes = {row.row for row in report.rejected if row.field in ("event_id", "step", "tenant")}
    swallowed = fuzzed.format_name == "csv"  # between two open quotes
    lost = 0
    for index, row in enumerate(decisions(count)):
        if index % 2 == 0 and whole.get(row["event_id"]) != DecisionRecord.from_mapping(row | {"agent": "scaling"}):
            lost += 1
    assert lost <= len(clashes) + (len([line for line in spoilt if line.count(b'"') % 2]) if swallowed else 0)
    return len(report.rejected)


@pytest.mark.parametrize("name", LINES)
def test_malformed_lines(tmp_path: Path, name: str) -> None:
    assert malformed_lines(tmp_path, FUZZED[name], 400, seed=0) > 100


@pytest.mark.parametrize("name", sorted(FUZZED))
@pytest.mark.parametrize("seed", range(40))
def test_damaged_files(tmp_path: Path, name: str, seed: int) -> None:
    damaged_file(tmp_path, FUZZED[name], seed)


def damaged_file(folder: Path, fuzzed: Fuzzed, seed: int) -> int:
    """Damage anywhere in a file of 150 rows; returns how many rows were rejected."""
    source = random.Random(seed)
    path = folder / "log"
    content = decisions(150)
    fuzzed.write(path, content)
    data = path.read_bytes()
    for _ in range(source.choice((1, 1, 3, 10))):
        data = mutated(data, source)
    if seed % 10 == 0:
        data = data[: source.randrange(len(data))]
    path.write_bytes(data)
    report, found = import_damaged(folder, path, fuzzed)
    if fuzzed.same:
        written = {row["event_id"]: DecisionRecord.from_mapping(row | {"agent": "scaling"}) for row in content}
        assert all(written[record.event_id] == record for record in found)
    return 1 if report is None else len(report.rejected)


@pytest.mark.full
@pytest.mark.parametrize("name", sorted(FUZZED))
def test_ten_thousand_malformed_rows(tmp_path: Path, name: str) -> None:
    fuzzed, rejected, seed = FUZZED[name], 0, 1000
    while rejected < (10_000 if fuzzed.lines else 200):  # a damaged page takes 50 rows with it
        folder = tmp_path / str(seed)
        folder.mkdir()
        rejected += malformed_lines(folder, fuzzed, 4000, seed) if fuzzed.lines else damaged_file(folder, fuzzed, seed)
        seed += 1
