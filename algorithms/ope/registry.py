"""All estimators by name, with one signature."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from algorithms.ope.clipped_per_decision import clipped_pdis, clipped_weighted_pdis
from algorithms.ope.control_variates import control_variates
from algorithms.ope.direct_method import direct_method
from algorithms.ope.doubly_robust import doubly_robust
from algorithms.ope.doubly_robust_marginalized import doubly_robust_marginalized
from algorithms.ope.doubly_robust_shrinkage import doubly_robust_shrinkage
from algorithms.ope.estimate import Estimate
from algorithms.ope.importance_sampling import ips, snips
from algorithms.ope.magic import magic
from algorithms.ope.marginalized_importance_sampling import marginalized_importance_sampling
from algorithms.ope.overlap import OverlapRule
from algorithms.ope.per_decision import pdis, weighted_pdis
from algorithms.ope.switch_doubly_robust import switch_doubly_robust
from algorithms.ope.trajectories import Trajectories
from algorithms.ope.weighted_doubly_robust import weighted_doubly_robust
from envs.errors import DataError


class Estimator(Protocol):
    """What every estimator is: trajectories and a confidence in, an estimate or a refusal out."""

    def __call__(
        self,
        trajectories: Trajectories,
        confidence: float = 0.95,
        *,
        force: bool = False,
        overlap: OverlapRule = ...,
        units: np.ndarray | None = None,
    ) -> Estimate:
        """The estimate of the target policy's value."""
        ...


ESTIMATORS: dict[str, Estimator] = {
    "ips": ips,
    "snips": snips,
    "pdis": pdis,
    "weighted_pdis": weighted_pdis,
    "clipped_pdis": clipped_pdis,
    "clipped_weighted_pdis": clipped_weighted_pdis,
    "control_variates": control_variates,
    "direct_method": direct_method,
    "doubly_robust": doubly_robust,
    "weighted_doubly_robust": weighted_doubly_robust,
    "magic": magic,
    "switch_doubly_robust": switch_doubly_robust,
    "doubly_robust_shrinkage": doubly_robust_shrinkage,
    "marginalized_importance_sampling": marginalized_importance_sampling,
    "doubly_robust_marginalized": doubly_robust_marginalized,
}
NEEDS_MODEL = frozenset(
    {
        "direct_method",
        "doubly_robust",
        "weighted_doubly_robust",
        "magic",
        "switch_doubly_robust",
        "doubly_robust_shrinkage",
        "doubly_robust_marginalized",
    }
)
NEEDS_STATE_RATIOS = frozenset({"marginalized_importance_sampling", "doubly_robust_marginalized"})
"""Those that raise without them."""
SINGLE_DECISION = frozenset({"switch_doubly_robust", "doubly_robust_shrinkage"})
"""Those that raise beyond a horizon of 1."""


def estimators_for(horizon: int, *, state_ratios: bool = False) -> dict[str, Estimator]:
    """The estimators that answer on a log of this horizon, by name; with state ratios those that read them, too.

    At a horizon of 1 every state ratio is 1: by them the estimates would be those of ``ips`` and
    ``doubly_robust``, which stand there already.
    """
    left_out = SINGLE_DECISION if horizon > 1 else NEEDS_STATE_RATIOS
    if not state_ratios:
        left_out |= NEEDS_STATE_RATIOS
    return {name: each for name, each in ESTIMATORS.items() if name not in left_out}


def estimator(name: str) -> Estimator:
    """The estimator of that name.

    Raises:
        DataError: there is none; names those there are.
    """
    try:
        return ESTIMATORS[name]
    except KeyError:
        raise DataError(f"{name!r} is no estimator", remedy=f"choose one of {', '.join(ESTIMATORS)}") from None
