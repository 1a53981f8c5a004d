"""``export``: an agent's log as a file that other tools read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from envs.counting import counted
from envs.errors import DataError, SpecificationError
from envs.home import Home
from envs.journal.journal import Journal
from envs.journal.reading import LogReader
from envs.log.exclusions import in_ranges, list_exclusions
from envs.outcome import JoinedRecord
from envs.record import DecisionRecord

FORMATS = ("parquet", "minari")
OTHERS = (
    ".arrow", ".avro", ".csv", ".db", ".dsjson", ".feather", ".gz", ".h5", ".hdf5", ".json", ".jsonl", ".ndjson",
    ".sqlite", ".toml", ".tsv", ".txt", ".xlsx", ".zip",
)  # fmt: skip
"""Suffixes of formats that are not written: a file that is named so must not hold another."""


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What was exported.

    Attributes:
        agent: the agent.
        format: ``parquet`` or ``minari``.
        path: the file or folder.
        decisions: decisions in it.
        episodes: episodes in it (Minari), else 0.
        excluded: decisions left out because their episode has one in a range that is excluded from the log.
        open_episodes: episodes left out because they have not ended (Minari).
        broken_episodes: episodes left out because a step or a reward is missing (Minari).
        reason: why the first of these was left out.
    """

    agent: str
    format: str
    path: Path
    decisions: int
    episodes: int = 0
    excluded: int = 0
    open_episodes: int = 0
    broken_episodes: int = 0
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """One document."""
        return {"schema_version": 1, **asdict(self), "path": str(self.path)}

    def to_text(self) -> str:
        """One sentence, and what was left out."""
        inside = f" in {counted(self.episodes, 'episode')}" if self.episodes else ""
        of = f"of {self.agent}{inside}"
        lines = [f"{counted(self.decisions, f'decision {of} is', f'decisions {of} are')} in {self.path}."]
        left = [
            counted(count, one, several)
            for count, one, several in (
                (self.excluded, "excluded decision", "excluded decisions"),
                (self.open_episodes, "episode that has not ended", "episodes that have not ended"),
                (self.broken_episodes, "incomplete episode", "incomplete episodes"),
            )
            if count
        ]
        if left:
            lines.append(f"Left out: {', '.join(left)}{f' ({self.reason})' if self.reason else ''}.")
        return "\n".join(lines)


def export(
    name: str,
    path: str | Path,
    *,
    format: str = "parquet",
    home: Home | str | Path | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> ExportResult:
    """Write an agent's decisions, completed by their outcomes, to a file.

    ``parquet`` has every decision under the record's own names, and imports as the same records; ``minari`` has the
    episodes that ended, as a data set of that library (:mod:`envs.exporting.minari`). Episodes with a decision in an
    excluded range are in neither, as they are in no dataset.

    Args:
        name: the agent.
        path: the file (Parquet) or the folder (Minari), which must not be there.
        format: ``parquet`` or ``minari``.
        home: the home.
        progress: is told how many decisions were written so far.

    Raises:
        HomeError: no home.
        SpecificationError: there is no such agent.
        DataError: there is nothing to export, or the file is there already, is named as one of another format or
            cannot be written.
        MissingExtraError: a package is missing.
    """
    if format not in FORMATS:
        raise DataError(f"{format!r} is not a format", where=str(path), remedy=f"known are {', '.join(FORMATS)}")
    suffix = Path(path).suffix.lower()
    if suffix in OTHERS or (suffix == ".parquet" and format != "parquet"):
        remedy = f"name it NAME.parquet, or choose --format; formats are {', '.join(FORMATS)}"
        raise DataError(f"{suffix} is not the suffix of the format {format}", where=str(path), remedy=remedy)
    found = Home.find(home)
    with Journal(found.journal_path) as journal:
        declared = name in found.agents()
        if not declared and not journal.counts().get(name):
            known = ", ".join(journal.counts()) or "none"
            raise SpecificationError("has no log", where=f"agent {name}", remedy=f"agents with decisions: {known}")
        source = _Source(journal, name, found.specification(name).maturation if declared else 0.0)
        if format == "parquet":
            from envs.exporting.parquet import export_parquet

            count = export_parquet(source.records, path, agent=name, progress=progress)
            return ExportResult(name, format, Path(path), count, excluded=source.excluded)
        from envs.exporting.minari import export_minari

        made = export_minari(source.records(), path, found.specification(name), progress=progress)
        return ExportResult(name, format, Path(path), excluded=source.excluded, **asdict(made))


class _Source:
    """The log up to where it ends now, as often as it is asked for."""

    def __init__(self, journal: Journal, name: str, maturation: float) -> None:
        self._journal, self._name, self._maturation = journal, name, maturation
        self._exclusions = list_exclusions(journal, name)
        self._until = journal.last_sequence(name)
        self._episodes = {
            (joined.record.tenant, joined.record.episode_id)
            for joined, inside in (in_ranges(self._joined(), self._exclusions) if self._exclusions else ())
            if any(inside) and not joined.record.is_single and joined.record.mode != "shadow"
        }
        self.excluded = 0

    def records(self) -> Iterator[DecisionRecord]:
        """The decisions, completed, in the order of the log, without the episodes that datasets leave out."""
        self.excluded = 0
        for joined, inside in in_ranges(self._joined(), self._exclusions):
            record = joined.record
            if any(inside) or (record.tenant, record.episode_id) in self._episodes:
                self.excluded += 1
            else:
                yield record

    def _joined(self) -> Iterator[JoinedRecord]:
        return LogReader(self._journal, self._name, until=self._until, maturation=self._maturation).joined()
