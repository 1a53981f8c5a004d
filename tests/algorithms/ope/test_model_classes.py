"""Model classes for evaluation: fitted on the rows they are given, finite on all others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from algorithms.ope.cross_fitting import cross_fit
from algorithms.ope.hinge_features import KNOTS, LIMIT, HingeFeatures
from algorithms.ope.model_classes import evaluation_models, neural_evaluation_model
from envs.dataset import Dataset
from envs.errors import DataError
from envs.observation import ObservationField, ObservationSpecification
from tests.snippets import run, snippets
from tests.worlds import chain, explored
from tune_configs.judge import episodes_in

PLAIN = ObservationSpecification("vector", (ObservationField("a"), ObservationField("b")))
MIXED = ObservationSpecification(
    "object",
    (ObservationField("a"), ObservationField("zone", "category", categories=("x", "y", "z")), ObservationField("c")),
)


def log(vector: bool = True) -> Dataset:
    return chain(horizon=4, vector=vector, noise=0.1).log(explored(np.eye(2)[np.zeros(5, int)], 0.5), 300, 0)


def values(dataset: Dataset, fitted: np.ndarray) -> dict[str, np.ndarray]:
    policy = np.full((1, len(dataset.observations), 2), 0.5)
    select = episodes_in(dataset, "select")
    models = evaluation_models(dataset, fitted)
    return {n: cross_fit(m, dataset, policy, evaluated=select, always=fitted, folds=0)[1] for n, m in models.items()}


def test_an_integer_gets_a_table_and_all_else_two_classes_that_fail_differently() -> None:
    everything = np.ones(300, dtype=bool)
    assert list(evaluation_models(log(vector=False), everything)) == ["table"]
    assert list(evaluation_models(log(), everything)) == ["linear", "cells"]


@pytest.mark.parametrize("vector", [True, False])
def test_rows_that_are_not_fitted_do_not_shape_the_models(vector: bool) -> None:
    dataset = log(vector)
    train = episodes_in(dataset, "train")
    final = np.repeat(episodes_in(dataset, "final"), dataset.lengths + 1)
    observations = dataset.observations.copy()
    observations[final] = observations[final][:, ::-1] * (1000.0 if vector else 1.0)
    clean, dirty = values(dataset, train), values(replace(dataset, observations=observations), train)
    for name in clean:
        np.testing.assert_array_equal(clean[name], dirty[name])
    fitted = np.repeat(train, dataset.lengths + 1)
    observations = dataset.observations.copy()
    observations[fitted] = observations[fitted] * 0.5 if vector else 4 - observations[fitted]
    moved = values(replace(dataset, observations=observations), train)
    assert any(not np.array_equal(clean[name], moved[name]) for name in clean)


def test_rows_that_are_not_known_give_finite_values() -> None:
    dataset = log()
    observations = dataset.observations.copy()
    ends = dataset.offsets[1:] + np.arange(dataset.episode_count)
    observations[ends[::2]] = np.nan
    dirty = replace(dataset, observations=observations, end_known=np.arange(300) % 2 == 1)
    for found in values(dirty, episodes_in(dirty, "train")).values():
        assert np.isfinite(found).all()


def test_nothing_to_fit_on_is_an_error_of_one_line() -> None:
    for vector in (True, False):
        with pytest.raises(DataError, match="no episode to fit"):
            evaluation_models(log(vector), np.zeros(300, dtype=bool))


def test_scales_and_knots_come_from_the_fitted_rows() -> None:
    rng = np.random.default_rng(0)
    fitted = rng.normal(3.0, 2.0, size=(500, 2))
    rows = rng.normal(size=(50, 2))
    other = np.concatenate([rows, rng.normal(1e6, 1e6, size=(500, 2))])
    features = HingeFeatures.fit(fitted, PLAIN).features(rows)
    assert features.shape == (50, 2 * KNOTS + 2 + 3)
    np.testing.assert_array_equal(HingeFeatures.fit(fitted, PLAIN).features(other)[:50], features)
    # Shift and scale of a field change nothing when both move.
    moved = HingeFeatures.fit(fitted * 7.0 - 3.0, PLAIN).features(rows * 7.0 - 3.0)
    np.testing.assert_allclose(moved, features, atol=1e-9)


def test_a_category_is_a_column_for_each_declared_value() -> None:
    rows = np.array([[0.0, 0.0, 5.0], [0.1, 1.0, 5.0], [0.2, 2.0, 5.0], [0.3, np.nan, 5.0]])
    features = HingeFeatures.fit(rows[:2], MIXED).features(rows)
    blocks = [column for column in features.T if set(column) <= {0.0, 1.0} and column.sum() == 1.0]
    for index in range(3):
        wanted = np.eye(4)[index]
        assert any(np.array_equal(column, wanted) for column in blocks)


@pytest.mark.parametrize("observation", [PLAIN, MIXED])
def test_straight_features_are_lines_of_the_raw_columns_and_no_others_are(
    observation: ObservationSpecification,
) -> None:
    rng = np.random.default_rng(0)
    rows = rng.uniform(-1.0, 1.0, size=(200, len(observation.fields)))
    if observation is MIXED:
        rows[:, 1] = rng.integers(3, size=200)
    hinges = HingeFeatures.fit(rows, observation)
    features = hinges.features(rows)
    columns = [rows[:, [1]] == np.arange(3)] if observation is MIXED else [np.ones((200, 1))]
    columns += [rows[:, [index]] for index, field in enumerate(observation.fields) if field.type != "category"]
    lines = np.hstack(columns)
    left = features - lines @ np.linalg.lstsq(lines, features, rcond=None)[0]
    np.testing.assert_array_equal(hinges.straight, np.abs(left).max(axis=0) < 1e-9)


def test_without_a_field_there_are_no_columns_and_many_fields_have_no_products() -> None:
    assert HingeFeatures.fit(np.zeros((2, 0)), ObservationSpecification("vector", ())).features(
        np.zeros((3, 0))
    ).shape == (3, 0)
    many = ObservationSpecification("vector", tuple(ObservationField(f"x{i}") for i in range(11)))
    rows = np.random.default_rng(0).normal(size=(100, 11))
    assert HingeFeatures.fit(rows, many).features(rows).shape[1] == 11 * KNOTS + 11


@settings(max_examples=60, deadline=None)
@example([[1e12, 0.0]], [[0.0, 1.0]] * 3 + [[481.0, 1.0], [1.6e-306, 1.0]])
@given(
    st.lists(st.lists(st.floats(-1e12, 1e12), min_size=2, max_size=2), min_size=1, max_size=20),
    st.lists(st.lists(st.floats(-1e12, 1e12), min_size=2, max_size=2), min_size=1, max_size=20),
)
def test_features_are_finite_and_bounded_whatever_was_logged(
    rows: list[list[float]], fitted: list[list[float]]
) -> None:
    with np.errstate(over="raise"):
        features = HingeFeatures.fit(np.array(fitted), PLAIN).features(np.array(rows))
    assert np.isfinite(features).all()
    assert np.abs(features).max() <= LIMIT**2


def test_the_blocks_of_the_page_run_and_all_classes_say_much_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    world = chain(5, horizon=6, vector=True, noise=0.1)
    dataset = world.log(explored(np.tile([0.0, 1.0], (5, 1)), 0.6), 300, 0)
    chosen = np.array([[0.2, 0.8], [0.7, 0.3]])
    given = {"dataset": dataset, "policies": np.repeat(chosen[:, None], len(dataset.observations), axis=1)}
    for block in snippets(Path(__file__).parents[3] / "docs" / "fitted_q_evaluation.md"):
        given, _ = run(block.statements, given, block.place)
    assert len(capsys.readouterr().out.splitlines()) == 3
    truth = [world.value(np.tile(policy, (5, 1))) for policy in chosen]
    np.testing.assert_allclose(given["v"][:, :, 0].mean(axis=1), truth, atol=0.1)


def test_networks_are_fitted_on_any_declared_observation() -> None:
    for vector in (True, False):
        dataset = log(vector)
        train, select = (episodes_in(dataset, name) for name in ("train", "select"))
        model = neural_evaluation_model(dataset, train)
        policy = np.full((1, len(dataset.observations), 2), 0.5)
        _, found = cross_fit(model, dataset, policy, evaluated=select, always=train, folds=0)
        _, wanted = cross_fit(
            next(iter(evaluation_models(dataset, train).values())),
            dataset,
            policy,
            evaluated=select,
            always=train,
            folds=0,
        )
        np.testing.assert_allclose(found[0, :, 0].mean(), wanted[0, :, 0].mean(), atol=0.05)


def test_scales_of_networks_come_from_the_fitted_rows() -> None:
    dataset = log()
    train = episodes_in(dataset, "train")
    model = neural_evaluation_model(dataset, train)
    other = np.repeat(~train, dataset.lengths + 1)
    observations = np.where(other[:, None], 1e6, dataset.observations)
    moved = neural_evaluation_model(replace(dataset, observations=observations), train)
    kept = np.flatnonzero(~other)
    np.testing.assert_array_equal(moved.features.at(kept), model.features.at(kept))
    assert np.abs(moved.features.at(np.flatnonzero(other))).max() == LIMIT
