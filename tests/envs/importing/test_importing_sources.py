"""Where rows come from: CSV, frames, patterns, an object store. The same rows are the same records."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ai_engine
from envs.errors import DataError
from envs.home import Home
from envs.importing.importer import import_files
from envs.importing.reader_csv import open_reader
from envs.observation import ObservationField, ObservationSpecification
from tests.envs.importing.import_reading import DATA
from tests.envs.importing.import_samples import SPECIFICATION, jsonl, refused, rows, stored
from tests.envs.object_store import object_store


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.create(tmp_path / "home", split_key=bytes(32))
    home.declare(SPECIFICATION)
    return home


def flat(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as one writes them into a table: observation.0, observation.1."""
    return [
        {name: value for name, value in row.items() if name != "observation"}
        | {f"observation.{index}": value for index, value in enumerate(row["observation"])}
        for row in content
    ]


def csv_text(content: list[dict[str, Any]], **dialect: Any) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, content[0].keys(), **dialect)
    writer.writeheader()
    writer.writerows(content)
    return out.getvalue()


def reference(tmp_path: Path) -> list[Any]:
    other = Home.create(tmp_path / "reference")
    other.declare(SPECIFICATION)
    import_files(other, "scaling", [jsonl(tmp_path / "reference.jsonl", rows())])
    return stored(other)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_gives_the_same_records(home: Home, tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "log.csv"
    path.write_text("\ufeff" + csv_text(flat(rows()), delimiter=delimiter), encoding="utf-8")
    assert import_files(home, "scaling", [path]).added == 12
    assert stored(home) == reference(tmp_path)


def test_csv_cells_are_what_json_says_they_are(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    said = {
        "event_id": "007", "action": "up", "outcome.note": 'a "b",\n c', "outcome.n": "12", "outcome.code": "0012",
        "outcome.x": "-1.5e3", "outcome.yes": "True", "outcome.tags": '["a", 1]', "metadata": '{"k": null}',
        "outcome.nothing": "", "observation.z.y": "1", "propensity": "NaN",
    }  # fmt: skip
    path.write_text(csv_text([said]))
    ((row,),) = [batch.rows for batch in open_reader(str(path), {}).batches() if batch.rows]
    assert row.row == 2 and row.content.pop("propensity") != row.content
    assert row.content == {
        "event_id": "007", "action": "up", "metadata": {"k": None}, "observation": {"z": {"y": 1}},
        "outcome": {"note": 'a "b",\n c', "n": 12, "code": "0012", "x": -1500.0, "yes": True, "tags": ["a", 1]},
    }  # fmt: skip


def test_a_decimal_comma_is_a_number_or_a_text_as_one_says(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    head = "event_id;observation.0;observation.1;action;reward;metadata.note\n"
    path.write_text(head + "".join(f"e{n};{n},5;-{n};up;-0,25;{n}.5\n" for n in range(3)))
    complaint = f"{path}:2: observation.0: '0,5' is a number with a decimal comma, or a text; set the option decimal"
    assert refused(home, path).startswith(complaint)
    report = import_files(home, "scaling", [path], options={"decimal": "."}, dry_run=True)
    assert report.added == 0 and {row.field for row in report.rejected} == {"observation[0]"}, "a text is no number"
    assert import_files(home, "scaling", [path], options={"decimal": ","}).added == 3
    assert [(each.observation, each.reward, each.metadata) for each in stored(home)] == [
        ([0.5, 0], -0.25, {"note": "0.5"}),
        ([1.5, -1], -0.25, {"note": "1.5"}),
        ([2.5, -2], -0.25, {"note": "2.5"}),
    ]
    for options, told in (({"decimal": "x"}, "decimal = 'x'"), ({"delimeter": ";"}, "it has delimiter, decimal")):
        with pytest.raises(DataError, match=told):
            import_files(home, "scaling", [path], options=options)


@pytest.mark.parametrize("mapped", [False, True])
def test_a_declared_category_is_not_read_as_a_number_that_is_another(tmp_path: Path, mapped: bool) -> None:
    """As numbers the versions 1.1 and 1.10 are the same; what a number says as well stays one, as it always was."""
    names = ("1.1", "1.10", "2e3", "true", "7", '{"a":1,"a":2}')
    home = Home.create(tmp_path / "home")
    field = ObservationField("version", "category", categories=names, optional=True)
    home.declare(replace(SPECIFICATION, observation=ObservationSpecification("object", (field,)), horizon=1))
    if mapped:
        with home.configuration_path.open("a") as file:
            file.write('\n[agents.scaling.mapping]\nobservation = { version = "v" }\n')
    lines = [f"e{place},{text},up,0.5" for place, text in enumerate(names[:-1])]
    path = tmp_path / "log.csv"
    path.write_text("\n".join([f"event_id,{'v' if mapped else 'observation.version'},action,reward", *lines]))
    import_files(home, "scaling", [path])
    seen = [record.observation["version"] for record in stored(home)]
    assert seen == [1.1, "1.10", "2e3", "true", 7]


def test_a_column_without_a_name_can_be_named_in_a_mapping(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(pd.DataFrame(flat(rows())).to_csv())
    assert 'metadata = ["unnamed_1"]' in import_files(home, "scaling", [path], dry_run=True).proposed_mapping
    assert import_files(home, "scaling", [path], unknown="metadata").added == 12
    assert [each.metadata for each in stored(home)] == [{"unnamed_1": index} for index in range(12)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.text('a",\n;é\r', max_size=4), st.text("xy", min_size=1, max_size=3)), min_size=1, max_size=9)
)
def test_whatever_a_csv_writer_quotes_is_read_back_from_any_place(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("csv") / "log.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(
            csv_text([{"metadata.a": first, "policy": second} for first, second in cells], quoting=csv.QUOTE_ALL)
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("envs.importing.reader_csv.BATCH", 2)
        batches = list(open_reader(str(path), {"delimiter": ","}).batches())
        found = [row for batch in batches for row in batch.rows]
        assert [row.rejected for row in found] == [None] * len(cells)
        assert [(row.content.get("metadata.a", row.content.get("metadata", {}).get("a", "")), row.content["policy"])
                for row in found] == cells  # fmt: skip
        for index, batch in enumerate(batches):
            behind = [row for later in batches[index + 1 :] for row in later.rows]
            again = open_reader(str(path), {"delimiter": ","}).batches(batch.position)
            assert [row for later in again for row in later.rows] == behind


SPOILT = {
    "an open quote": ('"', "is not CSV (a quote is not closed)"),
    "a cell too many": ("1,2,3,4,5,6,7,8,9,10,11", "has 11 cells, the first line 10"),
    "text behind a quote": ('"a"b', "is not CSV (',' expected after '\"')"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_bad_line_spoils_no_other(home: Home, tmp_path: Path, case: str) -> None:
    line, problem = SPOILT[case]
    lines = csv_text(flat(rows())).splitlines()
    path = tmp_path / "log.csv"
    path.write_text("\n".join([*lines[:4], line, *lines[4:]]) + "\n")
    assert refused(home, path).startswith(f"{path}:5: row: {problem}; ")
    assert import_files(home, "scaling", [path], keep_good=True).added == 12


def test_a_line_that_is_not_utf_8_is_named_and_no_other(home: Home, tmp_path: Path) -> None:
    lines = csv_text(flat(rows())).encode().splitlines()
    path = tmp_path / "log.csv"
    path.write_bytes(b"\n".join([*lines[:4], b"caf\xe9", *lines[4:], b""]))
    assert (
        refused(home, path)
        == f"{path}:5: row: byte 3 is not UTF-8; save the file as UTF-8 text" + "; --keep-good imports the 12 good rows"
    )
    # An open quote before it is a cause of its own.
    path.write_bytes(b"\n".join([*lines[:2], b'"open', *lines[2:4], b"caf\xe9", *lines[4:], b""]))
    report = import_files(home, "scaling", [path], dry_run=True)
    assert report.added == 12 and [(row.row, row.problem, row.remedy) for row in report.rejected] == [
        (3, "is not CSV (a quote is not closed before line 6, where byte 3 is not UTF-8)",
         "close the quote; save the file as UTF-8 text"),
        (6, "byte 3 is not UTF-8", "save the file as UTF-8 text"),
    ]  # fmt: skip
    assert sorted((group.count, group.first) for group in report.groups) == [(1, f"{path}:3"), (1, f"{path}:6")]
    path.write_bytes("a,b\n1,2\n".encode("utf-16"))
    assert refused(home, path).endswith(
        "1: row: has no readable line of names (byte 0 is not UTF-8); save the file as UTF-8 text"
    )


@pytest.mark.parametrize("heading", ["a,a", '"a', "observation,observation.x", "\x00"])
def test_a_bad_heading_is_named(home: Home, tmp_path: Path, heading: str) -> None:
    path = tmp_path / "log.csv"
    path.write_text(f"{heading}\n1,2\n")
    assert refused(home, path).startswith(f"{path}:1: row: ")


@pytest.mark.parametrize("kind", ["pandas", "pandas flat", "polars", "polars flat", "arrow"])
def test_frames_give_the_same_records(home: Home, tmp_path: Path, kind: str) -> None:
    content = flat(rows()) if kind.endswith("flat") else rows()
    frames: dict[str, Any] = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "arrow": pa.Table.from_pylist}
    frame = frames[kind.split()[0]](content)
    if kind == "pandas":
        frame["timestamp"] = pd.to_datetime(frame["timestamp"])
        frame.loc[3, "reward"] = None  # pandas writes NaN for it
    report = ai_engine.import_log("scaling", frame, home=home)
    assert report.added == 12
    expected = reference(tmp_path)
    found = stored(home)
    if kind == "pandas":
        assert found[3].reward is None
        found.pop(3)
        expected.pop(3)
    assert found == expected
    assert ai_engine.import_log("scaling", [frame], home=home).added == 0


def test_a_named_index_of_pandas_is_a_column_and_another_only_numbers_rows(home: Home, tmp_path: Path) -> None:
    frame = pd.DataFrame(flat(rows()))
    with pytest.raises(DataError, match=r"its index has no name.*rename_axis"):
        import_files(home, "scaling", [frame.set_index(frame["event_id"].rename(None))])
    with pytest.raises(DataError, match="'step' is there twice"):
        import_files(home, "scaling", [frame.set_index("step", drop=False)])
    shuffled = frame.set_index(["event_id", "timestamp"]).sample(frac=1.0, random_state=0)
    assert import_files(home, "scaling", [shuffled, frame.iloc[::2], frame.set_index("step")]).added == 12
    by_name = {each.event_id: each for each in reference(tmp_path)}
    assert {each.event_id: each for each in stored(home)} == by_name


@pytest.mark.parametrize("kind", ["pandas", "arrow"])
def test_moments_of_a_frame_without_a_zone_can_be_said_to_be_utc(home: Home, tmp_path: Path, kind: str) -> None:
    with open(home.configuration_path, "a") as file:
        file.write('[agents.scaling.mapping]\ntimestamp = "= utc(timestamp)"\n')
    frame = pd.DataFrame(flat(rows()))
    frame["timestamp"] = pd.to_datetime(frame["timestamp"]).dt.tz_convert("UTC").dt.tz_localize(None)
    assert import_files(home, "scaling", [frame if kind == "pandas" else pa.Table.from_pandas(frame)]).added == 12
    assert stored(home) == reference(tmp_path)


def test_bad_rows_of_a_frame_are_named(home: Home) -> None:
    frame = pl.DataFrame(rows(propensity=0.0))
    with pytest.raises(Exception, match="frame:1: propensity: 0 is not a probability"):
        import_files(home, "scaling", [frame])
    with pytest.raises(DataError, match="int is no file and no frame"):
        import_files(home, "scaling", [3])


def test_patterns_name_files(home: Home, tmp_path: Path) -> None:
    for index, part in enumerate((rows()[:4], rows()[4:8], rows()[8:])):
        jsonl(tmp_path / f"part-{index}.jsonl", part)
    assert import_files(home, "scaling", [str(tmp_path / "part-[01].jsonl")]).added == 8
    assert import_files(home, "scaling", [f"{tmp_path}/part-*"]).rows == 12
    assert "no file is named like that" in refused(home, tmp_path / "other-*.jsonl")


def test_formats_are_told_apart_or_named(home: Home, tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(rows()), tmp_path / "log.data")
    assert import_files(home, "scaling", [tmp_path / "log.data"]).added == 12
    (tmp_path / "table.txt").write_text(csv_text(flat(rows())))
    assert import_files(home, "scaling", [tmp_path / "table.txt"], format_name="csv").duplicates == 12
    with pytest.raises(DataError, match="'xml' is not a format; known are jsonl, csv, parquet"):
        import_files(home, "scaling", [tmp_path / "table.txt"], format_name="xml")


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    with object_store("imports") as client:
        yield client


def test_objects_of_a_store(home: Home, tmp_path: Path, bucket: Any) -> None:
    pq.write_table(pa.Table.from_pylist(rows()[8:]), tmp_path / "c.parquet")
    for key, body in {
        "logs/a.jsonl": "".join(json.dumps(row) + "\n" for row in rows()[:4]).encode(),
        "logs/b.csv": csv_text(flat(rows()[4:8])).encode(),
        "logs/c.parquet": (tmp_path / "c.parquet").read_bytes(),
        "logs/below/d.jsonl": b"{",
        "logs/e.jsonl.gz": b"\x1f\x8b\x08\x00",
    }.items():
        bucket.put_object(Bucket="imports", Key=key, Body=body)
    assert import_files(home, "scaling", ["s3://imports/logs/?.jsonl", "s3://imports/logs/[bc].*"]).added == 12
    assert stored(home) == reference(tmp_path)
    for name, problem in (
        ("s3://imports/logs/absent.jsonl", "the bucket imports has no object of that name; check the name"),
        ("s3://imports/logs", "is a folder; name a pattern: s3://imports/logs/*.jsonl"),
        (
            "s3://nowhere/log.jsonl",
            "the bucket nowhere does not exist; check its name, AWS_ENDPOINT_URL and AWS_REGION",
        ),
        ("s3://nowhere/*.jsonl", "the bucket nowhere does not exist"),
        ("s3://imports/other/*", "no file is named like that"),
        ("s3://imports/logs/e.jsonl.gz", "is compressed"),
    ):
        with pytest.raises(DataError) as caught:
            import_files(home, "scaling", [name])
        assert str(caught.value).startswith(f"{name}: {problem}") and caught.value.remedy
    with pytest.raises(Exception, match=r"s3://imports/logs/below/d\.jsonl:1: row: "):
        import_files(home, "scaling", ["s3://imports/logs/below/d.jsonl"])


def test_a_recording_of_rllib_in_a_store(home: Home, tmp_path: Path, bucket: Any) -> None:
    for file in (DATA / "rllib_episodes").rglob("*.parquet"):
        bucket.put_object(Bucket="imports", Key=f"run/{file.relative_to(DATA)}", Body=file.read_bytes())
    bucket.put_object(Bucket="imports", Key="run/d.h5", Body=b"\x89HDF")
    local = import_files(home, "here", [DATA / "rllib_episodes"], format_name="rllib", dry_run=True)
    report = import_files(home, "there", ["s3://imports/run/"], format_name="rllib")
    assert (report.rows, report.added, report.repeated) == (local.rows, local.added, local.repeated)
    assert import_files(home, "there", ["s3://imports/run/rllib_episodes"], format_name="rllib").added == 0
    for place, format_name, problem in (
        ("s3://imports/nothing", "rllib", "has no Parquet files; name what RLlib was told as output="),
        ("s3://imports/run", "minari", "is no Minari data set of this machine; download it"),
        ("s3://imports/run/d.h5", "d3rlpy", "is in an object store; download it: files of d3rlpy are read locally"),
        ("gs://imports/run.jsonl", "", "is in no store that is read; download it: s3:// alone is read"),
    ):
        with pytest.raises(DataError) as caught:
            import_files(home, "there", [place], format_name=format_name)
        assert str(caught.value) == f"{place}: {problem}"
