"""Which state of the log a dataset is: by its identifier it can be built again, or is refused by name."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

from envs.errors import DataError, JournalError
from envs.journal import Journal
from envs.journal_notes import add_note, notes_of

if TYPE_CHECKING:
    from envs.build import HomeLike
    from envs.dataset import Dataset

KIND, FORGOTTEN = "dataset", "forgotten"


@dataclass(frozen=True, slots=True)
class DatasetOrigin:
    """What a dataset was built from.

    Attributes:
        identifier: the dataset's.
        agent: whose log.
        sequence: position up to which the log was read.
        version: of the sealed table; ``None`` where nothing was sealed.
        built: when, in seconds since the epoch: what had matured by then was used.
    """

    identifier: str
    agent: str
    sequence: int
    version: int | None
    built: float


def note_dataset(journal: Journal, origin: DatasetOrigin) -> None:
    """Remember where a dataset came from, once. A home that cannot be written to remembers nothing."""
    known = journal.file.run(partial(notes_of, kind=KIND, agent=origin.agent))
    if any(note.content["identifier"] == origin.identifier for note in known):
        return
    with contextlib.suppress(JournalError):
        content = asdict(origin)
        journal.file.run(partial(add_note, kind=KIND, agent=origin.agent, content=content, place=False), write=True)


def list_datasets(journal: Journal, agent: str | None = None) -> list[DatasetOrigin]:
    """All datasets that were built (of an agent)."""
    return [DatasetOrigin(**note.content) for note in journal.file.run(partial(notes_of, kind=KIND, agent=agent))]


def refuse_forgotten(journal: Journal, identifier: str) -> None:
    """Say that a dataset is gone, where data that it used were forgotten.

    Raises:
        DataError: it used decisions of a tenant that was forgotten; names the dataset and the day.
    """
    for note in journal.file.run(partial(notes_of, kind=FORGOTTEN)):
        if identifier in note.content["datasets"]:
            problem = f"used decisions of a tenant that was forgotten on {note.content['date']}"
            remedy = "build a new dataset, and judge anew what was learned from it"
            raise DataError(problem, where=f"dataset {identifier}", remedy=remedy)


def reopen(home: HomeLike, identifier: str) -> Dataset:
    """Build a dataset of the past again, from the log as it was then.

    Raises:
        DataError: it is not known, used data that were forgotten, or an exclusion or the declaration has
            changed what the same records say.
    """
    from envs.build import build_dataset

    journal = Journal(home.journal_path)
    refuse_forgotten(journal, identifier)
    origin = next((item for item in list_datasets(journal) if item.identifier == identifier), None)
    where = f"dataset {identifier}"
    if origin is None:
        raise DataError("was not built in this home", where=where, remedy="name one that a run names")
    rule = getattr(home, "rule", lambda _: None)(origin.agent)
    dataset, _ = build_dataset(home, origin.agent, rule=rule, until=origin.sequence, now=origin.built)
    if dataset.identifier != identifier:
        problem = "cannot be built again: an exclusion or the declaration has changed since"
        raise DataError(problem, where=where, remedy="undo the exclusion, or build a new dataset")
    return dataset
