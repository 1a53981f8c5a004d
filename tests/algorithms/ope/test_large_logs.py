"""Logs larger than the memory: read in blocks and made features give the numbers of the whole, in bounded space."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from algorithms.ope import cross_fitting, linear_model, row_features, state_action_models
from algorithms.ope.cross_fitting import cross_fit
from algorithms.ope.linear_model import LinearModel
from algorithms.ope.model_classes import evaluation_models, neural_evaluation_model
from algorithms.ope.neural_model import NetworkSettings
from algorithms.ope.row_features import MadeFeatures, StoredFeatures, features_of
from algorithms.ope.state_action_models import StateActionModel, TabularModel
from benchmarks.trust.linear_process import log, policies
from envs.columns import load_columns, save_columns
from envs.dataset import Dataset


@pytest.fixture
def in_blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Blocks of 53 rows, and nothing kept."""
    for module in (cross_fitting, linear_model, row_features, state_action_models):
        monkeypatch.setattr(module, "BLOCK", 53)
    for module in (linear_model, row_features):
        monkeypatch.setattr(module, "KEPT", 0)
    yield


def models(dataset: Dataset) -> dict[str, StateActionModel]:
    """All classes on all episodes."""
    everyone = np.ones(dataset.episode_count, dtype=bool)
    networks = neural_evaluation_model(dataset, everyone, settings=NetworkSettings(hidden=8, updates=10))
    return {**evaluation_models(dataset, everyone), "networks": networks}


def values(dataset: Dataset) -> dict[str, np.ndarray]:
    """Q̂ and V̂ of two policies, side by side, cross-fitted."""
    everyone = np.ones(dataset.episode_count, dtype=bool)
    of = policies(dataset, np.array([1.0, 2.0]))
    return {
        name: np.concatenate(cross_fit(model, dataset, of, evaluated=everyone, folds=2), axis=2)
        for name, model in models(dataset).items()
    }


def values_of_one_state() -> np.ndarray:
    """V̂ of two policies where nothing of the state is observed."""
    model = TabularModel(np.zeros(len(DATASET.observations), dtype=np.int64), 1, 3)
    everyone, of = np.ones(DATASET.episode_count, dtype=bool), policies(DATASET, np.array([1.0, 2.0]))
    return cross_fit(model, DATASET, of, evaluated=everyone, folds=2)[1]


DATASET = log(600, 6)
WHOLE, ONE_STATE = values(DATASET), values_of_one_state()


def test_blocks_and_made_features_change_no_number(in_blocks: None) -> None:
    assert all(isinstance(models(DATASET)[name].features, MadeFeatures) for name in ("linear", "networks"))
    for name, found in values(DATASET).items():
        np.testing.assert_allclose(found, WHOLE[name], atol=1e-8, err_msg=name)


def test_a_state_that_is_larger_than_a_block_is_summed_over_blocks(in_blocks: None) -> None:
    """One state holds all: its transitions span every block."""
    np.testing.assert_allclose(values_of_one_state(), ONE_STATE, atol=1e-12)
    assert np.ptp(ONE_STATE[1, :, 0]) > 0


def test_columns_that_are_mapped_from_disk_give_the_same_numbers(tmp_path) -> None:
    mapped = load_columns(save_columns(DATASET, tmp_path / "log"))
    for name, found in values(mapped).items():
        np.testing.assert_array_equal(found, WHOLE[name], err_msg=name)


def test_features_are_stored_while_they_are_small() -> None:
    raw = np.arange(12.0).reshape(6, 2)
    stored, made = (features_of(raw, np.square, 2) for _ in range(2))
    assert isinstance(stored, StoredFeatures)
    made = MadeFeatures(raw, np.square, 2)
    for rows in (np.array([4, 0, 4]), np.zeros(0, dtype=np.int64)):
        np.testing.assert_array_equal(stored.at(rows), made.at(rows))
    assert isinstance(features_of(np.zeros((2**20, 1)), np.square, 33), MadeFeatures)


def peak_of_linear(dataset: Dataset, columns: int) -> int:
    """Most bytes that a fit on ``columns`` made features holds at once."""
    everyone, of = np.ones(dataset.episode_count, dtype=bool), policies(dataset, np.array([1.0]))
    features = MadeFeatures(dataset.observations, lambda raw: np.sin(raw[:, :1] * np.arange(1, columns + 1)), columns)
    tracemalloc.start()
    cross_fit(LinearModel(features, 3), dataset, of, evaluated=everyone, folds=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_grows_with_the_rows_alone_and_not_with_the_features(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (cross_fitting, linear_model):
        monkeypatch.setattr(module, "BLOCK", 1024)
    monkeypatch.setattr(linear_model, "KEPT", 0)
    dataset = log(20_000, 2)
    few, many = (peak_of_linear(dataset, columns) for columns in (4, 64))
    stored = 8 * 60 * len(dataset.observations)
    assert many - few < 0.25 * stored
    assert many < 120 * len(dataset) + 8_000_000


def test_ends_that_are_not_known_stay_out(in_blocks: None) -> None:
    """NaN behind every second end reaches no number."""
    observations = DATASET.observations.copy()
    ends = DATASET.offsets[1:] + np.arange(DATASET.episode_count)
    observations[ends[::2]] = np.nan
    known = np.arange(DATASET.episode_count) % 2 == 1
    dataset = replace(DATASET, observations=observations, end_known=known)
    for found in values(dataset).values():
        assert np.isfinite(found).all()
