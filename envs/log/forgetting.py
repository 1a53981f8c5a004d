"""Forgetting a tenant: its decisions leave the journal, the table and the table's old versions, for good.

What was built from them fails by name afterwards. Killed anywhere, it is finished by the next
forgetting, sealing or compaction: the journal notes the intention first and drops it last.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from envs.errors import JournalError
from envs.home import Home
from envs.journal.journal import Journal
from envs.journal.notes import add_note, notes_of, remove_notes
from envs.journal.rows import COLUMNS, JournalRow, event_in
from envs.journal.sealed import IDENTITY, SealedState, note_sealed, row_keys, table_reader, tenant_key
from envs.journal.segments import make_all_rows, next_segment
from envs.log.datasets import FORGETTING as INTENTION
from envs.log.datasets import FORGOTTEN, DatasetOrigin
from envs.log.datasets import KIND as DATASET
from envs.log.locking import sealing_lock
from envs.storage import LocalStorage

CHUNK = 500
PAUSE = 0.002  # seconds between two transactions: recorders wait for each


@dataclass(frozen=True, slots=True)
class ForgetReport:
    """What a forgetting removed, or (``dry_run``) would remove.

    Attributes:
        tenant: who.
        decisions: number of decisions by agent.
        datasets: identifiers of datasets that used them.
        remaining: what may still hold copies and could not be reached, a sentence each.
        dry_run: whether nothing was changed.
    """

    tenant: str
    decisions: dict[str, int]
    datasets: tuple[str, ...]
    remaining: tuple[str, ...]
    dry_run: bool


@dataclass(slots=True)
class _Plan:
    """What is to go; noted before anything does, so that a killed forgetting can be finished.

    Attributes:
        tenant: who.
        keys: of sealed events, steps and episodes, in hexadecimal.
        files: of the table that hold some of them.
        datasets: that used them.
    """

    tenant: str
    keys: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    datasets: list[str] = field(default_factory=list)

    def joined(self, other: _Plan) -> _Plan:
        """Both, each part once."""
        pairs = ((self.keys, other.keys), (self.files, other.files), (self.datasets, other.datasets))
        return _Plan(self.tenant, *(sorted({*one, *two}) for one, two in pairs))


def forget(home: Home, tenant: str, *, dry_run: bool = False) -> ForgetReport:
    """Remove every decision and outcome of a tenant, of all agents, from the log.

    Raises:
        BusyError: another process seals, compacts or forgets.
        JournalError, DataError: the journal or the table cannot be changed; a later call goes on.
        MissingExtraError: something was sealed, and what reads the table is not installed.
    """
    with sealing_lock(home.data_path, wait=0.0 if dry_run else 30.0), Journal(home.journal_path, 30.0) as journal:
        if not dry_run:
            finish_forgetting(home, journal)
        return _forget(home, journal, _Plan(tenant), dry_run)


def finish_forgetting(home: Home, journal: Journal) -> None:
    """Finish what was killed, for who holds the lock already."""
    for note in journal.file.run(partial(notes_of, kind=INTENTION)):
        _forget(home, journal, _Plan(**note.content), False)


def _forget(home: Home, journal: Journal, before: _Plan, dry_run: bool) -> ForgetReport:
    tenant = before.tenant
    if not dry_run and journal.file.run(partial(notes_of, kind=IDENTITY)):
        table_reader()  # it says what has to be installed
        import_module("envs.log.sealing").catch_up(home, journal)
    state = journal.sealed()
    mine = {row.event_id for _, row in _rows(journal, tenant, state.through, ())}
    sealed = table_reader().tenant_rows(journal.path, state, tenant, mine, {*before.keys}) if state.through else ()
    decided = {row.event_id for _, row in sealed if row.decision_id is None}
    counts: Counter[str] = Counter()
    first: dict[str, int] = {}
    for sequence, row in (*_rows(journal, tenant, state.through, decided), *sealed):
        counts[row.agent] += row.decision_id is None
        first[row.agent] = min(first.get(row.agent, sequence), sequence)
    counts = +counts
    if dry_run:
        used = journal.file.run(partial(_used, first=first))
        return ForgetReport(tenant, dict(counts), tuple(sorted({*used})), (), True)
    told = {row.event_id: sequence for sequence, row in sealed}
    keys = [key.hex() for _, row in sealed for key, _ in row_keys(row, event_in(row).content_hash)]
    files = import_module("envs.log.erasing").holding(journal.path, state, told) if told else []
    found = before.joined(_Plan(tenant, keys, files))
    plan = journal.file.run(partial(_intend, plan=found, first=first), write=True)
    while names := _names(journal, tenant, state.through, decided):
        for start in range(0, len(names), CHUNK):
            journal.file.run(partial(_delete, names=names[start : start + CHUNK]), write=True)
            time.sleep(PAUSE)
    if plan.files:
        state = import_module("envs.log.erasing").erase(home, journal, state, told, plan.files)
        journal.file.run(partial(_drop_keys, keys=plan.keys, state=state), write=True)
    _forget_copies(home, tenant, plan.datasets)
    journal.file.run(partial(_conclude, plan=plan), write=True)
    return ForgetReport(tenant, dict(counts), tuple(plan.datasets), _shrink(journal), False)


def _names(journal: Journal, tenant: str, through: int, decided: Collection[str]) -> list[str]:
    """The tenant's events that are still in the journal, each a row of its own."""
    make_all_rows(journal)  # of what was imported meanwhile too
    return [row.event_id for _, row in _rows(journal, tenant, through, decided)]


def _rows(journal: Journal, tenant: str, through: int, decided: Collection[str]) -> list[tuple[int, JournalRow]]:
    """The tenant's events in the journal: its decisions, and outcomes of them or of those that were sealed."""
    columns = ", ".join(COLUMNS)

    def rows(connection: sqlite3.Connection) -> list[tuple[int, JournalRow]]:
        own = connection.execute(
            f"SELECT sequence, {columns} FROM events WHERE sequence > ? AND decision_id IS NULL AND tenant = ?",
            (through, tenant),
        )
        found = [(sequence, JournalRow(*values)) for sequence, *values in own]
        place = through
        while (segment := next_segment(connection, place)) is not None:
            found += [(sequence, row) for sequence, row in segment.rows() if row.tenant == tenant]
            place = segment.last
        mine = {*decided, *(row.event_id for _, row in found)}
        told = connection.execute(
            f"SELECT sequence, {columns} FROM events WHERE sequence > ? AND decision_id IS NOT NULL", (through,)
        )
        listed = ((sequence, JournalRow(*values)) for sequence, *values in told)
        return found + [(sequence, row) for sequence, row in listed if row.decision_id in mine]

    return journal.file.run(rows)


def _used(connection: sqlite3.Connection, first: dict[str, int]) -> list[str]:
    """Datasets that were built of a log from its first decision of the tenant on."""
    origins = (DatasetOrigin(**note.content) for note in notes_of(connection, DATASET))
    return [origin.identifier for origin in origins if origin.sequence >= first.get(origin.agent, 2**63)]


def _intend(connection: sqlite3.Connection, plan: _Plan, first: dict[str, int]) -> _Plan:
    plan = plan.joined(_Plan(plan.tenant, datasets=_used(connection, first)))
    remove_notes(connection, INTENTION)
    add_note(connection, INTENTION, "", asdict(plan), place=False)
    return plan


def _delete(connection: sqlite3.Connection, names: Sequence[str]) -> None:
    connection.executemany("DELETE FROM events WHERE event_id = ?", [(name,) for name in names])


def _drop_keys(connection: sqlite3.Connection, keys: Sequence[str], state: SealedState) -> None:
    connection.executemany("DELETE FROM sealed_keys WHERE key = ?", [(bytes.fromhex(key),) for key in keys])
    note_sealed(connection, state)


def _conclude(connection: sqlite3.Connection, plan: _Plan) -> None:
    content = {"tenant": tenant_key(plan.tenant).hex(), "date": _today(), "datasets": plan.datasets}
    add_note(connection, FORGOTTEN, "", content)
    # Built from now on, a dataset of the same name is one that never used what was forgotten.
    for note in notes_of(connection, DATASET):
        if note.content["identifier"] in plan.datasets:
            connection.execute("DELETE FROM notes WHERE sequence = ?", (note.sequence,))
    remove_notes(connection, INTENTION)


def _forget_copies(home: Home, tenant: str, datasets: Sequence[str]) -> None:
    """Copies that this home made: damaged journals, rows to be imported or rejected, and the columns of runs."""
    for path in (home.data_path / "imports").glob("*.sqlite*"):  # what an import that was killed had read
        path.unlink()
    for path in home.data_path.glob("journal.sqlite.damaged-*"):
        path.unlink()
    for path in (home.data_path / "rejected").glob("*.jsonl"):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not _is_of(line, tenant)]
        if len(kept) < len(lines):
            LocalStorage(path.parent).replace(path.name, "".join(kept).encode())
    for path in home.runs_path.glob("*/*/specification.json"):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            description = json.loads(path.read_text(encoding="utf-8"))
            if description.get("identifier") in datasets:
                description["format_version"] = f"decisions of a tenant that was forgotten on {_today()}"
                LocalStorage(path.parent).replace(path.name, json.dumps(description).encode())
                for column in path.parent.glob("*.npy"):
                    column.unlink()


def _is_of(line: str, tenant: str) -> bool:
    """Whether a rejected row names the tenant: a mapping may have read it off any column, or no column was read."""
    try:
        content = json.loads(line)["content"]
    except (ValueError, KeyError, TypeError):
        content = line
    if isinstance(content, str):
        return re.search(rf"(?<!\w){re.escape(tenant)}(?!\w)", content) is not None
    return _holds(content, tenant)


def _holds(value: Any, text: str) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    return any(_holds(item, text) for item in value) if isinstance(value, list) else str(value) == text


def _shrink(journal: Journal) -> tuple[str, ...]:
    """Empty the write-ahead log, in which pages are as they were."""
    for _ in range(50):
        journal.close()
        try:
            with contextlib.closing(sqlite3.connect(journal.path, isolation_level=None)) as connection:
                busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.Error as error:
            raise JournalError(str(error), where=str(journal.path), remedy="forget the tenant again") from error
        if not busy:
            return ()
        time.sleep(0.1)
    wal = Path(f"{journal.path}-wal")
    return (f"{wal} keeps old pages until the process that reads it is done; forget the tenant again then",)


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
