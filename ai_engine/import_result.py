"""What an import did, for people and for programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from ai_engine.text import table
from envs.counting import counted
from envs.importing.import_report import ImportReport

SHOWN_CAUSES = 12


@dataclass(frozen=True, repr=False)
class ImportResult(ImportReport):
    """An import's report, as one document and as text."""

    @classmethod
    def of(cls, report: ImportReport) -> ImportResult:
        """The result that says what a report does."""
        return cls(**{entry.name: getattr(report, entry.name) for entry in fields(report)})

    def to_json(self) -> dict[str, Any]:
        """One document; of the rejected rows the causes, each with its first row."""
        return {
            "schema_version": 1,
            "agent": self.agent,
            "rows": self.rows,
            "added": self.added,
            "duplicates": self.duplicates,
            "repeated": self.repeated,
            "unmet": self.unmet,
            "outcomes": self.outcomes,
            "rejected": self.rejected_count,
            "causes": [asdict(group) for group in self.groups],
            "proposed_mapping": self.proposed_mapping,
            "rejected_path": str(self.rejected_path) if self.rejected_path else None,
            "inferred": self.inferred,
            "unlearned": dict(self.unlearned),
            "dry_run": self.dry_run,
            "refused": self.refused,
        }

    def to_text(self) -> str:
        """Causes of errors, a mapping to paste, and one sentence."""
        parts: list[str] = []
        if self.groups:
            # Of a cause whose first row is beyond the listed ones no remedy is kept.
            remedies = {row.where: row.remedy for row in self.rejected}
            rows = [
                (f"{group.count:,}", group.first, group.cause, remedies.get(group.first, ""))
                for group in self.groups[:SHOWN_CAUSES]
            ]
            more = len(self.groups) - SHOWN_CAUSES
            rest = f"\nand {counted(more, 'more cause')}; --json lists all of them" if more > 0 else ""
            parts.append(table(("rows", "first", "cause", "remedy"), rows) + rest)
        if self.proposed_mapping:
            parts.append(
                f"To give foreign fields a place, paste into retrainer.toml:\n\n{self.proposed_mapping.rstrip()}\n"
            )
        if self.unlearned:
            kept = ", ".join(f"{name} ({count:,})" for name, count in sorted(self.unlearned.items()))
            parts.append(f"Kept as metadata, not learned from: {kept}")
        if self.unmet:
            orphans = counted(self.unmet, "outcome is", "outcomes are")
            parts.append(f"{orphans} of decisions that are not in the log: kept, and used once they are recorded")
        if self.rejected_path:
            parts.append(f"The rejected rows are in {self.rejected_path}")
        if self.inferred and not self.dry_run:
            parts.append(f"[agents.{self.agent}] in retrainer.toml is a draft read off this log: confirm it.")
        return "\n".join([*parts, self._sentence()])

    def _sentence(self) -> str:
        done = "are good" if self.refused else "would be imported" if self.dry_run else "imported"
        into = "" if self.refused else f" into {self.agent}"
        there = self.duplicates - self.repeated
        also = [f"{self.outcomes:,} of the rows are outcomes"] if self.outcomes else []
        also += [f"{there:,} already there"] if there else []
        also += [f"{self.repeated:,} repeated within the import"] if self.repeated else []
        also += [f"{self.rejected_count:,} rejected"] if self.rejected_count else []
        rest = f" ({', '.join(also)})" if also else ""
        nothing = "; nothing was written" if self.dry_run else ""
        if self.refused:
            nothing += ", and the import would be refused"
            nothing += " without --keep-good" if self.added + self.duplicates else ""
        return f"{self.added:,} of {counted(self.rows, 'row')} {done}{into}{rest}{nothing}."
