"""Ranges of an agent's log that no dataset uses: recorded with a reason, and reversible."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from envs import values
from envs.errors import DataError
from envs.journal.journal import Journal
from envs.journal.notes import add_note, notes_of

if TYPE_CHECKING:
    from envs.outcome import JoinedRecord

EXCLUDED, UNDONE = "exclusion", "exclusion undone"
Bound = str | int | None
"""A moment (RFC 3339), a position of the log, or no bound."""
PAGE = 4096


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

    @property
    def range(self) -> str:
        """The range in words."""
        bounds = (("from", self.start), ("to", self.end))
        return " ".join(f"{word} {bound}" for word, bound in bounds if bound is not None)

    def reaches_beyond(self, position: int) -> bool:
        """Whether decisions to come may lie in it: it ends after now, or after the last ``position`` of the log."""
        if isinstance(self.end, int):
            return self.end > position + 1
        return self.end is None or _place(self.end) > datetime.now(UTC).timestamp()

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


def in_ranges(
    decisions: Iterable[JoinedRecord], exclusions: Sequence[Exclusion]
) -> Iterator[tuple[JoinedRecord, tuple[bool, ...]]]:
    """Each decision, and in which of the ranges it lies."""
    rest = iter(decisions)
    while page := list(islice(rest, PAGE)):
        positions = np.array([joined.position for joined in page], dtype=np.int64)
        sequences = np.array([joined.sequence for joined in page], dtype=np.int64)
        seconds = np.array([joined.record.seconds for joined in page])
        inside = np.zeros((len(page), len(exclusions)), dtype=bool)
        for column, exclusion in enumerate(exclusions):
            inside[:, column] = covered([exclusion], positions, seconds, sequences)
        yield from zip(page, map(tuple, inside.tolist()), strict=True)


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
