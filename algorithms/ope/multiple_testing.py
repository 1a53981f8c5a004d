"""Many effects at once: what may still be claimed when twenty segments were looked at.

Holm's step-down correction keeps the chance of *any* false claim at the nominal level, whatever the
dependence. Segments share episodes and policies share a champion, so nothing weaker than "whatever"
holds; and a reader acts on single rows, so one false row does harm however many true ones stand
beside it (which is why it is not the false discovery rate of Benjamini & Hochberg that is kept).

A claim has a direction, so each effect is two one-sided hypotheses, and m effects are a family of 2m:
a false direction is a false claim. Intervals are Bonferroni's, which together cover all effects at the
nominal level; where Holm shows an effect whose interval reaches over 0, it ends at 0.

References:
    Holm (1979), A simple sequentially rejective multiple test procedure; Strassburger & Bretz (2008),
    Compatible simultaneous lower confidence bounds for the Holm procedure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from algorithms.ope.estimate import Estimate

BETTER, WORSE, OPEN, SAME, REFUSED = "better", "worse", "open", "same", "refused"


@dataclass(frozen=True, slots=True)
class Effect:
    """An effect as one of a family.

    Attributes:
        estimate: the effect; where it is tested, its interval is one of the family's simultaneous ones.
        adjusted_p: Holm's adjusted p-value of the direction that the estimate has; 1 where nothing is tested.
        verdict: ``better`` or ``worse`` where that is shown for the whole family at once, ``open`` where it
            is not, ``same`` where the two policies do not differ, ``refused`` where overlap is missing.
    """

    estimate: Estimate
    adjusted_p: float
    verdict: str


def holm(p_values: np.ndarray) -> np.ndarray:
    """Adjusted p-values, float64 (m,): rejecting those of at most α keeps the family-wise error at α.

    The i-th smallest of m is multiplied by m - i + 1, and none is below the one before it.

    Args:
        p_values: float64 (m,), each valid by itself.
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    adjusted = np.empty_like(stepped)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def is_test(estimate: Estimate) -> bool:
    """Whether the estimate of a difference tests anything: the log reaches it, and the policies differ."""
    return estimate.usable and (estimate.diagnostics["standard_error"] > 0.0 or estimate.value != 0.0)


def p_of_gain(estimate: Estimate) -> float:
    """One-sided p-value of "no gain" by Student-t over the estimate's units, from its standard error."""
    error = estimate.diagnostics["standard_error"]
    statistic = estimate.value / error if error > 0.0 else np.copysign(np.inf, estimate.value)
    return float(stats.t.sf(statistic, estimate.units - 1))


def corrected(estimates: Sequence[Estimate], confidence: float = 0.95) -> tuple[Effect, ...]:
    """The estimates of differences as one family, in their order.

    Which of them are tested is decided by overlap alone, so by weights and never by rewards.

    Args:
        estimates: of :func:`algorithms.ope.paired.paired_estimate`.
        confidence: 1 - α of the family.
    """
    tested = [index for index, estimate in enumerate(estimates) if is_test(estimate)]
    gain = np.array([p_of_gain(estimates[index]) for index in tested])
    adjusted = holm(np.concatenate([gain, 1.0 - gain])).reshape(2, -1).min(axis=0)
    effects = [Effect(each, 1.0, REFUSED if not each.usable else SAME) for each in estimates]
    for index, p in zip(tested, adjusted.tolist(), strict=True):
        found = _at(estimates[index], 1.0 - (1.0 - confidence) / len(tested))
        verdict = OPEN if p > 1.0 - confidence else BETTER if found.value > 0.0 else WORSE
        if verdict == BETTER:
            found = replace(found, lower=max(found.lower, 0.0))
        elif verdict == WORSE:
            found = replace(found, upper=min(found.upper, 0.0))
        effects[index] = Effect(found, p, verdict)
    return tuple(effects)


def _at(estimate: Estimate, confidence: float) -> Estimate:
    """The estimate with its Student-t interval at another confidence."""
    reach = float(stats.t.ppf(0.5 + confidence / 2.0, estimate.units - 1)) * estimate.diagnostics["standard_error"]
    return replace(estimate, lower=estimate.value - reach, upper=estimate.value + reach, confidence=confidence)
