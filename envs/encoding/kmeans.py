"""States as the nearest of k centroids (k-means++ and Lloyd) in scaled feature space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.encoding.features import StandardFeatures
from envs.encoding.reading import damaged, numbers
from envs.errors import DataError
from envs.observation import ObservationSpecification

ROWS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True, eq=False)
class KMeansStates:
    """A row's state is the centroid nearest to its features.

    Seeding by Arthur & Vassilvitskii (2007), "k-means++: the advantages of careful seeding";
    iteration by Lloyd (1982). The state of a row does not depend on how many rows are asked at once: the
    served state is the trained state.

    Attributes:
        encoder: the features.
        centroids: float64 (Z, F).
    """

    encoder: StandardFeatures
    centroids: np.ndarray

    @classmethod
    def fit(
        cls,
        rows: np.ndarray,
        observation: ObservationSpecification,
        *,
        count: int = 64,
        seed: int = 0,
        iterations: int = 25,
        sample: int | None = 20_000,
    ) -> KMeansStates:
        """Centroids of train's raw rows.

        Args:
            rows: float64 (N, D), train only; rows that lack a required value are passed over.
            observation: the declaration of the columns.
            count: number of centroids; fewer where there are fewer distinct rows.
            seed: of the random starts and of the sub-sample.
            iterations: most Lloyd iterations.
            sample: fit on at most so many rows, drawn without replacement; ``None`` for all.

        Raises:
            DataError: no row.
        """
        encoder = StandardFeatures.fit(rows, observation)
        points = encoder.features(rows)
        points = points[np.isfinite(points).all(axis=1)]
        if not len(points):
            raise DataError("no row to fit centroids on", remedy="log more decisions")
        random = np.random.default_rng(seed)
        if sample is not None and len(points) > sample:
            points = points[np.sort(random.choice(len(points), sample, replace=False))]
        return cls(encoder, _lloyd(points, _seeds(points, count, random), iterations))

    @property
    def count(self) -> int:
        """Number of states, Z."""
        return len(self.centroids)

    def states(self, rows: np.ndarray) -> np.ndarray:
        """States of raw rows (N, D), int64 (N,), -1 where a required value is missing."""
        return nearest(self.encoder.features(rows), self.centroids)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"kind": "KMeansStates", "encoder": self.encoder.to_json(), "centroids": self.centroids.tolist()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> KMeansStates:
        """The inverse of :meth:`to_json`.

        Raises:
            ArtefactError: the JSON describes no such encoder.
        """
        inner = data.get("encoder")
        if not isinstance(inner, Mapping):
            raise damaged("KMeansStates", "encoder is missing")
        encoder, centroids = StandardFeatures.from_json(inner), numbers("KMeansStates", data, "centroids", dimensions=2)
        if not len(centroids) or centroids.shape[1] != encoder.size:
            raise damaged("KMeansStates", f"centroids have {centroids.shape[1]} features, not {encoder.size}")
        return cls(encoder, centroids)


def nearest(points: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Index of the nearest centroid (the first of equals), int64 (N,), -1 for a point that is not finite."""
    out = np.full(len(points), -1, dtype=np.int64)
    scale = float((centroids**2).sum(axis=1).max())
    for start in range(0, len(points), ROWS_AT_ONCE):
        chunk = points[start : start + ROWS_AT_ONCE]
        finite = np.isfinite(chunk).all(axis=1)
        chunk = chunk[finite]
        distance = _fast_distances(chunk, centroids)
        # A matrix product rounds differently for one row and for many. It decides where it can do so beyond
        # its rounding; close calls are computed exactly.
        slack = 1e-10 * ((chunk**2).sum(axis=1) + scale) + 1e-300
        found = distance.argmin(axis=1)
        close = (distance <= distance.min(axis=1, initial=np.inf)[:, None] + slack[:, None]).sum(axis=1) > 1
        if close.any():
            found[close] = _exact_distances(chunk[close], centroids).argmin(axis=1)
        out[start : start + ROWS_AT_ONCE][finite] = found
    return out


def _fast_distances(points: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    squares, others = (points**2).sum(axis=1), (centroids**2).sum(axis=1)
    return np.asarray(squares[:, None] - 2.0 * points @ centroids.T + others[None, :])


def _exact_distances(points: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    distance = np.zeros((len(points), len(centroids)))
    for feature in range(points.shape[1]):
        difference = points[:, feature, None] - centroids[None, :, feature]
        distance += difference * difference
    return distance


def _seeds(points: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """k-means++: each next seed with a probability proportional to its squared distance to the nearest."""
    chosen = [int(random.integers(len(points)))]
    distance = ((points - points[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < count and (total := float(distance.sum())) > 0.0:
        draw = int(np.searchsorted(np.cumsum(distance), random.random() * total, side="right"))
        draw = min(draw, len(points) - 1)
        if distance[draw] == 0.0:
            draw = int(distance.argmax())
        chosen.append(draw)
        distance = np.minimum(distance, ((points - points[draw]) ** 2).sum(axis=1))
    return points[chosen]


def _lloyd(points: np.ndarray, centroids: np.ndarray, iterations: int) -> np.ndarray:
    states = np.full(len(points), -1)
    for _ in range(iterations):
        found = _fast_distances(points, centroids).argmin(axis=1)
        if (found == states).all():
            break
        states = found
        weights = np.bincount(states, minlength=len(centroids))
        moved = np.stack([np.bincount(states, weights=column, minlength=len(centroids)) for column in points.T], axis=1)
        centroids = np.where(weights[:, None] > 0, moved / np.maximum(weights, 1)[:, None], centroids)
    return np.asarray(centroids)
