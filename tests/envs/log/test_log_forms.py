"""An observation that went through its form has the raw row that it has by itself, or is refused as it is."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from envs.errors import RecordError
from envs.log.forms import OddRowError, observation_rows
from envs.log.rows import formed
from envs.observation import ObservationField, ObservationSpecification

LARGE = 2**53 + 1  # no float64, nor is a moment in nanoseconds one
VALUES = [0, 1, 2, 0.5, -0.0, True, None, "a", "1", "2026-06-01T00:00:00Z", "", LARGE, -(2**60), 1e300]
LISTS = [[], ["a"], ["a", "x"], [1, 2], ["1"], [True], [None], [2**60], [{"a": 1}], {"q": 1}, {}]
DECLARED: list[dict[str, Any]] = [
    {"type": "number"},
    {"type": "number", "low": 0.0, "high": 1.0},
    {"type": "integer"},
    {"type": "boolean"},
    {"type": "category", "categories": ("a", "1", "True", str(LARGE))},
    {"type": "tags", "categories": ("a", "1")},
    {"type": "time"},
]


def alone(specification: ObservationSpecification, observation: Any) -> Any:
    try:
        return specification.row(observation).tolist()
    except RecordError:
        return "refused"


def formed_and_read(specification: ObservationSpecification, observation: Any) -> Any:
    form, numbers, texts = formed(observation)
    columns = {
        "observation_form": pa.array([form]),
        "observation_numbers": pa.array([numbers], pa.list_(pa.float64())),
        "observation_texts": pa.array([texts], pa.list_(pa.string())),
    }
    try:
        return observation_rows(pa.record_batch(columns), "observation", specification, frozenset())[0][0].tolist()
    except OddRowError:
        return "refused"


@pytest.mark.parametrize("declared", DECLARED, ids=lambda declared: "-".join(map(str, declared.values())))
def test_a_form_gives_the_row_of_the_observation(declared: dict[str, Any]) -> None:
    for optional, value in product((False, True), [*VALUES, *LISTS]):
        fields = (ObservationField("f", optional=optional, **declared), ObservationField("g"))
        item = (ObservationField("f.0", optional=optional, **declared), ObservationField("f.1", optional=True))
        for names, observation in (
            (fields, {"f": value, "g": 1.0}),
            (fields, {"g": LARGE, "f": value}),
            (item, {"f": [value]}),
            (item, {"f": [value, 2.0]}),
            (item, {"f": value}),
        ):
            specification = ObservationSpecification("object", names)
            expected, read = alone(specification, observation), formed_and_read(specification, observation)
            np.testing.assert_equal(read, expected, err_msg=f"{observation} as {declared}")
