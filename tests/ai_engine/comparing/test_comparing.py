"""``compare``: who is better, where and for whom; what it reads, what it refuses, what it says."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ai_engine
from ai_engine.comparing import CompareResult, compare, comparison
from ai_engine.comparing.comparison import differing
from ai_engine.comparing.result import ComparedSegment
from ai_engine.workspace import Workspace, open_workspace
from algorithms.ope.multiple_testing import BETTER, REFUSED, SAME, WORSE
from algorithms.ope.registry import estimators_for
from algorithms.policy import Provenance
from envs.errors import DataError, RegistryError, SpecificationError
from envs.home import Home
from tests import homes
from tests.ai_engine.comparing import routing
from tune_configs.judge import episodes_in

AGENT = homes.AGENT
CHAMPION, GOOD, FAR, HARMFUL, TAUGHT = (f"{AGENT}@{number}" for number in range(5))


def poisoned(monkeypatch: pytest.MonkeyPatch, *splits: str) -> None:
    """Let ``compare`` see the opposite rewards in these splits."""

    def other(name: str, home: Any = None) -> Workspace:
        workspace = open_workspace(name, home)
        dataset = workspace.dataset
        chosen = episodes_in(dataset, *splits)[dataset.episode_index]
        return replace(
            workspace, dataset=replace(dataset, rewards=np.where(chosen, 1.0 - dataset.rewards, dataset.rewards))
        )

    monkeypatch.setattr(comparison, "open_workspace", other)


def segment(result: CompareResult, by: str, name: str) -> ComparedSegment:
    (found,) = (each for each in result.segments if (each.segmentation, each.name) == (by, name))
    return found


def test_versions_are_judged_against_the_champion(versions_home: Home) -> None:
    result = compare(CHAMPION, GOOD, HARMFUL, home=versions_home)
    assert (result.against, result.champion) == (CHAMPION, CHAMPION)
    assert [policy.reference for policy in result.policies] == [GOOD, HARMFUL]
    assert [policy.gain.verdict for policy in (result.reference, *result.policies)] == [SAME, BETTER, WORSE]
    # Two of six states are decided wrongly by the rule; a step of .2 mends .2 of its share there.
    truth = homes.HORIZON * 2 / 6 * 0.2 * (1 - homes.EXPLORE)
    gain = result.policies[0].gain.estimate
    assert gain.lower < truth < gain.upper
    assert result.reference.agreement == 1.0 and result.reference.distance == 0.0
    last = result.to_text().splitlines()[-1]
    assert last == f"On select, better than {CHAMPION}: {GOOD}; the gate decides."


def test_a_policy_far_from_the_log_is_refused_and_nobody_is_called_better(versions_home: Home) -> None:
    result = compare(FAR, home=versions_home)
    (far,) = result.policies
    assert far.gain.verdict == REFUSED
    assert np.isnan(far.gain.estimate.value)
    assert far.value.evidence == "model"
    assert np.isfinite(far.model_gain)
    text = result.to_text()
    assert text.splitlines()[-1] == (
        f"On select, this log cannot say whether any is better than {CHAMPION}: every one is refused."
    )
    assert "effective sample size" in text


def test_every_estimator_values_every_policy(versions_home: Home) -> None:
    result = compare(GOOD, home=versions_home)
    names = list(estimators_for(homes.HORIZON, state_ratios=True))
    evaluated = ai_engine.evaluate(GOOD, on=AGENT, home=versions_home)
    for policy in (result.reference, *result.policies):
        assert [estimate.estimator for estimate in policy.estimates] == names
    for ours, theirs in zip(result.policies[0].estimates, evaluated.estimates, strict=True):
        assert ours.refused == theirs.refused
        assert ours.value == pytest.approx(theirs.value, nan_ok=True)
    assert result.logged.value == pytest.approx(evaluated.logged.value)
    assert all(name in result.to_text() for name in names)


def test_a_version_that_select_taught_has_no_number_on_select(versions_home: Home) -> None:
    result = compare(GOOD, TAUGHT, home=versions_home)
    taught = result.policies[1]
    assert result.policies[0].gain.verdict == BETTER
    assert taught.gain.verdict == REFUSED
    assert "taught" in taught.gain.estimate.refused
    assert np.isnan(taught.value.value) and np.isnan(taught.model_gain)
    assert all(estimate.refused for estimate in taught.estimates)
    assert all(each.gains[1].verdict == REFUSED for each in result.segments)
    assert all(each.shifts[1].gain.verdict == REFUSED for each in result.regions)
    # What it does reads no reward, and is said.
    assert taught.distance == pytest.approx(result.policies[0].distance)


def test_where_select_taught_the_reference_values_stay_and_gains_do_not(versions_home: Home) -> None:
    result = compare(GOOD, CHAMPION, against=TAUGHT, home=versions_home)
    assert [policy.gain.verdict for policy in result.everyone] == [REFUSED] * 3
    assert all(policy.value.usable for policy in result.policies) and not result.reference.value.usable
    assert "the reference: select taught it" in result.to_text()


def test_what_select_taught_an_ancestor_counts_while_it_lives_on(versions_home: Home, tmp_path: Path) -> None:
    home = Home(shutil.copytree(versions_home.path, tmp_path / "copy"))
    registry = open_workspace(AGENT, home).registry
    taught = registry.version(AGENT, TAUGHT.rpartition("@")[2])
    component, mine = taught.layers[-1].component, Provenance(parent=taught.version, algorithm="tabular_q")
    step, whole = (registry.add_version(taught.with_layer(component, size, provenance=mine)) for size in (0.1, 1.0))
    stepped, replaced = compare(f"{AGENT}@{step}", f"{AGENT}@{whole}", home=home).policies
    assert "taught" in stepped.gain.estimate.refused
    assert "taught" not in replaced.gain.estimate.refused  # nothing of its parent is left in it


def test_neither_final_nor_another_reward_on_final_changes_anything(
    versions_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = compare(GOOD, HARMFUL, home=versions_home).to_json()
    poisoned(monkeypatch, "final")
    assert compare(GOOD, HARMFUL, home=versions_home).to_json() == clean
    poisoned(monkeypatch, "select")
    assert compare(GOOD, HARMFUL, home=versions_home).to_json() != clean


def test_another_reference_turns_the_sign(versions_home: Home) -> None:
    forth, back = compare(GOOD, home=versions_home), compare(CHAMPION, against=GOOD, home=versions_home)
    assert back.against == GOOD and back.champion == CHAMPION
    there, here = forth.policies[0].gain.estimate, back.policies[0].gain.estimate
    assert (here.value, here.lower) == (pytest.approx(-there.value), pytest.approx(-there.upper))
    assert back.policies[0].gain.verdict == WORSE


def test_only_what_differs_is_shown(versions_home: Home) -> None:
    result = compare(GOOD, FAR, HARMFUL, home=versions_home)
    shown = [dict(policy.parameters) for policy in result.policies]
    assert shown == [{"step": 0.2}, {"step": 1.0}, {"step": 0.2, "lr": 1}]

    def made(algorithm: str, **settings: Any) -> Provenance:
        return Provenance(algorithm=algorithm, hyperparameters=settings)

    found = differing([made("q", a=1, b=2), made("q", a=1, b=3), made("q", a=1, b=2, c=[1])])
    assert found == ({"b": 2}, {"b": 3}, {"b": 2, "c": [1]})
    # What only one algorithm has does not differ; what both have does, where it does. A rule has no settings.
    found = differing([made("rule"), made("q", cells=4, step=0.1, seed=1), made("ppo", clip=0.2, step=0.5, seed=1)])
    assert found == ({}, {"step": 0.1}, {"step": 0.5})


def test_a_file_is_its_version_and_a_callable_is_the_rule_with_its_floor(versions_home: Home, tmp_path: Path) -> None:
    path = shutil.copy(versions_home.models_path / "versions" / AGENT / "1.json", tmp_path / "copy.json")
    result = compare(GOOD, str(path), homes.rule, "tests.homes:rule", home=versions_home)
    first, second, rule, named = result.policies
    assert first.gain == second.gain and first.actions == second.actions
    assert (rule.gain.verdict, rule.distance) == (SAME, 0.0)
    assert rule.reference == named.reference == "tests.homes:rule"
    assert rule.value == named.value == result.reference.value


def test_what_cannot_be_compared_is_refused(versions_home: Home, tmp_path: Path) -> None:
    home = Home(shutil.copytree(versions_home.path, tmp_path / "copy"))
    with pytest.raises(DataError, match="nothing to compare"):
        compare(home=home)
    with pytest.raises(DataError, match=f"every reference is {CHAMPION}"):
        compare(f"{AGENT}@rule", AGENT, home=home)
    with pytest.raises(DataError, match="--on"):
        compare(homes.rule, home=home)
    with pytest.raises(RegistryError):
        compare(f"{AGENT}@99", home=home)
    with pytest.raises(DataError, match="IndexError"):
        compare(lambda observation: ["up"][observation], on=AGENT, home=home)
    with pytest.raises(DataError, match="sideways"):
        compare(lambda observation: "sideways", on=AGENT, home=home)
    with pytest.raises(SpecificationError, match="nowhere"):
        compare(GOOD, "nowhere:function", home=home)
    home.declare(homes.specification(name="other"))
    homes.write(home, homes.records(300, seed=8, declared=homes.specification(name="other")))
    with pytest.raises(DataError, match="2 agents"):
        compare(GOOD, "other@0", home=home)
    open_workspace("other", home).champion()
    with pytest.raises(DataError, match="a policy of other"):
        compare(GOOD, str(home.models_path / "versions" / "other" / "0.json"), home=home)


def test_learning_curves_are_those_of_the_runs(versions_home: Home, tmp_path: Path) -> None:
    home = Home(shutil.copytree(versions_home.path, tmp_path / "copy"))
    run = home.runs_path / f"{AGENT}-20260101-000000-aaaa"
    run.mkdir(parents=True)
    facts = {"run": run.name, "agent": AGENT, "kind": "tune", "created": "2026", "status": "finished", "process": 1}
    (run / "run.json").write_text(json.dumps({**facts, "request": {}}))
    curve = {"metric": "loss", "values": [3.0, 2.0]}
    (run / "result.json").write_text(
        json.dumps({"variants": [{"version": GOOD, "curve": curve}, {"version": "", "curve": curve}]})
    )
    result = compare(GOOD, HARMFUL, home=home)
    known = [policy.curve for policy in result.policies]
    assert known[1] is None
    assert known[0] is not None and known[0].values == (3.0, 2.0)
    assert "Learning curves" in result.to_html()


def test_a_gain_and_a_loss_in_segments_are_found_and_said(compared: CompareResult) -> None:
    database, api, web = (segment(compared, "service", name) for name in ("database", "api", "web"))
    assert [effect.verdict for effect in database.gains] == [BETTER, BETTER]
    assert api.gains[1].verdict == WORSE and api.gains[0].verdict == SAME
    assert web.gains[0].verdict == SAME
    for position, policy in enumerate((routing.database_only, routing.under_load)):
        for found in (database, api, web):
            if found.gains[position].verdict in (SAME, REFUSED):
                continue
            truth = routing.truth(policy, found.name) - routing.truth(routing.stay, found.name)
            estimate = found.gains[position].estimate
            assert estimate.lower <= truth <= estimate.upper
    # Tenants mean nothing here.
    tenants = [each for each in compared.segments if each.segmentation == "tenant"]
    assert sorted(each.name for each in tenants) == ["tenant-0", "tenant-1", "tenant-2"]
    assert sum(each.episodes for each in tenants) == compared.units
    assert compared.policies[0].gain.verdict == BETTER


def test_the_sentence_does_not_hide_who_loses(compared: CompareResult) -> None:
    winner = compared.policies[1]
    better = replace(
        compared, policies=(compared.policies[0], replace(winner, gain=replace(winner.gain, verdict=BETTER)))
    )
    assert f"{winner.reference} loses where service is api" in better.sentence
    assert "database_only loses" not in better.sentence


def test_regions_say_where_they_disagree_what_each_does_and_what_that_earns(compared: CompareResult) -> None:
    assert 2 <= len(compared.regions) <= 6
    assert sum(region.share for region in compared.regions) <= 1.0 + 1e-12
    first = compared.regions[0]
    name = f"service database, load > {first.name.rpartition(' ')[2]}"
    assert any(region.name.startswith("service database, load > ") for region in compared.regions), name
    busy = next(region for region in compared.regions if region.name.startswith("service database, load > "))
    assert float(busy.name.rpartition(" ")[2]) == pytest.approx(routing.BUSY, abs=0.05)
    switch = [dict(zip(routing.ACTIONS, shift.actions, strict=True))["switch"] for shift in busy.shifts]
    assert switch == pytest.approx([0.75, 0.7], abs=0.05)
    assert dict(zip(routing.ACTIONS, busy.actions, strict=True))["switch"] == pytest.approx(0.25)
    assert [shift.gain.verdict for shift in busy.shifts] == [BETTER, BETTER]
    # Followed there only, the second is the first, but for a tenth of its decisions.
    truth = routing.truth(routing.database_only) - routing.truth(routing.stay)
    estimate = busy.shifts[0].gain.estimate
    assert estimate.lower <= truth <= estimate.upper
    assert estimate.value == pytest.approx(compared.policies[0].gain.estimate.value, rel=0.1)
    harmful = [region for region in compared.regions if region.shifts[1].gain.verdict == WORSE]
    assert harmful and all("database" not in region.name or "not database" in region.name for region in harmful)
    for position in range(2):
        assert sum(region.share * region.shifts[position].distance for region in compared.regions) == pytest.approx(
            compared.policies[position].distance
        )


def test_reach_and_weights_say_how_far_the_log_goes(compared: CompareResult) -> None:
    for region in compared.regions:
        # The rule wrote the log: units differ only in how often they were there.
        assert 0.8 * region.reach[0].units < region.reach[0].effective <= region.reach[0].units
        assert region.reach[1].effective <= region.reach[0].effective + 1e-9
        assert region.reach[0].target_share == pytest.approx(region.share, abs=0.02)
    assert compared.reference.weights.effective == pytest.approx(compared.units)
    for policy in compared.policies:
        assert policy.weights.effective == pytest.approx(policy.gain.estimate.effective_sample_size)


def test_one_document_makes_text_markdown_and_page(compared: CompareResult) -> None:
    document = json.loads(json.dumps(compared.to_json(), allow_nan=False))
    assert document["schema_version"] == 1
    again = CompareResult.from_json(document)
    assert again.to_json() == document
    assert again.to_text() == compared.to_text()
    assert again.to_markdown() == compared.to_markdown()
    assert again.to_html() == compared.to_html()


def test_markdown_holds_every_table_with_rows_of_one_width(compared: CompareResult) -> None:
    lines = compared.to_markdown().splitlines()
    assert compared.sentence in lines
    widths: list[int] = []
    for line in lines:
        if not line.startswith("|"):
            widths = []
            continue
        widths.append(line.count("|") - line.count("\\|"))
        assert len(set(widths)) == 1, line
    for heading in ("Where they disagree", "For whom it pays", "Importance weights", "Overlap by region"):
        assert f"## {heading}" in lines


def test_estimated_propensities_are_said(tmp_path: Path) -> None:
    rows = [replace(r, propensity=None, action_probabilities=None) for r in routing.records(1200, seed=3)]
    result = compare(routing.database_only, on=routing.AGENT, home=routing.make_home(tmp_path / "estimated", rows))
    assert result.propensities == "estimated"
    assert "Propensities are estimated" in result.to_text().splitlines()[-1]
    assert "Propensities are estimated" in result.to_markdown()
    assert "Propensities are estimated" in result.to_html()


def test_a_narrow_interval_of_a_log_without_chance_does_not_pass_for_proof(compared: CompareResult) -> None:
    assert compared.grade == "A" and "The log is grade" not in compared.to_text()
    certain = replace(compared, grade="C")
    assert CompareResult.from_json(certain.to_json()).grade == "C"
    for shown in (certain.to_text(), certain.to_markdown(), certain.to_html()):
        assert "The log is grade C: no other policy can be proven with this log" in shown


def test_what_the_log_gave_no_chance_is_refused(tmp_path: Path) -> None:
    """Weights are of what was taken: on a log of grade A a policy that does what was never tried may look better."""
    certain = {"stay": 1.0, "switch": 0.0}
    rows = [
        replace(row, propensity=1.0, action_probabilities=certain) if row.observation["service"] == "api" else row
        for row in routing.records(1200, seed=3)
        if row.observation["service"] != "api" or row.action == "stay"
    ]
    home = routing.make_home(tmp_path / "home", rows)
    text = compare(routing.under_load, routing.database_only, on=routing.AGENT, home=home).to_text()
    assert "under_load: takes actions that the log gave no chance" in text
    assert "database_only: takes" not in text, "the floor goes there too, as the champion's does"
