"""Gymnasium spaces of a log's raw rows and declared actions, and the choice of encoder."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from envs.dataset import Dataset
from envs.discretization import default_discretizer, fit_discretizer
from envs.observation import ObservationField


def _bounds(field: ObservationField, column: np.ndarray) -> tuple[float, float]:
    if field.type == "category":
        low, high = -1.0, float(len(field.categories) - 1)
    elif field.type == "boolean":
        low, high = 0.0, 1.0
    elif field.type == "tags":
        low, high = 0.0, 2.0 ** (len(field.categories) + 1) - 1.0
    else:
        known = column[np.isfinite(column)]
        inferred = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
        low = inferred[0] if field.low is None else float(field.low)
        high = inferred[1] if field.high is None else float(field.high)
    return (low - 1.0 if field.optional else low), high


def observation_space(dataset: Dataset) -> spaces.Discrete | spaces.Box:
    """``Discrete`` for an integer observation, else a float64 ``Box`` of the declared ranges.

    A range that is not declared is that of the dataset. A missing optional value is ``low - 1``, which no
    legal value can be (NaN is in no Box).
    """
    observation = dataset.specification.observation
    rows = dataset.observations
    bounds = [_bounds(field, rows[:, index]) for index, field in enumerate(observation.fields)]
    if observation.kind == "int":
        low, high = bounds[0]
        return spaces.Discrete(int(high - low) + 1, start=int(low))
    low_bound, high_bound = (np.array(side, dtype=np.float64) for side in zip(*bounds, strict=True))
    return spaces.Box(low_bound, high_bound, dtype=np.float64)


def to_space(space: spaces.Discrete | spaces.Box, rows: np.ndarray) -> Any:
    """Raw rows (N, D) as a batch of observations of ``space``: int64 (N,) or float64 (N, D)."""
    if isinstance(space, spaces.Discrete):
        return np.where(np.isfinite(rows[:, 0]), rows[:, 0], float(space.start)).astype(np.int64)
    return np.where(np.isnan(rows), space.low, rows)


def action_space(dataset: Dataset) -> spaces.Discrete:
    """The declared actions, by their index."""
    return spaces.Discrete(len(dataset.specification.actions))


def default_encoder(dataset: Dataset, resolution: int) -> Any:
    """Integer states for an integer observation, else a quantile grid with ``resolution`` bins a field."""
    observation = dataset.specification.observation
    return fit_discretizer(default_discretizer(observation), dataset.observations, observation, resolution=resolution)
