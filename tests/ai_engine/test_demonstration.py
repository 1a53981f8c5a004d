"""``demo``: the whole chain in a home of its own, the same for the same seed, whole whenever it is interrupted."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ai_engine
from ai_engine import deciding, demonstration
from ai_engine.demo_result import DemoResult
from ai_engine.deploy import Registry, load_policy
from ai_engine.interrupts import Interrupted
from ai_engine.runs import list_runs
from ai_engine.workspace import open_workspace
from envs.errors import SpecificationError
from envs.home import Home
from envs.journal import Journal
from envs.testbeds import scaling
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


def demo(path: Path, **arguments: Any) -> DemoResult:
    return ai_engine.demo(home=path, **{"seed": 0, "quick": True, **arguments})


def comparable(result: DemoResult) -> Any:
    return homes.comparable(result.to_json())


def counts(path: Path) -> dict[str, int]:
    return Journal(Home(path).journal_path).counts()


def check(result: DemoResult, path: Path, decisions: int) -> None:
    """What every demo's result must be, read beside the home that it left."""
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert {"schema_version", "cycle", "seed", "decisions", "grade", "tune", "gate", "reveal", "margin"} <= set(
        document
    )
    assert document["decisions"] == decisions
    assert result.margin > 0
    # The ledger says what the result says.
    registry = Registry(Home(path))
    history = registry.history("scaling")
    gates = [entry for entry in history if entry.kind == "gate"]
    assert (gates[-1].details["decision"], gates[-1].details["run"]) == (result.gate.decision, result.tune.run)
    promoted = [entry for entry in history if entry.kind == "promote" and entry.details["gate"] == gates[-1].number]
    assert len(promoted) == (result.gate.decision == "promote")
    assert result.champion == f"scaling@{registry.champion('scaling')}"
    assert (result.champion == result.gate.version) == bool(promoted)
    assert registry.verify("scaling") == len(history)
    # The artefact is the champion, and acts.
    policy = load_policy(path / "models" / "retrained" / "scaling_model.json", base=scaling.threshold_rule)
    assert f"scaling@{policy.version}" == result.champion
    world = scaling.draw_world(5, logged=False, rng=np.random.default_rng(0))
    for row in world.observe():
        decision = policy.act(scaling.OBSERVATION.value(row))
        assert decision.action in scaling.ACTIONS
        assert sum(decision.probabilities.values()) == pytest.approx(1.0)
        assert min(decision.probabilities.values()) >= demonstration.EXPLORE / len(scaling.ACTIONS) - 1e-12
    # Truth beside estimate, for the four that matter.
    labels = [row.policy.split(",")[0] for row in result.reveal]
    assert labels == ["rule without exploration", "champion before", "recommended", "champion now"]
    for row in result.reveal:
        assert all(math.isfinite(value) for value in (row.pool, row.unseen, row.pool_error, row.unseen_error))
    assert result.reveal[2].policy.endswith(result.tune.recommended)
    assert result.reveal[3].policy.endswith(result.champion)
    assert result.report.read_text().startswith("<!")
    text = result.to_text()
    assert result.champion in text.splitlines()[-1]
    assert f"{decisions:,} new decisions" in text


def test_the_quick_demo_is_consistent_from_log_to_artefact(tmp_path: Path, without_ray: list[int]) -> None:
    path, told = tmp_path / "home", list[str]()
    result = demo(path, progress=told.append)
    count = -(-demonstration.QUICK_DECISIONS // scaling.HORIZON) * scaling.HORIZON
    check(result, path, count)
    assert counts(path) == {"scaling": count}
    assert without_ray == [0, 1, 2] and len(result.tune.variants) == 3
    assert (result.cycle, result.grade) == (1, "A")
    assert told[0] == "logging decisions" and told[-1] == "revealing the truth"
    assert all("\n" not in line for line in told)
    # The log's own mean is what the champion before was truly worth, within its interval and the truth's error.
    before = result.reveal[1]
    assert before.lower - 4 * before.pool_error < before.pool < before.upper + 4 * before.pool_error
    # Nothing was promoted that is truly worse by more than the declared margin.
    now = result.reveal[3]
    assert now.pool >= before.pool - result.margin - 2 * (now.pool_error + before.pool_error)
    # Exploration costs: the rule alone is better than the rule that explores.
    assert result.reveal[0].pool > before.pool
    workspace = open_workspace("scaling", path)
    dataset = workspace.dataset
    assert np.isfinite(dataset.propensities).all()
    assert dataset.propensities.min() >= demonstration.EXPLORE / len(scaling.ACTIONS) - 1e-12
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
    monkeypatch.setattr(demonstration, "tune", interrupt)
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


STAGES = ("tune", "gate", "promote", "_reveal", "reveal_row")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("stage", ["tune", *[pytest.param(name, marks=pytest.mark.full) for name in STAGES[1:]]])
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
    assert raised.value.resume_command == f"retrainer demo --home {path} --seed 0 --quick"
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
    if stage == "tune" and after:
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
    assert (first.cycle, second.cycle, second.seed) == (1, 2, 1000)
    assert counts(path) == {"scaling": 2 * SMALL}
    assert second.champion == f"scaling@{champion}"
    assert (second.gate.decision, "held" in second.gate.reason) == ("promote", True)
    assert second.to_text().splitlines()[-1].startswith(f"The champion stays scaling@{champion}")
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
