"""The next raw row as numbers that a network can predict, and rows drawn from what it predicted.

A number is predicted as its change, standardised by the log's changes; a category, a boolean or
an integer that names a state as a class among the values that were logged; whether an optional number is
missing as a binary variable.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from envs.encoding import StandardFeatures
from envs.observation import ObservationSpecification
from envs.offline.ensemble import Layout


@dataclass(frozen=True, slots=True, eq=False)
class RowChanges:
    """How the D columns of a raw row are predicted by O' outputs, in the order of the attributes.

    Attributes:
        numbers: int64 (M,), columns that are numbers; one output each.
        centres: float64 (M,), what a change counts from where the number is missing.
        shifts: float64 (M,), mean of the logged changes.
        scales: float64 (M,), standard deviation of the logged changes.
        noise: float64 (M,), standard deviation of the residual, in those units.
        lows: float64 (M,), smallest logged value.
        highs: float64 (M,), largest logged value.
        integers: bool (M,), whether it is rounded.
        missing: int64 (L,), which of the M are missing in some rows; one output each.
        categories: columns that are classes.
        values: for each of them its logged values, NaN for a missing one; one output each.
    """

    numbers: np.ndarray
    centres: np.ndarray
    shifts: np.ndarray
    scales: np.ndarray
    noise: np.ndarray
    lows: np.ndarray
    highs: np.ndarray
    integers: np.ndarray
    missing: np.ndarray
    categories: tuple[int, ...]
    values: tuple[np.ndarray, ...]

    @classmethod
    def fit(
        cls, rows: np.ndarray, following: np.ndarray, encoder: StandardFeatures, observation: ObservationSpecification
    ) -> RowChanges:
        """Values, ranges and scales of logged rows (N, D) and the rows that followed them (N, D); noise is 0."""
        numbers: list[int] = []
        missing: list[int] = []
        categories: list[int] = []
        values: list[np.ndarray] = []
        figures: list[tuple[float, ...]] = []
        for column, field in zip(encoder.columns, observation.fields, strict=True):
            before, after = rows[:, column.index], following[:, column.index]
            both = np.concatenate([before, after])
            known = both[np.isfinite(both)]
            lacking = len(known) < len(both)
            if column.names is not None or field.type in ("boolean", "category", "tags") or not len(known):
                categories.append(column.index)
                values.append(np.concatenate([np.unique(known), [np.nan] * lacking]))
                continue
            if lacking:
                missing.append(len(numbers))
            centre = float(np.median(known))
            change = after - np.where(np.isfinite(before), before, centre)
            change = change[np.isfinite(change)]
            shift, scale = (float(change.mean()), float(change.std())) if len(change) else (0.0, 0.0)
            scale = scale if scale > 1e-9 * float(np.abs(known).max()) else 1.0
            numbers.append(column.index)
            figures.append((centre, shift, scale, known.min(), known.max(), field.type == "integer"))
        centres, shifts, scales, lows, highs, integers = np.array(figures, dtype=np.float64).reshape(-1, 6).T
        return cls(
            numbers=np.array(numbers, dtype=np.int64),
            centres=centres,
            shifts=shifts,
            scales=scales,
            noise=np.zeros(len(numbers)),
            lows=lows,
            highs=highs,
            integers=integers.astype(bool),
            missing=np.array(missing, dtype=np.int64),
            categories=tuple(categories),
            values=tuple(values),
        )

    @property
    def layout(self) -> Layout:
        """The outputs: changes of numbers, whether they are missing, classes."""
        return Layout(len(self.numbers), len(self.missing), tuple(map(len, self.values)))

    @property
    def draws(self) -> int:
        """Uniform numbers that a drawn row needs."""
        return len(self.missing) + len(self.values)

    def with_noise(self, noise: np.ndarray) -> RowChanges:
        """The same with these residual standard deviations (M,)."""
        return replace(self, noise=noise)

    def encode(self, rows: np.ndarray, following: np.ndarray) -> np.ndarray:
        """Targets, float64 (N, O'), of rows (N, D) and the rows that followed them; NaN where those are missing."""
        parts = [(following[:, self.numbers] - self._base(rows) - self.shifts) / self.scales]
        parts.append(np.isnan(following[:, self.numbers[self.missing]]).astype(np.float64))
        for column, values in zip(self.categories, self.values, strict=True):
            same = following[:, column, None] == values
            parts.append((same | (np.isnan(following[:, column, None]) & np.isnan(values))).astype(np.float64))
        return np.hstack(parts)

    def decode(self, rows: np.ndarray, means: np.ndarray, uniforms: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """Next rows, float64 (n, D), drawn from predicted means and probabilities.

        Args:
            rows: float64 (n, D).
            means: float (n, O').
            uniforms: (n, draws).
            normals: (n, M).
        """
        count, after = len(self.numbers), np.empty_like(rows)
        drawn = self._base(rows) + self.shifts + self.scales * (means[:, :count] + self.noise * normals)
        drawn = np.clip(np.where(self.integers, np.rint(drawn), drawn), self.lows, self.highs)
        for place, position in enumerate(self.missing):
            drawn[uniforms[:, place] < means[:, count + place], position] = np.nan
        after[:, self.numbers] = drawn
        spans = zip(self.categories, self.values, self.layout.spans, strict=True)
        for place, (column, values, span) in enumerate(spans, len(self.missing)):
            cumulative = np.cumsum(means[:, span], axis=1)
            chosen = (uniforms[:, place, None] * cumulative[:, -1:] >= cumulative[:, :-1]).sum(axis=1)
            after[:, column] = values[chosen]
        return after

    def _base(self, rows: np.ndarray) -> np.ndarray:
        known = rows[:, self.numbers]
        return np.where(np.isnan(known), self.centres, known)
