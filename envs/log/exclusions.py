"""Ranges of an agent's log that no dataset uses: recorded with a reason, and reversible."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import numpy as np

from envs import values
from envs.errors import DataError
from envs.journal import Journal
from envs.journal_notes import add_note, notes_of

EXCLUDED, UNDONE = "exclusion", "exclusion undone"
Bound = str | int | None
"""A moment (RFC 3339), a position of the log, or no bound."""


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A range that was excluded. An episode with one decision in it is left out whole.

    Attributes:
        number: its position in the log, by which it is named.
        agent: whose log.
        start: first moment or position in it; ``None`` from the beginning.
        end: first moment or position after it; ``None`` to the end.
        reason: why.
        undone: why it no longer holds; empty while it does.
    """

    number: int
    agent: str
    start: Bound
    end: Bound
    reason: str
    undone: str = ""

    def covers(self, positions: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """Which decisions lie in it, bool (N,).

        Args:
            positions: int64 (N,), journal positions.
            seconds: float64 (N,), timestamps in seconds since the epoch, NaN where absent: such a decision is
                in no range of time.
        """
        inside = np.ones(len(positions), dtype=bool)
        for bound, below in ((self.start, False), (self.end, True)):
            if bound is not None:
                at = positions if isinstance(bound, int) else seconds
                edge = bound if isinstance(bound, int) else datetime.fromisoformat(bound).timestamp()
                inside &= (at < edge) if below else (at >= edge)
        if isinstance(self.start, str) or isinstance(self.end, str):
            inside &= np.isfinite(seconds)
        return inside


def covered(
    exclusions: Sequence[Exclusion], positions: np.ndarray, seconds: np.ndarray, sequences: np.ndarray
) -> np.ndarray:
    """Which decisions lie in any of the ranges, bool (N,).

    Args:
        exclusions: the ranges.
        positions: int64 (N,), from which on the decisions are complete.
        seconds: float64 (N,), their timestamps.
        sequences: int64 (N,), at which they were recorded: an outcome that comes later must not move a
            decision out of a range.
    """
    inside = np.zeros(len(positions), dtype=bool)
    for exclusion in exclusions:
        inside |= exclusion.covers(positions, seconds) | exclusion.covers(sequences, seconds)
    return inside


def planned(agent: str, start: Bound, end: Bound, reason: str) -> Exclusion:
    """The exclusion of [start, end), checked and not made.

    Raises:
        DataError: no bound, an empty range, no reason, or a bound that is neither a moment nor a position.
    """
    start, end = checked_bound(start, "from"), checked_bound(end, "to")
    where = f"agent {agent}"
    if start is None and end is None:
        raise DataError("a range needs a bound", where=where, remedy="give --from, --to or both")
    if not reason.strip():
        raise DataError("an exclusion needs a reason", where=where, remedy="say what is wrong with the range")
    if type(start) is type(end) and _place(start) >= _place(end):
        raise DataError(f"the range from {start} to {end} is empty", where=where, remedy="exchange the bounds")
    return Exclusion(0, agent, start, end, reason)


def exclude(journal: Journal, agent: str, start: Bound, end: Bound, reason: str) -> Exclusion:
    """Exclude [start, end) from every dataset that is built from now on; errors as of :func:`planned`."""
    plan = planned(agent, start, end, reason)
    content = {"start": plan.start, "end": plan.end, "reason": reason}
    number = journal.file.run(partial(add_note, kind=EXCLUDED, agent=agent, content=content), write=True)
    return replace(plan, number=number)


def undo(journal: Journal, exclusion: Exclusion, reason: str) -> Exclusion:
    """Use an excluded range again, however often it was excluded."""

    def note(connection: sqlite3.Connection) -> None:
        for item in _listed(connection, exclusion.agent):
            if (item.start, item.end) == (exclusion.start, exclusion.end) and not item.undone:
                content = {"exclusion": item.number, "reason": reason}
                add_note(connection, UNDONE, exclusion.agent, content)

    journal.file.run(note, write=True)
    return replace(exclusion, undone=reason)


def list_exclusions(journal: Journal, agent: str, *, active: bool = True) -> list[Exclusion]:
    """The agent's exclusions in the order in which they were made; all, or those that hold."""
    made = journal.file.run(partial(_listed, agent=agent))
    return [item for item in made if not (active and item.undone)]


def _listed(connection: sqlite3.Connection, agent: str) -> list[Exclusion]:
    notes = notes_of(connection, UNDONE, agent)
    undone = {note.content["exclusion"]: note.content["reason"] for note in notes}
    return [
        Exclusion(note.sequence, agent, **note.content, undone=undone.get(note.sequence, ""))
        for note in notes_of(connection, EXCLUDED, agent)
    ]


def find_exclusion(journal: Journal, agent: str, start: Bound, end: Bound) -> Exclusion:
    """The exclusion of exactly this range that holds.

    Raises:
        DataError: there is none; names those there are.
    """
    wanted = checked_bound(start, "from"), checked_bound(end, "to")
    there = list_exclusions(journal, agent)
    for exclusion in reversed(there):
        if (exclusion.start, exclusion.end) == wanted:
            return exclusion
    known = "; ".join(f"{item.start} to {item.end}" for item in there) or "none"
    problem = f"no exclusion from {wanted[0]} to {wanted[1]} holds"
    raise DataError(problem, where=f"agent {agent}", remedy=f"those that hold are: {known}")


def checked_bound(bound: Bound, name: str) -> Bound:
    """A bound in its normal form.

    Raises:
        DataError: it is neither a moment with a zone nor a position.
    """
    if bound is None or (isinstance(bound, int) and not isinstance(bound, bool)):
        return bound
    text = str(bound).strip()
    if text.isdecimal():
        return int(text)
    try:
        return values.timestamp(text)
    except values.UnfitValueError as problem:
        remedy = f"{problem.remedy}, or give a position of the log"
        raise DataError(f"--{name}: {problem.problem}", remedy=remedy) from None


def _place(bound: Bound) -> float:
    if bound is None:
        return math.nan
    return float(bound) if isinstance(bound, int) else datetime.fromisoformat(bound).timestamp()
