"""All estimators by name, with one signature."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from algorithms.ope.direct_method import direct_method
from algorithms.ope.doubly_robust import doubly_robust
from algorithms.ope.estimate import Estimate
from algorithms.ope.importance_sampling import ips, snips
from algorithms.ope.overlap import OverlapRule
from algorithms.ope.per_decision import pdis, weighted_pdis
from algorithms.ope.trajectories import Trajectories
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
    "direct_method": direct_method,
    "doubly_robust": doubly_robust,
}
NEEDS_MODEL = frozenset({"direct_method", "doubly_robust"})


def estimator(name: str) -> Estimator:
    """The estimator of that name.

    Raises:
        DataError: there is none; names those there are.
    """
    try:
        return ESTIMATORS[name]
    except KeyError:
        raise DataError(f"{name!r} is no estimator", remedy=f"choose one of {', '.join(ESTIMATORS)}") from None
