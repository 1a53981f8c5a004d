"""Import: every row is read and checked before anything is written; then all is written, or nothing."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envs.errors import DataError, RecordError, SpecificationError
from envs.home import Home
from envs.importing.consistency import odd_rows
from envs.importing.identity import PLACEHOLDER, Identifier
from envs.importing.mapping import apply_mapping, checked_mapping, propose_mapping
from envs.importing.reader_jsonl import read_jsonl
from envs.importing.reader_parquet import read_parquet
from envs.importing.rows import Group, RejectedRow, SourceRow, grouped
from envs.infer import infer_specification
from envs.journal import AppendResult, Journal
from envs.record import AGENT_NAME, FIELD_NAMES, DecisionRecord, unknown_fields
from envs.specification import AgentSpecification
from envs.storage import LocalStorage
from envs.validation import Validator
from envs.values import UnfitValueError

UNKNOWN = ("error", "metadata")
COMPRESSED = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zX", b"\x28\xb5\x2f\xfd")  # gzip, zip, bzip2, xz, zstandard


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did, or (``dry_run``) would do.

    Attributes:
        agent: the agent.
        rows: rows read.
        added: records that are new in the journal.
        duplicates: records that it already had with the same content.
        rejected: rows that cannot be imported, in the files' order.
        groups: the same by cause, most frequent first.
        proposed_mapping: a TOML block that gives foreign fields a place; empty where there are none.
        rejected_path: the JSON Lines file of rejected rows and reasons (``keep_good``), or ``None``.
        inferred: whether the agent's declaration is a draft that was read off this log.
        unlearned: how often each foreign field was kept in metadata.
        dry_run: whether nothing was written.
    """

    agent: str
    rows: int
    added: int
    duplicates: int
    rejected: list[RejectedRow]
    groups: list[Group]
    proposed_mapping: str
    rejected_path: Path | None
    inferred: bool
    unlearned: dict[str, int]
    dry_run: bool


@dataclass(slots=True)
class _Gathered:
    """Good records with their source rows, and what was wrong with the others."""

    rows: int = 0
    records: list[DecisionRecord] = field(default_factory=list)
    sources: list[SourceRow] = field(default_factory=list)
    rejected: list[tuple[RejectedRow, Any]] = field(default_factory=list)
    foreign: Counter[str] = field(default_factory=Counter)
    present: set[str] = field(default_factory=set)

    def remove(self, odd: Iterable[tuple[int, RecordError]]) -> None:
        """Move the records at some positions to the rejected ones."""
        errors = dict(odd)
        if not errors:
            return
        for position, error in errors.items():
            source = self.sources[position]
            self.rejected.append((source.reject_for(error), source.content))
        kept = [position for position in range(len(self.records)) if position not in errors]
        self.records = [self.records[position] for position in kept]
        self.sources = [self.sources[position] for position in kept]


def import_files(
    home: Home,
    name: str,
    paths: Sequence[str | Path],
    *,
    dry_run: bool = False,
    keep_good: bool = False,
    unknown: str = "error",
) -> ImportReport:
    """Read decision records of one agent from JSON Lines and Parquet files into the home's journal.

    Args:
        home: the home.
        name: the agent; an undeclared one gets a draft declaration in ``retrainer.toml``.
        paths: the files, in any order of rows.
        dry_run: write nothing; report what would be done and every cause of an error.
        keep_good: import the good rows and write the bad ones, with the reason, to ``rejected_path``.
        unknown: ``error`` refuses fields that are not of the record; ``metadata`` keeps them there, unlearned.

    Raises:
        RecordError: a row is bad (and neither ``dry_run`` nor ``keep_good``); nothing was written.
        RetrainerError: a file is not there or empty, or the declaration is wrong; nothing was written.
    """
    if unknown not in UNKNOWN:
        raise ValueError(f"unknown must be one of {UNKNOWN}, not {unknown!r}")
    if not AGENT_NAME.fullmatch(name):
        raise RecordError(
            f"{name!r} is not an agent's name", field="agent", remedy="use lower-case letters, digits, - and _"
        )
    files = [_existing(path) for path in paths]
    declared = home.specification(name) if name in home.agents() else None
    mapping = checked_mapping(home.mapping(name), home.place(name))
    gathered = _gather(files, name, mapping, unknown, declared)
    if not gathered.rows:
        raise DataError("has no rows", where=", ".join(map(str, paths)), remedy="give a file of decision records")
    specification = declared
    if declared is None:
        gathered.remove(odd_rows(gathered.records))
        specification = _inferred(name, gathered)
    with Journal(home.journal_path) as journal:
        hashes = [record.content_hash for record in gathered.records]
        result, conflicts = journal.conflicts(gathered.records, hashes=hashes)
        gathered.remove((conflict.position, _explained(conflict, gathered)) for conflict in conflicts)
        clashing = {conflict.position for conflict in conflicts}
        hashes = [digest for position, digest in enumerate(hashes) if position not in clashing]
        order = {str(path): index for index, path in enumerate(files)}
        gathered.rejected.sort(key=lambda item: (order[item[0].file], item[0].row))
        rejected = [row for row, _ in gathered.rejected]
        groups = grouped(rejected)
        rejected_path = None
        if not dry_run:
            if rejected and not (keep_good and gathered.records):
                raise _refusal(rejected, groups, len(gathered.records))
            result, rejected_path = _write(home, journal, hashes, gathered, specification, declared is None)
    return ImportReport(
        agent=name,
        rows=gathered.rows,
        added=result.added,
        duplicates=result.duplicates,
        rejected=rejected,
        groups=groups,
        proposed_mapping=propose_mapping(name, gathered.foreign, gathered.present, mapping),
        rejected_path=rejected_path,
        inferred=declared is None,
        unlearned=dict(gathered.foreign) if unknown == "metadata" else {},
        dry_run=dry_run,
    )


def _existing(path: str | Path) -> Path:
    file = Path(path)
    if not file.is_file():
        problem = "is a folder" if file.is_dir() else "is no plain file" if file.exists() else "does not exist"
        raise DataError(problem, where=str(path), remedy="name a JSON Lines or Parquet file")
    return file


def _read(file: Path) -> Iterator[SourceRow]:
    try:
        with open(file, "rb") as stream:
            opening = stream.read(4)
            if opening.startswith(COMPRESSED):
                raise DataError("is compressed", where=str(file), remedy="unpack it first")
            parquet = opening == b"PAR1" or file.suffix.lower() in (".parquet", ".pq")
        yield from read_parquet(file) if parquet else read_jsonl(file)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=str(file), remedy="check the file") from error


def _gather(
    files: Sequence[Path], name: str, mapping: dict[str, Any], unknown: str, declared: AgentSpecification | None
) -> _Gathered:
    gathered = _Gathered()
    validator = Validator(declared) if declared is not None else None
    for file in files:
        identifier = Identifier()
        for source in _read(file):
            gathered.rows += 1
            if source.rejected is not None:
                gathered.rejected.append((source.rejected, source.content))
                continue
            try:
                content = apply_mapping(source.content, mapping)
                foreign = unknown_fields(content)
                gathered.foreign.update(foreign)
                gathered.present.update(content.keys() & _FIELDS)
                if foreign and unknown == "error":
                    raise _foreign_error(foreign)
                anonymous = content.get("event_id") is None
                if anonymous:
                    content["event_id"] = PLACEHOLDER
                record = DecisionRecord.from_mapping(content, unknown=unknown, agent=name)
                if anonymous:
                    record = identifier.identified(record, content, source.row)
                if validator is not None:
                    record = validator.conform(record)
            except UnfitValueError as problem:
                rejected = source.reject(problem.path, problem.problem, problem.remedy)
                gathered.rejected.append((rejected, source.content))
            except RecordError as error:
                gathered.rejected.append((source.reject_for(error), source.content))
            else:
                gathered.records.append(record)
                gathered.sources.append(source)
    return gathered


_FIELDS = frozenset(FIELD_NAMES)


def _foreign_error(names: Sequence[str]) -> RecordError:
    shown = ", ".join(names[:6]) + (", …" if len(names) > 6 else "")
    problem = "is not a field of a decision record" if len(names) == 1 else "are not fields of a decision record"
    remedy = "map it in retrainer.toml (--dry-run prints a mapping), or keep it with --unknown metadata"
    return RecordError(problem, field=shown, remedy=remedy if len(names) == 1 else remedy.replace(" it ", " them "))


def _inferred(name: str, gathered: _Gathered) -> AgentSpecification | None:
    """A draft declaration of the good rows; ``None`` where there are none."""
    if not gathered.records:
        return None
    try:
        return infer_specification(name, gathered.records)
    except SpecificationError:
        if gathered.rejected:  # the rows to complain about are known better
            return None
        raise


def _explained(conflict: Any, gathered: _Gathered) -> RecordError:
    error: RecordError = conflict.error
    if conflict.other is None:
        return error
    problem = f"{error.problem.removeprefix(f'{error.field}: ')}, see {_place(gathered.sources[conflict.other])}"
    return RecordError(problem, field=error.field, remedy=error.remedy)


def _place(source: SourceRow) -> str:
    return f"{source.file}:{source.row}"


def _refusal(rejected: Sequence[RejectedRow], groups: Sequence[Group], good: int) -> RecordError:
    first, remedies = rejected[0], []
    if len(rejected) > 1:
        causes = "1 cause" if len(groups) == 1 else f"{len(groups)} causes"
        remedies.append(f"{first.remedy}, and {len(rejected) - 1} more in {causes}")
        remedies.append("see --dry-run")
    else:
        remedies.append(first.remedy)
    if good:
        remedies.append(f"--keep-good imports the {good} good row{'s' if good != 1 else ''}")
    return RecordError(first.problem, field=first.field, where=first.where, remedy="; ".join(remedies))


def _write(
    home: Home,
    journal: Journal,
    hashes: Sequence[str],
    gathered: _Gathered,
    specification: AgentSpecification | None,
    draft: bool,
) -> tuple[AppendResult, Path | None]:
    if draft and specification is not None:
        home.declared_text(specification)  # fails before anything is written
    result = journal.append(gathered.records, hashes=hashes)
    rejected_path = None
    if gathered.rejected:
        lines = [
            {"file": row.file, "row": row.row, "field": row.field, "problem": row.problem, "remedy": row.remedy}
            | {"content": content}
            for row, content in gathered.rejected
        ]
        text = "".join(json.dumps(line, ensure_ascii=False, default=str) + "\n" for line in lines)
        encoded = text.encode("utf-8", errors="backslashreplace")
        key = f"rejected/{gathered.records[0].agent}-{hashlib.sha256(encoded).hexdigest()[:12]}.jsonl"
        LocalStorage(home.data_path).create_if_absent(key, encoded)
        rejected_path = home.data_path / key
    if specification is not None:
        if draft:
            home.declare(specification)
        else:
            home.keep(specification)
    return result, rejected_path
