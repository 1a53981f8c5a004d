"""The registry: exactly one loadable champion, always; every move in the ledger; only a gate promotes."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest
from agents import improved, opened, passed, promoted, rule, version_zero

from ai_engine.deploy.references import Reference, parse_reference, resolve_reference
from ai_engine.deploy.registry import Registry
from algorithms.policy import load_policy, save_policy
from envs.errors import ArtefactError, RegistryError

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = opened(tmp_path)
    registry.initialise(version_zero())
    return registry


def test_version_zero_is_the_first_champion_and_stays_so(tmp_path: Path) -> None:
    registry = opened(tmp_path)
    assert registry.initialise(version_zero()) == "0" and registry.champion("scaling") == "0"
    assert registry.initialise(version_zero(explore=0.3)) == "0"
    assert registry.versions("scaling") == ["0"] and len(registry.history("scaling")) == 1
    loaded = load_policy(tmp_path / "scaling_model.json", base=rule)
    assert (loaded.version, loaded.explore) == ("0", 0.1)
    assert registry.agents() == ["scaling"]


def test_versions_are_numbered_and_stamped(registry: Registry) -> None:
    assert [registry.add_version(improved(seed=seed)) for seed in range(11)] == [str(n) for n in range(1, 12)]
    assert registry.versions("scaling") == [str(n) for n in range(12)]
    assert registry.version("scaling", "11").version == "11"
    assert registry.champion("scaling") == "0", "keeping a version appoints nobody"


def test_a_passed_gate_promotes_and_the_copy_follows(registry: Registry, tmp_path: Path) -> None:
    version = promoted(registry)
    assert registry.champion("scaling") == version == "1"
    assert load_policy(tmp_path / "scaling_model.json", base=rule).version == "1"
    assert opened(tmp_path).champion("scaling") == "1"
    assert [entry.kind for entry in registry.history("scaling")] == ["version0", "gate", "promote"]
    assert registry.looks("scaling").count == 1 and registry.looks("scaling").final_sequence == 100
    assert registry.verify("scaling") == 3


@pytest.mark.parametrize("decision", ["canary", "keep", "inconclusive", "refused"])
def test_no_other_decision_promotes(registry: Registry, decision: str) -> None:
    version = registry.add_version(improved())
    entry = passed(registry, version, decision)
    with pytest.raises(RegistryError, match=f"said {decision}"):
        registry.promote("scaling", version, gate_entry=entry)
    assert registry.champion("scaling") == "0"


def test_promotion_needs_a_gate_of_this_version_and_this_champion(registry: Registry) -> None:
    first, second = registry.add_version(improved()), registry.add_version(improved(seed=1))
    for number in (0, 1, 7, -1):
        with pytest.raises(RegistryError, match="is not a gate"):
            registry.promote("scaling", first, gate_entry=number)
    gate_first = passed(registry, first)
    with pytest.raises(RegistryError, match="said promote of version 1"):
        registry.promote("scaling", second, gate_entry=gate_first)
    gate_second = passed(registry, second)
    registry.promote("scaling", first, gate_entry=gate_first)
    with pytest.raises(RegistryError, match="the champion became 1 after gate"):
        registry.promote("scaling", second, gate_entry=gate_second)
    with pytest.raises(RegistryError, match="the champion became 1"):
        registry.promote("scaling", first, gate_entry=gate_first)


def test_a_gate_against_a_past_champion_or_a_taken_look_is_refused(registry: Registry) -> None:
    version = registry.add_version(improved())
    passed(registry, version, "keep")
    for changes in ({"look": 1}, {"look": 3}, {"final_sequence": 50}):
        with pytest.raises(RegistryError, match="is not the next after look 1"):
            passed(registry, version, **changes)
    with pytest.raises(RegistryError, match="the champion became 0"):
        passed(registry, version, champion="9")
    with pytest.raises(RegistryError, match="names no version"):
        passed(registry, "9")
    passed(registry, version, "refused", look=None)
    assert registry.looks("scaling").count == 1 and registry.looks("scaling").alpha == 0.01


def test_rollback_bars_and_holds_until_release(registry: Registry, tmp_path: Path) -> None:
    bad = promoted(registry)
    registry.rollback("scaling", reason="latency")
    assert registry.champion("scaling") == "0" and registry.held("scaling") and registry.barred("scaling") == {bad}
    assert load_policy(tmp_path / "scaling_model.json", base=rule).version == "0"
    good = registry.add_version(improved(seed=1))
    entry = passed(registry, good)
    with pytest.raises(RegistryError, match="automation is held"):
        registry.promote("scaling", good, gate_entry=entry)
    registry.release("scaling")
    with pytest.raises(RegistryError, match="barred; only a person can: retrainer promote scaling@1 --override"):
        registry.promote("scaling", bad, gate_entry=2)  # no gate can help, whatever else is in the way
    again = passed(registry, bad)
    with pytest.raises(RegistryError, match="barred"):
        registry.promote("scaling", bad, gate_entry=again)
    registry.promote("scaling", good, gate_entry=entry)
    assert registry.champion("scaling") == good
    registry.override("scaling", bad, "tried again on purpose")
    assert registry.champion("scaling") == bad, "a person may"


def test_rollback_goes_through_the_history_and_never_bars_the_rule(registry: Registry) -> None:
    first, second = promoted(registry, 0), promoted(registry, 1)
    registry.rollback("scaling")
    assert registry.champion("scaling") == first
    with pytest.raises(RegistryError, match="barred"):
        registry.rollback("scaling", second)
    registry.rollback("scaling")
    assert registry.champion("scaling") == "0"
    with pytest.raises(RegistryError, match="no champion before 0"):
        registry.rollback("scaling")
    registry.override("scaling", first, "why not")
    registry.rollback("scaling", "rule")
    registry.override("scaling", second, "x")
    registry.rollback("scaling", to="0")
    assert registry.champion("scaling") == "0" and registry.barred("scaling") == {first, second}
    with pytest.raises(RegistryError, match="the champion already"):
        registry.rollback("scaling", "0")
    never = registry.add_version(improved(seed=5))
    with pytest.raises(RegistryError, match="never was champion"):
        registry.rollback("scaling", never)


def test_rolling_back_from_the_rule_does_not_bar_it(registry: Registry) -> None:
    first = promoted(registry)
    registry.override("scaling", "0", "quiet night")
    registry.rollback("scaling")
    assert registry.champion("scaling") == first and not registry.barred("scaling")


def test_hold_and_override_need_a_reason(registry: Registry) -> None:
    version = registry.add_version(improved())
    for move in (lambda: registry.override("scaling", version, " "), lambda: registry.hold("scaling", "")):
        with pytest.raises(RegistryError, match="needs a reason"):
            move()
    registry.hold("scaling", "Christmas")
    with pytest.raises(RegistryError, match="held"):
        registry.promote("scaling", version, gate_entry=passed(registry, version))
    registry.release("scaling")
    assert not registry.held("scaling") and registry.history("scaling")[1].reason == "Christmas"


def test_a_changed_rule_is_a_new_version_zero_unless_a_champion_stands_on_the_old(registry: Registry) -> None:
    assert registry.renew_rule(version_zero(version="rule-2"), "faster") == "1"
    assert registry.resolve("scaling", "rule") == "1" == registry.champion("scaling")
    promoted(registry)
    with pytest.raises(RegistryError, match="was proven with"):
        registry.renew_rule(version_zero(version="rule-3"), "faster still")


def test_references(registry: Registry, tmp_path: Path) -> None:
    promoted(registry, 0)
    promoted(registry, 1)
    found = {
        text: resolve_reference(registry, text, base=rule).version
        for text in ("scaling", "scaling@champion", "scaling@previous", "scaling@rule", "scaling@1")
    }
    expected = {"scaling": "2", "scaling@champion": "2", "scaling@previous": "1", "scaling@rule": "0", "scaling@1": "1"}
    assert found == expected
    path = save_policy(improved(seed=4), tmp_path / "elsewhere.json")
    assert resolve_reference(registry, str(path), base=rule).needs_base
    assert registry.path("scaling").read_bytes() == (tmp_path / "scaling_model.json").read_bytes()
    assert parse_reference("a@007") == Reference("a", "7") and str(parse_reference("a")) == "a@champion"
    for wrong in ("", "@", "scaling@", "scaling@best", "Scaling", "scaling@-1", "../x", "scaling@1@2", "scaling@²"):
        with pytest.raises((RegistryError, ArtefactError)):
            resolve_reference(registry, wrong)
    for wrong in ("scaling@9", "other"):
        with pytest.raises(RegistryError):
            resolve_reference(registry, wrong)


def test_an_agent_without_ledger_or_with_an_impossible_name_is_named(registry: Registry) -> None:
    with pytest.raises(RegistryError, match=r"'healing' has no champion yet \(known: scaling\)"):
        registry.champion("healing")
    assert registry.looks("healing").count == 0
    for name in ("../scaling", "", "a/b"):
        with pytest.raises(RegistryError, match="is not an agent name"):
            registry.champion(name)
    with pytest.raises(RegistryError, match="no champion yet"):
        registry.add_version(improved("healing"))


def test_a_damaged_ledger_keeps_no_other_agent_from_its_work(registry: Registry, tmp_path: Path) -> None:
    registry.initialise(version_zero("healing"))
    entry = tmp_path / "ledger/healing/00000001.json"
    entry.write_bytes(entry.read_bytes().replace(b"version0", b"promoted"))
    found = opened(tmp_path)
    assert promoted(found) == "1" == found.champion("scaling") and found.verify("scaling") == 3
    for read in (found.champion, found.history, found.version, found.verify, found.looks):
        with pytest.raises(RegistryError, match=r"healing/00000001\.json: the ledger entry was altered"):
            read("healing")


@pytest.mark.parametrize("damage", ["cut", "lost", "exchanged"])
def test_a_damaged_version_never_becomes_champion(registry: Registry, tmp_path: Path, damage: str) -> None:
    promoted(registry)
    promoted(registry, seed=1)
    candidate = registry.add_version(improved(seed=2))
    gate = passed(registry, candidate)
    for version in ("1", candidate):
        path = registry.path("scaling", version)
        if damage == "exchanged":  # whole, but not what was judged
            path.write_bytes(replace(improved(seed=9), version=version).to_bytes())
        elif damage == "cut":
            path.write_bytes(path.read_bytes()[:-5])
        else:
            path.unlink()
    with pytest.raises(ArtefactError, match=rf"scaling/{candidate}\.json: is "):
        registry.promote("scaling", candidate, gate_entry=gate)
    for target in (None, "previous", "1"):
        with pytest.raises(ArtefactError, match=r"scaling/1\.json: is .*or go back to .* scaling@rule"):
            registry.rollback("scaling", target)
    if damage != "exchanged":  # a person's word is about the file that is there
        with pytest.raises((ArtefactError, RegistryError)):
            registry.override("scaling", candidate, "by hand")
    assert opened(tmp_path).version("scaling").version == "2", "the champion stays"
    registry.rollback("scaling", "rule")
    assert opened(tmp_path).version("scaling").version == "0"


def test_no_policy_has_the_name_of_a_rule(tmp_path: Path) -> None:
    registry = opened(tmp_path)
    registry.initialise(version_zero(version="2"))  # what records call it
    assert [registry.add_version(improved(seed=seed)) for seed in range(3)] == ["1", "3", "4"]
    with pytest.raises(RegistryError, match=r"version '3' is the number of a policy.*such as 'rule-3'"):
        registry.renew_rule(version_zero(version="3"), "faster")
    assert registry.renew_rule(version_zero(version="6"), "faster") == "5"
    assert registry.add_version(improved()) == "7"
