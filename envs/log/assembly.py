"""What of a home's log goes into a dataset: which records, completed by which outcomes, and which are left out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from envs.errors import DataError
from envs.journal import Journal
from envs.journal_reading import LogReader
from envs.journal_sealed import SealedState, table_reader
from envs.log.datasets import DatasetOrigin, note_dataset
from envs.log.evolution import first_position, retired_fields
from envs.log.exclusions import list_exclusions
from envs.specification import AgentSpecification

if TYPE_CHECKING:
    from envs.build import BuildReport, HomeLike
    from envs.dataset import Dataset


def assemble(
    home: HomeLike,
    specification: AgentSpecification,
    *,
    rule: Callable[[Any], Any] | None = None,
    until: int | None = None,
    now: float | None = None,
) -> tuple[Dataset, BuildReport]:
    """The dataset of an agent's log; arguments and errors as of :func:`envs.build.build_dataset`."""
    from envs.build import dataset_from_records

    journal, name = Journal(home.journal_path), specification.name
    data = home.journal_path.parent
    moment = time.time() if now is None else now
    last, state = journal.last_sequence(name), journal.sealed()
    begin = first_position(data, journal, specification)
    if begin is None:
        problem = f"has no records of version {specification.version} of its declaration"
        raise DataError(problem, where=f"agent {name}", remedy="record some, or import a log")
    how: dict[str, Any] = {
        "rule": rule,
        "now": moment,
        "exclusions": list_exclusions(journal, name),
        "retired": retired_fields(data, specification),
    }
    if state.through and until is None:
        dataset, report = table_reader().load_dataset(journal, state, specification, begin, home.split_key, **how)
    else:
        reader = LogReader(journal, name, after=begin, until=until, maturation=specification.maturation)
        dataset, report = dataset_from_records(specification, reader, home.split_key, **how)
        report = replace(
            report,
            late_outcomes=reader.late,
            contradictory_outcomes=reader.contradictory,
            orphaned_outcomes=reader.orphans,
        )
    if begin:
        report = replace(report, other_versions=journal.counts().get(name, 0) - report.records)
    if until is None and report.records:
        note_dataset(journal, DatasetOrigin(dataset.identifier, name, last, sealed_version(journal, state), moment))
    return dataset, report


def sealed_version(journal: Journal, state: SealedState) -> int | None:
    """The table's present version; ``None`` where nothing was sealed."""
    return table_reader().version(journal.path, state) if state.through else None
