"""Each grade is given to a log that has it, for the reason that the card states."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from envs.build import dataset_from_records
from envs.card import DataCard, build_card
from envs.card.evidence import gather_evidence
from envs.card.grade import grade_log
from envs.record import DecisionRecord
from tests.envs.samples import ACTIONS, KEY, built, numbered, record, simulated, specification


def card_of(records: list[DecisionRecord], **changes: Any) -> DataCard:
    return build_card(*dataset_from_records(specification(**changes), numbered(records), KEY))


def codes(card: DataCard) -> list[str]:
    return [finding.code for finding in card.findings]


# Grades.


@pytest.mark.parametrize("logged", ["probabilities", "propensity"])
def test_bounded_logged_exploration_is_grade_a(logged: str) -> None:
    card = build_card(*built(episodes=800, logged=logged))
    assert card.grade == "A" and codes(card) == [] and card.exploration_advice == ""
    assert 0.6 < card.figures["effective_sample_size_fraction"] < 1.0  # type: ignore[operator]
    assert card.figures["propensities"] == "logged"


@pytest.mark.parametrize("logged", ["probabilities", "propensity"])
def test_one_missing_propensity_in_a_thousand_leaves_grade_a(logged: str) -> None:
    """It was grade D: no number came of the weights, and the rewards were said to be too large."""
    dataset, report = built(episodes=800, logged=logged)
    lacking = dataset.propensities.copy(), dataset.action_probabilities.copy()
    for each in lacking:
        each[7] = np.nan
    one = replace(dataset, propensities=lacking[0], action_probabilities=lacking[1])
    whole, card = build_card(dataset, report), build_card(one, report)
    assert card.grade == whole.grade == "A" and codes(card) == []
    for name in ("effective_sample_size", "detectable_effect"):
        assert card.figures[name] == pytest.approx(whole.figures[name], rel=0.01), name
    kept = gather_evidence(one).propensities
    assert kept is not None and 0.0 < kept[7] < 1.0
    assert np.array_equal(np.delete(kept, 7), np.delete(dataset.propensities, 7))


def test_a_few_per_cent_of_exploration_around_a_rule_is_grade_a() -> None:
    assert build_card(*built(episodes=600, horizon=12, explore=0.03)).grade == "A"


def test_without_propensities_it_is_grade_b_with_a_sensitivity_bound() -> None:
    card = build_card(*built(episodes=600, logged="nothing"))
    assert card.grade == "B" and codes(card) == ["missing_propensities"]
    assert card.figures["propensities"] == "estimated" and card.figures["sensitivity_gamma"] > 1.0  # type: ignore[operator]


@pytest.mark.parametrize("logged", ["probabilities", "propensity", "nothing"])
def test_a_deterministic_rule_is_grade_c(logged: str) -> None:
    card = build_card(*built(episodes=400, explore=0.0, logged=logged))
    assert card.grade == "C" and codes(card)[0] == "deterministic_rule"
    assert card.exploration_advice.startswith("explore = ") and card.provable_steps == ()
    assert "effective_sample_size" not in card.figures


def test_a_deterministic_rule_of_several_thresholds_is_found_without_propensities() -> None:
    random = np.random.default_rng(0)
    records = []
    for number in range(3000):
        load, queue = random.uniform(size=2)
        action = "up" if load > 0.7 and queue > 0.4 else "down" if load < 0.2 or queue < 0.1 else "hold"
        seen = {"load": load, "queue": {"size": queue}}
        records.append(record(f"e{number}", action=action, observation=seen, reward=random.normal(), terminated=True))
    card = card_of(records, horizon=1)
    assert card.grade == "C" and codes(card)[0] == "deterministic_rule"
    honest = card_of([replace(each, propensity=1.0) for each in records], horizon=1)
    assert honest.grade == "C" and codes(honest) == ["deterministic_rule"], "1 is the true propensity of a rule"
    assert honest.figures["propensities"] == "logged" and "propensity of 1" in honest.findings[0].sentence


def test_a_long_horizon_is_grade_c_and_the_card_says_why() -> None:
    card = build_card(*built(episodes=212, horizon=40, explore=0.6))
    assert card.grade == "C"
    finding = card.findings[0]
    assert finding.code == "low_effective_sample_size"
    effective = card.figures["effective_sample_size"]
    assert "a 40-step horizon multiplies 40 ratios" in finding.sentence
    assert f"effective sample size {effective:.1f} of 212 units" in finding.sentence


def test_the_same_log_is_grade_a_at_a_shorter_horizon() -> None:
    dataset, report = built(episodes=500, horizon=20, explore=0.8)
    assert build_card(dataset, report).grade == "C"
    short = replace(dataset, specification=replace(dataset.specification, horizon=2))
    assert build_card(short, report).grade == "A"


def test_too_few_units_for_an_interval_ask_for_more_of_the_same() -> None:
    card = build_card(*built(episodes=150))
    assert card.grade == "C" and codes(card) == ["low_effective_sample_size"]
    assert "go on as now" in card.exploration_advice


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"episodes": 15}, "too_few_units"),
        ({"action": "hold"}, "one_action"),
        ({"reward": 1.0}, "constant_reward"),
        ({"truncated": True}, "no_complete_episode"),
    ],
)
def test_what_cannot_be_learned_is_grade_d_with_the_reason(change: dict[str, Any], code: str) -> None:
    declared, records = simulated(episodes=change.pop("episodes", 60), logged="nothing")
    if "truncated" in change:
        records = [replace(row, truncated=True, next_observation=None) for row in records if row.step == 0]
    else:
        records = [replace(row, **change) for row in records]
    card = build_card(*dataset_from_records(declared, numbered(records), KEY))
    assert card.grade == "D" and codes(card)[0] == code and card.findings[0].severity == "error"


def test_an_empty_dataset_is_grade_d() -> None:
    card = card_of([record("open", 0)])
    assert card.grade == "D" and codes(card) == ["too_few_units", "open_episodes"]
    assert card.to_text() and json.dumps(card.to_json())


def test_equal_rewards_in_episodes_of_different_lengths_can_be_learned_from() -> None:
    random = np.random.default_rng(0)
    records = []
    for number in range(400):
        length = int(random.integers(1, 5))
        for step in range(length):
            action = ACTIONS[int(random.integers(3))]
            end = {"terminated": True} if step == length - 1 else {}
            records.append(record(f"e{number}", step, action=action, propensity=1 / 3, **end))
    assert "constant_reward" not in codes(card_of(records))


# The thresholds of the grade, on figures.

GOOD = gather_evidence(built(episodes=600)[0])


def graded(**changes: Any) -> tuple[str, list[str]]:
    overlap = {name: changes.pop(name) for name in tuple(changes) if hasattr(GOOD.overlap, name) and name != "units"}
    assert GOOD.overlap is not None
    evidence = replace(GOOD, overlap=replace(GOOD.overlap, **overlap), **changes)
    grade, findings = grade_log(evidence, specification())
    return grade, [finding.code for finding in findings]


@pytest.mark.parametrize(
    ("changes", "grade", "code"),
    [
        ({"effective": 201.0}, "A", None),
        ({"effective": 199.0}, "C", "low_effective_sample_size"),
        ({"smallest": 0.003}, "A", None),
        ({"smallest": 0.0029}, "B", "small_propensities"),
        ({"largest_share": 0.05}, "A", None),
        ({"largest_share": 0.051}, "B", "heavy_unit"),
        ({"residual": 3.49}, "A", None),
        ({"residual": 3.5, "estimated": True}, "B", "false_propensities"),
        ({"logged_share": 0.999}, "A", None),
        ({"logged_share": 0.998, "estimated": True}, "B", "missing_propensities"),
        ({"contradictions": 1, "estimated": True}, "B", "contradictory_propensities"),
        ({"certain_share": 0.995}, "C", "deterministic_rule"),
        ({"detectable": 0.02}, "A", None),
        ({"detectable": 0.199}, "A", "detectable_effect"),
        ({"detectable": 0.201}, "B", "detectable_effect"),
    ],
)
def test_thresholds(changes: dict[str, Any], grade: str, code: str | None) -> None:
    found, listed = graded(**changes)
    assert found == grade and listed == ([] if code is None else [code])


def test_ten_per_cent_of_the_units_is_needed_even_where_there_are_many() -> None:
    assert GOOD.overlap is not None
    many = replace(GOOD.overlap, units=10_000, effective=999.0)
    assert grade_log(replace(GOOD, overlap=many, units=10_000), specification())[0] == "C"
    assert grade_log(replace(GOOD, overlap=replace(many, effective=1001.0)), specification())[0] == "A"


def test_an_undetectable_effect_says_how_many_more_decisions_it_takes() -> None:
    assert GOOD.overlap is not None
    evidence = replace(GOOD, overlap=replace(GOOD.overlap, detectable=0.04))
    (finding,) = grade_log(evidence, specification(practical_effect=0.02))[1]
    # Twice the effect takes four times the decisions: three times as many more.
    assert finding.severity == "warning" and f"{3 * GOOD.decisions:,} more decisions" in finding.remedy
