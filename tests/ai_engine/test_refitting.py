"""``tune`` with ``refit_all``: learned from all rows, and never judged by the gate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import ai_engine
from ai_engine import concluding
from ai_engine.runs import Run
from ai_engine.workspace import open_workspace
from envs.errors import RegistryError
from envs.home import Home
from tests import homes
from tests.ai_engine.sweeping import component, tuned


def test_refit_all_is_labelled_and_never_a_finalist(home: Home, without_ray: list[int]) -> None:
    plain, refitted = tuned(home), tuned(home, refit_all=True)
    assert not plain.ungated
    assert refitted.ungated
    assert refitted.to_json()["ungated"] is True
    assert "ungated" in refitted.to_text()
    assert refitted.recommended not in refitted.finalists
    policy = open_workspace(homes.AGENT, home).registry.version(homes.AGENT, refitted.recommended.rpartition("@")[2])
    assert "ungated" in policy.provenance.note
    assert len(refitted.finalists) == len(plain.finalists)
    assert homes.comparable(refitted.to_json())["variants"][0]["gain"] == plain.to_json()["variants"][0]["gain"]
    gate = ai_engine.gate(homes.AGENT, home=home)
    assert gate.version != refitted.recommended
    assert gate.version in refitted.finalists
    with pytest.raises(RegistryError, match="no gate has judged"):
        ai_engine.promote(refitted.recommended, home=home)
    folder = Run.open(home, refitted.run).path
    assert not [name for name in ("dataset", "dataset-all", "tune") if (folder / name).exists()]


def test_refitting_a_finalist_keeps_the_judged_one_for_the_gate(
    home: Home, monkeypatch: pytest.MonkeyPatch, without_ray: list[int]
) -> None:
    choose = concluding.select

    def finalist_first(trials: Any) -> Any:
        chosen = choose(trials)
        return replace(chosen, recommended=chosen.finalists[0], evidence="log")

    monkeypatch.setattr(concluding, "select", finalist_first)
    plain = tuned(home)
    assert plain.recommended == plain.finalists[0]
    refitted = tuned(home, refit_all=True)
    assert refitted.recommended not in refitted.finalists
    assert refitted.recommendation.version == refitted.recommended
    assert len(refitted.variants) == homes.TRIALS + 1
    assert component(home, refitted.finalists[0]) == component(home, plain.finalists[0])
    registry = open_workspace(homes.AGENT, home).registry
    notes = [
        registry.version(homes.AGENT, v.version.rpartition("@")[2]).provenance.note for v in refitted.variants[-1:]
    ]
    assert notes == ["ungated: trained on all rows, final included"]
    assert "ungated" not in registry.version(homes.AGENT, refitted.finalists[0].rpartition("@")[2]).provenance.note
