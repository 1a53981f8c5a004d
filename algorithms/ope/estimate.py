"""What every off-policy estimator returns: a number with its interval, or a refusal with its reason."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

ESTIMATED_PROPENSITIES = "the propensities are estimated, not logged, and nothing unrecorded led to the actions"
"""The assumption of an estimate whose behaviour policy was estimated."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimated value of a policy, or why there is none.

    Attributes:
        value: point estimate of the expected return (NaN when refused without ``force``).
        lower: lower end of the two-sided confidence interval.
        upper: upper end.
        confidence: the interval's nominal coverage, such as 0.95.
        estimator: registry name of the estimator.
        effective_sample_size: Kish effective number of units, (Σw)² / Σw².
        units: number of units that the estimate was computed on.
        evidence: ``log`` (weights reach the policy) or ``model`` (only a model speaks).
        refused: the reason why the number must not be used, or an empty string.
        diagnostics: named figures (largest weight share, mean weight, ...).
        assumptions: what must hold for the interval to cover.
    """

    value: float
    lower: float
    upper: float
    confidence: float
    estimator: str
    effective_sample_size: float
    units: int
    evidence: str = "log"
    refused: str = ""
    diagnostics: dict[str, float] = field(default_factory=dict)
    assumptions: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether the number may be acted on."""
        return not self.refused and math.isfinite(self.value)

    @property
    def on_estimates(self) -> bool:
        """Whether the propensities that it stands on are estimated."""
        return ESTIMATED_PROPENSITIES in self.assumptions
