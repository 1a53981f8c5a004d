"""When the events of a journal had arrived: notes that all up to a position were there at a moment."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from envs.errors import JournalError
from envs.journal.notes import add_note, notes_of
from envs.journal.segment_writing import last_position

if TYPE_CHECKING:
    from envs.journal.journal import Journal

KIND = "arrived"


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """What is known of the moments at which events were there.

    Attributes:
        through: int64 (K,), positions, ascending.
        seconds: float64 (K,), moments at which all up to each of them was there, seconds since the epoch.
    """

    through: np.ndarray
    seconds: np.ndarray

    def at(self, positions: np.ndarray) -> np.ndarray:
        """By when what stands at positions, int64 (N,), had arrived: float64 (N,), inf where it is not known yet."""
        return np.append(self.seconds, np.inf)[np.searchsorted(self.through, positions)]


UNKNOWN = Arrivals(np.empty(0, dtype=np.int64), np.empty(0))


def note_arrivals(journal: Journal) -> None:
    """Note that all that a journal holds is there now. One that cannot be written to notes nothing."""

    def is_behind(connection: sqlite3.Connection) -> bool:
        known = max((note.content["through"] for note in notes_of(connection, KIND)), default=0)
        return last_position(connection) > known

    def note(connection: sqlite3.Connection) -> None:
        if is_behind(connection):
            content = {"through": last_position(connection), "at": time.time()}
            add_note(connection, KIND, "", content, place=False)

    with contextlib.suppress(JournalError):
        if journal.file.run(is_behind):
            journal.file.run(note, write=True)


def list_arrivals(journal: Journal, now: float) -> Arrivals:
    """What had been noted at a moment, seconds since the epoch."""
    notes = [note.content for note in journal.file.run(partial(notes_of, kind=KIND))]
    known = sorted((note["through"], note["at"]) for note in notes if note["at"] <= now)
    return Arrivals(np.array([place for place, _ in known], dtype=np.int64), np.array([at for _, at in known]))
