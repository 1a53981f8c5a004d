"""Encoders: fitted on train only, exact through JSON, and in production what they were in training."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from envs.encoding import (
    Discretizer,
    FeatureEncoder,
    IntegerStates,
    KMeansStates,
    QuantileGrid,
    StandardFeatures,
    encoder_from_json,
)
from envs.errors import ArtefactError, DataError
from envs.observation import ObservationField, ObservationSpecification

OBJECT = ObservationSpecification(
    "object",
    (
        ObservationField("load"),
        ObservationField("queue", "integer", low=0),
        ObservationField("weekend", "boolean"),
        ObservationField("zone", "category", categories=("a", "b", "c")),
        ObservationField("hint", optional=True),
    ),
)
INTEGER = ObservationSpecification("int", (ObservationField("state", "integer"),))


@st.composite
def object_rows(draw: st.DrawFn, smallest: int = 1) -> np.ndarray:
    count = draw(st.integers(smallest, 40))
    real = st.floats(-1e6, 1e6)
    columns = [
        draw(hnp.arrays(np.float64, count, elements=real)),
        draw(hnp.arrays(np.float64, count, elements=st.integers(0, 5).map(float))),
        draw(hnp.arrays(np.float64, count, elements=st.sampled_from([0.0, 1.0]))),
        draw(hnp.arrays(np.float64, count, elements=st.sampled_from([-1.0, 0.0, 1.0, 2.0]))),
        draw(hnp.arrays(np.float64, count, elements=st.just(float("nan")) | real)),
    ]
    return np.stack(columns, axis=1)


integers = st.integers(-9, 99).map(float)
integer_rows = hnp.arrays(np.float64, st.tuples(st.integers(1, 40), st.just(1)), elements=integers)
FITS: dict[str, Any] = {
    "IntegerStates": lambda rows, observation: IntegerStates.fit(rows, observation),
    "QuantileGrid": lambda rows, observation: QuantileGrid.fit(rows, observation, bins=3),
    "KMeansStates": lambda rows, observation: KMeansStates.fit(rows, observation, count=5, seed=1),
    "StandardFeatures": lambda rows, observation: StandardFeatures.fit(rows, observation),
}


def codes(encoder: Any, rows: np.ndarray) -> np.ndarray:
    return np.asarray(encoder.states(rows) if isinstance(encoder, Discretizer) else encoder.features(rows))


@pytest.mark.parametrize("kind", FITS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_json_and_serving_give_what_training_had(kind: str, data: st.DataObject) -> None:
    integer = kind == "IntegerStates" or (kind != "QuantileGrid" and data.draw(st.booleans()))
    draw = integer_rows if integer else object_rows()
    train, other = data.draw(draw), data.draw(draw)
    encoder = FITS[kind](train, INTEGER if integer else OBJECT)
    written = json.loads(json.dumps(encoder.to_json(), allow_nan=False))
    again = encoder_from_json(written)
    assert type(again) is type(encoder) and again.to_json() == written
    rows = np.concatenate([train, other])
    together = codes(encoder, rows)
    np.testing.assert_array_equal(together, codes(again, rows))
    for index in range(len(rows)):
        np.testing.assert_array_equal(codes(again, rows[index : index + 1])[0], together[index])
    if isinstance(encoder, Discretizer):
        assert together.dtype == np.int64 and together.min() >= -1 and together.max() < encoder.count
        assert codes(encoder, train).min() >= 0, "what train has seen is a state"
    else:
        assert isinstance(encoder, FeatureEncoder)
        assert together.shape == (len(rows), encoder.size) and np.isfinite(together).all()


@settings(max_examples=40, deadline=None)
@given(object_rows(2), st.data())
def test_states_do_not_depend_on_the_order_of_train(rows: np.ndarray, data: st.DataObject) -> None:
    shuffled = rows[data.draw(st.permutations(range(len(rows))))]
    for kind in ("QuantileGrid", "StandardFeatures"):
        assert FITS[kind](rows, OBJECT).to_json() == FITS[kind](shuffled, OBJECT).to_json()


def test_an_integer_or_a_cell_that_train_has_not_seen_is_unseen() -> None:
    encoder = IntegerStates.fit(np.array([[3.0], [7.0], [3.0]]))
    assert encoder.count == 2
    assert encoder.states(np.array([[3.0], [7.0], [5.0], [np.nan]])).tolist() == [0, 1, -1, -1]
    grid = QuantileGrid.fit(np.array([[0.0, 0.0], [1.0, 1.0]]), _numbers(2), bins=2)
    assert grid.count == 2
    assert grid.states(np.array([[0.2, 0.1], [0.9, 0.8], [0.0, 1.0], [np.nan, 0.0]])).tolist() == [0, 1, -1, -1]


def _numbers(count: int) -> ObservationSpecification:
    return ObservationSpecification("vector", tuple(ObservationField(f"x{index}") for index in range(count)))


def test_a_grid_cuts_at_quantiles_and_keeps_equal_values_together() -> None:
    values = np.random.default_rng(0).lognormal(size=10_000)
    grid = QuantileGrid.fit(values[:, None], _numbers(1), bins=5)
    shares = np.bincount(grid.states(values[:, None])) / len(values)
    np.testing.assert_allclose(shares, 0.2, atol=0.002)
    queue = np.concatenate([np.zeros(900), np.arange(1, 101)])[:, None]
    states = QuantileGrid.fit(queue, _numbers(1), bins=4).states(queue)
    assert len(set(states[:900])) == 1 and states[0] not in states[900:]


def test_categories_missing_values_and_booleans_have_bins_of_their_own() -> None:
    rows = np.array([[0, 0, flag, zone, hint] for flag in (0, 1) for zone in (-1, 0, 1, 2) for hint in (np.nan, 3.0)])
    states = QuantileGrid.fit(rows, OBJECT).states(rows)
    assert sorted(states) == list(range(16))


def test_kmeans_finds_separate_clusters_and_is_reproducible() -> None:
    random = np.random.default_rng(3)
    centers = np.array([[0.0, 0.0], [50.0, 0.0], [0.0, 50.0], [50.0, 50.0]])
    truth = random.integers(4, size=4000)
    rows = centers[truth] + random.normal(size=(4000, 2))
    encoder = KMeansStates.fit(rows, _numbers(2), count=4, seed=5)
    states = encoder.states(rows)
    assert all(len(set(states[truth == cluster])) == 1 for cluster in range(4)) and len(set(states)) == 4
    assert KMeansStates.fit(rows, _numbers(2), count=4, seed=5).to_json() == encoder.to_json()
    small = KMeansStates.fit(rows, _numbers(2), count=4, seed=5, sample=200)
    assert len({(int(a), int(b)) for a, b in zip(states, small.states(rows), strict=True)}) == 4


def test_lloyd_ends_where_every_centroid_is_the_mean_of_its_points() -> None:
    rows = np.random.default_rng(0).normal(size=(600, 3))
    encoder = KMeansStates.fit(rows, _numbers(3), count=7, iterations=500)
    states, points = encoder.states(rows), encoder.encoder.features(rows)
    for state in range(encoder.count):
        np.testing.assert_allclose(points[states == state].mean(axis=0), encoder.centroids[state], atol=1e-9)


def test_more_centroids_than_distinct_rows_are_not_invented() -> None:
    assert KMeansStates.fit(np.array([[1.0], [1.0], [2.0]]), _numbers(1), count=10).count == 2


def test_features_are_robustly_scaled() -> None:
    values = np.random.default_rng(1).normal(40.0, 3.0, size=20_000)
    values[:50] = 1e9
    features = StandardFeatures.fit(values[:, None], _numbers(1)).features(values[:, None])
    assert abs(np.median(features)) < 1e-12 and features.max() == 10.0
    assert abs(features[50:].std() - 1.0) < 0.02
    constant = np.full((10, 1), 7.0)
    assert (StandardFeatures.fit(constant, _numbers(1)).features(constant) == 0.0).all()


@pytest.mark.filterwarnings("error")
def test_numbers_at_the_ends_of_the_range_are_cut_without_a_word() -> None:
    fitted = StandardFeatures.fit(np.array([[0.0], [1e-3], [2e-3], [3e-3]]), _numbers(1))
    assert fitted.features(np.array([[1.7e308], [-1.7e308]])).ravel().tolist() == [10.0, -10.0]


def test_unknown_categories_and_missing_values_are_told() -> None:
    rows = np.array([[1.0, 2.0, 1.0, 1.0, 5.0], [3.0, 4.0, 0.0, -1.0, np.nan]])
    encoder = StandardFeatures.fit(rows, OBJECT)
    known, unknown = encoder.features(rows)
    assert known[3:7].tolist() == [0.0, 1.0, 0.0, 0.0] and unknown[3:7].tolist() == [0.0, 0.0, 0.0, 1.0]
    assert known[8] == 0.0 and unknown[7:].tolist() == [0.0, 1.0]


def test_an_unknown_end_is_no_state_and_has_no_features() -> None:
    train = np.array([[0.0, 1.0], [2.0, 3.0], [np.nan, np.nan]])
    end = train[2:]
    for kind in ("QuantileGrid", "KMeansStates"):
        assert FITS[kind](train, _numbers(2)).states(end).tolist() == [-1]
    assert np.isnan(StandardFeatures.fit(train, _numbers(2)).features(end)).all()


def test_integers_are_names_not_quantities() -> None:
    rows = np.array([[3.0], [9.0], [4.0]])
    features = StandardFeatures.fit(rows, INTEGER).features(np.array([[9.0], [5.0]]))
    assert features.tolist() == [[0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]


def test_nothing_to_fit_on_is_an_error() -> None:
    empty = np.full((2, 2), np.nan)
    for kind in ("QuantileGrid", "KMeansStates", "StandardFeatures"):
        with pytest.raises(DataError):
            FITS[kind](empty, _numbers(2))


def test_a_grid_too_fine_to_number_is_refused() -> None:
    rows = np.random.default_rng(0).normal(size=(100, 40))
    with pytest.raises(DataError, match="too many cells"):
        QuantileGrid.fit(rows, _numbers(40), bins=20)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"kind": "os.system"},
        {"kind": "IntegerStates"},
        {"kind": "IntegerStates", "values": [2, 1]},
        {"kind": "IntegerStates", "values": [1.5]},
        {"kind": "QuantileGrid", "fields": [0], "edges": [], "optional": [False], "cells": [0]},
        {"kind": "QuantileGrid", "fields": [-1], "edges": [[0]], "optional": [False], "cells": [0]},
        {"kind": "QuantileGrid", "fields": [0], "edges": [[1, 0]], "optional": [False], "cells": [0]},
        {"kind": "QuantileGrid", "fields": [0], "edges": [["x"]], "optional": [False], "cells": [0]},
        {"kind": "StandardFeatures", "columns": []},
        {"kind": "StandardFeatures", "columns": [{"index": 0, "center": 0, "scale": 0}]},
        {"kind": "StandardFeatures", "columns": [{"index": 0, "center": None, "scale": 1}]},
        {"kind": "KMeansStates", "centroids": [[0]]},
        {
            "kind": "KMeansStates",
            "encoder": {"kind": "StandardFeatures", "columns": [{"index": 0, "center": 0, "scale": 1}]},
            "centroids": [[0, 1]],
        },
    ],
)
def test_damaged_json_is_an_artefact_error(data: dict[str, Any]) -> None:
    with pytest.raises(ArtefactError) as caught:
        encoder_from_json(data)
    assert caught.value.remedy
