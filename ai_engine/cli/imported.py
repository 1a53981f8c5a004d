"""What an import did, for people and for programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ai_engine.text import table
from envs.counting import counted

if TYPE_CHECKING:  # its module reads Parquet, and this one is loaded before libraries are looked for
    from envs.importing.import_report import ImportReport

SHOWN_CAUSES = 12


@dataclass(frozen=True, slots=True)
class ImportResult:
    """An :class:`ImportReport` that can be printed.

    Attributes:
        report: the report.
    """

    report: ImportReport

    def to_json(self) -> dict[str, Any]:
        """One document; of the rejected rows the causes, each with its first row."""
        report = self.report
        return {
            "schema_version": 1,
            "agent": report.agent,
            "rows": report.rows,
            "added": report.added,
            "duplicates": report.duplicates,
            "repeated": report.repeated,
            "unmet": report.unmet,
            "rejected": report.rejected_count,
            "causes": [asdict(group) for group in report.groups],
            "proposed_mapping": report.proposed_mapping,
            "rejected_path": str(report.rejected_path) if report.rejected_path else None,
            "inferred": report.inferred,
            "unlearned": dict(report.unlearned),
            "dry_run": report.dry_run,
            "refused": report.refused,
        }

    def to_text(self) -> str:
        """Causes of errors, a mapping to paste, and one sentence."""
        report = self.report
        parts: list[str] = []
        if report.groups:
            # Of a cause whose first row is beyond the listed ones no remedy is kept.
            remedies = {row.where: row.remedy for row in report.rejected}
            rows = [
                (f"{group.count:,}", group.first, group.cause, remedies.get(group.first, ""))
                for group in report.groups[:SHOWN_CAUSES]
            ]
            more = len(report.groups) - SHOWN_CAUSES
            rest = f"\nand {counted(more, 'more cause')}; --json lists all of them" if more > 0 else ""
            parts.append(table(("rows", "first", "cause", "remedy"), rows) + rest)
        if report.proposed_mapping:
            parts.append(
                f"To give foreign fields a place, paste into retrainer.toml:\n\n{report.proposed_mapping.rstrip()}\n"
            )
        if report.unlearned:
            kept = ", ".join(f"{name} ({count:,})" for name, count in sorted(report.unlearned.items()))
            parts.append(f"Kept as metadata, not learned from: {kept}")
        if report.unmet:
            orphans = counted(report.unmet, "outcome is", "outcomes are")
            parts.append(f"{orphans} of decisions that are not in the log: kept, and used once they are recorded")
        if report.rejected_path:
            parts.append(f"The rejected rows are in {report.rejected_path}")
        if report.inferred and not report.dry_run:
            parts.append(f"[agents.{report.agent}] in retrainer.toml is a draft read off this log: confirm it.")
        return "\n".join([*parts, self._sentence()])

    def _sentence(self) -> str:
        report = self.report
        done = "are good" if report.refused else "would be imported" if report.dry_run else "imported"
        into = "" if report.refused else f" into {report.agent}"
        there = report.duplicates - report.repeated
        also = [f"{there:,} already there"] if there else []
        also += [f"{report.repeated:,} repeated within the import"] if report.repeated else []
        also += [f"{report.rejected_count:,} rejected"] if report.rejected_count else []
        rest = f" ({', '.join(also)})" if also else ""
        nothing = "; nothing was written" if report.dry_run else ""
        if report.refused:
            nothing += ", and the import would be refused"
            nothing += " without --keep-good" if report.added + report.duplicates else ""
        return f"{report.added:,} of {counted(report.rows, 'row')} {done}{into}{rest}{nothing}."


def presentable(report: Any) -> Any:
    """The report itself where it can be printed, else in this form."""
    return report if hasattr(report, "to_text") else ImportResult(report)
