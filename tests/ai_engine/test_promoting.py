"""``promote``, ``rollback``, ``hold``: who may move the champion."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import ai_engine
from ai_engine import deciding, gating
from ai_engine.deciding import gate, hold, promote, release, rollback
from ai_engine.deploy import Registry, load_policy
from ai_engine.runs import Run
from ai_engine.tune_result import TuneResult
from ai_engine.workspace import open_workspace
from envs.errors import DataError, RegistryError
from envs.home import Home
from tests import homes
from tests.ai_engine.reports.pages import Page
from tests.ai_engine.sweeping import looks
from tune_configs.gate.budget import alpha_at

AGENT = homes.AGENT


def test_only_a_pass_promotes(swept: tuple[Home, TuneResult], monkeypatch: pytest.MonkeyPatch) -> None:
    home, tuned = swept
    for reference in (*tuned.finalists, tuned.recommended):
        with pytest.raises(RegistryError, match="no gate has judged"):
            promote(reference, home=home)
    for reference in (AGENT, f"{AGENT}@0"):
        with pytest.raises(RegistryError, match="version 0 is the champion already"):
            promote(reference, home=home)
    passed = gate(AGENT, home=home)
    others = {v.version for v in tuned.variants if v.version} - {passed.version}
    for reference in others:
        with pytest.raises(RegistryError, match="no gate has judged"):
            promote(reference, home=home)
    assert Registry(home).champion(AGENT) == "0"
    move = promote(AGENT, home=home, reason="by name")
    assert (move.entry.kind, f"{AGENT}@{move.entry.version}") == ("promote", passed.version)
    assert move.to_json()["champion"] == passed.version
    assert passed.version in move.to_text()
    artefact = load_policy(home.models_path / f"{AGENT}_model.json", base=homes.rule)
    assert artefact.version == move.entry.version
    decision = artefact.act(0)
    assert decision.propensity == pytest.approx(decision.probabilities[decision.action])
    assert sum(decision.probabilities.values()) == pytest.approx(1.0)
    # The same pass counts once: the champion has moved.
    with pytest.raises(RegistryError):
        promote(passed.version, home=home)
    with pytest.raises(DataError, match="no sweep against the champion"):
        gate(AGENT, home=home)


def test_whoever_promotes_what_leaves_nothing_to_chance_is_told(
    swept: tuple[Home, TuneResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, tuned = swept
    dataset, (floored,) = open_workspace(AGENT, home).with_known_ends(open_workspace(AGENT, home).champion())
    bare = np.eye(len(homes.ACTIONS))[floored.argmax(axis=1)]
    measured = gating._certain_share
    assert measured(dataset, bare) == 1.0 and measured(dataset, floored) == 0.0
    assert measured(dataset, 0.98 * bare + 0.02 / len(homes.ACTIONS)) == 0.0, "a little exploration is exploration"
    half = np.where(np.arange(len(bare))[:, None] < len(bare) // 2, bare, floored)
    monkeypatch.setattr(gating, "_certain_share", lambda dataset, probabilities: measured(dataset, half))
    certain = gate(AGENT, home=home)
    told = (
        f"{certain.version} leaves nothing to chance in 50 % of its decisions, of which its own log will prove "
        f"nothing: declare explore (such as 0.1) under [agents.{AGENT}] and run retrainer tune {AGENT}."
    )
    assert certain.decision == "promote" and certain.to_text().endswith(told)
    assert told in Page((Run.open(home, tuned.run).path / "report.html").read_text()).text
    assert "chance" not in replace(certain, certain_share=0.0).to_text() + replace(certain, decision="keep").to_text()
    move = promote(AGENT, home=home)
    told = told.removesuffix(".") + ", and promote what it recommends with --override."
    assert move.to_text().endswith(told) and move.to_json()["warning"] == told
    assert "chance" not in rollback(AGENT, home=home, reason="latency").to_text()


def test_what_the_gate_did_not_pass_needs_a_person(
    swept: tuple[Home, TuneResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, _ = swept
    decide = deciding.ask

    def inconclusive(*arguments: Any) -> Any:
        answer = decide(*arguments)
        return replace(answer, decision=replace(answer.decision, decision="inconclusive", winner=None))

    monkeypatch.setattr(deciding, "ask", inconclusive)
    result = gate(AGENT, home=home)
    with pytest.raises(RegistryError, match="said inconclusive"):
        promote(result.version, home=home)
    assert Registry(home).champion(AGENT) == "0"


def test_an_override_needs_a_reason_and_is_written_down(swept: tuple[Home, TuneResult]) -> None:
    home, tuned = swept
    with pytest.raises(RegistryError, match="reason"):
        promote(tuned.recommended, home=home, override=True)
    assert Registry(home).champion(AGENT) == "0"
    move = promote(tuned.recommended, home=home, override=True, reason="I have seen it work")
    assert (move.entry.kind, move.entry.reason) == ("override", "I have seen it work")
    assert f"{AGENT}@{Registry(home).champion(AGENT)}" == tuned.recommended
    assert looks(home) == (0, 0.0)
    with pytest.raises(RegistryError):
        promote(f"{AGENT}@77", home=home, override=True, reason="no such version")
    with pytest.raises(RegistryError, match="file"):
        promote(str(home.models_path / f"{AGENT}_model.json"), home=home, override=True, reason="a file")


def test_a_rollback_bars_and_holds(swept: tuple[Home, TuneResult], without_ray: list[int]) -> None:
    home, tuned = swept
    passed = gate(AGENT, home=home)
    promote(passed.version, home=home)
    with pytest.raises(RegistryError, match="no version of"):
        rollback(AGENT, home=home, to="other@0", reason="a slip")
    move = rollback(AGENT, home=home, reason="latency")
    registry = Registry(home)
    version = passed.version.rpartition("@")[2]
    assert (move.entry.kind, registry.champion(AGENT), registry.held(AGENT)) == ("rollback", "0", True)
    told = f"{passed.version} is barred, and automation is held until retrainer release {AGENT} --reason TEXT."
    assert move.to_text().splitlines()[1:] == [told]
    assert registry.barred(AGENT) == {version}
    with pytest.raises(RegistryError):
        promote(passed.version, home=home)
    # The old sweep is against this champion again; its barred finalist takes part no more.
    homes.write(home, homes.records(700, seed=5))
    if set(tuned.finalists) == {passed.version}:
        why = f"every finalist of run {tuned.run}, the last sweep against the champion {AGENT}@0, was rolled back"
        with pytest.raises(DataError, match=why):
            gate(AGENT, home=home)
        assert looks(home)[0] == 1
    ai_engine.tune(AGENT, home=home, trials=homes.TRIALS)
    held = gate(AGENT, home=home)
    assert (held.decision, held.look) == ("promote", 2)
    assert held.version != passed.version
    assert held.held and "automation is held" in held.reason and not passed.held
    with pytest.raises(RegistryError, match="automation is held"):
        promote(held.version, home=home)
    assert Registry(home).champion(AGENT) == "0"
    assert release(AGENT, home=home, reason="fixed").entry.kind == "release"
    assert promote(held.version, home=home).entry.kind == "promote"
    with pytest.raises(RegistryError, match="barred"):
        rollback(AGENT, home=home, to=passed.version, reason="no")
    assert rollback(AGENT, home=home, to=f"{AGENT}@rule", reason="yes").entry.version == "0"


def test_a_barred_finalist_takes_no_part(swept: tuple[Home, TuneResult]) -> None:
    home, tuned = swept
    barred = tuned.recommended
    promote(barred, home=home, override=True, reason="try it")
    rollback(AGENT, home=home, reason="worse")
    assert barred not in tuned.finalists
    both = replace(tuned, finalists=(barred, *tuned.finalists))
    Run.open(home, tuned.run).write("result.json", both.to_json())
    result = gate(AGENT, home=home)
    assert result.version == tuned.finalists[0]
    assert result.estimate is not None and result.estimate.confidence == pytest.approx(1 - alpha_at(1))


def test_hold_and_release(swept: tuple[Home, TuneResult]) -> None:
    home, _ = swept
    with pytest.raises(RegistryError, match="reason"):
        hold(AGENT, home=home, reason=" ")
    hold(AGENT, home=home, reason="deployment freeze")
    result = gate(AGENT, home=home)
    assert result.decision == "promote" and "automation is held" in result.reason
    with pytest.raises(RegistryError, match="held"):
        promote(AGENT, home=home)
    release(AGENT, home=home)
    promote(AGENT, home=home)
    assert f"{AGENT}@{Registry(home).champion(AGENT)}" == result.version


def test_a_rule_that_got_another_version_is_version_zero_anew(swept: tuple[Home, TuneResult]) -> None:
    home, tuned = swept
    home.declare(homes.specification(rule_version="dial-rule-2"))
    with pytest.raises(DataError, match="no sweep against the champion"):
        # The sweep stepped away from a rule that is no more.
        open_workspace(AGENT, home).champion()
        gate(AGENT, home=home)
    registry = Registry(home)
    assert registry.champion(AGENT) in registry.rules(AGENT)
    assert registry.champion(AGENT) != "0"
    policy = registry.version(AGENT)
    assert policy.base is not None and policy.base.version == "dial-rule-2"
    with pytest.raises(DataError, match="dial-rule-1"):
        ai_engine.compare(tuned.finalists[0], home=home)
