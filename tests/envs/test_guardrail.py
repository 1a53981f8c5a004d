"""Guardrails: declared strictly, computed from the outcome, and never guessed where it does not tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomlkit

from envs.build import dataset_from_records
from envs.columns import load_columns, save_columns
from envs.declaration import from_table, specification_hash, to_table
from envs.errors import SpecificationError
from envs.guardrail import GuardrailSpecification
from envs.home import Home
from tests.envs.samples import KEY, episode, numbered, record, specification

DECLARED = """
actions = ["down", "hold", "up"]
observation = {kind = "int"}

[guardrails]
latency = { outcome = "execution_time", direction = "lower", aggregate = "max", margin = 0.1 }
"success-rate" = { outcome = "success", direction = "higher", relative_margin = 0.02, missing = 0 }
"""
LATENCY = GuardrailSpecification("latency", "execution_time", "lower", "max", margin=0.1)
SUCCESS = GuardrailSpecification("success-rate", "success", "higher", relative_margin=0.02, missing=0.0)


def test_the_declaration_is_read_and_written_back() -> None:
    declared = from_table("scaling", tomlkit.parse(DECLARED).unwrap())
    assert declared.guardrails == (LATENCY, SUCCESS)
    assert (LATENCY.sign, SUCCESS.sign) == (-1.0, 1.0)
    assert from_table("scaling", to_table(declared)) == declared
    # It is part of what the data were declared to be, and its absence changes no old hash.
    bare = replace(declared, guardrails=())
    assert specification_hash(bare) != specification_hash(declared)
    assert "guardrails" not in to_table(bare)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outcome": None}, r"guardrails\.latency\.outcome: is missing"),
        ({"outcome": "import os"}, r"guardrails\.latency\.outcome"),
        ({"direction": None}, r"guardrails\.latency\.direction: is missing"),
        ({"direction": "down"}, r"guardrails\.latency\.direction: 'down'.*lower, higher"),
        ({"aggregate": "median"}, r"guardrails\.latency\.aggregate: 'median'.*mean, sum, max"),
        ({"margin": -0.1}, r"guardrails\.latency\.margin.*at least 0"),
        ({"relative_margin": 0.1}, r"guardrails\.latency\.margin: is declared twice"),
        ({"tolerance": 1}, r"guardrails\.latency\.tolerance: is not a key"),
    ],
)
def test_a_wrong_declaration_names_guardrail_and_key(change: dict[str, Any], message: str) -> None:
    table = tomlkit.parse(DECLARED).unwrap()
    table["guardrails"]["latency"] |= change
    table["guardrails"]["latency"] = {k: v for k, v in table["guardrails"]["latency"].items() if v is not None}
    with pytest.raises(SpecificationError, match=message):
        from_table("scaling", table)
    with pytest.raises(SpecificationError, match=r"guardrails: 'La tency' is not a name"):
        from_table("scaling", {**tomlkit.parse(DECLARED).unwrap(), "guardrails": {"La tency": {}}})


def test_a_home_keeps_guardrails_in_its_file(tmp_path: Path) -> None:
    home = Home.create(tmp_path / "home", split_key=KEY)
    home.declare(specification(guardrails=(LATENCY, SUCCESS)))
    assert home.specification("scaling").guardrails == (LATENCY, SUCCESS)
    home.declare(specification(guardrails=(SUCCESS,)))
    assert home.specification("scaling").guardrails == (SUCCESS,)
    home.declare(specification())
    assert home.specification("scaling").guardrails == () and "guardrails" not in home.configuration_path.read_text()


def test_values_stand_beside_their_decisions_and_what_is_missing_is_not_guessed(tmp_path: Path) -> None:
    declared = specification(guardrails=(LATENCY, SUCCESS))
    outcomes = [{"execution_time": 2.5, "success": True}, {"success": False}, {"execution_time": "fast"}, None]
    rows = [record("a", step, outcome=outcome) for step, outcome in enumerate(outcomes)]
    rows += episode("b", 1, terminated=True, outcome={"execution_time": 1.0, "success": True})
    dataset, report = dataset_from_records(declared, numbered(rows), KEY)
    nan = np.nan
    np.testing.assert_array_equal(dataset.guardrails, [[2.5, 1.0], [nan, 0.0], [nan, 0.0], [nan, 0.0], [1.0, 1.0]])
    assert report.unmeasured == 3
    assert "guardrail latency, event a-1" in report.unmeasured_reason
    # No decision is lost for learning because a guardrail is not known.
    assert report.decisions == 5 and report.unscored_episodes == 0
    chosen = dataset.select_episodes(np.array([1]))
    np.testing.assert_array_equal(chosen.guardrails, [[1.0, 1.0]])
    loaded = load_columns(save_columns(dataset, tmp_path / "d"))
    np.testing.assert_array_equal(loaded.guardrails, dataset.guardrails)
    assert loaded.specification == declared
