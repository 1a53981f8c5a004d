"""``train``: one algorithm, one version, on the rows it may read."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import ai_engine
from ai_engine.runs import FINISHED, list_runs
from ai_engine.training import TrainResult
from ai_engine.workspace import open_workspace
from envs.errors import DataError, SpecificationError
from envs.home import Home
from tests import homes

TABULAR = {"discretizer": "integer", "anchored": True}


def train(home: Home, **arguments: Any) -> TrainResult:
    return ai_engine.train(
        homes.AGENT, home=home, **{"algorithm": "tabular_q", "hyperparameters": TABULAR, **arguments}
    )


def layers(home: Home, reference: str) -> str:
    policy = open_workspace(homes.AGENT, home).registry.version(homes.AGENT, reference.rpartition("@")[2])
    return json.dumps([(layer.step, layer.component.to_json()) for layer in policy.layers])


def test_a_version_that_is_nobodys_champion(home: Home) -> None:
    result = train(home, step=0.5)
    workspace = open_workspace(homes.AGENT, home)
    assert result.version == f"{homes.AGENT}@1"
    assert workspace.registry.champion(homes.AGENT) == "0"
    assert result.decisions == len(workspace.dataset.split("train"))
    policy = workspace.registry.version(homes.AGENT, "1")
    assert policy.layers[0].step == 0.5
    assert policy.explore == homes.EXPLORE
    assert json.loads(json.dumps(result.to_json(), allow_nan=False))["version"] == result.version
    assert result.version in result.to_text().splitlines()[-1]
    # It learned what is right wherever the rule is wrong.
    rows = np.arange(homes.STATES, dtype=float)[:, None]
    base = np.array([[0, 1, 0]] * 4 + [[0, 0, 1]] * 2, dtype=float)
    moved = policy.probabilities(rows, base=base, floor=False)
    np.testing.assert_allclose(moved[:2, 0], 0.5)
    np.testing.assert_allclose(moved[2:], base[2:])
    (run,) = list_runs(home)
    assert run.status == FINISHED
    assert not (run.path / "dataset").exists()


def test_the_same_seed_learns_the_same(home: Home) -> None:
    cloning = {"model": "network", "hidden": (8,), "updates_per_iteration": 20}
    versions = [
        train(home, algorithm="behavior_cloning", hyperparameters=cloning, seed=seed).version for seed in (3, 3, 4)
    ]
    first, again, other = (layers(home, version) for version in versions)
    assert first == again != other


def test_only_episodes_before_a_time_are_learned_from(home: Home) -> None:
    workspace = open_workspace(homes.AGENT, home)
    starts = workspace.dataset.timestamps[workspace.dataset.offsets[:-1]]
    moment = "2024-01-10T00:00:00Z"
    before = starts < 1704844800.0
    wanted = len(workspace.dataset.select_episodes(before).split("train"))
    result = train(home, until=moment)
    assert 0 < result.decisions == wanted < len(workspace.dataset.split("train"))
    assert moment in result.note
    with pytest.raises(DataError, match="no decision to learn from"):
        train(home, until="2020-01-01T00:00:00Z")
    with pytest.raises(DataError, match="no time with a zone"):
        train(home, until="2020-01-01T00:00:00")


def test_all_rows_when_asked_and_labelled(home: Home) -> None:
    result = train(home, refit_all=True)
    assert result.decisions == homes.EPISODES * homes.HORIZON
    assert "ungated" in result.note
    assert "ungated" in open_workspace(homes.AGENT, home).registry.version(homes.AGENT, "1").provenance.note


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"algorithm": "magic"}, "magic"),
        ({"hyperparameters": {"colour": 1}}, "colour"),
        ({"hyperparameters": {"pessimism": -1.0}}, "pessimism"),
        ({"step": 0.0}, "step"),
        ({"step": 1.5}, "step"),
    ],
)
def test_a_wrong_request_is_one_line_and_writes_nothing(home: Home, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises((SpecificationError, DataError)) as raised:
        train(home, **arguments)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
    assert list_runs(home) == []
    assert not (home.models_path / "ledger").exists()


def test_a_training_that_fails_leaves_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any, **keywords: Any) -> Any:
        raise RuntimeError("broken")

    monkeypatch.setattr("ai_engine.training.train_component", broken)
    with pytest.raises(RuntimeError, match="broken"):
        train(home)
    assert list_runs(home) == []
    assert open_workspace(homes.AGENT, home).registry.versions(homes.AGENT) == ["0"]


def test_an_agent_has_an_algorithm_of_its_own(home: Home) -> None:
    assert ai_engine.train(homes.AGENT, home=home).algorithm == "tabular_q"
