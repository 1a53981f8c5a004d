"""Compaction: many small files of the table become few, and old versions that nothing names go."""

from __future__ import annotations

from dataclasses import dataclass

from envs.home import Home
from envs.journal.journal import Journal
from envs.log.erasing import named_versions
from envs.log.forgetting import finish_forgetting
from envs.log.locking import sealing_lock
from envs.log.place import resolved
from envs.log.sealing import seal_locked
from envs.log.table import HOOKS, WRITING, SealedTable

FILE_BYTES = 256 << 20
HOURS = 7 * 24.0


@dataclass(frozen=True, slots=True)
class CompactReport:
    """What a compaction did, or (``dry_run``) would do.

    Attributes:
        sealed: events that were sealed before.
        files_before: data files of the table.
        files_after: the same afterwards; not known before it is done.
        removed: files of old versions that were removed.
        kept_versions: versions that a run or the ledger names, and that can still be read.
        dry_run: whether nothing was changed.
    """

    sealed: int
    files_before: int
    files_after: int
    removed: int
    kept_versions: tuple[int, ...]
    dry_run: bool


def compact(home: Home, *, older_than_hours: float = HOURS, dry_run: bool = False) -> CompactReport:
    """Seal the journal, merge the table's files, and remove files that only old versions use.

    Args:
        home: the home.
        older_than_hours: files that became unused less than so many hours ago stay: somebody may be reading.
        dry_run: change nothing; say what would be removed.

    Raises:
        BusyError: another process seals, compacts or forgets.
        DataError, JournalError: the table or the journal cannot be read or changed.
    """
    with sealing_lock(home.data_path, wait=30.0), Journal(home.journal_path, timeout=30.0) as journal:
        sealed = 0
        if not dry_run:
            finish_forgetting(home, journal)
            sealed = seal_locked(home, journal).events
        state = journal.sealed()
        if not state.through:
            return CompactReport(sealed, 0, 0, 0, (), dry_run)
        table = SealedTable.open(resolved(journal.path, state.table))
        before = len(table.files())
        if not dry_run:
            table = merge(table)
        stored = table.stored_files()
        kept = tuple(version for version in named_versions(home, journal) if stored >= {*table.at(version).files()})
        removed = table.vacuum(older_than_hours, kept, dry_run=dry_run)
        return CompactReport(sealed, before, len(SealedTable.open(table.uri).files()), len(removed), kept, dry_run)


def merge(table: SealedTable) -> SealedTable:
    """Few large files in the place of many small ones, durable before the small ones may go."""
    before = set(table.files())
    with table.changing():
        table.delta.optimize.compact(
            target_size=FILE_BYTES, post_commithook_properties=HOOKS, writer_properties=WRITING
        )
    after = SealedTable.open(table.uri)
    after.synchronise(sorted(set(after.files()) - before))
    return after
