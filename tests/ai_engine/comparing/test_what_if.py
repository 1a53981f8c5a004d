"""Other rewards, recomputed from outcomes: the truth under them, and refusals where outcomes cannot say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ai_engine
from ai_engine.comparing import CompareResult, compare
from ai_engine.comparing.what_if import tenants_of, with_reward
from ai_engine.deploy import Registry
from ai_engine.workspace import open_workspace
from algorithms.ope.multiple_testing import BETTER, REFUSED, WORSE
from envs.errors import DataError, SpecificationError
from envs.home import Home
from tests import homes
from tests.ai_engine.comparing import routing


def under(home: Home, reward: str | None) -> CompareResult:
    return compare(routing.database_only, on=routing.AGENT, home=home, reward=reward)


def test_another_reward_values_everything_anew(routing_home: Home, compared: CompareResult) -> None:
    dear = under(routing_home, "success - 8 * cost")

    def worth(success: float, cost: float) -> float:
        return success - 8 * cost

    truth = routing.truth(routing.database_only, reward=worth) - routing.truth(routing.stay, reward=worth)
    (policy,) = dear.policies
    assert policy.gain.estimate.lower < truth < policy.gain.estimate.upper
    assert compared.policies[0].gain.verdict == BETTER
    assert policy.gain.verdict != BETTER
    assert (dear.reward, dear.what_if) == ("success - 8 * cost", True)
    assert dear.sentence.startswith("On select with the reward “success - 8 * cost”, ")
    assert "not the declared one" in dear.to_markdown() and "success - 8 * cost" in dear.to_html()
    assert under(routing_home, "2 * (success - cost)").sentence.endswith("; the gate judges by the declared reward.")
    assert under(routing_home, "0 - cost").policies[0].gain.verdict == WORSE


def test_rewards_and_nothing_else_change(routing_home: Home) -> None:
    workspace = open_workspace(routing.AGENT, routing_home)
    before, after = workspace.dataset, with_reward(workspace, "-cost").dataset
    switched = before.actions == routing.ACTIONS.index("switch")
    assert after.rewards == pytest.approx(np.where(switched, -routing.COST, 0.0))
    for name in ("offsets", "observations", "actions", "propensities", "units", "splits", "root_probabilities"):
        assert np.array_equal(getattr(before, name), getattr(after, name), equal_nan=name != "units"), name


def test_the_declared_reward_asked_for_by_name_gives_the_same_gain(routing_home: Home) -> None:
    plain, again = under(routing_home, None), under(routing_home, "success - cost")
    # The declared range does not bound the models of a reward that is asked for.
    assert again.policies[0].gain.estimate.value == pytest.approx(plain.policies[0].gain.estimate.value, abs=0.02)
    assert again.logged.value == pytest.approx(plain.logged.value)
    assert plain.reward == again.reward and (plain.what_if, again.what_if) == (False, True)


def test_what_followed_a_cut_has_no_bounds_under_another_reward(tmp_path: Path) -> None:
    """Under the declared one it counts at its worst; by a model's word for it a policy gained that loses."""
    rows = [
        replace(row, truncated=True, next_observation=None) if row.step == 0 and row.episode_id[-1] == "7" else row
        for row in routing.records(2000, seed=6)
        if row.step == 0 or row.episode_id[-1] != "7"
    ]
    home = routing.make_home(tmp_path / "home", rows)
    (plain,), (other,) = (under(home, reward).policies for reward in (None, "success - cost"))
    assert plain.gain.verdict != REFUSED and any("cut off" in text for text in plain.gain.estimate.assumptions)
    assert other.gain.verdict == REFUSED and "may have been anything" in other.gain.estimate.refused
    assert np.isfinite(other.model_gain) and not other.value.refused


def test_a_what_if_leaves_no_trace(tmp_path: Path) -> None:
    home = routing.make_home(tmp_path / "home", routing.records(600, seed=5))
    under(home, "-cost")
    assert home.specification(routing.AGENT).reward == "success - cost"
    assert Registry(home).version(routing.AGENT, "champion").provenance.reward == "success - cost"
    plain = under(home, None)
    assert (plain.reward, plain.what_if) == ("success - cost", False)
    assert plain.logged.value > 0.0


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"outcome": None, "reward": 0.5}, "have a reward and no outcome"),
        ({"outcome": {"success": 1.0}}, "outcome.cost"),
        ({"outcome": {"success": 1.0, "cost": "low"}}, "not a number"),
    ],
)
def test_records_that_cannot_say_are_refused_and_not_left_out(
    tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    rows = routing.records(400, seed=6)
    home = Home.create(tmp_path / "home")
    home.declare(replace(routing.specification(), reward="success"))
    homes.write(home, [*rows[:-2], *(replace(row, **changed) for row in rows[-2:])])
    with pytest.raises(DataError, match=words) as raised:
        compare(routing.database_only, on=routing.AGENT, home=home, reward="-cost")
    assert "\n" not in str(raised.value) and "-cost" in str(raised.value)


@pytest.mark.parametrize("text", ["cost +", "__import__('os')", "cost if"])
def test_what_is_no_expression_is_refused(routing_home: Home, text: str) -> None:
    with pytest.raises(SpecificationError, match="--reward"):
        under(routing_home, text)


def test_tenants_are_those_of_the_records(routing_home: Home) -> None:
    workspace = open_workspace(routing.AGENT, routing_home)
    # The unit of an episode begins with its tenant.
    assert [unit.partition("/")[0] for unit in workspace.dataset.units] == tenants_of(workspace)


def test_what_was_excluded_is_not_asked(tmp_path: Path) -> None:
    good = routing.records(400, seed=7)
    silent = [replace(row, outcome=None, reward=0.5) for row in routing.records(40, seed=8)]
    home = routing.make_home(tmp_path / "home", [*good, *silent])
    ai_engine.log_exclude(routing.AGENT, start=len(good) + 1, reason="recorded without outcomes", home=home)
    workspace = open_workspace(routing.AGENT, home)
    after = with_reward(workspace, "-cost").dataset
    assert np.array_equal(after.sequences, workspace.dataset.sequences) and after.episode_count == 400
