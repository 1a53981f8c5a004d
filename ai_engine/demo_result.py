"""What ``demo`` gives back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ai_engine.gate_result import GateResult
from ai_engine.revealing import RevealRow
from ai_engine.text import interval, number, table
from ai_engine.tune_result import TuneResult
from algorithms.policy.provenance import plain_json


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What a demo showed.

    Attributes:
        home: its home.
        cycle: number of this demo in the home, from 1.
        seed: its seed.
        decisions: decisions logged by this demo.
        grade: of the log.
        tune: the sweep.
        gate: the gate's answer.
        reveal: truth beside estimate: rule, champion before, recommendation, champion after.
        champion: the champion afterwards, ``scaling@N``.
        margin: loss of value that the declaration tolerates.
        report: the report page.
        seconds: wall-clock time.
    """

    home: Path
    cycle: int
    seed: int
    decisions: int
    grade: str
    tune: TuneResult
    gate: GateResult
    reveal: tuple[RevealRow, ...]
    champion: str
    margin: float
    report: Path
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """One document."""
        plain: dict[str, Any] = plain_json(
            {
                "schema_version": 1,
                **{
                    n: getattr(self, n)
                    for n in ("cycle", "seed", "decisions", "grade", "champion", "margin", "seconds")
                },
                "home": str(self.home),
                "report": str(self.report),
                "tune": self.tune.to_json(),
                "gate": self.gate.to_json(),
                "reveal": [row.to_json() for row in self.reveal],
            }
        )
        return plain

    def to_text(self) -> str:
        """Log, sweep, gate, truth, and one sentence."""
        rows = [
            (
                row.policy,
                number(row.estimate, 4),
                interval(row.lower, row.upper) if np.isfinite(row.lower) else "",
                {"log": "log, 95 %", "model": "models' range"}.get(row.evidence, ""),
                f"{number(row.pool, 4)} ± {number(row.pool_error, 1)}",
                f"{number(row.unseen, 4)} ± {number(row.unseen_error, 1)}",
            )
            for row in self.reveal
        ]
        header = ("policy", "estimate", "interval", "evidence", "truth, logged days", "truth, unseen days")
        finalists = len(self.tune.finalists)
        return (
            f"log     {self.decisions:,} new decisions, grade {self.grade}\n"
            f"tune    {len(self.tune.variants)} variants, {finalists} finalists, recommended {self.tune.recommended}"
            f" ({self.tune.evidence})\n"
            f"gate    {self.gate.decision}: {self.gate.reason}\n"
            f"{table(header, rows)}\n"
            f"report  {_shown(self.report)}\n"
            f"{self._sentence()}"
        )

    def _sentence(self) -> str:
        if self.champion != self.gate.champion:
            back = f"retrainer rollback {self.gate.agent} --home {_shown(self.home)}"
            return f"{self.champion} is the champion now; one command goes back: {back}."
        return f"The champion stays {self.champion}: {self.gate.decision}."


def _shown(path: Path) -> Path:
    """The path as a person in the current folder would type it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
