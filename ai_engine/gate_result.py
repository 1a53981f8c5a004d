"""What ``gate`` gives back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ai_engine.deploy.ledger import LedgerEntry
from ai_engine.text import interval, number, signed, table
from algorithms.ope.estimate import Estimate
from algorithms.policy.provenance import plain_json
from tune_configs.gate.request import Needs
from tune_configs.trial import estimate_from_json


@dataclass(frozen=True, slots=True)
class GateResult:
    """The gate's answer.

    Attributes:
        agent: the agent.
        decision: ``promote``, ``canary``, ``keep``, ``inconclusive`` or ``refused``.
        version: the finalist that it speaks of, ``agent@N``, or empty.
        reason: one sentence.
        needs: what would settle an open question.
        estimate: gain of that finalist over the champion, or ``None``.
        alpha: what the look cost of the lifetime budget.
        look: number of the look; 0 where no outcome of ``final`` was read.
        champion: whom the finalists were judged against.
        units: final units that were read.
        entry: number of the ledger entry.
    """

    agent: str
    decision: str
    version: str
    reason: str
    needs: Needs
    estimate: Estimate | None
    alpha: float
    look: int
    champion: str
    units: int
    entry: int

    @classmethod
    def of(cls, entry: LedgerEntry) -> GateResult:
        """The answer that the ledger keeps; figures that are not finite come back as NaN."""
        facts, agent = entry.details, entry.agent
        return cls(
            agent=agent,
            decision=facts["decision"],
            version=f"{agent}@{facts['candidate']}",
            reason=entry.reason,
            needs=Needs(**facts["needs"]),
            estimate=estimate_from_json(facts["estimate"]) if facts["estimate"] else None,
            alpha=facts["alpha"],
            look=facts["look"] or 0,
            champion=f"{agent}@{facts['champion']}",
            units=facts["units"],
            entry=entry.number,
        )

    def to_json(self) -> dict[str, Any]:
        """One document; figures that are not finite are null."""
        document = {name: getattr(self, name) for name in self.__slots__}
        document["needs"] = asdict(self.needs)
        document["estimate"] = asdict(self.estimate) if self.estimate else None
        plain: dict[str, Any] = plain_json({"schema_version": 1, **document})
        return plain

    def to_text(self) -> str:
        """The figures and one sentence."""
        rows = [("champion", self.champion), ("finalist", self.version or "–")]
        if self.estimate and self.estimate.usable:
            rows.append(("gain", f"{signed(self.estimate.value)} {interval(self.estimate.lower, self.estimate.upper)}"))
            rows.append(("overlap", f"{self.estimate.effective_sample_size:,.0f} of {self.units:,} units"))
        rows.append(("look", f"{self.look}, α {self.alpha:.4f} spent" if self.look else "none spent"))
        wants = []
        if self.needs.decisions:
            wants.append(f"~{self.needs.decisions:,} decisions")
        if self.needs.seconds:
            wants.append(f"{self.needs.seconds / 3600:,.1f} h at your rate")
        if self.needs.explore:
            wants.append(f"explore={number(self.needs.explore, 2)}")
        if wants:
            rows.append(("needs", ", ".join(wants)))
        return f"{table((), rows)}\n{self.decision}: {self.reason}."
