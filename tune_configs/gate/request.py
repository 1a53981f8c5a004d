"""What the gate is asked and what it answers: plain numbers in, one decision out."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from algorithms.ope.estimate import Estimate
from algorithms.ope.overlap import DOUBLY_ROBUST_RULE, OverlapRule
from envs.errors import DataError
from tune_configs.gate.asymptotic import DRAWS
from tune_configs.gate.betting import BoundedDifferences
from tune_configs.gate.guardrails import Guardrail, GuardrailOutcome
from tune_configs.gate.lifetime import LIFETIME_ALPHA
from tune_configs.gate.scarcity import ScarceAction
from tune_configs.gate.tail import TailEvidence

PROMOTE, CANARY, KEEP, INCONCLUSIVE, REFUSED = "promote", "canary", "keep", "inconclusive", "refused"
GRADES = ("A", "A-M", "B", "C", "D")
MAXIMUM_FINALISTS = 5


@dataclass(frozen=True, slots=True)
class Planning:
    """How fast the log grows, for saying what an open question still needs.

    Attributes:
        decisions_per_unit: mean number of decisions in a unit.
        units_per_second: present rate of new units of all splits; ``None`` where unknown.
        final_share: share of new units that falls into ``final``.
        explore: the log's exploration share; ``None`` where unknown.
        resamples: logs drawn to plan how many decisions are needed; 0 plans for overlap alone.
    """

    decisions_per_unit: float = 1.0
    units_per_second: float | None = None
    final_share: float = 0.35
    explore: float | None = None
    resamples: int = 500


@dataclass(frozen=True, slots=True)
class Needs:
    """What would settle an open question; ``None`` where more of it does not help or the rate is unknown.

    Attributes:
        decisions: new decisions to log (of all splits) before the next gate.
        seconds: time that takes at the present rate.
        explore: exploration share that would shorten it.
    """

    decisions: int | None = None
    seconds: float | None = None
    explore: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class GateRequest:
    """One gate: K finalists, chosen on ``select`` before, and n units of ``final`` never read before.

    Attributes:
        differences: float64 (K, n), paired differences to the champion, unit by unit.
        effective_sample_sizes: float64 (K,), each finalist's (the smaller of its own and the champion's).
        tail: returns and worst-class units, for the tail condition.
        grade: of the log: ``A``, ``A-M``, ``B``, ``C`` or ``D``.
        look: j, the number of this gate in the agent's life, from 1.
        practical_effect: absolute gain worth having, > 0: plans and messages only.
        effective_errors: float64 (K,), relative standard errors of the effective sizes times √n, for plans only;
            ``None`` plans as if they were certain.
        reference: float64 (K, m), the finalists' paired differences on units that are not tested
            (select, or train and select), from which spread and critical value are taken together with the
            tested ones'; the spread only to raise it. Give it wherever outcomes are skewed.
        decoupled: float64 (K, l), differences whose weights met the residuals of other units, for the same.
        minimum_gain: δ_min, the largest gain that the null allows.
        alpha: lifetime budget of the agent.
        bounded: differences of the finite-sample leg; ``None`` where its bounds are not exact.
        guardrails: measures that must not get worse.
        barred: per finalist, why it cannot be proven for reasons known before (such as a failed
            history test); empty strings, or an empty tuple, where there is none.
        cut: tested episodes that were cut before the horizon, whose rest counts where the gain is smallest.
        scarce: per finalist the action that its weights vary most by; an empty tuple where that is not known.
        unpaid: why no look can be paid for (such as no new unit since the last gate), or empty.
        lacking: final units that this look lacks, where it cannot be paid for; ``None`` where no number helps.
        model_estimate: model-based gain of the recommendation, where no finalist has overlap.
        overlap: smallest overlap at which the asymptotic leg tests a finalist.
        estimated: whether the propensities behind the weights are estimated.
        planning: the log's rate.
        draws: of the bootstrap, and most of those of a law.
        seed: of the bootstrap.
    """

    differences: np.ndarray
    effective_sample_sizes: np.ndarray
    tail: TailEvidence
    grade: str
    look: int
    practical_effect: float
    effective_errors: np.ndarray | None = None
    reference: np.ndarray | None = None
    decoupled: np.ndarray | None = None
    minimum_gain: float = 0.0
    alpha: float = LIFETIME_ALPHA
    bounded: BoundedDifferences | None = None
    guardrails: tuple[Guardrail, ...] = ()
    barred: tuple[str, ...] = ()
    cut: int = 0
    scarce: tuple[ScarceAction | None, ...] = ()
    unpaid: str = ""
    lacking: int | None = None
    model_estimate: Estimate | None = None
    overlap: OverlapRule = DOUBLY_ROBUST_RULE
    estimated: bool = False
    planning: Planning = field(default_factory=Planning)
    draws: int = DRAWS
    seed: int = 0

    def __post_init__(self) -> None:
        if self.differences.ndim != 2:
            raise DataError(f"differences have {self.differences.ndim} axes", where="gate", remedy="give (K, n)")
        count, units = self.differences.shape
        if count > MAXIMUM_FINALISTS:
            raise DataError(
                f"{count} finalists", where="gate", remedy=f"choose at most {MAXIMUM_FINALISTS} on the select split"
            )
        if self.grade not in GRADES:
            raise DataError(f"grade {self.grade!r}", where="gate", remedy=f"give one of {', '.join(GRADES)}")
        if not self.practical_effect > 0:
            raise DataError(
                f"practical effect {self.practical_effect}", where="gate", remedy="declare a positive practical_effect"
            )
        shapes: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = [
            ("effective_sample_sizes", np.shape(self.effective_sample_sizes), (count,)),
            ("tail.returns", np.shape(self.tail.returns), (units,)),
        ]
        if self.tail.worst is not None:
            shapes.append(("tail.worst", np.shape(self.tail.worst), (units,)))
        if self.tail.weights is not None:
            shapes.append(("tail.weights", np.shape(self.tail.weights), (count, units)))
        if self.effective_errors is not None:
            shapes.append(("effective_errors", np.shape(self.effective_errors), (count,)))
        if self.bounded is not None:
            shapes.append(("bounded.differences", np.shape(self.bounded.differences), (count, units)))
        for name, others in (("reference", self.reference), ("decoupled", self.decoupled)):
            if others is not None:
                shapes.append((name, np.shape(others), (count, np.shape(others)[-1])))
        if self.scarce:
            shapes.append(("scarce", (len(self.scarce),), (count,)))
        if self.barred:
            shapes.append(("barred", (len(self.barred),), (count,)))
        shapes += [(f"guardrail {rail.name}", np.shape(rail.differences), (count, units)) for rail in self.guardrails]
        for name, shape, expected in shapes:
            if shape != expected:
                raise DataError(f"{name} has shape {shape}, expected {expected}", where="gate", remedy="align them")


@dataclass(frozen=True, slots=True, eq=False)
class GateDecision:
    """The gate's answer.

    Attributes:
        decision: ``promote``, ``canary``, ``keep``, ``inconclusive`` or ``refused``.
        reason: one sentence.
        winner: index of the finalist promoted or proposed for a live test, else ``None``.
        leg: ``asymptotic`` or ``finite-sample``, which one rejected for the winner; else empty.
        estimates: per finalist the gain over the champion. Intervals are simultaneous over the
            finalists at 1 - α_j, α_j / 2 on each side, so that ``lower > minimum_gain`` is a
            rejection; finalists without overlap are refused, unless the finite-sample leg speaks.
        alpha: what this gate spent of the lifetime budget; 0 where no outcome was read.
        look: j of the request.
        needs: what would settle it.
        subject: index of the finalist that the answer speaks of, promoted or not; ``None`` where it speaks of none.
        guardrails: what was found of each for that finalist.
        scarce: the action whose exploration would help it most.
        until_look: new decisions until enough final units are there that no gate has read;
            ``None`` where they are there, or their number is not known.
    """

    decision: str
    reason: str
    winner: int | None
    leg: str
    estimates: tuple[Estimate, ...]
    alpha: float
    look: int
    needs: Needs
    subject: int | None = None
    guardrails: tuple[GuardrailOutcome, ...] = ()
    scarce: ScarceAction | None = None
    until_look: int | None = None

    @property
    def estimate(self) -> Estimate | None:
        """The subject's estimate, or without one the usable estimate of the largest lower bound."""
        if self.subject is not None:
            return self.estimates[self.subject]
        usable = [estimate for estimate in self.estimates if estimate.usable]
        return max(usable, key=lambda estimate: estimate.lower) if usable else None
