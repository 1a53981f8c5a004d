"""``log path|exclude|forget|compact``: what a person does to a log. Each calls what :mod:`envs.log` does."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ai_engine.decision_log import AgentLog
from envs.home import Home
from envs.journal import Journal
from envs.journal_reading import LogReader
from envs.log.compaction import HOURS, CompactReport, compact
from envs.log.exclusions import Bound, Exclusion, covered, exclude, find_exclusion, planned, undo
from envs.log.forgetting import ForgetReport, forget


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
        return f"Nothing is sealed yet: the {self.unsealed:,} decisions of {self.agent} are in {self.journal}."


@dataclass(frozen=True, slots=True)
class LogExcludeResult:
    """A range that is excluded, or used again."""

    exclusion: Exclusion
    decisions: int
    episodes: int
    dry_run: bool

    def to_json(self) -> dict[str, Any]:
        """One document."""
        numbers = {"decisions": self.decisions, "episodes": self.episodes, "dry_run": self.dry_run}
        return {"schema_version": 1, **asdict(self.exclusion), **numbers}

    def to_text(self) -> str:
        """One sentence."""
        range_ = " ".join(
            f"{word} {bound}"
            for word, bound in (("from", self.exclusion.start), ("to", self.exclusion.end))
            if bound is not None
        )
        would = "would be " if self.dry_run else "are "
        done = f"{would}used again" if self.exclusion.undone else f"{would}excluded"
        what = f"{self.decisions:,} decisions in {self.episodes:,} episodes of {self.exclusion.agent}"
        return f"{what} {done} ({range_}): {self.exclusion.undone or self.exclusion.reason}."


@dataclass(frozen=True, slots=True)
class LogForgetResult:
    """A tenant that is forgotten."""

    report: ForgetReport

    def to_json(self) -> dict[str, Any]:
        """One document."""
        return {"schema_version": 1, **asdict(self.report)}

    def to_text(self) -> str:
        """One sentence, and what remains to be done."""
        report = self.report
        count = sum(report.decisions.values())
        of = ", ".join(f"{number:,} of {agent}" for agent, number in sorted(report.decisions.items())) or "none"
        done = "would be forgotten" if report.dry_run else "are forgotten"
        used = f"; {len(report.datasets):,} datasets used them" if report.datasets else ""
        lines = [f"{count:,} decisions of tenant {report.tenant} ({of}) {done}{used}."]
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
        if report.dry_run:
            return f"{report.files_before:,} files; {report.removed:,} unused ones would be removed; {kept}."
        merged = f"{report.files_before:,} files became {report.files_after:,}"
        return f"{report.sealed:,} events sealed, {merged}, {report.removed:,} unused ones removed; {kept}."


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
        DataError: the range is empty, has no bounds or no reason, or is not excluded.
    """
    found = AgentLog(name, Home.find(home))
    journal = Journal(found.home.journal_path)
    exclusion = find_exclusion(journal, name, start, end) if undone else planned(name, start, end, reason)
    decisions, episodes = _hit(journal, exclusion)
    if not dry_run:
        done = undo(journal, exclusion, reason or "undone") if undone else exclude(journal, name, start, end, reason)
        return LogExcludeResult(done, decisions, episodes, False)
    return LogExcludeResult(exclusion, decisions, episodes, True)


def log_forget(tenant: str, *, dry_run: bool = False, home: Home | str | Path | None = None) -> LogForgetResult:
    """Remove a tenant's decisions, of all agents, from the log and from the table's old versions."""
    return LogForgetResult(forget(Home.find(home), tenant, dry_run=dry_run))


def log_compact(
    *, older_than: float = HOURS * 3600.0, dry_run: bool = False, home: Home | str | Path | None = None
) -> LogCompactResult:
    """Seal the journal, merge small files, and remove those that only old versions use (``older_than`` seconds)."""
    return LogCompactResult(compact(Home.find(home), older_than_hours=older_than / 3600.0, dry_run=dry_run))


def _hit(journal: Journal, exclusion: Exclusion) -> tuple[int, int]:
    """Decisions in a range, and the episodes that they belong to."""
    decisions, episodes = 0, set()
    for joined in LogReader(journal, exclusion.agent).joined():
        record = joined.record
        places = np.array([joined.position]), np.array([record.seconds]), np.array([joined.sequence])
        if covered([exclusion], *places)[0]:
            decisions += 1
            episodes.add((record.tenant, record.episode_id))
    return decisions, len(episodes)
