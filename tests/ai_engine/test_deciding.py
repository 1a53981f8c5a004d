"""``gate``, ``promote``, ``rollback``: what is read, what it costs, and who may move the champion."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ai_engine
from ai_engine import deciding
from ai_engine.deciding import GateResult, gate, hold, promote, release, rollback
from ai_engine.deploy import Registry, load_policy
from ai_engine.locking import retraining_lock
from ai_engine.runs import Run
from ai_engine.tune_result import TuneResult
from ai_engine.workspace import Workspace, open_workspace
from envs.dataset import FINAL
from envs.errors import BusyError, DataError, RegistryError
from envs.home import Home
from envs.record import DecisionRecord
from tests import homes
from tune_configs.gate import foresight
from tune_configs.gate.budget import alpha_at
from tune_configs.gate.planning import about

AGENT = homes.AGENT


def looks(home: Home) -> tuple[int, float]:
    spent = Registry(home).looks(AGENT)
    return spent.count, spent.alpha


def ledger_is_empty(home: Home) -> bool:
    return not (home.models_path / "ledger").exists()


def test_the_gate_reads_final_once_and_says_what_it_cost(swept: tuple[Home, TuneResult]) -> None:
    home, tuned = swept
    final = int((open_workspace(AGENT, home).dataset.splits == FINAL).sum())
    result = gate(AGENT, home=home)
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert {"agent", "decision", "version", "reason", "needs", "estimate", "alpha", "look"} <= set(document)
    assert set(document["needs"]) == {"decisions", "seconds", "explore"}
    assert (result.decision, result.look, result.units) == ("promote", 1, final)
    assert result.alpha == pytest.approx(alpha_at(1))
    assert result.version in tuned.finalists
    assert result.champion == f"{AGENT}@0"
    assert result.estimate is not None and 0 < result.estimate.lower < result.estimate.value
    entry = Registry(home).history(AGENT)[-1]
    assert (entry.kind, entry.number, entry.details["look"]) == ("gate", result.entry, 1)
    assert entry.details["alpha"] == pytest.approx(alpha_at(1))
    assert looks(home) == (1, pytest.approx(alpha_at(1)))
    # The gate moves nobody by itself.
    assert Registry(home).champion(AGENT) == "0"
    assert GateResult.of(entry).to_json() == result.to_json()
    assert "promote" in result.to_text().splitlines()[-1]


def test_a_second_gate_at_once_is_refused_and_free(swept: tuple[Home, TuneResult]) -> None:
    home, tuned = swept
    first = gate(AGENT, home=home)
    spent = looks(home)
    second = gate(AGENT, home=home)
    assert (second.decision, second.look, second.alpha, second.units) == ("refused", 0, 0.0, 0)
    assert "only 0 final units are newer than the last look" in second.reason
    # As many as have 100 effective ones at the overlap that the finalist has on select.
    reach = max(v.gain.effective_sample_size / v.gain.units for v in tuned.variants if v.version in tuned.finalists)
    assert f"{math.ceil(100 / reach)} more are needed" in second.reason
    assert second.needs.decisions is not None and second.needs.decisions >= 100 * homes.HORIZON
    assert second.until_look == second.needs.decisions
    assert f"final split: 1 look spent, fresh after {about(second.until_look):,} new decisions" in second.reason
    assert second.needs.seconds is not None and second.needs.seconds > 0
    assert looks(home) == spent
    # What the first one has shown stays shown.
    assert promote(first.version, home=home).entry.kind == "promote"


def test_a_free_refusal_hides_no_pass(swept: tuple[Home, TuneResult], monkeypatch: pytest.MonkeyPatch) -> None:
    home, tuned = swept
    passed, run = gate(AGENT, home=home), Run.open(home, tuned.run)
    page = (run.path / "report.html").read_text()
    assert "is proven better than" in page and f"retrainer promote {AGENT} --home {home.path}<" in page
    with monkeypatch.context() as patch:
        patch.setattr(deciding, "_finalists", lambda *_: [tuned.recommended.rpartition("@")[2]])
        refused = gate(AGENT, home=home)
    assert (refused.decision, refused.look, refused.version) == ("refused", 0, tuned.recommended) != passed.version
    assert (run.path / "report.html").read_text() == page and run.read("gate.json") == passed.to_json()
    assert f"{AGENT}@{promote(AGENT, home=home).entry.version}" == passed.version
    # The pass is used up: no version that was rolled back is promoted, and the next answer is what the page says.
    rollback(AGENT, home=home, reason="latency")
    release(AGENT, home=home)
    with pytest.raises(RegistryError, match="is not promoted"):
        promote(AGENT, home=home)
    run.write("result.json", replace(tuned, finalists=()).to_json())
    assert gate(AGENT, home=home).decision == "keep" == run.read("gate.json")["decision"]
    assert "is proven better than" not in (run.path / "report.html").read_text()


def test_a_look_that_would_show_too_little_is_not_spent(
    swept: tuple[Home, TuneResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, _ = swept
    with monkeypatch.context() as patch:
        patch.setattr(foresight, "planned_power", lambda *_: 0.3)
        waiting = gate(AGENT, home=home, least_power=0.5)
    assert (waiting.decision, waiting.look, waiting.alpha, waiting.units) == ("refused", 0, 0.0, 0)
    assert "no look is spent" in waiting.reason and waiting.needs.decisions is not None
    assert looks(home) == (0, 0.0)
    # What was not read is there for the look that is paid for.
    assert gate(AGENT, home=home, least_power=0.5).decision == "promote" and looks(home)[0] == 1


def test_the_message_counts_what_is_there_already(swept: tuple[Home, TuneResult]) -> None:
    home, _ = swept
    gate(AGENT, home=home)
    empty = gate(AGENT, home=home)
    homes.write(home, homes.records(150, seed=3))
    newer = int((open_workspace(AGENT, home).dataset.splits == FINAL).sum()) - first_units(home)
    some = gate(AGENT, home=home)
    assert some.decision == "refused"
    assert f"only {newer} final units" in some.reason
    lacking = [int(re.search(r"(\d+) more are needed", each.reason)[1]) for each in (empty, some)]  # type: ignore[index]
    assert lacking[0] - newer == lacking[1] > 0
    assert some.needs.decisions is not None and empty.needs.decisions is not None
    assert some.needs.decisions < empty.needs.decisions


def first_units(home: Home) -> int:
    return int(next(e for e in Registry(home).history(AGENT) if e.kind == "gate").details["units"])


def test_a_later_gate_reads_only_newer_final_units(
    swept: tuple[Home, TuneResult], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home, _ = swept
    first = gate(AGENT, home=home)
    used = Registry(home).looks(AGENT).final_sequence
    homes.write(home, homes.records(700, seed=4))
    dataset = open_workspace(AGENT, home).dataset
    newer = int(((dataset.splits == FINAL) & (dataset.sequences > used)).sum())
    assert 150 < newer < int((dataset.splits == FINAL).sum())

    def poisoned(name: str, where: Any = None) -> Workspace:
        """The same log, with every final outcome that was read before turned into its opposite."""
        workspace = open_workspace(name, where)
        old = (workspace.dataset.splits == FINAL) & (workspace.dataset.sequences <= used)
        assert old.sum() == first.units
        rewards = np.where(old[dataset.episode_index], 1.0 - dataset.rewards, dataset.rewards)
        return replace(workspace, dataset=replace(workspace.dataset, rewards=rewards))

    import shutil

    copy = Home(shutil.copytree(home.path, tmp_path / "copy"))
    clean = gate(AGENT, home=home)
    monkeypatch.setattr(deciding, "open_workspace", poisoned)
    dirty = gate(AGENT, home=copy)
    assert (clean.look, clean.units, clean.alpha) == (2, newer, pytest.approx(alpha_at(2)))
    assert clean.to_json() == dirty.to_json()
    assert looks(home) == (2, pytest.approx(alpha_at(1) + alpha_at(2)))
    assert clean.alpha < first.alpha


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


def test_without_a_sweep_there_is_nothing_to_judge_and_nothing_is_written(home: Home) -> None:
    with pytest.raises(DataError, match="no sweep against the champion"):
        gate(AGENT, home=home)
    assert ledger_is_empty(home)


def test_no_gate_while_the_agent_is_retrained(swept: tuple[Home, TuneResult]) -> None:
    home, _ = swept
    with retraining_lock(home, AGENT), pytest.raises(BusyError):
        gate(AGENT, home=home)
    assert looks(home) == (0, 0.0)


def test_a_sweep_without_finalists_keeps_for_free(swept: tuple[Home, TuneResult]) -> None:
    home, tuned = swept
    Run.open(home, tuned.run).write("result.json", replace(tuned, finalists=()).to_json())
    result = gate(AGENT, home=home)
    assert (result.decision, result.look, result.alpha) == ("keep", 0, 0.0)
    assert looks(home) == (0, 0.0)
    assert "gains on select" in result.reason


def changed(rows: list[DecisionRecord], **fields: Any) -> list[DecisionRecord]:
    return [replace(record, **fields) for record in rows]


def test_a_deterministic_log_is_refused(tmp_path: Path, without_ray: list[int]) -> None:
    declared = homes.specification(explore=0.0)
    home = homes.make_home(tmp_path / "home", homes.records(declared=declared), explore=0.0)
    tuned = ai_engine.tune(AGENT, home=home, trials=3)
    assert tuned.grade == "C"
    result = gate(AGENT, home=home)
    assert (result.decision, result.look, result.alpha) == ("refused", 0, 0.0)
    assert "grade C" in result.reason
    assert looks(home) == (0, 0.0)
    with pytest.raises(RegistryError):
        promote(AGENT, home=home)
    assert promote(tuned.recommended, home=home, override=True, reason="I know").entry.kind == "override"


def test_estimated_propensities_promote_nobody(tmp_path: Path, without_ray: list[int]) -> None:
    rows = changed(homes.records(), propensity=None, action_probabilities=None)
    home = homes.make_home(tmp_path / "home", rows)
    tuned = ai_engine.tune(AGENT, home=home, trials=3)
    assert tuned.grade == "B"
    result = gate(AGENT, home=home)
    assert result.decision == "canary"
    assert "grade B" in result.reason
    with pytest.raises(RegistryError, match="said canary"):
        promote(result.version, home=home)


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
