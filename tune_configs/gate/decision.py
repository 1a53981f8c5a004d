"""The gate: five answers from two tests, their conditions, and a budget. Pure: same request, same answer."""

from __future__ import annotations

import math

import numpy as np

from algorithms.ope.estimate import Estimate
from tune_configs.gate.asymptotic import StepDown, step_down
from tune_configs.gate.betting import Bets, bet, betting_lower_bounds
from tune_configs.gate.budget import alpha_at, leg_level, needed_units
from tune_configs.gate.guardrails import failed_guardrails
from tune_configs.gate.planning import more_exploration, needs_for_overlap, needs_for_units
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
from tune_configs.gate.tail import tail_failure

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
        why = "its actions have no overlap" if request.grade == "C" else "nothing can be learned from it"
        needs = Needs(None, None, more_exploration(request.planning) if request.grade == "C" else None)
        return _refused(request, f"the log is grade {request.grade}: {why}", needs)
    if request.unpaid:
        return _refused(request, request.unpaid, needs_for_units(request.overlap.minimum_units, request.planning, None))
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
            draws=request.draws,
            seed=request.seed,
        )
    bets = bet(bounded, request.minimum_gain, level) if bounded is not None else None
    estimates = _estimates(request, reasons, eligible, asymptotic, level)
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
    for finalist in range(len(reasons)):
        by_bets = bets is not None and bool(bets.rejected[finalist])
        at = np.flatnonzero(eligible == finalist)
        by_mean = asymptotic is not None and len(at) > 0 and bool(asymptotic.rejected[at[0]])
        if not by_bets and not by_mean:
            continue
        failed = failed_guardrails(request.guardrails, finalist, spent)
        tail = "" if by_bets else tail_failure(request.tail, request.differences[finalist], finalist)
        if failed:
            proposed[finalist] = f"non-inferiority is not shown for {', '.join(failed)}"
        elif request.grade not in PROMOTABLE:
            proposed[finalist] = f"the log is grade {request.grade}, its propensities are not exact"
        elif tail:
            proposed[finalist] = tail
        else:
            promoted[finalist] = FINITE_SAMPLE if by_bets else ASYMPTOTIC

    def answer(decision: str, reason: str, winner: int | None, needs: Needs, leg: str = "") -> GateDecision:
        return GateDecision(decision, reason, winner, leg, estimates, spent, request.look, needs)

    if promoted:
        winner = max(promoted, key=lambda k: estimates[k].lower)
        leg = promoted[winner]
        return answer(PROMOTE, f"{_gain(estimates[winner])}, shown by the {leg} leg", winner, Needs(), leg)
    if proposed:
        winner = max(proposed, key=lambda k: estimates[k].lower)
        reason = f"{_gain(estimates[winner])}, but {proposed[winner]}: a live test may start, nothing is promoted"
        return answer(CANARY, reason, winner, Needs())
    if asymptotic is None:
        reason = f"the finite-sample leg shows no gain, and the other cannot speak: {_first(reasons)}"
        return answer(INCONCLUSIVE, reason, None, _overlap_needs(request))
    if not asymptotic.deviations.any() and np.all(asymptotic.means <= request.minimum_gain):
        return answer(KEEP, "no finalist decides otherwise than the champion on these units", None, Needs())
    if np.all(asymptotic.upper < request.minimum_gain):
        best = float(asymptotic.upper.max())
        reason = f"no finalist gains more than {best:.4g}, below the minimum gain of {request.minimum_gain:.4g}"
        return answer(KEEP, reason, None, Needs())
    best = int(np.argmax(asymptotic.lower))
    needed = needed_units(
        float(asymptotic.deviations[best]), _planned_effect(request), leg_level(request.look + 1, request.alpha)
    )
    needs = needs_for_units(needed, request.planning, more_exploration(request.planning))
    reason = (
        f"{_gain(estimates[int(eligible[best])])}, which does not exceed {request.minimum_gain:.4g} for sure; "
        f"a gain of {request.practical_effect:.4g} would show in 8 of 10 cases after "
        f"{needs.decisions:,} new decisions{_duration(needs)}"
    )
    return answer(INCONCLUSIVE, reason, None, needs)


def _without_overlap(request: GateRequest, reasons: list[str]) -> GateDecision:
    """No finalist can be tested: at most a live test on a model's word; no outcome was read."""
    model = request.model_estimate
    refused = tuple(_refused_estimate(request, k, reason) for k, reason in enumerate(reasons))
    reason = _first(reasons) if reasons else "no finalist has overlap"
    needs = _overlap_needs(request)
    if model is not None and model.lower > request.minimum_gain:
        text = f"only a model speaks for it ({_gain(model)}; {reason}): a live test may start, nothing is promoted"
        return GateDecision(CANARY, text, None, "", refused, 0.0, request.look, needs)
    return GateDecision(REFUSED, reason, None, "", refused, 0.0, request.look, needs)


def _refused(request: GateRequest, reason: str, needs: Needs) -> GateDecision:
    estimates = tuple(_refused_estimate(request, k, reason) for k in range(len(request.differences)))
    return GateDecision(REFUSED, reason, None, "", estimates, 0.0, request.look, needs)


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


def _estimates(
    request: GateRequest, reasons: list[str], eligible: np.ndarray, asymptotic: StepDown | None, level: float
) -> tuple[Estimate, ...]:
    units = request.differences.shape[1]
    bounded = request.bounded
    fallback = betting_lower_bounds(bounded, level) if bounded is not None and any(reasons) else None
    estimates = []
    for finalist, reason in enumerate(reasons):
        effective = float(request.effective_sample_sizes[finalist])
        if not reason and asymptotic is not None:
            at = int(np.flatnonzero(eligible == finalist)[0])
            estimates.append(
                Estimate(
                    value=float(asymptotic.means[at]),
                    lower=float(asymptotic.lower[at]),
                    upper=float(asymptotic.upper[at]),
                    confidence=1.0 - 2.0 * level,
                    estimator="paired_doubly_robust",
                    effective_sample_size=effective,
                    units=units,
                    diagnostics={
                        "standard_deviation": float(asymptotic.deviations[at]),
                        "skewness": float(asymptotic.skewness[at]),
                        "statistic": float(asymptotic.statistics[at]),
                        "critical_value": asymptotic.critical,
                    },
                    assumptions=("simultaneous over the finalists", "units are independent and alike"),
                )
            )
        elif bounded is not None and fallback is not None:
            estimates.append(
                Estimate(
                    value=float(bounded.differences[finalist].mean()),
                    lower=float(fallback[finalist]),
                    upper=math.inf,
                    confidence=1.0 - level,
                    estimator="betting",
                    effective_sample_size=effective,
                    units=units,
                    diagnostics={"bound": float(bounded.bounds[finalist])},
                    assumptions=("one-sided, simultaneous over the finalists", "the declared bounds are exact"),
                )
            )
        else:
            estimates.append(_refused_estimate(request, finalist, reason))
    return tuple(estimates)


def _refused_estimate(request: GateRequest, finalist: int, reason: str) -> Estimate:
    return Estimate(
        value=math.nan,
        lower=math.nan,
        upper=math.nan,
        confidence=1.0 - alpha_at(request.look, request.alpha),
        estimator="paired_doubly_robust",
        effective_sample_size=float(request.effective_sample_sizes[finalist]),
        units=request.differences.shape[1],
        refused=reason,
    )


def _planned_effect(request: GateRequest) -> float:
    """Distance from the null to the effect worth having; the effect itself where the null already asks for it."""
    beyond = request.practical_effect - request.minimum_gain
    return beyond if beyond > 0 else request.practical_effect


def _gain(estimate: Estimate) -> str:
    if math.isinf(estimate.upper):
        return f"gain {estimate.value:.4g} (at least {estimate.lower:.4g})"
    return f"gain {estimate.value:.4g} [{estimate.lower:.4g}, {estimate.upper:.4g}]"


def _first(reasons: list[str]) -> str:
    return next((reason for reason in reasons if reason), "")


def _duration(needs: Needs) -> str:
    if needs.seconds is None:
        return ""
    hours = needs.seconds / 3600.0
    return (
        f", {hours / 24.0:.1f} days at the present rate" if hours >= 48 else f", {hours:.1f} hours at the present rate"
    )
