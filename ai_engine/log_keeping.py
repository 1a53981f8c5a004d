"""``log path|exclude|forget|compact``: what a person does to a log. Each calls what :mod:`envs.log` does."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ai_engine.decision_log import AgentLog
from envs.clock import written
from envs.counting import counted
from envs.errors import DataError
from envs.home import Home
from envs.journal.journal import Journal
from envs.journal.reading import LogReader
from envs.log.compaction import HOURS, CompactReport, compact
from envs.log.exclusions import Bound, Exclusion, exclude, find_exclusion, in_ranges, list_exclusions, planned, undo
from envs.log.forgetting import ForgetReport, forget

SHOWN = 8
LOOKED_AT = 100_000
"""Tenants that are named where there is none of that name, and decisions of each agent in which they are looked for."""
NOTHING_TO_DO = (
    "all events are sealed, no small files are left to merge, and none has been unused for as long as --older-than says"
)


@dataclass(frozen=True, slots=True)
class LogPathResult:
    """Where an agent's log is."""

    agent: str
    journal: str
    table: str
    sealed: int
    unsealed: int

    def to_json(self) -> dict[str, Any]:
        """One document."""
        return {"schema_version": 1, **asdict(self)}

    def to_text(self) -> str:
        """The table's place alone, for a shell to use; the rest where nothing is sealed yet."""
        if self.sealed:
            return self.table
        there = counted(self.unsealed, f"decision of {self.agent} is", f"decisions of {self.agent} are")
        return f"Nothing is sealed yet: the {there} in {self.journal}."


@dataclass(frozen=True, slots=True)
class LogExcludeResult:
    """A range that is excluded, or used again.

    Attributes:
        exclusion: the range.
        decisions: decisions in it.
        episodes: the episodes that they belong to.
        dry_run: whether nothing was changed.
        staying: of a range that is used again, how many of its decisions stay excluded.
        staying_episodes: the episodes that those belong to.
        staying_by: the exclusions by which they do.
    """

    exclusion: Exclusion
    decisions: int
    episodes: int
    dry_run: bool
    staying: int = 0
    staying_episodes: int = 0
    staying_by: tuple[Exclusion, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """One document."""
        numbers = {"decisions": self.decisions, "episodes": self.episodes, "dry_run": self.dry_run}
        by = [asdict(exclusion) for exclusion in self.staying_by]
        staying = {"decisions": self.staying, "episodes": self.staying_episodes, "by": by}
        return {"schema_version": 1, **asdict(self.exclusion), **numbers, "staying": staying}

    def to_text(self) -> str:
        """One sentence; a second one where another exclusion covers what this one did."""
        exclusion = self.exclusion
        undone = bool(exclusion.undone)
        used = self.decisions - self.staying, self.episodes - self.staying_episodes
        would = "would be " if self.dry_run else "is " if used[0] == 1 else "are "
        done = f"{would}used again" if undone else f"{would}excluded"
        yet = "" if self.decisions else " so far"
        first = f"{_counted(*used)} of {exclusion.agent}{yet} {done} ({exclusion.range}): "
        first += f"{exclusion.undone or exclusion.reason}."
        if not self.staying:
            return first
        by = "; ".join(f"{item.range}: {item.reason}" for item in self.staying_by)
        stay = "would stay" if self.dry_run else "stay"
        return f"{first}\n{_counted(self.staying, self.staying_episodes)} {stay} excluded ({by})."


def _counted(decisions: int, episodes: int) -> str:
    return f"{counted(decisions, 'decision')} in {counted(episodes, 'episode')}"


@dataclass(frozen=True, slots=True)
class LogForgetResult:
    """A tenant that is forgotten.

    Attributes:
        report: what was removed.
        others: where that is nothing, some tenants that are in the log.
    """

    report: ForgetReport
    others: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """One document."""
        return {"schema_version": 1, **asdict(self.report)}

    def to_text(self) -> str:
        """One sentence, and what remains to be done."""
        report = self.report
        count = sum(report.decisions.values())
        if not count:
            others = f"; tenants of the log are {', '.join(self.others)}" if self.others else ""
            return "\n".join([f"No decision is of tenant {report.tenant}{others}.", *report.remaining])
        of = ", ".join(f"{number:,} of {agent}" for agent, number in sorted(report.decisions.items()))
        done = "would be forgotten" if report.dry_run else "is forgotten" if count == 1 else "are forgotten"
        used = f"; {counted(len(report.datasets), 'dataset')} used them" if report.datasets else ""
        lines = [f"{counted(count, 'decision')} of tenant {report.tenant} ({of}) {done}{used}."]
        return "\n".join([*lines, *report.remaining])


@dataclass(frozen=True, slots=True)
class LogCompactResult:
    """A table that was compacted."""

    report: CompactReport

    def to_json(self) -> dict[str, Any]:
        """One document."""
        return {"schema_version": 1, **asdict(self.report)}

    def to_text(self) -> str:
        """One sentence."""
        report = self.report
        kept = f"versions that are named and stay: {', '.join(map(str, report.kept_versions)) or 'none'}"
        sealed, before = counted(report.sealed, "event"), counted(report.files_before, "file")
        unused = counted(report.removed, "unused one")
        if report.dry_run:
            return f"{sealed} would be sealed; {before}; {unused} would be removed; {kept}."
        idle = not report.sealed and not report.removed and report.files_before == report.files_after
        why = (
            f" Nothing was to be done: {NOTHING_TO_DO if report.files_before else 'the log is empty'}." if idle else ""
        )
        return f"{sealed} sealed, {before} became {report.files_after:,}, {unused} removed; {kept}.{why}"


def log_path(name: str, *, home: Home | str | Path | None = None) -> LogPathResult:
    """Where an agent's sealed table and its journal are."""
    found = AgentLog(name, Home.find(home))
    sealed = found.sealed
    return LogPathResult(name, str(found.home.journal_path), found.table, sealed, len(found) - sealed)


def log_exclude(
    name: str,
    *,
    start: Bound = None,
    end: Bound = None,
    reason: str = "",
    undone: bool = False,
    dry_run: bool = False,
    home: Home | str | Path | None = None,
) -> LogExcludeResult:
    """Exclude a range of an agent's log from every dataset, or (``undone``) use it again.

    Args:
        name: the agent.
        start: first moment (RFC 3339) or position of the range; from the beginning by default.
        end: first moment or position after it; to the end by default.
        reason: why; needed.
        undone: take the exclusion of exactly this range back.
        dry_run: change nothing; say what would be hit.
        home: the home.

    Raises:
        DataError: the range is empty, has no bounds or no reason, or is not excluded; or no decision is in it, nor
            will be.
    """
    found = AgentLog(name, Home.find(home))
    journal = Journal(found.home.journal_path)
    exclusion = find_exclusion(journal, name, start, end) if undone else planned(name, start, end, reason)
    others = [
        item
        for item in (list_exclusions(journal, name) if undone else ())
        if (item.start, item.end) != (exclusion.start, exclusion.end)
    ]
    hit = _Hit(journal, exclusion, others)
    if not (undone or hit.decisions or exclusion.reaches_beyond(journal.last_sequence(name))):
        remedy = f"check the bounds and their zone; {hit.reach}"
        raise DataError(f"no decision is in the range {exclusion.range}", where=f"agent {name}", remedy=remedy)
    if undone:
        exclusion = replace(exclusion, undone=reason or "undone")
    if not dry_run:
        if undone:
            undo(journal, exclusion, exclusion.undone)
        else:
            exclusion = exclude(journal, name, start, end, reason)
    return LogExcludeResult(exclusion, hit.decisions, hit.episodes, dry_run, *hit.staying())


def log_forget(tenant: str, *, dry_run: bool = False, home: Home | str | Path | None = None) -> LogForgetResult:
    """Remove a tenant's decisions, of all agents, from the log and from the table's old versions."""
    found = Home.find(home)
    report = forget(found, tenant, dry_run=dry_run)
    return LogForgetResult(report, () if report.decisions else _tenants(found))


def _tenants(home: Home) -> tuple[str, ...]:
    """The tenants of the agents' first decisions, at most :data:`SHOWN` and an ellipsis."""
    tenants: dict[str, None] = {}
    with Journal(home.journal_path) as journal:
        for name in journal.counts():
            for _, record in islice(journal.read(name), LOOKED_AT):
                tenants[record.tenant] = None
                if len(tenants) > SHOWN:
                    return (*list(tenants)[:SHOWN], "…")
    return tuple(sorted(tenants))


def log_compact(
    *, older_than: float = HOURS * 3600.0, dry_run: bool = False, home: Home | str | Path | None = None
) -> LogCompactResult:
    """Seal the journal, merge small files, and remove those that only old versions use (``older_than`` seconds)."""
    found = Home.find(home)
    report = compact(found, older_than_hours=older_than / 3600.0, dry_run=dry_run)
    return LogCompactResult(replace(report, sealed=_unsealed(found)) if dry_run else report)


def _unsealed(home: Home) -> int:
    """Events that are in the journal alone."""
    with Journal(home.journal_path) as journal:
        sealed = journal.sealed()
        there = sum(journal.counts().values()) + sum(journal.outcome_counts().values())
        return there - sum(sealed.decisions.values()) - sum(sealed.outcomes.values())


class _Hit:
    """What of a log lies in a range, and what of that in others.

    Attributes:
        decisions: decisions in the range.
        episodes: the episodes that they belong to.
        reach: in words, from where to where the log goes.
    """

    def __init__(self, journal: Journal, exclusion: Exclusion, others: Sequence[Exclusion]) -> None:
        self._others = others
        self._inside: Counter[tuple[str, str]] = Counter()
        self._elsewhere: dict[tuple[str, str], set[int]] = defaultdict(set)
        first, last, positions = math.inf, -math.inf, (0, 0)
        for joined, inside in in_ranges(LogReader(journal, exclusion.agent).joined(), [exclusion, *others]):
            record = joined.record
            episode = record.tenant, record.episode_id
            if inside[0]:
                self._inside[episode] += 1
            if any(inside[1:]):
                self._elsewhere[episode].update(np.flatnonzero(inside[1:]).tolist())
            if math.isfinite(record.seconds):
                first, last = min(first, record.seconds), max(last, record.seconds)
            positions = positions[0] or joined.sequence, joined.sequence
        self.decisions, self.episodes = self._inside.total(), len(self._inside)
        self.reach = f"the log has the positions {positions[0]} to {positions[1]}"
        if math.isfinite(first):
            self.reach += f", {written(first)} to {written(last)}"

    def staying(self) -> tuple[int, int, tuple[Exclusion, ...]]:
        """Decisions of the range whose episodes lie in other ranges too, those episodes, and the other ranges."""
        episodes = self._inside.keys() & self._elsewhere.keys()
        by = sorted({place for episode in episodes for place in self._elsewhere[episode]})
        decisions = sum(self._inside[episode] for episode in episodes)
        return decisions, len(episodes), tuple(self._others[place] for place in by)
