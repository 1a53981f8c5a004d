"""What an import did, short enough to be shown by whoever imported in a notebook."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path

from envs.counting import counted
from envs.importing.rows import Group, RejectedRow

LISTED = 10_000  # rejected rows in a report; all of them are counted, and in the file
SHOWN = 5  # causes


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did, or (``dry_run``) would do.

    Attributes:
        agent: the agent.
        rows: rows read.
        added: records that are new in the journal.
        duplicates: rows that add nothing: the journal, or a row before them, has the record with the same content.
        rejected: rows that cannot be imported, in the files' order, the first :data:`LISTED` of them.
        groups: all of them by cause, most frequent first.
        proposed_mapping: a TOML block that gives foreign fields a place; empty where there are none.
        rejected_path: the JSON Lines file of all rejected rows and reasons (``keep_good``), or ``None``.
        inferred: whether the agent's declaration is a draft that was read off this log.
        unlearned: how often each foreign field was kept in metadata.
        dry_run: whether nothing was written.
        keep_good: whether bad rows were to be left out.
        repeated: how many of ``duplicates`` repeat a row of this import, and were not in the journal before it.
        unmet: how many of ``added`` are outcomes whose decision is neither in the log nor in this import.
        outcomes: how many of ``rows`` say what became known of a decision.
    """

    agent: str
    rows: int
    added: int
    duplicates: int
    rejected: list[RejectedRow]
    groups: list[Group]
    proposed_mapping: str
    rejected_path: Path | None
    inferred: bool
    unlearned: dict[str, int]
    dry_run: bool
    keep_good: bool = False
    repeated: int = 0
    unmet: int = 0
    outcomes: int = 0

    @property
    def rejected_count(self) -> int:
        """How many rows were rejected."""
        return sum(group.count for group in self.groups)

    @property
    def refused(self) -> bool:
        """Whether it was a dry run of an import that would write nothing, because of bad rows."""
        kept = self.keep_good and self.added + self.duplicates > 0
        return self.dry_run and self.rejected_count > 0 and not kept

    def __repr__(self) -> str:
        return f"<{'; '.join([self._counts(), *self._causes()])}>"

    def _repr_html_(self) -> str:
        """The counts, and the most frequent causes of rejection, for notebooks."""
        causes = "".join(f"<li>{html.escape(cause)}</li>" for cause in self._causes())
        return f"<p>{html.escape(self._counts())}</p>" + (f"<ul>{causes}</ul>" if causes else "")

    def _counts(self) -> str:
        done = "would be added" if self.dry_run else "added"
        counts = f"{self.added:,} {done}, {self.duplicates:,} there already, {self.rejected_count:,} rejected"
        return f"import into {self.agent}: {counted(self.rows, 'row')}, {counts}"

    def _causes(self) -> list[str]:
        """The most frequent causes of rejection, a phrase each."""
        shown = [f"{group.count:,} × {group.cause} (first {group.first})" for group in self.groups[:SHOWN]]
        more = len(self.groups) - SHOWN
        return [*shown, f"and {counted(more, 'more cause')}"] if more > 0 else shown
