"""What ``gate`` gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ai_engine.deploy.ledger import LedgerEntry
from ai_engine.provisos import provisos, without_exploration
from ai_engine.text import interval, number, signed, table
from algorithms.ope.estimate import Estimate
from algorithms.policy.provenance import plain_json
from tune_configs.gate.guardrails import GuardrailOutcome
from tune_configs.gate.request import CANARY, PROMOTE, GateDecision, Needs
from tune_configs.gate.scarcity import ScarceAction
from tune_configs.trial import estimate_from_json


@dataclass(frozen=True, slots=True)
class GateResult:
    """The gate's answer.

    Attributes:
        agent: the agent.
        decision: ``promote``, ``canary``, ``keep``, ``inconclusive`` or ``refused``.
        version: the version that it speaks of, ``agent@N``, or empty.
        reason: one sentence; of an open question it says what would settle it.
        needs: the same in numbers.
        estimate: gain of that version over the champion, or ``None``.
        alpha: what the look cost of the lifetime budget.
        look: number of the look; 0 where no outcome of ``final`` was read.
        champion: whom the finalists were judged against.
        units: final units that were read.
        entry: number of the ledger entry.
        guardrails: what was found of each declared guardrail for that version.
        scarce: the action that its weights vary most by, which more exploration would help most.
        looks: looks at ``final`` that the agent has spent, this one included.
        until_look: new decisions until there are final units for a further look; ``None`` where they are there.
        held: whether automation was held, so that a version that passed is promoted only after a release.
        certain_share: share of that finalist's decisions left to no chance, of which its own log would prove nothing.
        finalist: whether the version is a finalist of the sweep, else it is what the sweep recommends.
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
    guardrails: tuple[GuardrailOutcome, ...] = ()
    scarce: ScarceAction | None = None
    looks: int = 0
    until_look: int | None = None
    held: bool = False
    certain_share: float = 0.0
    finalist: bool = True

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
            guardrails=tuple(_outcome(kept) for kept in facts.get("guardrails", ())),
            scarce=ScarceAction(**facts["scarce"]) if facts.get("scarce") else None,
            looks=facts.get("looks", facts["look"] or 0),
            until_look=facts.get("until_look"),
            held=facts.get("held", False),
            certain_share=facts.get("certain_share", 0.0),
            finalist=facts.get("finalist", True),
        )

    def to_json(self) -> dict[str, Any]:
        """One document; figures that are not finite are null."""
        document = {name: getattr(self, name) for name in self.__slots__}
        document["needs"] = asdict(self.needs)
        document["estimate"] = asdict(self.estimate) if self.estimate else None
        document["guardrails"] = [asdict(outcome) for outcome in self.guardrails]
        document["scarce"] = asdict(self.scarce) if self.scarce else None
        plain: dict[str, Any] = plain_json({"schema_version": 1, **document})
        return plain

    def to_text(self) -> str:
        """The figures and one sentence."""
        rows = [("champion", self.champion), ("finalist" if self.finalist else "recommended", self.version or "–")]
        if self.estimate and self.estimate.usable:
            rows.append(("gain", f"{signed(self.estimate.value)} {interval(self.estimate.lower, self.estimate.upper)}"))
            rows.append(("overlap", f"{self.estimate.effective_sample_size:,.0f} of {self.units:,} units"))
        rows += [(f"guardrail {outcome.name}", told(outcome)) for outcome in self.guardrails]
        rows.append(("look", f"{self.look}, α {self.alpha:.4f} spent" if self.look else "none spent"))
        estimated = self.estimate is not None and self.estimate.on_estimates
        said = f"{self.decision}: {self.reason}.{provisos('', estimated=estimated)}{self.warning}"
        return f"{table((), rows)}\n{said}"

    @property
    def warning(self) -> str:
        """What follows for the next log if that finalist decides, a sentence after a space, or empty."""
        moves = self.decision in (PROMOTE, CANARY)
        return without_exploration(self.agent, self.version, self.certain_share) if moves else ""


def decision_details(decision: GateDecision) -> dict[str, Any]:
    """What the ledger keeps of a decision beside its own fields; :meth:`GateResult.of` reads it back."""
    return {
        "needs": asdict(decision.needs),
        "estimate": asdict(decision.estimate) if decision.estimate else None,
        "guardrails": [asdict(outcome) for outcome in decision.guardrails],
        "scarce": asdict(decision.scarce) if decision.scarce else None,
        "until_look": decision.until_look,
    }


def told(outcome: GuardrailOutcome) -> str:
    """A guardrail's outcome for people."""
    worst = "at most" if outcome.direction == "lower" else "at least"
    figures = f"{signed(outcome.change)}, {worst} {signed(outcome.bound)}, tolerated {_tolerated(outcome)}"
    return f"{outcome.verdict}: {figures}"


def _tolerated(outcome: GuardrailOutcome) -> str:
    return f"+{number(outcome.margin)}" if outcome.direction == "lower" else f"-{number(outcome.margin)}"


def _outcome(kept: Mapping[str, Any]) -> GuardrailOutcome:
    missing = {name: float("nan") for name in ("change", "bound") if kept[name] is None}
    return GuardrailOutcome(**{**kept, **missing})
