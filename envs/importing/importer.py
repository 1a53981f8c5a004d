"""Import: every row is read and checked before anything is written; then all is written, or nothing.

Two passes. The first reads the sources and checks each row into a staging file (:mod:`envs.importing.staging`),
where the rows are compared with each other. The second appends them to the journal, some at a time. Memory
does not grow with the sources. An import that was killed goes on where it was when it is called again; where
it cannot, nothing is imported twice, because every row has its ``event_id`` (:mod:`envs.importing.identity`).
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from envs import values
from envs.counting import counted
from envs.declaration import specification_hash
from envs.errors import DataError, RecordError, SpecificationError
from envs.home import Home
from envs.importing.checking import Checker
from envs.importing.garbage import rare_collection
from envs.importing.gathering import Draft, Gathering
from envs.importing.import_report import LISTED, ImportReport
from envs.importing.mapped_names import MappedNames
from envs.importing.mapping import category_columns, checked_mapping
from envs.importing.mapping_proposal import propose_mapping
from envs.importing.meeting import settle
from envs.importing.progress import Progress
from envs.importing.reader_csv import CsvReader
from envs.importing.reader_jsonl import JsonLinesReader
from envs.importing.readers import NOTHING, ForAgent, Reader, Searching
from envs.importing.rows import RejectedRow, grouped
from envs.importing.sources import open_sources
from envs.importing.staging import FRESH, KNOWN, REPETITION, Staging, damaged
from envs.importing.writing import write
from envs.infer import LogStatistics
from envs.journal.errors import DamagedContentError
from envs.journal.journal import Journal
from envs.record import AGENT_NAME, NAME_RULE
from envs.specification import AgentSpecification
from envs.storage import LocalStorage

UNKNOWN = ("error", "metadata")
FORGOTTEN = 7 * 86400.0  # seconds after which nobody goes on with an import
VERSION = 6  # of what staging files hold


def import_files(
    home: Home,
    name: str,
    sources: Sequence[Any],
    *,
    dry_run: bool = False,
    keep_good: bool = False,
    unknown: str = "error",
    format_name: str = "",
    options: Mapping[str, Any] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> ImportReport:
    """Read decision records of one agent into the home's journal.

    Args:
        home: the home.
        name: the agent; an undeclared one gets a draft declaration in ``retrainer.toml``.
        sources: paths, patterns, ``s3://`` addresses or frames (pandas, Polars, pyarrow), in any order of rows.
        dry_run: write nothing; report what would be done and every cause of an error.
        keep_good: import the good rows and write the bad ones, with the reason, to ``rejected_path``.
        unknown: ``error`` refuses fields that are not of the record; ``metadata`` keeps them there, unlearned.
        format_name: one of :data:`~envs.importing.readers.FORMATS`; found out file by file by default.
        options: of the format.
        progress: is called now and then.

    Raises:
        RecordError: a row is bad (and neither ``dry_run`` nor ``keep_good``); nothing was written.
        RetrainerError: a file is not there or empty, or the declaration is wrong; nothing was written.
    """
    if unknown not in UNKNOWN:
        raise ValueError(f"unknown must be one of {UNKNOWN}, not {unknown!r}")
    if not AGENT_NAME.fullmatch(name):
        problem = f"{values.shown(name)} of {counted(len(name), 'character')} is not an agent's name"
        raise RecordError(problem, field="agent", remedy=NAME_RULE)
    readers = open_sources(sources, format_name, options)
    task = _Import(home, name, readers, dry_run, keep_good, unknown, progress)
    with task.staging() as staging, Journal(home.journal_path) as journal, rare_collection():
        return task.run(staging, journal)


class _Import:
    def __init__(
        self,
        home: Home,
        name: str,
        readers: Sequence[Reader],
        dry_run: bool,
        keep_good: bool,
        unknown: str,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.home, self.name, self.readers = home, name, readers
        self.dry_run, self.keep_good, self.unknown, self.progress = dry_run, keep_good, unknown, progress
        self.declared = home.specification(name) if name in home.agents() else None
        self.mapping = home.mapping(name)
        self.mappings = [dict(self.mapping or reader.preset) for reader in readers]
        checked = [checked_mapping(mapping, home.place(name)) for mapping in self.mappings]
        self.names = MappedNames(checked[0], home.place(name)) if self.mapping else None
        self.checkers = [
            Checker(name, mapping, unknown, self.declared, lines=isinstance(reader, JsonLinesReader), names=self.names)
            for reader, mapping in zip(readers, checked, strict=True)
        ]
        self.draft = Draft(LogStatistics(f"agent {name}")) if self.declared is None else None
        for reader, mapping in zip(readers, checked, strict=True):
            if isinstance(reader, CsvReader) and self.declared is not None:
                reader.named = category_columns(self.declared.observation, mapping)

    @contextmanager
    def staging(self) -> Iterator[Staging]:
        """The staging file, which only a kill leaves behind, or what stopped the writing half-way."""
        path = self._staging_path()
        if path is not None:
            _remove_forgotten(path.parent)
        staging = Staging(path, [reader.source for reader in self.readers])
        try:
            yield staging
        except (sqlite3.Error, DamagedContentError) as error:
            staging.discard()
            raise damaged(path, error) from error
        except Exception as error:
            # What somebody else has recorded since is seen by who begins anew.
            if staging.progress("writing", False) and not isinstance(error, RecordError):
                staging.close()
            else:
                staging.discard()
            raise
        except BaseException:
            staging.close()
            raise
        else:
            staging.discard()

    def run(self, staging: Staging, journal: Journal) -> ImportReport:
        for reader in self.readers:
            if isinstance(reader, ForAgent):
                reader.read_for(self.name, partial(_first_of, journal, self.name))
        gathering = Gathering(staging, journal, self.readers, self.checkers, self.draft, self.progress)
        gathering.run()
        if not gathering.rows:
            where = ", ".join(reader.source for reader in self.readers)
            first = self.readers[0]  # all are of one format where it was named
            problem, remedy = first.nothing if isinstance(first, Searching) else NOTHING
            raise DataError(problem, where=where, remedy=remedy)
        if self.names is not None:
            self.names.refuse()
        if not staging.progress("writing", False):
            if self.draft is not None:
                gathering.reject_odd()
            settle(staging, journal, alone=gathering.alone)
        rejected = [row for row, _ in islice(staging.rejected(), LISTED)]
        groups = grouped(row for row, _ in staging.rejected())
        fresh, repeated = staging.count(FRESH), staging.count(REPETITION)
        known = staging.count(KNOWN) + gathering.known + repeated
        bad = staging.rejected_count()
        specification = self.declared if self.draft is None else self._inferred(bad)
        rejected_path = None
        if not self.dry_run:
            if bad and not (self.keep_good and fresh + known):
                raise _refusal(rejected[0], bad, len(groups), fresh + known)
            if self.draft is not None and specification is not None:
                self.home.declared_text(specification)  # fails before anything is written
            if self.declared is not None:
                self.home.keep(self.declared)  # a raised version begins before the rows that are of it
            write(staging, journal, self.name, fresh, self.progress)
            rejected_path = self._write_rejected(staging) if bad else None
            if self.draft is not None and specification is not None:
                self.home.declare(specification)
        return ImportReport(
            agent=self.name,
            rows=gathering.rows,
            added=fresh,
            duplicates=known,
            rejected=rejected,
            groups=groups,
            proposed_mapping=self._proposed(),
            rejected_path=rejected_path,
            inferred=self.declared is None,
            unlearned=dict(self._foreign()) if self.unknown == "metadata" else {},
            dry_run=self.dry_run,
            keep_good=self.keep_good,
            repeated=repeated,
            unmet=int(staging.progress("unmet", 0)),
            outcomes=gathering.outcomes,
        )

    def _staging_path(self) -> Path | None:
        """Where the import can be gone on with; ``None`` where it cannot."""
        identities = [reader.identity() for reader in self.readers]
        if self.dry_run or not all(identities):
            return None
        declared = specification_hash(self.declared) if self.declared is not None else ""
        said = [VERSION, self.name, identities, self.mappings, self.unknown, declared]
        key = hashlib.sha256(json.dumps(said, default=str).encode()).hexdigest()[:16]
        return self.home.data_path / "imports" / f"{self.name}-{key}.sqlite"

    def _inferred(self, bad: int) -> AgentSpecification | None:
        """A draft declaration of the good rows; ``None`` where there are none."""
        assert self.draft is not None
        if not self.draft.statistics.records:
            return None
        try:
            return self.draft.statistics.specification(self.name)
        except SpecificationError:
            if bad:  # the rows to complain about are known better
                return None
            raise

    def _write_rejected(self, staging: Staging) -> Path:
        def lines() -> Iterator[bytes]:
            for row, content in staging.rejected():
                said = {"file": row.file, "row": row.row, "field": row.field, "problem": row.problem}
                said["remedy"] = row.remedy
                yield f'{json.dumps(said, ensure_ascii=False)[:-1]}, "content": {content}}}\n'.encode()

        digest = hashlib.sha256()
        for line in lines():
            digest.update(line)
        key = f"rejected/{self.name}-{digest.hexdigest()[:12]}.jsonl"
        LocalStorage(self.home.data_path).create_if_absent(key, lines())
        return self.home.data_path / key

    def _foreign(self) -> Counter[str]:
        return sum((checker.foreign for checker in self.checkers), Counter())

    def _proposed(self) -> str:
        present: set[str] = set().union(*(checker.present for checker in self.checkers))
        moments: dict[str, Counter[str]] = {}
        for checker in self.checkers:
            for name, forms in checker.moments.items():
                moments.setdefault(name, Counter()).update(forms)
        decisions = any(checker.decisions for checker in self.checkers)
        declared = self.mapping or self.mappings[0]
        return propose_mapping(self.name, self._foreign(), present, declared, moments, decisions=decisions)


def _first_of(journal: Journal, agent: str, beginnings: Sequence[str]) -> str:
    for _, record in journal.read(agent):
        for beginning in beginnings:
            if record.event_id.startswith(beginning):
                return beginning
    return ""


def _remove_forgotten(folder: Path) -> None:
    """Remove what imports have left behind that nobody went on with."""
    for path in folder.glob("*.sqlite*"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > FORGOTTEN:
                path.unlink()


def _refusal(first: RejectedRow, bad: int, causes: int, good: int) -> RecordError:
    remedies = []
    if bad > 1:
        remedies.append(f"{first.remedy}, and {bad - 1:,} more in {counted(causes, 'cause')}")
        remedies.append("see --dry-run")
    else:
        remedies.append(first.remedy)
    if good:
        remedies.append(f"--keep-good imports the {counted(good, 'good row')}")
    return RecordError(first.problem, field=first.field, where=first.where, remedy="; ".join(remedies))
