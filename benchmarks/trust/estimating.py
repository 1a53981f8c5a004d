"""What is asked of every log: all estimators that claim to cover, and the paired difference of the gate."""

from __future__ import annotations

from algorithms.ope.estimate import Estimate
from algorithms.ope.overlap import NO_RULE
from algorithms.ope.paired import paired_estimate
from algorithms.ope.registry import estimators_for
from algorithms.ope.trajectories import Trajectories
from benchmarks.trust.tally import CONFIDENCE

NO_CLAIM = frozenset({"direct_method", "marginalized_importance_sampling"})
"""Their intervals take a model as exact and say so; there is nothing to test."""
PAIRED = "paired_doubly_robust"


def estimates_of(candidate: Trajectories, champion: Trajectories, *, ruled: bool = True) -> dict[str, Estimate]:
    """All by name that the trajectories carry enough for; without the estimators' own rules where not ``ruled``."""
    rule = {} if ruled else {"overlap": NO_RULE}
    asked = estimators_for(candidate.horizon, state_ratios=candidate.state_log_ratios is not None)
    found = {name: estimate(candidate, CONFIDENCE, **rule) for name, estimate in asked.items() if name not in NO_CLAIM}
    return found | {PAIRED: paired_estimate(candidate, champion, CONFIDENCE, **rule)}
