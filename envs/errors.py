"""Errors made for the person who reads them.

Every error that bad input can cause is a :class:`RetrainerError`: one line that says what was
wrong, where, and what to do. The console command prints that line and exits with
:attr:`RetrainerError.exit_code`; nothing is written before the input has been checked.
"""

from __future__ import annotations

from typing import Self


class RetrainerError(Exception):
    """What was wrong, where it stands, and the remedy, in one line.

    Args:
        problem: what was wrong, naming the value.
        where: the place (file, row, field, agent), or an empty string.
        remedy: what the reader can do about it.

    Attributes:
        event_id: the decision that is wrong, where it is one of a log or was to become one; else empty.
    """

    exit_code = 2
    event_id = ""

    def __init__(self, problem: str, *, where: str = "", remedy: str = "") -> None:
        self.problem = problem
        self.where = where
        self.remedy = remedy
        line = f"{where}: {problem}" if where else problem
        super().__init__(f"{line}; {remedy}" if remedy else line)


class RetrainerWarning(RuntimeWarning):
    """What its reader must know although the work went on; the console command prints it when it is done."""


class HomeError(RetrainerError):
    """No home was found, or it cannot be used."""


class SpecificationError(RetrainerError):
    """An agent's declaration is wrong, or an agent is not declared."""


class RecordError(RetrainerError):
    """A decision record breaks the record contract.

    Attributes:
        field: the field that does.
        complaint: what is wrong with it; ``problem`` names the field too.
    """

    def __init__(self, problem: str, *, field: str, where: str = "", remedy: str = "") -> None:
        self.field = field
        self.complaint = problem
        super().__init__(f"{field}: {problem}", where=where, remedy=remedy)

    def at(self, where: str, *, field: str | None = None, remedy: str | None = None) -> Self:
        """The same complaint, with its place, and of another field or with another remedy where one is given."""
        remedy = self.remedy if remedy is None else remedy
        return type(self)(self.complaint, field=field or self.field, where=where, remedy=remedy)

    def of(self, agent: str, event_id: str) -> Self:
        """The same complaint of a decision, named by agent and event."""
        named = self.at(f"agent {agent}, event {event_id}")
        named.event_id = event_id
        return named


class DuplicateRecordError(RecordError):
    """The same ``event_id`` was recorded before with other content."""


class JournalError(RetrainerError):
    """The decision journal cannot be read or written."""


class DataError(RetrainerError):
    """The data cannot be used for what was asked (too few, not learnable)."""


class ArtefactError(RetrainerError):
    """A policy artefact is corrupt, of another agent, or lacks its base policy."""


class RegistryError(RetrainerError):
    """A reference names nothing, or the ledger forbids the move."""


class BusyError(RetrainerError):
    """Another process is retraining the same agent."""


class MissingExtraError(RetrainerError):
    """A command needs an optional dependency; the message is the install line."""
