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
from envs.counting import counted


@dataclass(frozen=True, slots=True)
class AgentDemo:
    """What a demo showed of one agent.

    Attributes:
        cycle: number of this demo of the agent in its home, from 1.
        decisions: decisions logged by this demo.
        tune: the sweep.
        gate: the gate's answer.
        reveal: truth beside estimate: rule, champion before, recommendation, champion after.
        champion: the champion afterwards, ``agent@N``.
        margin: loss of value that the declaration tolerates.
        report: the report page.
    """

    cycle: int
    decisions: int
    tune: TuneResult
    gate: GateResult
    reveal: tuple[RevealRow, ...]
    champion: str
    margin: float
    report: Path

    @property
    def agent(self) -> str:
        """The agent's name."""
        return self.tune.agent

    @property
    def moved(self) -> bool:
        """Whether the champion is another than before."""
        return self.champion != self.gate.champion

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "agent": self.agent,
            "grade": self.tune.grade,
            **{name: getattr(self, name) for name in ("cycle", "decisions", "champion", "margin")},
            "report": str(self.report),
            "tune": self.tune.to_json(),
            "gate": self.gate.to_json(),
            "reveal": [row.to_json() for row in self.reveal],
        }

    def to_text(self) -> str:
        """Log, sweep, gate and truth."""
        known = any(np.isfinite(row.unseen) for row in self.reveal)
        header = ("policy", "estimate", "interval", "evidence", *(("truth, logged days", "unseen days")[: 1 + known]))
        if not known:
            header = (*header[:-1], "truth")
        rows = [
            (
                row.policy,
                number(row.estimate, 4),
                interval(row.lower, row.upper) if np.isfinite(row.lower) else "",
                {"log": "log, 95 %", "model": "models' range"}.get(row.evidence, ""),
                f"{number(row.pool, 4)} ± {number(row.pool_error, 1)}",
                *((f"{number(row.unseen, 4)} ± {number(row.unseen_error, 1)}",) if known else ()),
            )
            for row in self.reveal
        ]
        finalists = len(self.tune.finalists)
        return (
            f"{self.agent}\n"
            f"log     {counted(self.decisions, 'new decision')}, grade {self.tune.grade}\n"
            f"tune    {counted(len(self.tune.variants), 'variant')}, {counted(finalists, 'finalist')},"
            f" recommended {self.tune.recommended} ({self.tune.evidence})\n"
            f"gate    {self.gate.decision}: {self.gate.reason}\n"
            f"{table(header, rows)}\n"
            f"report  {shown_path(self.report)}"
        )


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What a demo showed.

    Attributes:
        home: its home.
        seed: its seed.
        agents: each agent's part.
        seconds: wall-clock time.
    """

    home: Path
    seed: int
    agents: tuple[AgentDemo, ...]
    seconds: float

    def agent(self, name: str) -> AgentDemo:
        """One agent's part."""
        return next(each for each in self.agents if each.agent == name)

    def to_json(self) -> dict[str, Any]:
        """One document."""
        plain: dict[str, Any] = plain_json(
            {
                "schema_version": 1,
                "home": str(self.home),
                "seed": self.seed,
                "seconds": self.seconds,
                "agents": [each.to_json() for each in self.agents],
            }
        )
        return plain

    def to_text(self) -> str:
        """Each agent's part, and one sentence."""
        return "\n\n".join([*(each.to_text() for each in self.agents), self._sentence()])

    def _sentence(self) -> str:
        moved = [each for each in self.agents if each.moved]
        if not moved:
            return f"No champion changed: {', '.join(f'{each.agent} {each.gate.decision}' for each in self.agents)}."
        names = ", ".join(each.champion for each in moved)
        back = f"retrainer rollback {moved[0].agent} --home {shown_path(self.home)}"
        whose = "is the champion" if len(moved) == 1 else "are champions"
        return f"{names} {whose} now; one command goes back: {back}."


def shown_path(path: Path) -> Path:
    """The path as a person in the current folder would type it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
