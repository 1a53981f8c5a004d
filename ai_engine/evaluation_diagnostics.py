"""What a value hangs on: the diagnostics beside the estimates of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from algorithms.ope.confounding import ConfoundingSensitivity, confounding_sensitivity
from algorithms.ope.diagnostics import BellmanError, RegionOverlap, bellman_error, overlap_by_region, state_regions
from algorithms.ope.estimate import Estimate
from algorithms.ope.padding import pad
from algorithms.ope.sensitivity import (
    ClippingSensitivity,
    SettingSensitivity,
    clipping_sensitivity,
    discount_sensitivity,
    horizon_sensitivity,
)
from algorithms.ope.trajectories import Trajectories
from envs.dataset import Dataset

TOLD = 0.05
"""Share of a policy's decisions from which on a region is worth a line."""


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """Of one policy on one log.

    Attributes:
        regions: overlap in each region of the state space, the most visited first.
        bellman: error of the model values on decisions that they were not fitted on, by region and action.
        clipping: the weighted estimate where large weights are cut; ``None`` where it is refused, as the others below.
        horizon: the same over shorter horizons; ``None`` for single decisions, or where episodes were cut, as below.
        discount: the same at other discounts; ``None`` for single decisions.
        confounding: what an unrecorded cause could do; ``None`` where the propensities are the logged ones.
    """

    regions: tuple[RegionOverlap, ...]
    bellman: BellmanError
    clipping: ClippingSensitivity | None
    horizon: SettingSensitivity | None
    discount: SettingSensitivity | None
    confounding: ConfoundingSensitivity | None

    @property
    def sentences(self) -> tuple[str, ...]:
        """One for each, of the regions that of the thinnest one."""
        visited = [region for region in self.regions if region.target_share >= TOLD] or list(self.regions)
        thinnest = min(visited, key=lambda region: region.effective / region.units)
        others = (self.bellman, self.clipping, self.horizon, self.discount, self.confounding)
        return (f"thinnest overlap: {thinnest.sentence}", *(each.sentence for each in others if each is not None))


def diagnostics_of(
    dataset: Dataset,
    trajectories: Trajectories,
    weighed: Trajectories,
    *,
    units: np.ndarray | None,
    model: str,
    propensities: np.ndarray | None,
    estimates: Sequence[Estimate],
) -> Diagnostics | None:
    """The diagnostics; ``None`` where the policy takes no logged action, so that nothing hangs on anything.

    Args:
        dataset: the evaluated episodes.
        trajectories: the same under the policy, with model values that were fitted on others.
        weighed: the same, weighed for episodes that were cut. What the log itself earned would be known of none of
            those, so that nothing is compared with it.
        units: independent unit of each episode (E,), ``None`` where it is the episode.
        model: name of the model class.
        propensities: float64 (N,), where they were estimated.
        estimates: of every estimator; what one refuses is told by no diagnostic either.
    """
    if not np.isfinite(trajectories.log_ratios.sum(axis=1)).any():
        return None
    horizon = trajectories.horizon
    regions = state_regions(dataset)
    _, code = np.unique(regions, return_inverse=True)
    groups = pad(dataset, code * len(dataset.specification.actions) + dataset.actions, horizon)
    name = "snips" if horizon == 1 else "weighted_pdis"
    told = any(each.estimator == name and np.isfinite(each.value) for each in estimates)
    whole = told and not weighed.at_random
    several = whole and horizon > 1
    return Diagnostics(
        regions=overlap_by_region(trajectories, pad(dataset, regions, horizon), units=units),
        bellman=bellman_error(trajectories, groups, model=model),
        clipping=clipping_sensitivity(weighed, name, units=units) if told else None,
        horizon=horizon_sensitivity(trajectories, units=units) if several else None,
        discount=discount_sensitivity(trajectories, units=units) if several else None,
        confounding=None
        if propensities is None or not whole
        else confounding_sensitivity(trajectories, pad(dataset, propensities, horizon)),
    )
