"""Which state of the log a dataset is: by its identifier it can be built again, or is refused by name."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

from envs.errors import BusyError, DataError, JournalError
from envs.journal.journal import Journal
from envs.journal.notes import add_note, notes_of

if TYPE_CHECKING:
    from envs.build import HomeLike
    from envs.dataset import Dataset

KIND, FORGOTTEN, FORGETTING = "dataset", "forgotten", "forgetting"


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


def forgettings(connection: sqlite3.Connection) -> list[int]:
    """Positions of the forgettings that are done.

    Raises:
        BusyError: one is under way, or was killed: some of the tenant's decisions are gone, some are there.
    """
    if notes_of(connection, FORGETTING):
        remedy = "wait until it is done; if it was killed, retrainer log compact ends it"
        raise BusyError("a tenant is being forgotten", where="the decision log", remedy=remedy)
    return [note.sequence for note in notes_of(connection, FORGOTTEN)]


def note_dataset(journal: Journal, origin: DatasetOrigin, before: list[int]) -> bool:
    """Remember where a dataset came from, once. A home that cannot be written to remembers nothing.

    Args:
        journal: the log.
        origin: what to remember.
        before: :func:`forgettings` before the log was read.

    Returns:
        ``False`` where a tenant was forgotten meanwhile: the dataset may use what is gone, and is not noted.
    """

    def is_new(connection: sqlite3.Connection) -> bool | None:
        if forgettings(connection) != before:
            return None
        known = notes_of(connection, KIND, origin.agent)
        return all(note.content["identifier"] != origin.identifier for note in known)

    def note(connection: sqlite3.Connection) -> bool | None:
        new = is_new(connection)
        if new:
            add_note(connection, KIND, origin.agent, asdict(origin), place=False)
        return new

    new = journal.file.run(is_new)
    if new:
        with contextlib.suppress(JournalError):
            new = journal.file.run(note, write=True)
    return new is not None


def list_datasets(journal: Journal, agent: str | None = None) -> list[DatasetOrigin]:
    """All datasets that were built (of an agent)."""
    return [DatasetOrigin(**note.content) for note in journal.file.run(partial(notes_of, kind=KIND, agent=agent))]


def refuse_forgotten(journal: Journal, identifier: str) -> None:
    """Say that a dataset is gone, where data that it used were forgotten, and it was not built without them since.

    Raises:
        DataError: it used decisions of a tenant that was forgotten; names the dataset and the day.
    """
    built = {origin.identifier for origin in list_datasets(journal)}
    for note in journal.file.run(partial(notes_of, kind=FORGOTTEN)):
        if identifier in note.content["datasets"] and identifier not in built:
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
