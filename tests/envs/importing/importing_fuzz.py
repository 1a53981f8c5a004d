"""Damage to sources of every format: nothing crashes, nothing hangs, every good row is kept.

Another format is one line in :data:`FUZZED`.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from envs.errors import RetrainerError
from envs.home import Home
from envs.importing.import_report import ImportReport
from envs.importing.importer import import_files
from envs.record import DecisionRecord
from tests.envs.importing.import_samples import SPECIFICATION, jsonl, rows, stored

INTERESTING = (
    b"\x00", b"\xff", b'"', b"\\", b"\n", b"{", b"}", b"[", b"]", b",", b":", b"-", b"1e999", b"NaN", b"null", b"0",
    b"9" * 30, b"[" * 40, b"\xef\xbb\xbf", b"\\ud800", b"\r", b"true", b'"":', b"1", b"\x7f\xff\xff\xff", b"PAR1",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """A format whose sources are damaged.

    Attributes:
        write: writes decisions of the agent ``scaling`` (:func:`decisions`) to a new file.
        format_name: of :data:`envs.importing.readers.FORMATS`.
        lines: whether a row is a line, so that damage to one leaves the others.
        same: whether a row that is imported must be one that was written (else damage may look like data).
    """

    write: Callable[[Path, list[dict[str, Any]]], Any]
    format_name: str
    lines: bool = False
    same: bool = False


def decisions(count: int) -> list[dict[str, Any]]:
    """Decisions that do not meet: each is its own episode."""
    return [row | {"episode_id": f"episode {index}", "step": 0} for index, row in enumerate(rows(count))]


def _csv(path: Path, content: list[dict[str, Any]]) -> None:
    flat = [
        {name: value for name, value in row.items() if name != "observation"}
        | {"observation.0": row["observation"][0], "observation.1": row["observation"][1]}
        for row in content
    ]
    out = io.StringIO()
    writer = csv.DictWriter(out, flat[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    path.write_text(out.getvalue())


def _parquet(path: Path, content: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(content), path, row_group_size=50, write_page_checksum=True)


FUZZED: dict[str, Fuzzed] = {
    "jsonl": Fuzzed(jsonl, "jsonl", lines=True),
    "csv": Fuzzed(_csv, "csv", lines=True),
    "parquet": Fuzzed(_parquet, "parquet", same=True),
}


def mutated(content: bytes, source: random.Random) -> bytes:
    """The content with one thing wrong."""
    place, end = sorted(source.randrange(len(content) + 1) for _ in range(2))
    some = content[place : min(end, place + source.choice((1, 4, 60)))]
    match source.randrange(6):
        case 0:  # a flipped bit
            place = min(place, len(content) - 1)
            return content[:place] + bytes([content[place] ^ 1 << source.randrange(8)]) + content[place + 1 :]
        case 1:
            return content[:place] + content[place + len(some) :]
        case 2:
            return content[:place] + source.choice(INTERESTING) + content[place:]
        case 3:
            return content[:place] + some + content[place:]
        case 4:
            return content[:place] + bytes(source.randrange(256) for _ in some) + content[place + len(some) :]
        case _:
            return content[:place] + source.choice(INTERESTING) + content[place + len(some) :]


def import_damaged(folder: Path, path: Path, fuzzed: Fuzzed) -> tuple[ImportReport | None, list[DecisionRecord]]:
    """What came of an import of the good rows: a report that accounts for every row, or a plain refusal of all."""
    home = Home.create(folder / "home", split_key=bytes(32))
    home.declare(SPECIFICATION)
    try:
        report = import_files(home, "scaling", [path], keep_good=True, format_name=fuzzed.format_name)
    except RetrainerError as error:
        assert error.remedy and "\n" not in str(error)
        assert stored(home) == []
        return None, []
    found = stored(home)
    assert report.rows == report.added + report.duplicates + len(report.rejected) and report.added == len(found)
    for row in report.rejected:
        assert row.file == str(path) and row.row >= 1 and row.field and row.problem and row.remedy, row
    return report, found
