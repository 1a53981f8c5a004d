"""Model classes for fitted Q evaluation that fit any declared observation.

An integer observation is a table. Everything else gets two classes that fail differently: ridge on
hinges and products (smooth, extrapolates), and k-means cells (local, extrapolates never).
"""

from __future__ import annotations

import numpy as np

from algorithms.ope.state_action_models import LinearModel, StateActionModel, TabularModel
from envs.dataset import Dataset
from envs.encoding import IntegerStates, KMeansStates
from envs.errors import DataError
from envs.observation import ObservationSpecification

KNOTS = 9
LARGEST_WITH_PRODUCTS = 10
CELLS = 256
LIMIT = 4.0
"""Scaled values are clipped here: one outlier must not bend a regression."""


def evaluation_models(dataset: Dataset, fitted: np.ndarray, *, seed: int = 0) -> dict[str, StateActionModel]:
    """The model classes for a dataset, by name; the first is the one that the gate uses.

    Args:
        dataset: all episodes.
        fitted: bool (E,), the episodes that scales, knots and cells are read from.
        seed: of the cells.

    Raises:
        DataError: there is no row to fit on.
    """
    specification = dataset.specification
    actions = len(specification.actions)
    known = np.isfinite(dataset.observations).all(axis=1)
    rows = np.where(known[:, None], dataset.observations, 0.0)
    use = fitted[np.repeat(np.arange(dataset.episode_count), dataset.lengths + 1)] & known
    if not use.any():
        raise DataError(
            "no episode to fit a model on", where=f"agent {specification.name}", remedy="log more decisions"
        )
    if specification.observation.kind == "int":
        encoder = IntegerStates.fit(rows[use], specification.observation)
        return {"table": TabularModel(encoder.states(rows), encoder.count, actions)}
    features = hinge_features(rows, rows[use], specification.observation)
    count = int(min(CELLS, max(2, use.sum() // 20)))
    cells = KMeansStates.fit(rows[use], specification.observation, count=count, seed=seed)
    return {
        "linear": LinearModel(features, actions),
        "cells": TabularModel(cells.states(rows), cells.count, actions),
    }


def hinge_features(rows: np.ndarray, fitted: np.ndarray, observation: ObservationSpecification) -> np.ndarray:
    """Scaled columns, hinges at their quantiles and, for few columns, all products; float64 (M, F).

    Categories enter as one column per declared value.

    Args:
        rows: float64 (M, D), raw rows to transform.
        fitted: float64 (n, D), the rows that scales and knots are read from.
        observation: the declared.
    """
    columns: list[np.ndarray] = []
    scaled_columns: list[np.ndarray] = []
    for position, declared in enumerate(observation.fields):
        values, basis = rows[:, position], fitted[:, position]
        if declared.type == "category":
            columns += [(values == index).astype(float) for index in range(len(declared.categories))]
            continue
        center, scale = _scale(basis)
        scaled = np.clip((values - center) / scale, -LIMIT, LIMIT)
        scaled_columns.append(scaled)
        knots = np.clip((np.quantile(basis, np.linspace(0, 1, KNOTS + 2)[1:-1]) - center) / scale, -LIMIT, LIMIT)
        columns += [np.maximum(scaled - knot, 0.0) for knot in np.unique(knots)]
    columns += scaled_columns
    if len(scaled_columns) <= LARGEST_WITH_PRODUCTS:
        columns += [
            scaled_columns[first] * scaled_columns[second]
            for first in range(len(scaled_columns))
            for second in range(first, len(scaled_columns))
        ]
    return np.stack(columns, axis=1) if columns else np.zeros((len(rows), 0))


def _scale(values: np.ndarray) -> tuple[float, float]:
    low, center, high = np.quantile(values, [0.25, 0.5, 0.75])
    spread = float(high - low) or float(values.std()) or 1.0
    return float(center), spread
