"""The direct method: the model's value of the first states, and nothing else.

    v̂ = (1/E) Σ_i V̂_H(s_i0)

Reference: Beygelzimer & Langford (2009), section 3; Le, Voloshin & Yue (2019) for fitted Q evaluation.
"""

from __future__ import annotations

import numpy as np

from algorithms.ope._assembly import INDEPENDENT_UNITS, assemble
from algorithms.ope.estimate import Estimate
from algorithms.ope.overlap import NO_RULE, OverlapRule
from algorithms.ope.trajectories import Trajectories
from envs.errors import DataError


def direct_method(
    trajectories: Trajectories,
    confidence: float = 0.95,
    *,
    force: bool = False,
    overlap: OverlapRule = NO_RULE,
    units: np.ndarray | None = None,
) -> Estimate:
    """The model's value of the policy; its evidence is ``model``, so no gate promotes by it.

    Refuses nothing by default, because it needs no overlap; its interval covers the choice of first
    states alone and knows nothing of the model's error.

    Args:
        trajectories: with ``v_values``.
        confidence: coverage over first states, were the model exact.
        force: give the numbers although a stricter ``overlap`` refuses; the reason stays.
        overlap: smallest overlap that is answered.
        units: independent unit of each episode (E,), ``None`` where it is the episode.

    Raises:
        DataError: the trajectories carry no model values.
    """
    if trajectories.v_values is None:
        raise DataError("no model values", where="direct_method", remedy="fit a model first (cross_fit)")
    return assemble(
        "direct_method",
        trajectories.v_values[:, 0],
        trajectories,
        confidence=confidence,
        force=force,
        overlap=overlap,
        units=units,
        evidence="model",
        assumptions=(INDEPENDENT_UNITS, "the model's values are exact", "states hold all that matters (Markov)"),
    )
