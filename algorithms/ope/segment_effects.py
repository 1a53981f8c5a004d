"""The gain of a policy over the champion within segments of episodes, each with its own overlap refusal.

A segment is a set of episodes that is known before the first decision (a tenant, the hour of the day,
a field of the first observation). The gain within it is the mean of the paired differences of its
episodes: what policies do later cannot move an episode from one segment to another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from algorithms.ope.estimate import Estimate
from algorithms.ope.expected_error import at_least_expected, no_difference, residual_variances
from algorithms.ope.overlap import DOUBLY_ROBUST_RULE, OverlapRule
from algorithms.ope.paired import paired_estimate
from algorithms.ope.trajectories import Trajectories
from envs.dataset import Dataset
from envs.errors import DataError

MOST_SEGMENTS = 12
"""Of one segmentation; the rarer ones are pooled."""
POOLED, UNKNOWN = "all others", "unknown"
HOURS = 6
HOURS_NAME = "hour (UTC)"


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """A way to divide episodes.

    Attributes:
        name: what divides them, such as ``service`` or ``tenant``.
        labels: str (E,), the segment of each episode.
    """

    name: str
    labels: np.ndarray

    @property
    def segments(self) -> list[str]:
        """The segments, those with most episodes first, equal ones by name."""
        names, counts = np.unique(self.labels, return_counts=True)
        return [str(names[index]) for index in np.lexsort((names, -counts))]


def segmentations(dataset: Dataset, tenants: Sequence[str] | None = None) -> tuple[Segmentation, ...]:
    """How the episodes of a log can be divided by what is known before the first decision.

    By tenant, by categories and truth values of the first observation, by an integer observation of few
    values, and by the hour of the first decision where every episode has one. What divides nothing is
    left out.

    Args:
        dataset: the episodes.
        tenants: whose each episode is (E,), where that is known.
    """
    first = dataset.offsets[:-1]
    observations = dataset.observations[dataset.rows[first]]
    found = [] if tenants is None else [Segmentation("tenant", np.array(tenants, dtype=np.str_))]
    declared = dataset.specification.observation
    for position, field in enumerate(declared.fields):
        column = observations[:, position]
        few = declared.kind == "int" and len(np.unique(column)) <= MOST_SEGMENTS
        if field.type in ("category", "boolean") or few:
            found.append(Segmentation(field.name, _names(column, field.categories, field.type)))
    times = dataset.timestamps[first]
    if np.isfinite(times).all():
        start = (times // 3600.0 % 24.0 // HOURS).astype(np.int64) * HOURS
        labels = [f"{hour:02d} to {hour + HOURS:02d}" for hour in start.tolist()]
        found.append(Segmentation(HOURS_NAME, np.array(labels, dtype=np.str_)))
    pooled = (Segmentation(each.name, _pooled(each.labels)) for each in found)
    return tuple(each for each in pooled if len(each.segments) > 1)


def segment_effects(
    candidate: Trajectories,
    champion: Trajectories,
    segmentation: Segmentation,
    *,
    overlap: OverlapRule = DOUBLY_ROBUST_RULE,
    units: np.ndarray | None = None,
    differ: np.ndarray | None = None,
    confidence: float = 0.95,
) -> dict[str, Estimate]:
    """The paired gain within each segment, by segment; refused where its own overlap is too small.

    No standard error is below what the residuals of all episodes let expect
    (:mod:`algorithms.ope.expected_error`).

    Args:
        candidate: the episodes under the candidate's ratios and model.
        champion: the same episodes under the champion's.
        segmentation: of these episodes.
        overlap: smallest overlap within a segment that is answered.
        units: independent unit of each episode (E,), ``None`` where it is the episode.
        differ: bool (E,), whether the policies decide otherwise anywhere in each episode; where it is known
            that they do not within a whole segment, the gain there is 0 and no estimate.
        confidence: of each interval, before :func:`algorithms.ope.multiple_testing.corrected`.

    Raises:
        DataError: the segmentation is of other episodes.
    """
    if len(segmentation.labels) != len(candidate):
        raise DataError(
            f"{len(segmentation.labels)} labels for {len(candidate)} episodes",
            where=f"segments by {segmentation.name}",
            remedy="divide the episodes that are evaluated",
        )
    variances, found = residual_variances(champion), {}
    for name in segmentation.segments:
        inside = segmentation.labels == name
        ours, theirs = episodes_of(candidate, inside), episodes_of(champion, inside)
        own = None if units is None else units[inside]
        estimate = paired_estimate(ours, theirs, confidence, overlap=overlap, units=own)
        alike = differ is not None and not differ[inside].any()
        found[name] = no_difference(estimate) if alike else at_least_expected(estimate, ours, theirs, variances)
    return found


def episodes_of(trajectories: Trajectories, chosen: np.ndarray) -> Trajectories:
    """The chosen episodes, bool (E,), of the trajectories."""
    columns = {field.name: getattr(trajectories, field.name) for field in fields(trajectories)}
    return replace(
        trajectories, **{name: value[chosen] for name, value in columns.items() if isinstance(value, np.ndarray)}
    )


def _names(column: np.ndarray, categories: Sequence[str], kind: str) -> np.ndarray:
    def name(value: float) -> str:
        if np.isnan(value) or (value < 0.0 and kind == "category"):
            return UNKNOWN
        if kind == "category":
            return categories[int(value)]
        return ("no", "yes")[int(value)] if kind == "boolean" else f"{value:g}"

    return np.array([name(value) for value in column.tolist()], dtype=np.str_)


def _pooled(labels: np.ndarray) -> np.ndarray:
    names, counts = np.unique(labels, return_counts=True)
    if len(names) <= MOST_SEGMENTS:
        return labels
    kept = names[np.lexsort((names, -counts))][: MOST_SEGMENTS - 1]
    return np.where(np.isin(labels, kept), labels, POOLED)
