"""One run for people and for programs: what it was, every variant, and where its report is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_engine.runs import RunsResult
from ai_engine.tune_result import TuneResult

REPORT = "report.html"


@dataclass(frozen=True, slots=True)
class RunShown:
    """A run with its variants and its report.

    Attributes:
        result: the run, whole.
    """

    result: RunsResult

    @property
    def report(self) -> Path | None:
        """The run's page, ``None`` where it has none."""
        path = self.result.runs[0].path / REPORT
        return path if path.is_file() else None

    def to_json(self) -> dict[str, Any]:
        """One document."""
        return {**self.result.to_json(), "report": str(self.report) if self.report else None}

    def to_text(self) -> str:
        """What it was, its variants, where its report is, and one sentence."""
        facts, _, sentence = self.result.to_text().rpartition("\n")
        (run,) = self.result.runs
        found = run.read("result.json") if run.record["kind"] == "tune" else None
        parts = [
            facts,
            TuneResult.from_json(found).to_text() if found else "",
            f"report: {self.report}" if self.report else "",
        ]
        return "\n".join([*(part for part in parts if part), sentence])


def shown(result: Any) -> Any:
    """The run in this form where it is one."""
    return RunShown(result) if isinstance(result, RunsResult) else result
