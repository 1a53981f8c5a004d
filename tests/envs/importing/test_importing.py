"""Import: all rows or none, every bad input in one line by file, row, field and remedy, and again for free."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from envs.errors import DataError, RecordError, SpecificationError
from envs.home import Home
from envs.importing.importer import import_files
from envs.importing.reader_jsonl import MAXIMUM_LINE
from tests.envs.importing.import_samples import SPECIFICATION, jsonl, refused, rows, snapshot, stored


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.create(tmp_path / "home", split_key=bytes(32))
    home.declare(SPECIFICATION)
    return home


def test_import_and_import_again(home: Home, tmp_path: Path) -> None:
    content = rows()
    random.Random(0).shuffle(content)
    path = jsonl(tmp_path / "log.jsonl", content)
    report = import_files(home, "scaling", [path])
    assert (report.rows, report.added, report.duplicates, report.inferred) == (12, 12, 0, False)
    assert report.rejected == [] and report.groups == [] and report.rejected_path is None
    again = import_files(home, "scaling", [path])
    assert (again.added, again.duplicates) == (0, 12)
    assert sorted(record.event_id for record in stored(home)) == sorted(item["event_id"] for item in content)


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("batch", [5, 4096])
def test_repetitions_within_an_import_are_told_from_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, declared: bool, batch: int
) -> None:
    monkeypatch.setattr("envs.importing.reader_jsonl.BATCH", batch)
    home = Home.create(tmp_path / "home", split_key=bytes(32))
    if declared:
        home.declare(SPECIFICATION)
    content = rows(16)
    moment = content[0]["timestamp"]
    late = [{"decision_id": f"e{index}", "timestamp": moment, "outcome": {"x": 1}} for index in (1, 9)]
    # Into an empty journal: each of 8 decisions thrice and an outcome twice, in one file and another.
    first = jsonl(tmp_path / "first.jsonl", [*content[:8], *reversed(content[:8]), late[0]])
    second = jsonl(tmp_path / "second.jsonl", [*content[:8], late[0]])
    report = import_files(home, "scaling", [first, second])
    assert (report.rows, report.added, report.duplicates, report.repeated) == (26, 9, 17, 17)
    # Nine of these were there; the other eight and their outcome come twice.
    third = jsonl(tmp_path / "third.jsonl", [*content, *late, *content[8:], late[1]])
    report = import_files(home, "scaling", [third], dry_run=True)
    assert (report.rows, report.added, report.duplicates, report.repeated) == (27, 9, 18, 9)


BAD: dict[str, tuple[Callable[[dict[str, Any]], Any], str, str]] = {
    "NaN": (lambda row: {**row, "reward": float("nan")}, "reward", "nan is not finite"),
    "Infinity in an observation": (
        lambda row: {**row, "observation": [1, float("-inf")]},
        "observation[1]",
        "-inf is not finite",
    ),
    "overflow": (
        lambda row: json.dumps(row).replace('"propensity": 0.5', '"propensity": 1e999'),
        "propensity",
        "inf is not finite",
    ),
    "propensity 0": (lambda row: {**row, "propensity": 0}, "propensity", "0 is not a probability in (0, 1]"),
    "propensity above 1": (lambda row: {**row, "propensity": 1.5}, "propensity", "1.5 is not a probability in (0, 1]"),
    "unknown action": (lambda row: {**row, "action": "jump"}, "action", "'jump' is not a declared action"),
    "wrong shape": (lambda row: {**row, "observation": [1, 2, 3]}, "observation", "declared is a vector of 2 numbers"),
    "nested": (lambda row: {**row, "observation": [[1, 2], [3, 4]]}, "observation", "array or object"),
    "text for a number": (lambda row: {**row, "reward": "1"}, "reward", "'1' is not a number"),
    "number for a boolean": (lambda row: {**row, "terminated": 1}, "terminated", "1 is not a boolean"),
    "unknown field": (lambda row: {**row, "state": 1}, "state", "is not a field of a decision record"),
    "step twice": (lambda row: {**row, "step": 0}, "step", "0 of episode 'episode 0' is there already, see "),
    "two tenants": (lambda row: {**row, "tenant": "t"}, "tenant", "'t', but episode 'episode 0' is of 'default'"),
    "other content": (
        lambda row: {**row, "event_id": "e0"},
        "event_id",
        "'e0' was recorded before with other content (action was ",
    ),
    "reward out of range": (
        lambda row: {**row, "reward": 11},
        "reward",
        "11 is outside the declared reward_range [-10, 10]",
    ),
    "naive timestamp": (lambda row: {**row, "timestamp": "2026-01-31T09:30:00"}, "timestamp", "has no time zone"),
    "other agent": (lambda row: {**row, "agent": "healing"}, "agent", "is healing, expected is scaling"),
    "no action": (lambda row: {key: row[key] for key in row if key != "action"}, "action", "is missing"),
    "duplicate key": (lambda row: json.dumps(row)[:-1] + ', "reward": 2}', "reward", "is given twice"),
    "depth bomb": (lambda row: '{"metadata": ' + "[" * 100_000 + "]" * 100_000 + "}", "row", "nested deeper than 32"),
    "deep": (
        lambda row: {**row, "metadata": {"x": json.loads("[" * 40 + "]" * 40)}},
        "metadata.x" + "[0]" * 31,
        "deeper than 32",
    ),
    "long line": (lambda row: {**row, "metadata": {"x": "y" * MAXIMUM_LINE}}, "row", "is longer than 16 MB"),
    "huge number": (
        lambda row: json.dumps(row).replace('"reward": 2.0', '"reward": ' + "9" * 5000),
        "row",
        "is not JSON",
    ),
    "not JSON": (lambda row: "{'reward': 1}", "row", "is not JSON"),
    "not an object": (lambda row: "[1, 2]", "row", "[1, 2] is not an object"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_rows(home: Home, tmp_path: Path, case: str) -> None:
    spoil, field, problem = BAD[case]
    content: list[Any] = rows()
    content[2] = spoil(content[2])
    path = jsonl(tmp_path / "log.jsonl", content)
    line = refused(home, path)
    assert line.startswith(f"{path}:3: {field}: ") and problem in line
    assert line.endswith("; --keep-good imports the 11 good rows") and len(line) < 600
    before = snapshot(home)
    dry = import_files(home, "scaling", [path], dry_run=True)
    assert snapshot(home) == before and dry.dry_run
    assert (dry.rows, dry.added, len(dry.rejected)) == (12, 11, 1) and dry.rejected_path is None
    assert [(group.count, group.first) for group in dry.groups] == [(1, f"{path}:3")]
    assert dry.groups[0].cause.startswith(f"{field}: ")
    kept = import_files(home, "scaling", [path], keep_good=True)
    assert (kept.added, len(kept.rejected), len(stored(home))) == (11, 1, 11)
    assert kept.rejected_path is not None and kept.rejected_path.parent == home.path / "data" / "rejected"
    (written,) = [json.loads(text) for text in kept.rejected_path.read_text().splitlines()]
    assert (written["file"], written["row"], written["field"]) == (str(path), 3, field) and problem in written[
        "problem"
    ]
    assert written["remedy"] == kept.rejected[0].remedy and "content" in written


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity"])
def test_bare_tokens_are_named_by_field(home: Home, tmp_path: Path, token: str) -> None:
    text = json.dumps(rows(1)[0]).replace('"propensity": 0.5', f'"propensity": {token}')
    line = refused(home, jsonl(tmp_path / "log.jsonl", [text]))
    assert (
        line.startswith(f"{tmp_path}/log.jsonl:1: propensity: ")
        and "is not finite" in line
        and "--keep-good" not in line
    )


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_a_truncated_file_is_named_by_its_last_row(home: Home, tmp_path: Path, cut: int) -> None:
    path = jsonl(tmp_path / "log.jsonl", rows())
    path.write_bytes(path.read_bytes()[: -1 - cut])
    line = refused(home, path)
    assert line.startswith(f"{path}:12: row: is cut off, the file ends inside it; copy the file again")
    assert import_files(home, "scaling", [path], keep_good=True).added == 11


def test_a_last_line_without_newline_and_empty_lines_are_fine(home: Home, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "log.jsonl", rows())
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes()[:-1].replace(b"\n", b"\r\n\r\n"))
    assert import_files(home, "scaling", [path]).added == 12


def test_errors_are_grouped_by_cause(home: Home, tmp_path: Path) -> None:
    content: list[Any] = rows(40)
    for index, propensity in ((1, 0), (2, 1.5), (3, -7)):
        content[index]["propensity"] = propensity
    for index in (10, 11, 12, 13):
        content[index]["action"] = f"jump {index}"
    content[20] = content[20] | {"obs": [1, 2]}
    path, second = jsonl(tmp_path / "a.jsonl", content[:30]), jsonl(tmp_path / "b.jsonl", [*content[30:], "{"])
    line = refused(home, path, second)
    assert line.startswith(f"{path}:2: propensity: 0 is not a probability in (0, 1]; ")
    assert line.endswith(", and 8 more in 4 causes; see --dry-run; --keep-good imports the 32 good rows")
    report = import_files(home, "scaling", [path, second], dry_run=True)
    assert [(group.count, group.first) for group in report.groups] == [
        (4, f"{path}:11"), (3, f"{path}:2"), (1, f"{path}:21"), (1, f"{second}:11"),
    ]  # fmt: skip
    assert report.groups[0].cause == "action: 'jump 10' is not a declared action (and 3 other values)"
    assert [row.row for row in report.rejected] == [2, 3, 4, 11, 12, 13, 14, 21, 11]


def test_conflicts_with_what_was_imported_before(home: Home, tmp_path: Path) -> None:
    import_files(home, "scaling", [jsonl(tmp_path / "a.jsonl", rows())])
    for change, field in (
        ({"event_id": "e0", "reward": 9.0}, "event_id"),
        ({"event_id": "new", "step": 0}, "step"),
        ({"event_id": "new", "step": 9, "tenant": "t"}, "tenant"),
    ):
        path = jsonl(tmp_path / "b.jsonl", [rows(1)[0] | change])
        assert refused(home, path).startswith(f"{path}:1: {field}: ")


def test_rows_without_event_id_are_imported_once(home: Home, tmp_path: Path) -> None:
    def nameless(content: list[dict[str, Any]], *dropped: str) -> list[dict[str, Any]]:
        return [{name: value for name, value in row.items() if name not in ("event_id", *dropped)} for row in content]

    bare = nameless(rows(8), "episode_id", "step", "timestamp")
    for content in (
        nameless(rows(8)),
        nameless(rows(8), "timestamp"),
        nameless(rows(8), "episode_id", "step"),
        bare * 30,
    ):
        path = jsonl(tmp_path / "log.jsonl", content[:-1])
        for grown in (False, False, True, True):
            expected = len(content) if grown else len(content) - 1
            if grown:
                jsonl(path, content)
            before = len(stored(home))
            report = import_files(home, "scaling", [path])
            assert report.added == len(stored(home)) - before and report.added + report.duplicates == expected
            assert (
                report.added
                == {False: 0 if before == expected else expected, True: 0 if before == len(content) else 1}[grown]
            )
        home.journal_path.unlink()
    # Two bandit logs may hold the same rows: they are other decisions.
    first, second = jsonl(tmp_path / "monday.jsonl", bare), jsonl(tmp_path / "tuesday.jsonl", bare[::-1])
    assert import_files(home, "scaling", [first, second]).added == 16
    single = stored(home)[0]
    assert single.is_single and single.event_id.startswith("import-")


def test_files_that_hold_nothing(home: Home, tmp_path: Path) -> None:
    empty = jsonl(tmp_path / "empty.jsonl", [])
    assert refused(home, tmp_path / "absent.jsonl").startswith(f"{tmp_path}/absent.jsonl: does not exist; ")
    assert refused(home, tmp_path).startswith(f"{tmp_path}: is a folder; ")
    assert refused(home, empty).startswith(f"{empty}: has no rows; ")
    assert "'Scaling!' of 8 characters is not an agent's name" in refused(home, empty, agent="Scaling!")
    long = refused(home, empty, agent="a" * 300)
    assert "… of 300 characters is not an agent's name; use 1 to 64" in long and len(long) < 250
    assert "row: is not JSON" in refused(home, jsonl(tmp_path / "a.json", [json.dumps(rows(2), indent=1)]))


def test_a_broken_declaration_stops_before_reading(home: Home, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "log.jsonl", rows())
    home.configuration_path.write_text("[agents.scaling]\nactions = 3\n")
    with pytest.raises(SpecificationError):
        import_files(home, "scaling", [path])
    home.configuration_path.write_text('[agents]\nother = {actions = ["x"]}\nscaling = {mapping = {}}\n')
    assert "cannot be changed in place" in refused(home, path)


def test_all_rows_bad_and_keep_good(home: Home, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "log.jsonl", rows(3, propensity=0))
    line = refused(home, path, keep_good=True)
    assert line.endswith(", and 2 more in 1 cause; see --dry-run")


def test_errors_have_their_classes(home: Home, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        import_files(home, "scaling", [tmp_path / "absent"])
    with pytest.raises(RecordError) as caught:
        import_files(home, "scaling", [jsonl(tmp_path / "log.jsonl", rows(1, propensity=2))])
    assert caught.value.field == "propensity" and caught.value.where.endswith("log.jsonl:1")
