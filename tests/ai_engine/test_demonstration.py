"""``demo``: the whole chain in a home of its own, the same for the same seed, whole whenever it is interrupted."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ai_engine
from ai_engine import deciding, demonstration
from ai_engine.demo_result import AgentDemo, DemoResult
from ai_engine.deploy import Registry, load_policy
from ai_engine.interrupts import Interrupted
from ai_engine.runs import list_runs
from ai_engine.workspace import open_workspace
from envs.errors import SpecificationError
from envs.home import Home
from envs.journal.journal import Journal
from envs.testbeds import optimization, scaling, self_healing, task_solving
from envs.testbeds.testbed import EXPLORE, TESTBEDS
from envs.testbeds.traffic import MINUTES_PER_DAY, days
from tests import homes

SMALL = 3_000


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quick demo that is quicker still."""
    homes.run_here(monkeypatch)
    monkeypatch.setattr(demonstration, "QUICK_DECISIONS", SMALL)
    monkeypatch.setattr(demonstration, "QUICK_TRIALS", 2)
    monkeypatch.setattr(scaling.true_returns, "__kwdefaults__", {"episodes": 200, "seed": 0})


def whole_demo(path: Path, **arguments: Any) -> DemoResult:
    return ai_engine.demo(home=path, **{"seed": 0, "quick": True, "agents": ("scaling",), **arguments})


def demo(path: Path, **arguments: Any) -> AgentDemo:
    (only,) = whole_demo(path, **arguments).agents
    return only


def comparable(result: AgentDemo | DemoResult) -> Any:
    return homes.comparable(json.loads(json.dumps(result.to_json(), default=str)))


def counts(path: Path) -> dict[str, int]:
    return Journal(Home(path).journal_path).counts()


def check(result: AgentDemo, path: Path, decisions: int) -> None:
    """What every demo's result must be, read beside the home that it left."""
    agent, testbed = result.agent, TESTBEDS[result.agent]
    document = result.to_json()
    assert {"agent", "cycle", "decisions", "grade", "tune", "gate", "reveal", "margin", "champion"} <= set(document)
    assert document["decisions"] == decisions
    assert result.margin > 0
    # The ledger says what the result says.
    registry = Registry(Home(path))
    history = registry.history(agent)
    gates = [entry for entry in history if entry.kind == "gate"]
    assert (gates[-1].details["decision"], gates[-1].details["run"]) == (result.gate.decision, result.tune.run)
    promoted = [entry for entry in history if entry.kind == "promote" and entry.details["gate"] == gates[-1].number]
    assert len(promoted) == (result.gate.decision == "promote")
    assert result.champion == f"{agent}@{registry.champion(agent)}"
    assert result.moved == (result.champion == result.gate.version) == bool(promoted)
    assert registry.verify(agent) == len(history)
    # The artefact is the champion, and acts within what is allowed.
    policy = load_policy(path / "models" / "retrained" / f"{agent}_model.json", base=testbed.rule)
    assert f"{agent}@{policy.version}" == result.champion
    world, _ = testbed.draw(5, np.random.default_rng(0))
    actions = testbed.specification.actions
    for row, mask in zip(world.observe(), world.allowed(), strict=True):
        allowed = [action for action, possible in zip(actions, mask, strict=True) if possible]
        decision = policy.act(testbed.specification.observation.value(row), allowed)
        assert decision.action in allowed
        chances = {action: chance for action, chance in decision.probabilities.items() if chance > 0.0}
        assert set(chances) == set(allowed)
        assert sum(chances.values()) == pytest.approx(1.0)
        assert min(chances.values()) >= EXPLORE / len(allowed) - 1e-12
    # Truth beside estimate, for the four that matter.
    labels = [row.policy.split(",")[0] for row in result.reveal]
    assert labels == ["rule without exploration", "champion before", "recommended", "champion now"]
    for row in result.reveal:
        assert all(math.isfinite(value) for value in (row.pool, row.pool_error))
        assert math.isfinite(row.unseen) == (agent == "scaling")
    assert result.reveal[2].policy.endswith(result.tune.recommended)
    assert result.reveal[3].policy.endswith(result.champion)
    # The log's own mean is what the champion before was truly worth, within its interval and the truth's error.
    before, now = result.reveal[1], result.reveal[3]
    assert before.lower - 4 * before.pool_error < before.pool < before.upper + 4 * before.pool_error
    # Nothing was promoted that is truly worse by more than the declared margin.
    assert now.pool >= before.pool - result.margin - 2 * (now.pool_error + before.pool_error)
    page = result.report.read_text()
    assert page.startswith("<!") and 'id="truth"' in page
    assert f"{decisions:,} new decisions" in result.to_text()


@pytest.mark.usefixtures("small")
def test_all_four_agents_go_from_log_to_artefact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fewer = replace(TESTBEDS["self-healing"], returns=partial(self_healing.true_returns, episodes=2_000))
    monkeypatch.setitem(TESTBEDS, "self-healing", fewer)
    for module in (task_solving, optimization):
        monkeypatch.setattr(module.true_returns, "__kwdefaults__", {"episodes": 500, "seed": 0})
    path = tmp_path / "home"
    result = whole_demo(path, agents=None, seed=3)
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert [each["agent"] for each in document["agents"]] == list(TESTBEDS)
    for each in result.agents:
        check(each, path, counts(path)[each.agent])
        assert SMALL <= each.decisions < SMALL + TESTBEDS[each.agent].specification.horizon
        dataset = open_workspace(each.agent, path).dataset
        horizon = TESTBEDS[each.agent].specification.horizon
        assert (dataset.lengths <= horizon).all()
        ends = dataset.offsets[1:] - 1
        assert (dataset.terminated[ends] ^ dataset.truncated[ends]).all()
        assert (dataset.lengths[dataset.truncated[ends]] == horizon).all()
        assert dataset.end_known[dataset.truncated[ends]].all()
    assert set(Home(path).agents()) == set(TESTBEDS)
    lengths = open_workspace("self-healing", path).dataset.lengths
    assert lengths.min() < lengths.max()
    assert not open_workspace("task-solving", path).dataset.allowed.all()
    text = result.to_text().splitlines()
    assert all(name in text for name in TESTBEDS)
    moved = [each.champion for each in result.agents if each.moved]
    assert all(name in text[-1] for name in moved) and (bool(moved) or text[-1].startswith("No champion changed"))


def test_the_quick_demo_is_consistent_from_log_to_artefact(tmp_path: Path, without_ray: list[int]) -> None:
    path, told = tmp_path / "home", list[str]()
    result = demo(path, progress=told.append)
    count = -(-demonstration.QUICK_DECISIONS // scaling.HORIZON) * scaling.HORIZON
    check(result, path, count)
    assert counts(path) == {"scaling": count}
    assert without_ray == [0, 1, 2] and len(result.tune.variants) == 3
    assert (result.cycle, result.tune.grade) == (1, "A")
    assert told[0] == "logging decisions of scaling" and told[-1] == "revealing the truth of scaling"
    assert all("\n" not in line for line in told)
    # Exploration costs: the rule alone is better than the rule that explores.
    assert result.reveal[0].pool > result.reveal[1].pool
    workspace = open_workspace("scaling", path)
    dataset = workspace.dataset
    assert np.isfinite(dataset.propensities).all()
    assert dataset.propensities.min() >= EXPLORE / len(scaling.ACTIONS) - 1e-12
    assert (dataset.lengths == scaling.HORIZON).all()
    assert dataset.end_known.all()


@pytest.mark.usefixtures("small")
def test_only_logged_days_are_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[np.ndarray] = []
    draw = scaling.draw_world

    def watched(count: int, *, logged: bool, rng: np.random.Generator) -> scaling.ScalingWorld:
        world = draw(count, logged=logged, rng=rng)
        starts.append(world.episodes.starts)
        return world

    monkeypatch.setattr(scaling, "draw_world", watched)
    monkeypatch.setattr(demonstration, "tune_all", interrupt)
    with pytest.raises(Interrupted):
        demo(tmp_path / "home")
    assert len(starts) == 1  # and nothing has looked at the truth yet
    assert np.isin(starts[0] // MINUTES_PER_DAY, days(logged=True)).all()


def interrupt(*arguments: Any, **keywords: Any) -> Any:
    raise KeyboardInterrupt


def every_gate_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """So small a log proves nothing; let the gate pass the first it is asked about, so that there is a promotion."""
    ask = deciding.ask

    def passing(workspace: Any, question: Any) -> Any:
        answer = ask(workspace, question)
        passed = replace(answer.decision, decision="promote", reason="for the test", alpha=0.01)
        return replace(answer, decision=passed)

    monkeypatch.setattr(deciding, "ask", passing)


STAGES = ("tune_all", "gate", "promote", "_reveal", "reveal_row")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("stage", ["tune_all", *[pytest.param(name, marks=pytest.mark.full) for name in STAGES[1:]]])
@pytest.mark.parametrize("after", [False, pytest.param(True, marks=pytest.mark.full)])
def test_an_interrupted_demo_goes_on_to_the_same_end(
    stage: str, after: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every_gate_passes(monkeypatch)
    whole = demo(tmp_path / "whole")
    real = getattr(demonstration, stage)

    def interrupted(*arguments: Any, **keywords: Any) -> Any:
        if after:
            real(*arguments, **keywords)
        raise KeyboardInterrupt

    path = tmp_path / "broken"
    with monkeypatch.context() as patched:
        patched.setattr(demonstration, stage, interrupted)
        with pytest.raises(Interrupted) as raised:
            demo(path)
    assert raised.value.resume_command == f"retrainer demo --home {path} --seed 0 --agents scaling --quick"
    assert not list(path.rglob(".tmp-*"))
    logged = counts(path)
    result = demo(path)
    assert counts(path) == logged == counts(tmp_path / "whole")
    assert comparable(result) == comparable(whole)
    check(result, path, SMALL)
    kinds = [[entry.kind for entry in Registry(Home(each)).history("scaling")] for each in (path, tmp_path / "whole")]
    assert kinds[0] == kinds[1]
    assert len(list_runs(Home(path))) == 1
    # The next one is the second, in both.
    if stage == "tune_all" and after:
        assert comparable(demo(path)) == comparable(demo(tmp_path / "whole"))


@pytest.mark.usefixtures("small")
def test_an_interrupted_sweep_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, path = demo(tmp_path / "whole"), tmp_path / "broken"
    real = homes.run_variant

    def second_breaks(plan: Any, index: int) -> Any:
        return interrupt() if index == 1 else real(plan, index)

    with monkeypatch.context() as patched:
        patched.setattr(homes, "run_variant", second_breaks)
        with pytest.raises(Interrupted):
            demo(path)
    ran: list[int] = []

    def watched(plan: Any, index: int) -> Any:
        ran.append(index)
        return real(plan, index)

    monkeypatch.setattr(homes, "run_variant", watched)
    assert comparable(demo(path)) == comparable(whole)
    assert ran == [1]


@pytest.mark.usefixtures("small")
def test_a_held_agent_is_judged_and_not_promoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "home"
    every_gate_passes(monkeypatch)
    first = demo(path)
    check(first, path, SMALL)
    champion = Registry(Home(path)).champion("scaling")
    assert champion != "0"
    Registry(Home(path)).hold("scaling", "freeze")
    second = demo(path)
    assert (first.cycle, second.cycle) == (1, 2)
    assert all(variant.seeds == (1000,) for variant in second.tune.variants)
    assert counts(path) == {"scaling": 2 * SMALL}
    assert second.champion == f"scaling@{champion}"
    assert (second.gate.decision, "held" in second.gate.reason) == ("promote", True)
    assert not second.moved
    assert second.reveal[3].policy.endswith(champion)
    # The second log is written by the champion of the first.
    recent = open_workspace("scaling", path).dataset
    versions = recent.policy_versions
    later = recent.sequences[recent.episode_index] > SMALL
    assert set(versions[later]) == {champion}
    assert set(versions[~later]) == {"threshold-1"}


def test_the_demo_keeps_away_from_an_agent_of_your_own(tmp_path: Path) -> None:
    home = homes.make_home(tmp_path / "home", [], name="scaling")
    text = home.configuration_path.read_text()
    with pytest.raises(SpecificationError, match="your own"):
        ai_engine.demo(home=home, quick=True)
    with pytest.raises(SpecificationError, match="'nobody' has no testbed; use scaling"):
        ai_engine.demo(home=home, agents=["nobody"])
    assert home.configuration_path.read_text() == text
    assert counts(home.path) == {}


@pytest.mark.full
def test_the_same_seed_gives_the_same_demo(tmp_path: Path) -> None:
    """Through Ray, whatever the order in which its trials finish."""
    first, again, other = demo(tmp_path / "one"), demo(tmp_path / "two"), demo(tmp_path / "three", seed=1)
    check(first, tmp_path / "one", first.decisions)
    assert comparable(first) == comparable(again)
    assert comparable(first) != comparable(other)
    shutil.rmtree(tmp_path / "two")
    second = demo(tmp_path / "one")
    assert second.cycle == 2
    check(second, tmp_path / "one", first.decisions)
