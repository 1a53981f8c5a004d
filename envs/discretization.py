"""Which encoder of discrete states, by name: one place for algorithms and offline environments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from envs.encoding import Discretizer, IntegerStates, KMeansStates, QuantileGrid
from envs.encoding.features import StandardFeatures
from envs.errors import DataError, SpecificationError
from envs.observation import ObservationSpecification

DISCRETIZERS = ("integer", "grid", "kmeans")


def default_discretizer(observation: ObservationSpecification) -> str:
    """``integer`` for an integer observation, else ``grid``."""
    return "integer" if observation.kind == "int" else "grid"


def field_columns(observation: ObservationSpecification, fields: Sequence[str | int] | None) -> tuple[int, ...]:
    """Columns of the raw row of the named (or numbered) fields; all of them for ``None``.

    Raises:
        SpecificationError: a field that is not declared; names it and the declared ones.
    """
    if fields is None:
        return tuple(range(observation.size))
    columns = []
    for field in fields:
        if isinstance(field, str) and field in observation.names:
            columns.append(observation.names.index(field))
        elif not isinstance(field, str) and 0 <= field < observation.size:
            columns.append(int(field))
        else:
            raise SpecificationError(
                f"{field!r} is not a field of the observation",
                where="fields",
                remedy=f"declared are {', '.join(observation.names[:8])}",
            )
    return tuple(columns)


def fit_discretizer(
    kind: str,
    rows: np.ndarray,
    observation: ObservationSpecification,
    *,
    resolution: int = 4,
    fields: Sequence[str | int] | None = None,
    seed: int = 0,
) -> Discretizer:
    """An encoder of discrete states, fitted on raw rows of train.

    Args:
        kind: ``integer``, ``grid`` or ``kmeans``.
        rows: float64 (N, D); rows of NaN (unknown ends) are passed over.
        observation: the declaration of the columns.
        resolution: bins a field (grid) or number of centroids (kmeans).
        fields: names or columns to look at; all by default.
        seed: of the centroids' starts.

    Raises:
        DataError: ``integer`` on an observation that is none, or an unknown kind.
        SpecificationError: a field that is not declared.
    """
    if kind == "integer":
        if observation.kind != "int":
            raise DataError(
                f"the observation is {observation.kind}, not an integer",
                where="discretizer 'integer'",
                remedy="use 'grid' or 'kmeans'",
            )
        return IntegerStates.fit(rows)
    columns = field_columns(observation, fields)
    if kind == "grid":
        return QuantileGrid.fit(rows, observation, bins=resolution, fields=columns)
    if kind == "kmeans":
        part = ObservationSpecification("vector", tuple(observation.fields[column] for column in columns))
        if fields is None:
            part = observation
        fitted = KMeansStates.fit(rows[:, list(columns)], part, count=resolution, seed=seed)
        features = tuple(replace(column, index=columns[column.index]) for column in fitted.encoder.columns)
        return KMeansStates(StandardFeatures(features), fitted.centroids)
    raise DataError(f"{kind!r} is no discretizer", where="discretizer", remedy=f"use one of {', '.join(DISCRETIZERS)}")
