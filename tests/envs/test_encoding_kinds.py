"""Times, tags, lists, circles and many categories: one row in training and in production, bit for bit."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.build import build_dataset, dataset_from_records
from envs.declaration import from_table, to_table
from envs.encoding import KMeansStates, QuantileGrid, StandardFeatures, encoder_from_json
from envs.encoding.circle import DAY, WEEK, phase, sine
from envs.encoding.features import MAXIMUM_CATEGORIES
from envs.encoding.unknown import count_unknown
from envs.errors import RecordError, SpecificationError
from envs.home import Home
from envs.infer import infer_specification
from envs.journal.journal import Journal
from envs.log.sealing import seal
from envs.observation import ObservationField, ObservationSpecification
from envs.record import DecisionRecord
from tests.envs.samples import KEY, numbered, record, specification

COUNTRIES = tuple(f"country-{number}" for number in range(200))
TAGS = ("gpu", "spot", "canary")
EVERYTHING = ObservationSpecification(
    "object",
    (
        ObservationField("load"),
        ObservationField("hour", period=24.0),
        ObservationField("since", "time"),
        ObservationField("tags", "tags", categories=TAGS),
        ObservationField("country", "category", categories=COUNTRIES),
        ObservationField("pool.zone", "category", categories=("a", "b")),
        ObservationField("pool.loads.0"),
        ObservationField("pool.loads.1"),
        ObservationField("ready", "boolean", optional=True),
        ObservationField("until", "time", optional=True),
    ),
)

real = st.floats(-1e6, 1e6)
moments = st.datetimes(datetime(2001, 1, 1), datetime(2099, 1, 1)).map(
    lambda when: when.replace(tzinfo=UTC).isoformat()
)
observations = st.fixed_dictionaries(
    {
        "load": real,
        "hour": st.floats(0.0, 24.0),
        "since": moments | st.integers(0, 4 * 10**9),
        "tags": st.lists(st.sampled_from([*TAGS, "other"]), max_size=5),
        "country": st.sampled_from([*COUNTRIES, "nowhere"]),
        "pool": st.fixed_dictionaries({"zone": st.sampled_from("abc"), "loads": st.tuples(real, real).map(list)}),
    },
    optional={"ready": st.booleans(), "until": moments},
)


def records_of(seen: list[dict[str, Any]]) -> list[DecisionRecord]:
    return [record(f"e{number}", observation=item, terminated=True) for number, item in enumerate(seen)]


@settings(max_examples=60, deadline=None)
@given(st.lists(observations, min_size=3, max_size=12))
def test_a_raw_observation_in_production_is_encoded_as_in_the_dataset(seen: list[dict[str, Any]]) -> None:
    declared = specification(observation=EVERYTHING, horizon=1)
    dataset, _ = dataset_from_records(declared, numbered(records_of(seen)), KEY)
    rows = dataset.observations[dataset.rows]
    order = [int(name.rpartition("e")[2]) for name in dataset.units]
    for encoder in (
        StandardFeatures.fit(rows[:2], EVERYTHING),
        KMeansStates.fit(rows[:2], EVERYTHING, count=2),
        QuantileGrid.fit(rows, EVERYTHING, bins=3, fields=range(3)),
    ):
        served = encoder_from_json(json.loads(json.dumps(encoder.to_json(), allow_nan=False)))
        encode = "features" if isinstance(encoder, StandardFeatures) else "states"
        together = getattr(encoder, encode)(rows)
        alone = [getattr(served, encode)(EVERYTHING.row(seen[number])[None, :])[0] for number in order]
        np.testing.assert_array_equal(together, np.array(alone))


@settings(max_examples=60, deadline=None)
@given(observations)
def test_what_a_rule_is_called_with_has_the_same_row(seen: dict[str, Any]) -> None:
    seen["pool"]["zone"], seen["country"] = "b", COUNTRIES[3]  # of what was not declared nothing is left
    row = EVERYTHING.row(seen)
    again = EVERYTHING.value(row)
    assert again["pool"]["loads"] == seen["pool"]["loads"] and set(again["tags"]) == set(seen["tags"]) - {"other"}
    known = EVERYTHING.row(again)
    row[EVERYTHING.names.index("tags")] %= 2 ** len(TAGS)
    np.testing.assert_allclose(known, row, atol=1e-5)


def test_the_sealed_log_gives_the_same_rows_as_the_records(tmp_path: Path) -> None:
    seen = [
        {
            "load": 1.0,
            "hour": float(number),
            "since": "2024-02-01T10:00:00+02:00" if number % 2 else 1706774400 + number,
            "tags": ["spot", "new"][: number % 3],
            "country": f"country-{number * 17}",
            "pool": {"zone": "b", "loads": [0.5, float(number)]},
            **({"ready": True} if number % 2 else {}),
        }
        for number in range(8)
    ]
    home = Home.create(tmp_path, split_key=KEY)
    declared = specification(observation=EVERYTHING, horizon=1)
    home.declare(declared)
    records = records_of(seen)
    Journal(home.journal_path).append(records)
    plain, _ = build_dataset(home, declared.name)
    seal(home)
    sealed, _ = build_dataset(home, declared.name)
    np.testing.assert_array_equal(sealed.observations, plain.observations)
    assert sealed.identifier == plain.identifier
    assert home.specification(declared.name).observation == EVERYTHING


def test_a_draft_reads_lists_of_numbers_as_fields_and_lists_of_names_as_tags() -> None:
    seen: list[dict[str, Any]] = [
        {"loads": [1.0, 2], "pool": {"tags": ["spot", "gpu"]}, "none": []},
        {"loads": [0.5, 3], "pool": {"tags": []}, "none": []},
        {"loads": [0.5], "pool": {"tags": ["gpu"]}, "none": []},
    ]
    declared = infer_specification("scaling", records_of(seen))
    assert declared.observation.fields == (
        ObservationField("loads.0", "number"),
        ObservationField("loads.1", "integer", optional=True),
        ObservationField("pool.tags", "tags", categories=("gpu", "spot")),
    )
    assert declared.observation.rows(seen)[:, 2].tolist() == [3.0, 0.0, 1.0]


def features_of(declared: ObservationField, *values: Any) -> np.ndarray:
    observation = ObservationSpecification("object", (declared,))
    rows = observation.rows([{declared.name: value} for value in values])
    return StandardFeatures.fit(rows, observation).features(rows)


def test_the_sine_is_a_sine_and_its_bits_do_not_depend_on_company() -> None:
    turns = np.random.default_rng(0).uniform(0.0, 1.25, size=4001)
    np.testing.assert_allclose(sine(turns), np.sin(2 * np.pi * turns), atol=1e-11)
    np.testing.assert_array_equal(sine(turns), [sine(turns[index : index + 1])[0] for index in range(len(turns))])
    assert phase(np.array([-1.0, 25.0, np.nan]), 24.0)[:2].tolist() == pytest.approx([23 / 24, 1 / 24])


def test_midnight_is_near_midnight_and_far_from_noon() -> None:
    before, after, noon = features_of(ObservationField("hour", period=24.0), 23.99, 0.01, 12.0)
    assert np.linalg.norm(before - after) < 0.01 and np.linalg.norm(before - noon) > 1.99


def test_a_time_has_the_hour_and_the_day_of_the_week() -> None:
    monday, next_monday, tuesday = (
        features_of(ObservationField("since", "time"), *days)
        for days in (["2024-01-01T06:00:00Z"], ["2024-01-08T08:00:00+02:00"], ["2024-01-02T06:00:00Z"])
    )
    np.testing.assert_allclose(monday, next_monday, atol=1e-9)
    np.testing.assert_allclose(monday[0, :2], tuesday[0, :2], atol=1e-9)
    assert np.linalg.norm(monday[0, 2:] - tuesday[0, 2:]) > 0.5
    np.testing.assert_allclose(monday[0, :2], [1.0, 0.0], atol=1e-9)  # six hours are a quarter turn
    assert DAY * 7 == WEEK


def test_a_grid_cuts_the_hour_and_not_the_date() -> None:
    observation = ObservationSpecification("object", (ObservationField("since", "time"),))
    rows = 3600.0 * np.arange(48)[:, None]
    grid = QuantileGrid.fit(rows, observation, bins=4)
    assert grid.count == 4
    np.testing.assert_array_equal(grid.states(rows), grid.states(rows + 1000 * DAY))


def test_tags_have_an_indicator_each_and_one_for_any_other() -> None:
    declared = ObservationField("tags", "tags", categories=TAGS)
    found = features_of(declared, [], ["canary", "gpu"], ["gpu", "gpu"], ["what", "ever", "spot"])
    assert found.tolist() == [[0, 0, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 1]]
    assert declared.decode(declared.encode(["canary", "gpu"])) == ["gpu", "canary"]
    with pytest.raises(RecordError, match="not a list of tags"):
        declared.encode("gpu")


def test_one_and_one_point_zero_are_the_same_category() -> None:
    """They are the same record: a frame with a gap, or a Parquet column, makes 1.0 of the 1 that an agent gives."""
    for names in (("1", "x"), ("1.0", "x")):
        zone = ObservationField("zone", "category", categories=names)
        tags = ObservationField("tags", "tags", categories=names)
        assert zone.encode(1) == zone.encode(1.0) == zone.encode(names[0]) == 0.0
        assert tags.encode([1]) == tags.encode([1.0]) == 1.0
        assert zone.encode(np.float32(1.0)) == zone.encode(np.int64(1)) == 0.0, "as an agent may give it"
        assert zone.encode(math.inf) == zone.encode(math.nan) == -1.0
        assert zone.encode(1.5) == zone.encode(2.0) == -1.0 and zone.encode(2**63 - 1) == -1.0
        declared = ObservationSpecification("object", (zone,))
        assert count_unknown(declared, [{"zone": 1.0}, {"zone": 1}, {"zone": 2.0}]) == {"zone": 1}


def test_sixty_four_categories_have_their_own_indicator_and_more_share_them_for_ever() -> None:
    few = ObservationField("country", "category", categories=COUNTRIES[:MAXIMUM_CATEGORIES])
    many = replace(few, categories=COUNTRIES)
    own = features_of(few, *few.categories)
    assert own.shape[1] == MAXIMUM_CATEGORIES + 1 and (own.argmax(axis=1) == np.arange(MAXIMUM_CATEGORIES)).all()
    shared = features_of(many, *many.categories, "nowhere")
    assert shared.shape == (201, MAXIMUM_CATEGORIES + 1) and (shared.sum(axis=1) == 1.0).all()
    assert shared[-1].argmax() == MAXIMUM_CATEGORIES and (shared[:-1, -1] == 0.0).all()
    assert len(np.unique(shared[:-1].argmax(axis=1))) > 50
    # A category that is declared later moves none of the others.
    more = features_of(replace(many, categories=("aaa", *COUNTRIES)), *COUNTRIES)
    np.testing.assert_array_equal(more, shared[:-1])


def test_missing_times_and_tags_are_told() -> None:
    found = features_of(ObservationField("tags", "tags", categories=TAGS, optional=True), None, [])
    assert found.tolist() == [[0, 0, 0, 0, 1], [0, 0, 0, 0, 0]]
    found = features_of(ObservationField("since", "time", optional=True), None, 0)
    assert found[0].tolist() == [0, 0, 0, 0, 1] and found[1, -1] == 0.0


@pytest.mark.parametrize(
    ("value", "message"),
    [("yesterday", "not a time"), ("2024-01-01T00:00:00", "no zone"), (True, "not a number"), (math.inf, "not finite")],
)
def test_what_is_no_time_is_named(value: Any, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        ObservationField("since", "time").encode(value)


def test_a_list_of_another_length_is_named() -> None:
    seen = {"load": 1, "hour": 1, "since": 1, "tags": [], "country": "x", "pool": {"zone": "a", "loads": [1, 2, 3]}}
    with pytest.raises(RecordError, match=r"pool\.loads\.2"):
        EVERYTHING.row(seen)
    seen["pool"] = {"zone": "a", "loads": [1]}
    with pytest.raises(RecordError, match=r"pool\.loads\.1.*missing"):
        EVERYTHING.row(seen)


def test_the_declaration_keeps_and_checks_the_new_kinds() -> None:
    declared = specification(observation=EVERYTHING)
    assert from_table("scaling", to_table(declared)) == declared

    def declare(**field: Any) -> None:
        table = to_table(declared)
        table["observation"]["fields"] = [{"name": "a", **field}]
        from_table("scaling", table)

    for field, message in (
        ({"type": "boolean", "period": 2.0}, "period"),
        ({"type": "number", "period": 0.0}, "period"),
        ({"type": "tags"}, "categories"),
        ({"type": "tags", "categories": [f"t{number}" for number in range(52)]}, "52 tags"),
    ):
        with pytest.raises(SpecificationError, match=message):
            declare(**field)
