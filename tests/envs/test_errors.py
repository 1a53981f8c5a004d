"""A complaint keeps what is wrong, whatever place or field it is given."""

from __future__ import annotations

import pytest

from envs.errors import DuplicateRecordError, RecordError


@pytest.mark.parametrize("kind", [RecordError, DuplicateRecordError])
@pytest.mark.parametrize("complaint", ["is missing", "step: is what it says"])  # also one that begins like its field
def test_a_complaint_is_said_of_its_field_once(kind: type[RecordError], complaint: str) -> None:
    error = kind(complaint, field="step", where="log.jsonl:3", remedy="give it")
    assert (error.complaint, error.problem) == (complaint, f"step: {complaint}")
    assert str(error) == f"log.jsonl:3: step: {complaint}; give it"
    moved = error.at("agent a")
    assert type(moved) is kind and str(moved) == f"agent a: step: {complaint}; give it"
    assert str(moved.at("", field="observation.load")) == f"observation.load: {complaint}; give it"
    assert str(error.at("x", remedy="").at("y")) == f"y: step: {complaint}"
