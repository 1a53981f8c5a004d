"""The finalists' gains as the gate tells them: with simultaneous intervals, or refused with the reason."""

from __future__ import annotations

import math

import numpy as np

from algorithms.ope.estimate import ESTIMATED_PROPENSITIES, Estimate
from tune_configs.gate.asymptotic import StepDown
from tune_configs.gate.betting import Bets, betting_lower_bounds
from tune_configs.gate.budget import alpha_at
from tune_configs.gate.request import GateRequest
from tune_configs.gate.tail import tail_failure
from tune_configs.judge import BY_STATES


def gate_estimates(
    request: GateRequest,
    reasons: list[str],
    eligible: np.ndarray,
    asymptotic: StepDown | None,
    bets: Bets | None,
    level: float,
) -> tuple[Estimate, ...]:
    """One estimate per finalist, by the asymptotic leg where that tested it, unless the bets alone show its gain.

    Args:
        request: what was asked.
        reasons: per finalist why the asymptotic leg must not test it, or empty.
        eligible: int64, the finalists that it tested.
        asymptotic: what it found of them.
        bets: what the finite-sample leg found of all.
        level: of each leg.
    """
    shown = np.zeros(len(reasons), dtype=bool) if bets is None else bets.rejected
    places: dict[int, int] = {}
    if asymptotic is not None:
        places = {int(k): at for at, k in enumerate(eligible) if asymptotic.rejected[at] or not shown[k]}
    bounded = request.bounded
    fallback = betting_lower_bounds(bounded, level) if bounded is not None and len(places) < len(reasons) else None
    estimates = []
    for finalist, reason in enumerate(reasons):
        if asymptotic is not None and finalist in places:
            estimates.append(_by_mean(request, finalist, asymptotic, places[finalist], level))
        elif fallback is not None:
            estimates.append(_by_bets(request, finalist, float(fallback[finalist]), level))
        else:
            estimates.append(refused_estimate(request, finalist, reason))
    return tuple(estimates)


def refused_estimate(request: GateRequest, finalist: int, reason: str) -> Estimate:
    """No number, and why."""
    return Estimate(
        value=math.nan,
        lower=math.nan,
        upper=math.nan,
        confidence=1.0 - alpha_at(request.look, request.alpha),
        estimator=_estimator(request),
        effective_sample_size=float(request.effective_sample_sizes[finalist]),
        units=request.differences.shape[1],
        refused=reason,
        assumptions=_of_propensities(request),
    )


def _by_mean(request: GateRequest, finalist: int, asymptotic: StepDown, at: int, level: float) -> Estimate:
    tail = tail_failure(request.tail, request.differences[finalist], finalist)
    return Estimate(
        value=float(asymptotic.means[at]),
        lower=float(asymptotic.lower[at]),
        upper=float(asymptotic.upper[at]),
        confidence=1.0 - 2.0 * level,
        estimator=_estimator(request),
        effective_sample_size=float(request.effective_sample_sizes[finalist]),
        units=request.differences.shape[1],
        diagnostics={
            "tail_condition": float(not tail),
            "standard_deviation": float(asymptotic.deviations[at]),
            "statistic": float(asymptotic.statistics[at]),
            "critical_value": float(asymptotic.critical[at]),
        },
        assumptions=(
            "simultaneous over the finalists",
            "units are independent and alike",
            *_of_propensities(request),
            *((f"nothing rare is missing from the log, which it does not show: {tail}",) if tail else ()),
        ),
    )


def _of_propensities(request: GateRequest) -> tuple[str, ...]:
    return (ESTIMATED_PROPENSITIES,) if request.estimated else ()


def _estimator(request: GateRequest) -> str:
    return "paired_doubly_robust_marginalized" if request.grade == BY_STATES else "paired_doubly_robust"


def _by_bets(request: GateRequest, finalist: int, lower: float, level: float) -> Estimate:
    assert request.bounded is not None
    return Estimate(
        value=float(request.bounded.differences[finalist].mean()),
        lower=lower,
        upper=math.inf,
        confidence=1.0 - level,
        estimator="betting",
        effective_sample_size=float(request.effective_sample_sizes[finalist]),
        units=request.differences.shape[1],
        diagnostics={"bound": float(request.bounded.bounds[finalist])},
        assumptions=(
            "one-sided, simultaneous over the finalists",
            "the declared bounds are exact",
            *_of_propensities(request),
        ),
    )
