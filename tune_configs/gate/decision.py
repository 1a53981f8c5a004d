"""The gate: five answers from two tests, their conditions, and a budget. Pure: same request, same answer."""

from __future__ import annotations

import math

import numpy as np

from algorithms.ope.estimate import Estimate
from tune_configs.gate.asymptotic import StepDown, spread, step_down
from tune_configs.gate.betting import Bets, bet
from tune_configs.gate.budget import alpha_at, leg_level
from tune_configs.gate.estimates import gate_estimates, refused_estimate
from tune_configs.gate.guardrails import BROKEN, HELD, GuardrailOutcome, guardrail_outcomes
from tune_configs.gate.outlook import plan
from tune_configs.gate.planning import (
    OverlapOdds,
    more_exploration,
    needs_for_overlap,
    needs_for_units,
    settling,
    units_until_look,
)
from tune_configs.gate.request import (
    CANARY,
    INCONCLUSIVE,
    KEEP,
    PROMOTE,
    REFUSED,
    GateDecision,
    GateRequest,
    Needs,
)
from tune_configs.gate.scarcity import ScarceAction
from tune_configs.gate.tail import tail_failure
from tune_configs.gate.tail_odds import tail_odds

PROMOTABLE = ("A", "A-M")
ASYMPTOTIC, FINITE_SAMPLE = "asymptotic", "finite-sample"


def decide(request: GateRequest) -> GateDecision:
    """Promote, canary, keep, inconclusive or refused.

    Promote needs the finite-sample leg, or the asymptotic leg with overlap and the tail condition,
    each at half of this look's α; guardrails besides; and a log with known propensities. Of several
    finalists that pass, the one with the largest lower bound wins.

    Raises:
        DataError: the request contradicts itself.
    """
    units = request.differences.shape[1]
    if request.grade in ("C", "D"):
        why = "it proves no other policy" if request.grade == "C" else "nothing can be learned from it"
        needs = Needs(None, None, more_exploration(request.planning) if request.grade == "C" else None)
        return _refused(request, f"the log is grade {request.grade}: {why}", needs)
    if request.unpaid:
        return _unpaid(request)
    reasons = _overlap_reasons(request)
    eligible = np.array([k for k, reason in enumerate(reasons) if not reason], dtype=np.int64)
    bounded = request.bounded if units and len(reasons) else None
    if not len(eligible) and bounded is None:
        return _without_overlap(request, reasons)
    level = leg_level(request.look, request.alpha)
    asymptotic = None
    if len(eligible):
        asymptotic = step_down(
            request.differences[eligible],
            request.minimum_gain,
            level,
            reference=None if request.reference is None else request.reference[eligible],
            decoupled=None if request.decoupled is None else request.decoupled[eligible],
            draws=request.draws,
            seed=request.seed,
        )
    bets = bet(bounded, request.minimum_gain, level) if bounded is not None else None
    estimates = gate_estimates(request, reasons, eligible, asymptotic, bets, level)
    return _judge(request, reasons, eligible, asymptotic, bets, estimates)


def _judge(
    request: GateRequest,
    reasons: list[str],
    eligible: np.ndarray,
    asymptotic: StepDown | None,
    bets: Bets | None,
    estimates: tuple[Estimate, ...],
) -> GateDecision:
    """The outcome, once both legs have been read."""
    spent = alpha_at(request.look, request.alpha)
    promoted: dict[int, str] = {}
    proposed: dict[int, str] = {}
    broken: dict[int, str] = {}

    def rails(finalist: int) -> tuple[GuardrailOutcome, ...]:
        return guardrail_outcomes(request.guardrails, finalist, spent, reached=not reasons[finalist])

    for finalist in range(len(reasons)):
        by_bets = bets is not None and bool(bets.rejected[finalist])
        at = np.flatnonzero(eligible == finalist)
        by_mean = asymptotic is not None and len(at) > 0 and bool(asymptotic.rejected[at[0]])
        if not by_bets and not by_mean:
            continue
        outcomes = rails(finalist)
        worse = [outcome.name for outcome in outcomes if outcome.verdict == BROKEN]
        failed = [outcome.name for outcome in outcomes if outcome.verdict != HELD]
        tail = "" if by_bets else tail_failure(request.tail, request.differences[finalist], finalist)
        if worse:
            broken[finalist] = f"{', '.join(worse)} would get worse by more than the declared margin"
        elif failed:
            proposed[finalist] = f"non-inferiority is not shown for {', '.join(failed)}"
        elif request.grade not in PROMOTABLE:
            proposed[finalist] = f"the log is grade {request.grade} (retrainer inspect says why)"
        elif tail:
            proposed[finalist] = tail
        else:
            promoted[finalist] = FINITE_SAMPLE if by_bets else ASYMPTOTIC

    def answer(
        decision: str, reason: str, subject: int | None, *, needs: Needs | None = None, leg: str = ""
    ) -> GateDecision:
        return GateDecision(
            decision=decision,
            reason=reason,
            winner=subject if decision in (PROMOTE, CANARY) else None,
            leg=leg,
            estimates=estimates,
            alpha=spent,
            look=request.look,
            needs=needs or Needs(),
            subject=subject,
            guardrails=() if subject is None else rails(subject),
            scarce=None if subject is None else _scarce(request, subject),
            until_look=_until_look(request),
        )

    if promoted:
        winner = max(promoted, key=lambda k: estimates[k].lower)
        leg = promoted[winner]
        return answer(PROMOTE, f"{_gain(request, estimates[winner])}, shown by the {leg} leg", winner, leg=leg)
    if proposed:
        winner = max(proposed, key=lambda k: estimates[k].lower)
        reason = (
            f"{_gain(request, estimates[winner])}, but {proposed[winner]}: a live test may start, nothing is promoted"
        )
        return answer(CANARY, reason, winner)
    if broken:
        subject = max(broken, key=lambda k: estimates[k].lower)
        return answer(KEEP, f"{_gain(request, estimates[subject])}, but {broken[subject]}", subject)
    if asymptotic is None:
        subject = max(range(len(estimates)), key=lambda k: estimates[k].lower)
        needs, limit = _spent_without_overlap(request, subject)
        scarce = _scarce(request, subject)
        reason = (
            f"the finite-sample leg shows no gain, and the other cannot speak ({_first(reasons)}); "
            f"{limit}{settling(needs, scarce, request.look, _until_look(request))}"
        )
        return answer(INCONCLUSIVE, reason, subject, needs=needs)
    best = int(np.argmax(asymptotic.lower))
    subject = int(eligible[best])
    if not asymptotic.deviations.any() and np.all(asymptotic.means <= request.minimum_gain):
        return answer(KEEP, f"{_nobody(reasons)} decides otherwise than the champion on these units", subject)
    if not request.cut and np.all(asymptotic.upper < request.minimum_gain):
        most = float(asymptotic.upper.max())
        reason = f"{_nobody(reasons)} gains more than {most:.4g}, below the minimum gain of {request.minimum_gain:.4g}"
        return answer(KEEP, reason, subject)
    needs, limit = _needs(request, subject, len(eligible))
    reason = (
        f"{_gain(request, estimates[subject])}, which does not exceed {request.minimum_gain:.4g} for sure; "
        f"{limit or f'to show a gain of {_planned_gain(request):.4g} in 8 of 10 cases it '}"
        f"{settling(needs, _scarce(request, subject), request.look, _until_look(request))}"
    )
    return answer(INCONCLUSIVE, reason, subject, needs=needs)


def _needs(request: GateRequest, finalist: int, finalists: int) -> tuple[Needs, str]:
    """What promotes the practical effect at the next look in 8 of 10 cases, or why no practical number does."""
    tested, units = request.differences[finalist], request.differences.shape[1]
    effective, explore = float(request.effective_sample_sizes[finalist]), more_exploration(request.planning)
    if not request.planning.resamples:
        return needs_for_units(units_until_look(effective, units, request.overlap), request.planning, explore), ""
    error = 0.0 if request.effective_errors is None else float(request.effective_errors[finalist])
    reference = np.zeros(0) if request.reference is None else request.reference[finalist]
    decoupled = None if request.decoupled is None else request.decoupled[finalist]
    found = plan(
        tested,
        reference,
        tail_odds(request.tail, np.concatenate([tested, reference]), finalist),
        OverlapOdds(effective, units, error, request.overlap.minimum_units),
        deviation=float(spread(tested[None], reference[None], None if decoupled is None else decoupled[None])[1][0]),
        effect=_planned_effect(request),
        level=leg_level(request.look + 1, request.alpha) / finalists,
        decoupled=decoupled,
        resamples=request.planning.resamples,
        seed=request.seed,
    )
    if found.units is None:
        gain = f"a gain of {_planned_gain(request):.4g} in 8 of 10 cases"
        why = f"no practical number of decisions promotes {gain}: {found.limit}; "
        return Needs(None, None, explore if found.explorable else None), why
    return needs_for_units(found.units, request.planning, explore), ""


def _spent_without_overlap(request: GateRequest, finalist: int) -> tuple[Needs, str]:
    """The same where the finite-sample leg has read the units, but too few of them are effective: it takes new ones."""
    if request.barred and request.barred[finalist]:
        return Needs(), ""
    needs = _overlap_needs(request)
    return (needs, "") if needs.decisions is None else _needs(request, finalist, len(request.differences))


def _without_overlap(request: GateRequest, reasons: list[str]) -> GateDecision:
    """No finalist can be tested: at most a live test on a model's word; no outcome was read."""
    model = request.model_estimate
    refused = tuple(refused_estimate(request, k, reason) for k, reason in enumerate(reasons))
    reason = _first(reasons) if reasons else "no finalist has overlap"
    needs = Needs() if request.barred and all(request.barred) else _overlap_needs(request)
    scarce = _scarce(request, int(np.argmax(request.effective_sample_sizes))) if reasons else None
    if model is not None and model.lower > request.minimum_gain:
        gain = _gain(request, model)
        text = f"only a model speaks for it ({gain}; {reason}): a live test may start, nothing is promoted"
        return GateDecision(CANARY, text, None, "", refused, 0.0, request.look, needs, scarce=scarce)
    reason = f"{reason}; {settling(needs, scarce, request.look - 1, None)}"
    return GateDecision(REFUSED, reason, None, "", refused, 0.0, request.look, needs, scarce=scarce)


def _unpaid(request: GateRequest) -> GateDecision:
    needs = needs_for_units(request.lacking, request.planning, None)
    reason = f"{request.unpaid}; {settling(needs, None, request.look - 1, needs.decisions)}"
    return _refused(request, reason, needs, needs.decisions)


def _refused(request: GateRequest, reason: str, needs: Needs, until_look: int | None = None) -> GateDecision:
    estimates = tuple(refused_estimate(request, k, reason) for k in range(len(request.differences)))
    return GateDecision(REFUSED, reason, None, "", estimates, 0.0, request.look, needs, until_look=until_look)


def _overlap_reasons(request: GateRequest) -> list[str]:
    """Per finalist why the asymptotic leg must not test it, or an empty string."""
    barred = request.barred or ("",) * len(request.differences)
    units = request.differences.shape[1]
    return [
        why or request.overlap.refusal(float(effective), units)
        for why, effective in zip(barred, request.effective_sample_sizes, strict=True)
    ]


def _overlap_needs(request: GateRequest) -> Needs:
    units = request.differences.shape[1]
    best = float(np.max(request.effective_sample_sizes, initial=0.0))
    return needs_for_overlap(best, units, request.overlap, request.planning)


def _until_look(request: GateRequest) -> int | None:
    best = float(np.max(request.effective_sample_sizes, initial=0.0))
    units = units_until_look(best, request.differences.shape[1], request.overlap)
    return needs_for_units(units, request.planning, None).decisions


def _scarce(request: GateRequest, finalist: int) -> ScarceAction | None:
    return request.scarce[finalist] if request.scarce else None


def _planned_effect(request: GateRequest) -> float:
    """Distance from the null to the effect worth having; the effect itself where the null already asks for it."""
    beyond = request.practical_effect - request.minimum_gain
    return beyond if beyond > 0 else request.practical_effect


def _planned_gain(request: GateRequest) -> float:
    """The gain that a plan is for: the effect worth having, or as much above a null that already asks for it."""
    return request.minimum_gain + _planned_effect(request)


def _gain(request: GateRequest, estimate: Estimate) -> str:
    interval = f"[{estimate.lower:.4g}, {estimate.upper:.4g}]"
    if math.isinf(estimate.upper):
        interval = f"(at least {estimate.lower:.4g})"
    found = f"gain {estimate.value:.4g} {interval}"
    if not request.cut:
        return found
    return f"{found}, the rest of {request.cut:,} episodes that were cut before the horizon taken at its worst"


def _nobody(reasons: list[str]) -> str:
    """Whom a ``keep`` speaks of: not of those that could not be tested."""
    untested = sum(map(bool, reasons))
    if not untested:
        return "no finalist"
    return f"no finalist that could be tested ({untested} of {len(reasons)} could not: {_first(reasons)})"


def _first(reasons: list[str]) -> str:
    return next((reason for reason in reasons if reason), "")
