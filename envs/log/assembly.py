"""What of a home's log goes into a dataset: which records, completed by which outcomes, and which are left out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from envs.errors import DataError, MissingExtraError, RecordError
from envs.journal.arrivals import list_arrivals, note_arrivals
from envs.journal.journal import Journal
from envs.journal.reading import LogReader
from envs.journal.sealed import OvertakenError, SealedState, table_reader
from envs.journal.segments import has_segments
from envs.log.datasets import DatasetOrigin, forgettings, note_dataset
from envs.log.evolution import first_position, retired_fields
from envs.log.exclusions import list_exclusions
from envs.log.placing import placed
from envs.record import DecisionRecord
from envs.specification import AgentSpecification

if TYPE_CHECKING:
    from envs.build import HomeLike
    from envs.build_report import BuildReport
    from envs.dataset import Dataset

ATTEMPTS = 5  # to read what sealing or forgetting moves meanwhile


def assemble(
    home: HomeLike,
    specification: AgentSpecification,
    *,
    rule: Callable[[Any], Any] | None = None,
    until: int | None = None,
    now: float | None = None,
) -> tuple[Dataset, BuildReport]:
    """The dataset of an agent's log; arguments and errors as of :func:`envs.build.build_dataset`."""
    journal, name = Journal(home.journal_path), specification.name
    data = home.journal_path.parent
    if until is None:
        note_arrivals(journal)
    moment = time.time() if now is None else now
    begin = first_position(data, journal, specification)
    if begin is None:
        problem = f"has no records of version {specification.version} of its declaration"
        raise DataError(problem, where=f"agent {name}", remedy="record some, or import a log")
    how: dict[str, Any] = {"rule": rule, "now": moment, "retired": retired_fields(data, specification)}
    how["arrivals"] = list_arrivals(journal, moment)
    problem = "a tenant was forgotten while it was read"
    for _ in range(ATTEMPTS):
        before = journal.file.run(forgettings)
        # Others record meanwhile: what a dataset is of ends here, so that it can be built again.
        last, state = journal.reach(name)
        end = last if until is None else until
        how["exclusions"] = list_exclusions(journal, name)
        try:
            dataset, report = _read(home, journal, state, specification, (begin, end), until is None, how)
        except OvertakenError as overtaken:
            problem = str(overtaken) or problem
            continue
        if begin:
            report = replace(report, other_versions=journal.counts().get(name, 0) - report.records)
        if until is not None or not report.records:
            return dataset, report
        origin = DatasetOrigin(dataset.identifier, name, last, sealed_version(journal, state), moment)
        if note_dataset(journal, origin, before):
            return dataset, report
    remedy = "try again; if a file of the table is gone, restore it from a copy"
    raise DataError(f"cannot be read ({problem})", where=f"the log of {name}", remedy=remedy)


def _read(
    home: HomeLike,
    journal: Journal,
    state: SealedState,
    specification: AgentSpecification,
    between: tuple[int, int],
    columns: bool,
    how: dict[str, Any],
) -> tuple[Dataset, BuildReport]:
    """The dataset of a range of positions, by columns where that is allowed and something is there in columns."""
    from envs.build import dataset_from_records

    reading = _column_reader(journal, state) if columns else None
    if reading is not None:
        read: tuple[Dataset, BuildReport] = reading.load_dataset(
            journal, state, specification, between, home.split_key, **how
        )
        return read
    reader = LogReader(
        journal, specification.name, after=between[0], until=between[1], maturation=specification.maturation
    )
    recorded_at: dict[int, int] = {}
    late: set[str] = set()
    pairs = _pairs(reader, recorded_at, late)
    try:
        dataset, report = dataset_from_records(
            specification, pairs, home.split_key, recorded_at=recorded_at, late=late, **how
        )
    except (RecordError, DataError) as error:
        for joined in LogReader(journal, specification.name).joined() if error.event_id else ():
            if joined.record.event_id == error.event_id:
                raise placed(error, joined.sequence, joined.record) from None
        raise
    return dataset, replace(
        report, late_outcomes=reader.late, contradictory_outcomes=reader.contradictory, orphaned_outcomes=reader.orphans
    )


def _column_reader(journal: Journal, state: SealedState) -> Any:
    """The module that reads columns, where something was sealed or imported by the thousand."""
    if state.through:
        return table_reader()
    if not journal.file.run(has_segments):
        return None
    try:
        return table_reader()
    except MissingExtraError:  # segments are read without it, one decision after another
        return None


def _pairs(reader: LogReader, recorded_at: dict[int, int], late: set[str]) -> Iterator[tuple[int, DecisionRecord]]:
    """(position, record) of the decisions; puts down where one was recorded before that, and which lack an outcome."""
    for joined in reader.joined():
        if joined.position != joined.sequence:
            recorded_at[joined.position] = joined.sequence
        if joined.late:
            late.add(joined.record.event_id)
        yield joined.position, joined.record


def sealed_version(journal: Journal, state: SealedState) -> int | None:
    """The table's present version; ``None`` where nothing was sealed."""
    return table_reader().version(journal.path, state) if state.through else None
