"""Events taken out of the table and out of all its old versions."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from envs.errors import DataError
from envs.home import Home
from envs.journal.journal import Journal
from envs.journal.sealed import SealedState
from envs.log.datasets import list_datasets
from envs.log.place import resolved
from envs.log.recounting import state_of
from envs.log.rows import PARTITIONS, SCHEMA
from envs.log.table import DataFile, SealedTable

ATTEMPTS = 100
ROWS = 100_000  # of partitions that are written anew in one commit: they are in memory
DATASET = re.compile(r'"dataset[a-z_]*"\s*:\s*"([0-9a-f]{64})"')


def holding(journal: Path, state: SealedState, events: Mapping[str, int]) -> list[str]:
    """Files of the table's present version that hold some of the events, given with their positions."""
    table = SealedTable.open(resolved(journal, state.table))
    wanted, positions = pa.array(sorted(events), pa.string()), np.sort(list(events.values()))
    near = [
        file.uri
        for file in table.data_files()
        if np.searchsorted(positions, file.lowest) < np.searchsorted(positions, file.highest, "right")
    ]
    return [uri for uri in near if _holds(table, uri, wanted)]


def erase(
    home: Home, journal: Journal, state: SealedState, events: Collection[str], files: Sequence[str]
) -> SealedState:
    """Delete events from the table and its history; what the journal must know of the rest.

    Partitions with one of the files are written anew: a deletion by name would leave the names in the
    table's own log. Then every file that only old versions use is removed; versions that a run or the
    ledger names stay readable where they use none of the files.
    """
    table = SealedTable.open(resolved(journal.path, state.table))
    unwanted = pa.array(sorted(events), pa.string())
    for group in _groups(table, {*files}):
        kept_rows = [_kept(table, file, unwanted) for file in group]
        table = table.replace_partitions(pa.concat_tables(kept_rows), group[0].agent, {file.date for file in group})
    stored = table.stored_files()
    versions = {version: {*table.at(version).files()} for version in named_versions(home, journal)}
    kept = [version for version, used in versions.items() if used <= stored - {*files}]
    for _ in range(ATTEMPTS):  # a file counts as unused from the next millisecond on
        table.vacuum(0, kept)
        if table.stored_files().isdisjoint(files):
            return state_of(SealedTable.open(table.uri), state.table, state.through)
        time.sleep(0.01)
    problem = "files with the events cannot be removed"
    raise DataError(problem, where=table.uri, remedy="check the permissions, and forget the tenant again")


def _groups(table: SealedTable, files: Collection[str]) -> Iterator[list[DataFile]]:
    """The files of whole partitions with one of the files, of one agent and of about :data:`ROWS` rows together.

    One commit for each partition would read the table's list of files as often as it has partitions.
    """
    there = table.data_files()
    partitions = {(file.agent, file.date) for file in there if file.uri in files}
    affected = sorted(
        (file for file in there if (file.agent, file.date) in partitions), key=lambda file: (file.agent, file.date)
    )
    group: list[DataFile] = []
    for _, partition in groupby(affected, key=lambda file: (file.agent, file.date)):
        added = list(partition)
        if group and (group[0].agent != added[0].agent or sum(file.rows for file in [*group, *added]) > ROWS):
            yield group
            group = []
        group += added
    if group:
        yield group


def _kept(table: SealedTable, file: DataFile, unwanted: pa.Array) -> pa.Table:
    columns = [name for name in SCHEMA.names if name not in PARTITIONS]
    rows = pa.Table.from_batches(list(table.batches(file.agent, columns, files=[file.uri])))
    rows = rows.filter(pc.invert(pc.is_in(rows["event_id"], unwanted)))
    rows = rows.append_column("agent", pa.array([file.agent] * rows.num_rows, pa.string()))
    rows = rows.append_column("date", pa.array([file.date] * rows.num_rows, pa.date32()))
    return rows.select(SCHEMA.names)


def named_versions(home: Home, journal: Journal) -> list[int]:
    """Versions of the table from which a dataset was built that a run, an artefact or the ledger names."""
    named: set[str] = set()
    for folder in (home.runs_path, home.models_path):
        for path in folder.rglob("*.json"):
            try:
                named.update(DATASET.findall(path.read_text(encoding="utf-8")))
            except (OSError, UnicodeDecodeError):
                continue
    found = {item.version for item in list_datasets(journal) if item.identifier in named}
    return sorted(version for version in found if version is not None)


def _holds(table: SealedTable, uri: str, events: pa.Array) -> bool:
    names = table.batches(None, ("event_id",), files=[uri])
    return any(pc.any(pc.is_in(batch["event_id"], events)).as_py() for batch in names)
