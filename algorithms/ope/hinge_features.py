"""Features for a linear model of values: hinges at quantiles, and products of two."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from envs.observation import ObservationSpecification

KNOTS = 9
LARGEST_WITH_PRODUCTS = 10
LIMIT = 4.0
"""Scaled values are clipped here: one outlier must not bend a regression."""


@dataclass(frozen=True, slots=True, eq=False)
class HingeColumn:
    """What becomes of one raw column.

    Attributes:
        categories: number of declared values, each an indicator; 0 for a number.
        center: subtracted from numbers.
        scale: numbers are divided by it.
        knots: float64, scaled places of the hinges.
    """

    categories: int
    center: float = 0.0
    scale: float = 1.0
    knots: np.ndarray | None = None

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """Numbers less the centre over the scale, within ±4.

        Cut before they are divided: where most values are alike to the last digit, the others are beyond every float.
        """
        return np.asarray(np.clip(values - self.center, -LIMIT * self.scale, LIMIT * self.scale) / self.scale)


@dataclass(frozen=True, slots=True, eq=False)
class HingeFeatures:
    """Scaled columns, hinges at their quantiles and, for few columns, all products.

    Categories enter as one column per declared value.

    Attributes:
        columns: what becomes of each raw column.
    """

    columns: tuple[HingeColumn, ...]

    @classmethod
    def fit(cls, rows: np.ndarray, observation: ObservationSpecification) -> HingeFeatures:
        """Scales and knots of finite raw rows (n, D).

        Args:
            rows: float64 (n, D), of the fitted episodes alone.
            observation: the declaration of the columns.
        """
        columns = []
        for position, declared in enumerate(observation.fields):
            if declared.type == "category":
                columns.append(HingeColumn(len(declared.categories)))
                continue
            values = rows[:, position]
            column = HingeColumn(0, *_scale(values))
            quantiles = np.quantile(values, np.linspace(0, 1, KNOTS + 2)[1:-1])
            columns.append(replace(column, knots=np.unique(column.scaled(quantiles))))
        return cls(tuple(columns))

    @property
    def size(self) -> int:
        """Number of features, F."""
        numbers = [column.knots for column in self.columns if column.knots is not None]
        count = len(numbers)
        products = count * (count + 1) // 2 if count <= LARGEST_WITH_PRODUCTS else 0
        return sum(map(len, numbers)) + count + products + sum(column.categories for column in self.columns)

    @property
    def straight(self) -> np.ndarray:
        """Which features are categories and scaled columns, no hinges and no products, bool (F,)."""
        found = np.zeros(self.size, dtype=bool)
        start = 0
        for column in self.columns:
            stop = start + (column.categories if column.knots is None else len(column.knots))
            found[start:stop] = column.knots is None
            start = stop
        found[start : start + sum(column.knots is not None for column in self.columns)] = True
        return found

    def features(self, rows: np.ndarray) -> np.ndarray:
        """Features of finite raw rows (N, D), float64 (N, F)."""
        out = np.empty((len(rows), self.size))
        scaled, start = [], 0
        for position, column in enumerate(self.columns):
            values = rows[:, position]
            if column.knots is None:
                stop = start + column.categories
                out[:, start:stop] = values[:, None] == np.arange(column.categories)
            else:
                scaled.append(column.scaled(values))
                stop = start + len(column.knots)
                np.maximum(scaled[-1][:, None] - column.knots, 0.0, out=out[:, start:stop])
            start = stop
        pairs = [(i, j) for i in range(len(scaled)) for j in range(i, len(scaled))]
        products = [scaled[i] * scaled[j] for i, j in pairs] if len(scaled) <= LARGEST_WITH_PRODUCTS else []
        for index, values in enumerate([*scaled, *products]):
            out[:, start + index] = values
        return out


def _scale(values: np.ndarray) -> tuple[float, float]:
    low, center, high = np.quantile(values, [0.25, 0.5, 0.75])
    spread = float(high - low) or float(values.std()) or 1.0
    return float(center), spread
