"""``gate``: what is read, what it costs, and what it says."""

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
from ai_engine.deciding import GateResult, gate, promote, release, rollback
from ai_engine.deploy import Registry
from ai_engine.locking import retraining_lock
from ai_engine.runs import Run
from ai_engine.text import ESTIMATED_PROPENSITIES as PROVISO
from ai_engine.tracking.tracked_run import tracked_run
from ai_engine.tune_result import TuneResult
from ai_engine.workspace import Workspace, open_workspace
from envs.dataset import FINAL
from envs.errors import BusyError, DataError, RegistryError
from envs.home import Home
from envs.record import DecisionRecord
from tests import homes
from tests.ai_engine.reports.pages import Page
from tests.ai_engine.sweeping import looks
from tune_configs.gate import foresight
from tune_configs.gate.budget import alpha_at
from tune_configs.gate.planning import about

AGENT = homes.AGENT


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
    assert "promote" in result.to_text().splitlines()[-1] and PROVISO not in result.to_text()


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
    run.write("result.json", replace(tuned, finalists=(), evidence="log").to_json())
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
    Run.open(home, tuned.run).write("result.json", replace(tuned, finalists=(), evidence="log").to_json())
    result = gate(AGENT, home=home)
    assert (result.decision, result.look, result.alpha) == ("keep", 0, 0.0)
    assert looks(home) == (0, 0.0)
    assert "gains on select" in result.reason


def changed(rows: list[DecisionRecord], **fields: Any) -> list[DecisionRecord]:
    return [replace(record, **fields) for record in rows]


@pytest.mark.parametrize("logged", [True, False])
def test_a_deterministic_log_is_refused(tmp_path: Path, without_ray: list[int], logged: bool) -> None:
    rows = homes.records(declared=homes.specification(explore=0.0))
    rows = rows if logged else changed(rows, propensity=None, action_probabilities=None)
    home = homes.make_home(tmp_path / "home", rows, explore=0.0)
    tuned = ai_engine.tune(AGENT, home=home, trials=3)
    assert tuned.grade == "C" and tuned.finalists == ()
    unproven = "The log is grade C: no other policy can be proven with this log"
    assert unproven in tuned.to_text().splitlines()[-1]
    assert unproven in ai_engine.evaluate(tuned.recommended, on=AGENT, home=home).to_text().splitlines()[-1]
    result = gate(AGENT, home=home)
    assert (result.decision, result.look, result.alpha) == ("refused", 0, 0.0)
    how = "had a propensity of 1" if logged else "could be foretold from the observation"
    assert f"grade C: 100.0 % of the decisions {how}" in result.reason
    assert "explore: take a few per cent of the decisions at random" in result.reason
    assert looks(home) == (0, 0.0)
    with pytest.raises(RegistryError):
        promote(AGENT, home=home)
    assert promote(tuned.recommended, home=home, override=True, reason="I know").entry.kind == "override"


def test_estimated_propensities_promote_nobody(tmp_path: Path, without_ray: list[int]) -> None:
    rows = changed(homes.records(), propensity=None, action_probabilities=None)
    home = homes.make_home(tmp_path / "home", rows)
    tuned = ai_engine.tune(AGENT, home=home, trials=3)
    assert tuned.grade == "B"
    assert "Propensities are estimated" in tuned.to_text().splitlines()[-1]
    result = gate(AGENT, home=home)
    assert result.decision == "canary"
    assert "grade B" in result.reason
    # What every number stands on is said wherever one is.
    assert result.estimate is not None and result.estimate.on_estimates and result.to_text().endswith(PROVISO)
    run = Run.open(home, tuned.run)
    page = Page((run.path / "report.html").read_text()).text
    assert page.count(PROVISO) == 2, "of the variants and of the gate"
    told = tracked_run(run, Registry(home))
    assert all(entry.tags["propensities"] == "estimated" for entry in told.entries)
    assert told.tags["propensities"] == "estimated"
    with pytest.raises(RegistryError, match="said canary"):
        promote(result.version, home=home)
