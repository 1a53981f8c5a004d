"""The sealed table: a Delta Lake table in a folder or an object store, one for all agents of a home.

Partitioned by agent and date. Every commit of sealed rows carries the journal's name and the last
position that it holds (a Delta application transaction), so whether rows have arrived is a question
that the table itself answers, in the same commit that brought them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Schema, Transaction, WriterProperties
from deltalake import write_deltalake as write_delta
from deltalake.exceptions import DeltaError, TableNotFoundError

from envs.errors import DataError
from envs.log.batches import completed, joined
from envs.log.rows import PARTITIONS, SCHEMA
from envs.log.store import local_folder, local_path, open_file, parquet_files, reason, storage_options
from envs.storage import synchronise_directory, synchronise_file

# Statistics are kept of what is searched by. Of no text: what is forgotten must not stay in the table's own log.
CONFIGURATION = {
    "delta.dataSkippingStatsColumns": "sequence,timestamp",
    "delta.logRetentionDuration": "interval 36500 days",  # a run may name any version
    "delta.deletedFileRetentionDuration": "interval 7 days",
}
WRITING = WriterProperties(compression="ZSTD", max_row_group_size=262_144)
# Nothing of the log is cleaned up in passing: log compact does it, and keeps the versions that are named.
HOOKS = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)
BATCH = 65_536
SMALL = 4_096  # rows of a file of which one thread reads all columns sooner than several
FLUSHING = 16  # threads
UNFIT = re.compile(r"%[0-9A-Fa-f]{2}|[][\\^|\x00-\x1f]")
"""What of a folder's name deltalake decodes twice, or does not take at all."""
OWNER = "sealed from journal "


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file of a table.

    Attributes:
        uri: where it is.
        agent: whose rows.
        date: of its partition.
        rows: how many it has.
        lowest: first position in it.
        highest: last position in it.
    """

    uri: str
    agent: str
    date: date
    rows: int
    lowest: int
    highest: int


@dataclass(frozen=True, slots=True)
class SealedTable:
    """A table as one of its versions had it.

    Attributes:
        delta: the version.
    """

    delta: DeltaTable

    @classmethod
    def open(cls, uri: str, version: int | None = None) -> SealedTable:
        """A version of the table at ``uri``, the latest by default.

        Raises:
            DataError: there is none, or it cannot be read.
        """
        try:
            return cls(DeltaTable(uri, version=version, storage_options=storage_options(uri)))
        except TableNotFoundError:
            raise DataError("is no table", where=uri, remedy="restore it from a copy") from None
        except (DeltaError, OSError) as error:
            remedy = "compaction has removed that version" if version is not None else _remedy(uri)
            raise DataError(f"cannot be read ({reason(error)})", where=uri, remedy=remedy) from None

    @classmethod
    def create(cls, uri: str, journal: str) -> SealedTable:
        """The table at ``uri``, made for a journal where there is none.

        Raises:
            DataError: the table there is another journal's, or there cannot be one.
        """
        local = local_folder(uri)
        if local is not None:
            if (found := UNFIT.search(local.as_posix())) is not None:
                problem = f"no table can be where the path has {found.group()!r}: deltalake does not take it as it is"
                remedy = "rename the folder, or give log.table of retrainer.toml another place"
                raise DataError(problem, where=uri, remedy=remedy)
            local.mkdir(parents=True, exist_ok=True)
        try:
            DeltaTable.create(
                uri,
                schema=Schema.from_arrow(SCHEMA),
                mode="ignore",
                partition_by=list(PARTITIONS),
                name="decisions",
                description=OWNER + journal,
                configuration=CONFIGURATION,
                storage_options=storage_options(uri),
            )
        except (DeltaError, OSError) as error:
            raise _unwritable(uri, error) from error
        table = cls.open(uri)
        if table.delta.metadata().description != OWNER + journal:
            raise DataError("is the table of another home", where=uri, remedy="give each home a table of its own")
        table.synchronise([])
        return table

    @property
    def uri(self) -> str:
        """Where it is."""
        return self.delta.table_uri

    @property
    def version(self) -> int:
        """Its number."""
        return self.delta.version()

    def sealed_through(self, journal: str) -> int:
        """The last position of a journal that the table holds; 0 where it holds none of it."""
        found = self.delta.transaction_version(journal)
        return 0 if found is None else int(found)

    def append(self, rows: pa.Table, journal: str, through: int) -> SealedTable:
        """Add rows in one commit that says how far the journal is sealed; durable when it returns."""
        before = set(self.files())
        commit = CommitProperties(app_transactions=[Transaction(journal, through)])
        with self.changing():
            write_delta(
                self.delta,
                rows,
                mode="append",
                schema_mode="merge",  # a table of an earlier version lacks columns that were added since
                writer_properties=WRITING,
                commit_properties=commit,
                post_commithook_properties=HOOKS,
            )
        after = SealedTable.open(self.uri)
        after.synchronise(sorted(set(after.files()) - before))
        return after

    def agents(self) -> list[str]:
        """Agents that have rows in it."""
        listed = pa.table(self.delta.get_add_actions(flatten=True))
        return sorted(set(listed["partition.agent"].to_pylist())) if listed.num_rows else []

    def files(self, agent: str | None = None) -> list[str]:
        """URIs of its data files, those of one agent where it is named."""
        return [file.uri for file in self.data_files(agent)]

    def data_files(self, agent: str | None = None) -> list[DataFile]:
        """Its data files, those of one agent where it is named, by their first position."""
        listed = pa.table(self.delta.get_add_actions(flatten=True)).to_pylist()
        found = [
            DataFile(
                uri=f"{self.uri.rstrip('/')}/{row['path']}",
                agent=row["partition.agent"],
                date=row["partition.date"],
                rows=row["num_records"],
                lowest=row["min.sequence"],
                highest=row["max.sequence"],
            )
            for row in listed
            if agent is None or row["partition.agent"] == agent
        ]
        return sorted(found, key=lambda file: (file.lowest, file.uri))

    def file_groups(self, agent: str | None = None) -> Iterator[list[str]]:
        """URIs of its data files in their order, so many together as make a batch."""
        group: list[str] = []
        rows = 0
        for file in self.data_files(agent):
            if group and rows + file.rows > BATCH:
                yield group
                group, rows = [], 0
            group.append(file.uri)
            rows += file.rows
        if group:
            yield group

    def at(self, version: int) -> SealedTable:
        """Another of its versions."""
        return SealedTable.open(self.uri, version)

    def stored_files(self) -> set[str]:
        """URIs of all data files that are there, whatever version they are of.

        Raises:
            DataError: the store cannot be read.
        """
        try:
            return parquet_files(self.uri)
        except OSError as error:
            if local_folder(self.uri) is not None:
                raise
            raise DataError(f"cannot be read ({reason(error)})", where=self.uri, remedy=_remedy(self.uri)) from None

    def batches(
        self, agent: str | None, columns: Sequence[str], *, files: Iterable[str] | None = None, size: int = BATCH
    ) -> Iterator[pa.RecordBatch]:
        """The columns of an agent's rows, file by file in a fixed order, rows as they were written.

        A column that a file of an earlier version lacks is null. ``agent`` and ``date`` are no columns of a
        file but its folder. Small files come many in one batch: a log of one decision a day has thousands.
        """
        return joined(self._file_batches(agent, columns, files, size), size)

    def _file_batches(
        self, agent: str | None, columns: Sequence[str], files: Iterable[str] | None, size: int
    ) -> Iterator[pa.RecordBatch]:
        wanted = list(columns)
        for uri in self.files(agent) if files is None else files:
            try:
                with open_file(uri) as source:
                    file = pq.ParquetFile(source)
                    known = set(file.schema_arrow.names)
                    present = [name for name in wanted if name in known]
                    for batch in file.iter_batches(size, columns=present, use_threads=file.metadata.num_rows > SMALL):
                        yield completed(batch, wanted)
            except FileNotFoundError:
                raise
            except (pa.ArrowException, OSError) as error:
                if isinstance(error, OSError) and local_folder(uri) is None:  # the net, or what guards the store
                    raise DataError(f"cannot be read ({reason(error)})", where=uri, remedy=_remedy(uri)) from None
                remedy = "restore the file from a copy"
                raise DataError(f"is damaged ({reason(error)})", where=uri, remedy=remedy) from None

    def replace_partitions(self, rows: pa.Table, agent: str, days: Collection[date]) -> SealedTable:
        """Other rows in the place of all those of an agent and some dates, in one commit."""
        dates = ", ".join(f"'{day.isoformat()}'" for day in sorted(days))
        before = set(self.files())
        with self.changing():
            write_delta(
                self.delta,
                rows,
                mode="overwrite",
                schema_mode="merge",  # see append
                predicate=f"agent = '{agent}' AND date IN ({dates})",  # neither can hold a quote
                writer_properties=WRITING,
                post_commithook_properties=HOOKS,
            )
        after = SealedTable.open(self.uri)
        after.synchronise(sorted(set(after.files()) - before))
        return after

    def vacuum(self, older_than_hours: float, keep_versions: Sequence[int], *, dry_run: bool = False) -> list[str]:
        """Remove files that no version but old ones uses, and files that a killed writer left behind.

        Args:
            older_than_hours: those that became unused less than so many hours ago stay.
            keep_versions: versions that must stay readable.
            dry_run: remove nothing.

        Returns:
            URIs of the files.
        """
        there = self.stored_files()
        with self.changing():
            listed = self.delta.vacuum(
                retention_hours=math.ceil(older_than_hours),  # it knows whole hours: rather longer than shorter
                dry_run=dry_run,
                enforce_retention_duration=False,
                full=True,
                keep_versions=list(keep_versions),
                post_commithook_properties=HOOKS,
            )
        # It names every file that was ever replaced, those that are long gone too.
        return sorted(there & {f"{self.uri.rstrip('/')}/{path}" for path in listed})

    @contextmanager
    def changing(self) -> Iterator[None]:
        """What goes wrong while it is written to, in words.

        Raises:
            DataError: it cannot be written. Nothing of a commit that was not made is read.
        """
        try:
            yield
        except (DeltaError, OSError) as error:
            raise _unwritable(self.uri, error) from error

    def synchronise(self, files: Sequence[str]) -> None:
        """Make a commit and the data files it added survive a power loss, where they are files."""
        root = local_folder(self.uri)
        if root is None:
            return  # an object store acknowledges what is durable
        log = root / "_delta_log"
        commits = sorted(log.glob("*.json"))[-2:] + sorted(log.glob("*.parquet"))[-1:]
        paths = [*(Path(local_path(uri)) for uri in files), *commits]
        folders = {folder for path in paths for folder in path.parents if folder == root or root in folder.parents}
        with ThreadPoolExecutor(FLUSHING) as pool:  # flushes that wait together share a write of the disk
            list(pool.map(synchronise_file, paths))
            list(pool.map(synchronise_directory, folders))
        synchronise_directory(root.parent)


def _remedy(uri: str) -> str:
    """What to look at where a table's place does not answer as it should."""
    if local_folder(uri) is None:
        return "check log.table of retrainer.toml, the bucket, the credentials, AWS_REGION and AWS_ENDPOINT_URL"
    return "check the table's place"


def _unwritable(uri: str, error: Exception) -> DataError:
    remedy = "check its place, the permissions and the free space, and try again"
    return DataError(
        f"cannot be written ({reason(error)})",
        where=uri,
        remedy=remedy if local_folder(uri) is not None else _remedy(uri),
    )
