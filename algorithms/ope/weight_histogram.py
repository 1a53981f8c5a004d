"""How the weight of a log is spread over its units: many that count a little, or a few that count for all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from algorithms.ope.overlap import effective_sample_size, largest_weight_share, scaled_weights

EDGES = (0.0625, 0.25, 1.0, 4.0, 16.0, 64.0)
"""Upper edges of the bins between the first and the last, as multiples of the mean weight."""
BINS = ("0", "to 1/16", "1/16 to 1/4", "1/4 to 1", "1 to 4", "4 to 16", "16 to 64", "above 64")


@dataclass(frozen=True, slots=True)
class WeightHistogram:
    """Units by their weight, in multiples of the mean weight; units of weight 0 have a bin of their own.

    Attributes:
        bins: names of the bins.
        units: share of the units in each bin.
        weight: share of the weight in each bin.
        effective: Kish effective number of units.
        count: number of units.
        largest_share: the largest unit's share of the weight.
    """

    bins: tuple[str, ...]
    units: tuple[float, ...]
    weight: tuple[float, ...]
    effective: float
    count: int
    largest_share: float


def weight_histogram(log_weights: np.ndarray) -> WeightHistogram:
    """The histogram of log weights of units (U,), float64 (:func:`algorithms.ope.intervals.unit_log_weights`)."""
    weights = scaled_weights(log_weights)
    count, total = len(weights), float(weights.sum())
    relative = weights * count / total if total > 0.0 else weights
    index = np.where(relative > 0.0, 1 + np.searchsorted(EDGES, relative, side="left"), 0)
    size = len(BINS)
    return WeightHistogram(
        bins=BINS,
        units=tuple((np.bincount(index, minlength=size) / max(count, 1)).tolist()),
        weight=tuple((np.bincount(index, weights=relative, minlength=size) / max(count, 1)).tolist()),
        effective=effective_sample_size(log_weights),
        count=count,
        largest_share=largest_weight_share(log_weights),
    )
