"""The artefact file: whole, exact, and refused when anything in it changed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from policies import OBSERVATION, bare, integer_policy, moves, rows_of, rule, samples, table

from algorithms.policy import Policy, Provenance, load_policy, save_policy
from algorithms.policy.artefact import FORMAT_VERSION
from envs.errors import ArtefactError

ROWS = rows_of(1000, 11)


@pytest.mark.parametrize("name", sorted(samples()))
def test_round_trip_gives_the_same_probabilities_bit_for_bit(name: str, tmp_path: Path) -> None:
    policy = samples()[name]
    path = save_policy(policy, tmp_path / "scaling_model.json")
    loaded = load_policy(path, base=rule)
    assert np.array_equal(loaded.probabilities(ROWS), policy.probabilities(ROWS))
    assert loaded.to_bytes() == policy.to_bytes() == path.read_bytes()
    assert (loaded.actions, loaded.observation, loaded.explore) == (policy.actions, policy.observation, policy.explore)
    assert [file.name for file in tmp_path.iterdir()] == ["scaling_model.json"]


def test_provenance_survives_and_figures_that_are_not_finite_become_null() -> None:
    provenance = Provenance(
        parent="3",
        dataset="d1",
        hyperparameters={"bins": np.int64(4), "steps": (0.1, np.float32(0.5))},
        evaluation={"value": float("nan"), "ess": np.float64(212.0), "curve": np.arange(2)},
    )
    policy = bare().with_layer(moves(), 0.1, provenance=provenance)
    loaded = Policy.from_bytes(policy.to_bytes()).provenance
    assert loaded.parent == "3" and loaded.hyperparameters == {"bins": 4, "steps": [0.1, 0.5]}
    assert loaded.evaluation == {"value": None, "ess": 212.0, "curve": [0, 1]}


def test_a_policy_that_needs_a_base_is_refused_without_it(tmp_path: Path) -> None:
    path = save_policy(samples()["map"], tmp_path / "m.json")
    with pytest.raises(ArtefactError, match=r"rule-1.*load_policy\(path, base=your_rule\)"):
        load_policy(path)
    whole = save_policy(samples()["table"], tmp_path / "t.json")
    assert load_policy(whole).act(OBSERVATION.value(ROWS[0])).propensity > 0.0


def test_flipping_any_byte_is_noticed() -> None:
    content = integer_policy(np.array([[0.25, 0.75], [1.0, 0.0]]), explore=0.1).to_bytes()
    rng = np.random.default_rng(0)
    for position in range(len(content)):
        flipped = bytearray(content)
        flipped[position] ^= int(rng.integers(1, 256))
        with pytest.raises(ArtefactError):
            Policy.from_bytes(bytes(flipped))


def test_truncation_and_additions_are_noticed() -> None:
    content = samples()["stack"].to_bytes()
    for changed in (b"", content[:-1], content[: len(content) // 2], content + b" ", content.replace(b"\n", b"\r\n")):
        with pytest.raises(ArtefactError):
            Policy.from_bytes(changed)


def reseal(document: dict) -> bytes:
    """A forged file with a correct SHA-256."""
    rest = {key: value for key, value in document.items() if key != "sha256"}
    seal = hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    return (json.dumps({**rest, "sha256": seal}, sort_keys=True, indent=1) + "\n").encode()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("format",), "other", "is not a retrainer-policy file"),
        (("format_version",), FORMAT_VERSION + 1, "format version"),
        (("explore",), 7.0, "explore"),
        (("actions",), ["a"], "actions"),
        (("agent",), 3, "is not text"),
        (("layers",), {}, "neither base"),
        (("layers", 0, "step"), 0.0, "step is 0.0"),
        (("layers", 0, "component", "kind"), "shell", "unknown component"),
        (("layers", 0, "component", "table", "shape"), [2, 3], "bytes do not fill"),
        (("layers", 0, "component", "table", "shape"), [10**6, 10**6], "are more than"),
        (("layers", 0, "component", "table", "shape"), [-2, -2], "is not a shape"),
        (("layers", 0, "component", "table", "dtype"), "|O", "is not allowed"),
        (("layers", 0, "component", "table", "data"), "%%%", "not base64"),
        (("layers", 0, "component", "table", "data"), "AAAAAAAA+H8" * 2, "base64|bytes"),
        (("layers", 0, "component", "encoder"), {"kind": "os.system"}, "encoder"),
        (("observation", "fields", 0, "type"), "code", "observation field"),
        (("provenance", "parent"), 3, "provenance"),
        (("extra",), 1, "was altered"),
    ],
)
def test_a_forged_document_is_refused_in_one_line(path: tuple, value: object, message: str) -> None:
    document = json.loads(integer_policy(np.array([[0.25, 0.75], [1.0, 0.0]])).to_bytes())
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ArtefactError, match=message) as caught:
        Policy.from_bytes(reseal(document), where="models/taxi_model.json")
    assert "\n" not in str(caught.value) and "models/taxi_model.json" in str(caught.value) and caught.value.remedy


def test_numbers_that_are_not_finite_are_neither_written_nor_read() -> None:
    component = table()
    component.table[0] = np.nan
    with pytest.raises(ArtefactError, match="not finite"):
        bare().with_layer(component, 0.5).to_bytes()
    document = json.loads(integer_policy(np.array([[0.25, 0.75], [1.0, 0.0]])).to_bytes())
    stored = document["layers"][0]["component"]["table"]
    stored["data"] = "AAAAAAAA+H8AAAAAAAD4fwAAAAAAAPA/AAAAAAAAAAA="
    with pytest.raises(ArtefactError, match="not finite"):
        Policy.from_bytes(reseal(document))


def test_a_missing_file_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"none\.json.*give the path"):
        load_policy(tmp_path / "none.json")
    (tmp_path / "deep.json").write_bytes(b"[" * 100_000)
    with pytest.raises(ArtefactError, match="cannot be parsed"):
        load_policy(tmp_path / "deep.json")
