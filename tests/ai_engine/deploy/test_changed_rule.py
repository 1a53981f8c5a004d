"""A log that goes on under a changed rule: what the earlier rule would have done says nothing about the present one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from agents import improved, rule, specification, version_zero

from ai_engine.deploy import Agent, Registry
from ai_engine.runs import Run
from ai_engine.sweep_plan import prepare
from ai_engine.workspace import open_workspace
from algorithms.on_log import probabilities_on
from algorithms.policy.rule import Rule
from envs.build import build_dataset
from envs.errors import DataError
from envs.home import Home
from envs.journal.journal import Journal


def always_down(observation: object) -> str:
    return "down"


def decided(home: Home, policy: Rule, count: int) -> None:
    with Agent("scaling", policy=policy, home=home) as agent:
        decisions = [agent.decide({"load": place / count, "queue": 1.0}) for place in range(count)]
        agent.pipeline.record_many([agent.completed(decision, reward=1.0) for decision in decisions])


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Ten decisions each: of the first rule, of a champion on it, of the second rule, of a champion on that."""
    home = Home.create(tmp_path)
    home.declare(specification())
    decided(home, rule, 10)
    registry = Registry(home)
    registry.override("scaling", registry.add_version(improved()), "better")
    decided(home, rule, 10)
    registry.rollback("scaling", "rule")
    home.declare(specification(rule_version="rule-2"))
    decided(home, always_down, 10)
    second = improved(seed=1)
    second = version_zero(version="rule-2").with_layer(second.layers[0].component, 0.5)
    registry.override("scaling", registry.add_version(second), "better still")
    decided(home, always_down, 10)
    return home


@pytest.mark.parametrize("by_columns", [True, False])
def test_of_an_earlier_rule_nothing_is_known(home: Home, by_columns: bool) -> None:
    until = None if by_columns else Journal(home.journal_path).last_sequence("scaling")
    dataset, _ = build_dataset(home, "scaling", until=until)
    order = np.argsort(dataset.sequences)
    assert list(dict.fromkeys(dataset.policy_versions[order])) == ["rule-1", "1", "rule-2", "3"]
    roots = dataset.root_probabilities[dataset.rows][order]
    assert np.isnan(roots[:20]).all()
    np.testing.assert_array_equal(roots[20:], np.tile([1.0, 0.0, 0.0], (20, 1)))


def test_the_present_rule_is_not_valued_by_what_an_earlier_one_did(home: Home) -> None:
    Registry(home).rollback("scaling", "rule")
    workspace = open_workspace("scaling", home)
    champion = workspace.champion()
    assert champion.base is not None and champion.base.version == "rule-2"
    with pytest.raises(DataError, match=r"is unknown at 20 of 40 decisions.*declare rule = .*log exclude scaling --to"):
        probabilities_on(workspace.dataset, champion)
    run = Run.create(home, "scaling", "tune", {})
    with pytest.raises(DataError, match="is unknown at"):  # before anything is trained
        prepare(workspace, run)
    asked, _ = build_dataset(home, "scaling", rule=always_down)
    assert (asked.root_probabilities[asked.rows] == [1.0, 0.0, 0.0]).all(), "a rule that is at hand is asked"
