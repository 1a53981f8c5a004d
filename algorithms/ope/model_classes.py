"""Model classes for fitted Q evaluation that fit any declared observation.

An integer observation is a table. Everything else gets two classes that fail differently: ridge on
hinges and products (smooth, extrapolates), and k-means cells (local, extrapolates never). A third, small networks,
costs a hundred times their time and is made on request.
"""

from __future__ import annotations

import numpy as np

from algorithms.ope.hinge_features import LIMIT, HingeFeatures
from algorithms.ope.linear_model import LinearModel
from algorithms.ope.neural_model import NetworkSettings, NeuralModel
from algorithms.ope.row_features import by_blocks, features_of
from algorithms.ope.state_action_models import StateActionModel, TabularModel
from envs.dataset import Dataset
from envs.encoding import IntegerStates, KMeansStates
from envs.encoding.features import StandardFeatures
from envs.errors import DataError

CELLS = 256
SAMPLE = 1_000_000
"""Scales, knots and cells are read from at most so many rows, evenly spaced."""


def evaluation_models(dataset: Dataset, fitted: np.ndarray, *, seed: int = 0) -> dict[str, StateActionModel]:
    """The model classes for a dataset, by name; the first is the one that the gate uses.

    Args:
        dataset: all episodes.
        fitted: bool (E,), the episodes that scales, knots and cells are read from.
        seed: of the cells.

    Raises:
        DataError: there is no row to fit on.
    """
    observation, actions = dataset.specification.observation, len(dataset.specification.actions)
    rows = dataset.observations
    use = _fitted_rows(dataset, fitted)
    if observation.kind == "int":
        encoder = IntegerStates.fit(rows[use], observation)
        states = by_blocks(lambda raw: encoder.states(known_or_zero(raw)), rows)
        return {"table": TabularModel(states, encoder.count, actions)}
    basis = rows[_spaced(use)]
    hinges = HingeFeatures.fit(basis, observation)
    count = int(min(CELLS, max(2, len(use) // 20)))
    cells = KMeansStates.fit(basis, observation, count=count, seed=seed)
    bent = features_of(rows, lambda raw: hinges.features(known_or_zero(raw)), hinges.size)
    return {
        "linear": LinearModel(bent, actions, straight=hinges.straight),
        "cells": TabularModel(by_blocks(lambda raw: cells.states(known_or_zero(raw)), rows), cells.count, actions),
    }


def neural_evaluation_model(
    dataset: Dataset, fitted: np.ndarray, *, settings: NetworkSettings | None = None, seed: int = 0
) -> NeuralModel:
    """Small networks on scaled columns, for any observation.

    Args:
        dataset: all episodes.
        fitted: bool (E,), the episodes that scales are read from.
        settings: of the training.
        seed: of first weights and batches.

    Raises:
        DataError: there is no row to fit on.
    """
    basis = dataset.observations[_spaced(_fitted_rows(dataset, fitted))]
    encoder = StandardFeatures.fit(basis, dataset.specification.observation)
    features = features_of(
        dataset.observations,
        lambda raw: np.clip(encoder.features(known_or_zero(raw)), -LIMIT, LIMIT),
        encoder.size,
    )
    return NeuralModel(features, len(dataset.specification.actions), settings=settings, seed=seed)


def known_or_zero(rows: np.ndarray) -> np.ndarray:
    """The rows (n, D), 0 where one is not known: it is never read, but must not become NaN."""
    return np.where(np.isfinite(rows).all(axis=1)[:, None], rows, 0.0)


def _fitted_rows(dataset: Dataset, fitted: np.ndarray) -> np.ndarray:
    """The known rows of the fitted episodes, int64 (n,)."""
    known = by_blocks(lambda raw: np.isfinite(raw).all(axis=1), dataset.observations)
    use = np.flatnonzero(np.repeat(np.asarray(fitted, dtype=bool), dataset.lengths + 1) & known)
    if not len(use):
        name = dataset.specification.name
        raise DataError("no episode to fit a model on", where=f"agent {name}", remedy="log more decisions")
    return use


def _spaced(rows: np.ndarray) -> np.ndarray:
    """All rows where they are few, else :data:`SAMPLE` of them."""
    return rows if len(rows) <= SAMPLE else rows[np.linspace(0, len(rows) - 1, SAMPLE).astype(np.int64)]
