"""Where a log speaks: no further from a logged row than logged rows are from each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

USUAL = 0.95
"""Share of the distinct rows that are nearer than the radius to the next row of their group."""
LARGEST = 500
"""Rows around a context that are looked at, the nearest ones."""


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """What may be decided in one context by one group: a union of balls inside the observed box.

    Attributes:
        centres: float64 (B, k), decisions of the rows in reach.
        radii: float64 (B,), 0 or more.
        low: float64 (k,), smallest observed value of each column.
        high: float64 (k,), largest.
    """

    centres: np.ndarray
    radii: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def project(self, decisions: np.ndarray) -> np.ndarray:
        """Decisions (m, k) pulled inside: into the box, then straight into the nearest ball."""
        inside = np.clip(decisions, self.low, self.high)
        offsets = inside[:, None, :] - self.centres
        distances = np.sqrt((offsets**2).sum(axis=2))
        nearest = (distances - self.radii).argmin(axis=1)
        index = np.arange(len(inside))
        distance, radius = distances[index, nearest], self.radii[nearest]
        outside = distance > radius
        share = np.divide(radius, distance, out=np.ones_like(distance), where=outside)
        pulled = self.centres[nearest] + share[:, None] * offsets[index, nearest]
        return np.where(outside[:, None], pulled, inside)


@dataclass(frozen=True, slots=True, eq=False)
class DataRegion:
    """The region of n standardised rows: (context, decision) near a logged row of the same group.

    Attributes:
        points: float64 (n, c + k), contexts first.
        groups: int64 (n,).
        contexts: c.
        radius: largest distance to a logged row of the group.
    """

    points: np.ndarray
    groups: np.ndarray
    contexts: int
    radius: float

    @classmethod
    def of(cls, points: np.ndarray, groups: np.ndarray, contexts: int) -> DataRegion:
        """The region whose radius is the 95 % quantile of the distances between nearest distinct rows of a group.

        Without two such rows the radius is 0: the rows alone are in the region.
        """
        gaps = [np.empty(0)]
        for group in np.unique(groups):
            distinct = np.unique(points[groups == group], axis=0)
            if len(distinct) > 1:
                gaps.append(cKDTree(distinct).query(distinct, k=2)[0][:, 1])
        distances = np.concatenate(gaps)
        radius = float(np.quantile(distances, USUAL)) if len(distances) else 0.0
        return cls(points, groups, contexts, radius)

    def distance(self, point: np.ndarray, group: int | None = None) -> float:
        """From a point (c,) or (c + k,) to the nearest row (of a group), by as many columns; ∞ without rows."""
        rows = self.points[:, : len(point)] if group is None else self.points[self.groups == group, : len(point)]
        return float(np.sqrt(((rows - point) ** 2).sum(axis=1)).min()) if len(rows) else np.inf

    def reach(self, context: np.ndarray, group: int) -> Reach | None:
        """What a group may decide in a context (c,); ``None`` where no row is in reach."""
        rows = self.points[self.groups == group]
        apart = ((rows[:, : self.contexts] - context) ** 2).sum(axis=1)
        # A row is in its own reach whatever the rounding.
        near = np.flatnonzero(apart <= self.radius**2 * (1.0 + 1e-12) + 1e-24)
        if not len(near):
            return None
        near = near[np.argsort(apart[near], kind="stable")[:LARGEST]]
        radii = np.sqrt(np.maximum(self.radius**2 - apart[near], 0.0))
        decisions = self.points[:, self.contexts :]
        return Reach(rows[near, self.contexts :], radii, decisions.min(axis=0), decisions.max(axis=0))
