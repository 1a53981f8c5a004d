"""How far a log reaches a policy: effective sample size, largest share, and when to refuse.

References:
    Kish (1965), Survey Sampling, section 8.2: n_eff = (Σw)² / Σw².
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class OverlapRule:
    """The smallest overlap at which an estimator still answers; both conditions must hold.

    The defaults of each estimator are calibrated: at them the coverage simulations of
    ``tests/algorithms/ope/test_coverage.py`` pass.

    Attributes:
        minimum_units: smallest Kish effective number of units.
        minimum_fraction: smallest effective number as a fraction of all units.
    """

    minimum_units: float = 200.0
    minimum_fraction: float = 0.10

    def refusal(self, effective: float, units: int) -> str:
        """Why an estimate over ``units`` units of which ``effective`` count must not be used, or ``""``."""
        fraction = effective / units if units else 0.0
        needs = []
        if not effective >= self.minimum_units:
            needs.append(f"{self.minimum_units:,.0f} effective units")
        if not fraction >= self.minimum_fraction:
            needs.append(_percent(self.minimum_fraction))
        if not needs:
            return ""
        return (
            f"overlap too small: effective sample size {_count(effective)} of {units:,} units "
            f"({_percent(fraction)}), needs {' and '.join(needs)}"
        )


WEIGHTED_RULE = OverlapRule(200.0, 0.10)
WHOLE_TRAJECTORY_RULE = OverlapRule(200.0, 0.40)
"""For IPS and SNIPS beyond one step: of 1,000 logs of skewed costs over 12 steps that reach 25 % or more (40 % in the
mean) their intervals cover 92 to 93 %, of 600 that reach 40 % (55 %) they cover 95 to 96 %."""
CONTROL_VARIATES_RULE = OverlapRule(200.0, 0.25)
DOUBLY_ROBUST_RULE = OverlapRule(100.0, 0.10)
NO_RULE = OverlapRule(0.0, 0.0)


def effective_sample_size(log_weights: np.ndarray) -> float:
    """Kish effective number of units, (Σw)² / Σw², of float64 log weights (E,).

    Computed after dividing by the largest weight, so that no product of ratios overflows; 0 where
    every weight is 0.
    """
    weights = scaled_weights(log_weights)
    total = float(weights.sum())
    return total * total / float(np.square(weights).sum()) if total > 0 else 0.0


def effective_error(log_weights: np.ndarray) -> float:
    """Standard error of the effective number's logarithm, times √E, of log weights (E,); 0 where every weight is 0.

    By the delta method, of 2 ln Σw - ln Σw².
    """
    weights = scaled_weights(log_weights)
    squares = np.square(weights)
    return float(np.std(2.0 * weights / weights.mean() - squares / squares.mean())) if weights.any() else 0.0


def largest_weight_share(log_weights: np.ndarray) -> float:
    """The largest weight as a share of the sum of all; 1 where every weight is 0."""
    total = float(scaled_weights(log_weights).sum())
    return 1.0 / total if total > 0 else 1.0


def scaled_weights(log_weights: np.ndarray) -> np.ndarray:
    """Weights over their maximum along the first axis, in [0, 1]; all 0 where all are 0."""
    largest = np.max(log_weights, axis=0, initial=-np.inf)
    anchor = np.where(np.isfinite(largest), largest, 0.0)
    return np.exp(np.asarray(log_weights, dtype=np.float64) - anchor)


def _count(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 or number == 0 else f"{number:.1f}"


def _percent(fraction: float) -> str:
    percent = 100.0 * fraction
    return f"{percent:.0f} %" if percent >= 10 or percent == round(percent) else f"{percent:.2g} %"
