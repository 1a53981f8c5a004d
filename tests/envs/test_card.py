"""Each grade is given to a log that has it, for the reason that the card states."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from envs.build import BuildReport, dataset_from_records
from envs.card import DataCard, build_card
from envs.card.advice import plan_exploration, provable_steps
from envs.card.evidence import Evidence, gather_evidence
from envs.card.grade import grade_log
from envs.card.overlap import measure_overlap, modal_actions, reference_ratios
from envs.card.propensities import martingale_residual
from envs.card.sensitivity import tipping_factor
from envs.dataset import Dataset
from envs.record import DecisionRecord
from tests.envs.samples import ACTIONS, KEY, numbered, record, simulated, specification


@cache
def built(**options: Any) -> tuple[Dataset, BuildReport]:
    declared, records = simulated(**options)
    return dataset_from_records(declared, numbered(records), KEY)


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


# Propensities.


def falsified(dataset: Dataset, factor: float) -> Dataset:
    nan = np.full_like(dataset.action_probabilities, np.nan)
    wrong = np.where(dataset.propensities < 0.5, dataset.propensities * factor, dataset.propensities)
    return replace(dataset, propensities=wrong, action_probabilities=nan)


def test_true_propensities_pass_and_false_ones_do_not() -> None:
    nan = np.full((480, 3), np.nan)
    for seed in range(20):
        dataset, _ = built(episodes=120, seed=seed)
        assert martingale_residual(dataset) < 3.5
        assert not martingale_residual(replace(dataset, action_probabilities=nan)) >= 3.5
    dataset = built(episodes=600)[0]
    assert martingale_residual(falsified(dataset, 1.0)) < 3.5
    assert martingale_residual(falsified(dataset, 2.0)) > 3.5
    assert martingale_residual(falsified(dataset, 0.5)) > 3.5
    shifted = np.roll(dataset.action_probabilities, 1, axis=1)
    assert martingale_residual(replace(dataset, action_probabilities=shifted)) > 3.5


def test_a_confidence_is_no_propensity() -> None:
    declared, records = simulated(episodes=600, logged="nothing")
    confident = [replace(row, propensity=0.95) for row in records]
    card = build_card(*dataset_from_records(declared, numbered(confident), KEY))
    assert card.grade == "B" and "false_propensities" in codes(card)
    assert card.figures["propensities"] == "estimated"


def test_rare_actions_with_heavy_tailed_propensities_are_not_accused() -> None:
    random = np.random.default_rng(0)
    actions = tuple(range(40))
    records = []
    for number in range(4000):
        probabilities = random.dirichlet(np.full(40, 0.15))
        action = int(random.choice(40, p=probabilities))
        records.append(record(f"e{number}", action=action, propensity=probabilities[action], terminated=True))
    dataset, _ = dataset_from_records(specification(actions=actions, horizon=1), numbered(records), KEY)
    assert not martingale_residual(dataset) >= 3.5


def test_a_contradiction_is_counted() -> None:
    dataset, report = built(episodes=400)
    wrong = dataset.propensities.copy()
    wrong[:7] *= 0.9
    card = build_card(replace(dataset, propensities=wrong), report)
    assert card.grade == "B" and card.findings[0].code == "contradictory_propensities"
    assert card.findings[0].sentence.startswith("7 decisions")


# Overlap.


def test_ratios_are_those_of_half_behaviour_and_half_modal_action() -> None:
    dataset, _ = built(episodes=100, explore=0.3)
    modal = modal_actions(dataset)
    assert (modal.max(axis=1) == 1.0).all() and (modal.argmax(1) == dataset.action_probabilities.argmax(1)).all()
    ratios = reference_ratios(dataset, dataset.propensities, modal)
    usual = modal[np.arange(len(dataset)), dataset.actions] == 1.0
    np.testing.assert_allclose(ratios[usual], 0.5 + 0.5 / 0.8)
    np.testing.assert_allclose(ratios[~usual], 0.5)


def test_the_modal_action_from_counts_is_the_rule() -> None:
    known, _ = built(episodes=800, explore=0.3)
    unknown, _ = built(episodes=800, explore=0.3, logged="propensity")
    agree = (modal_actions(known).argmax(axis=1) == modal_actions(unknown).argmax(axis=1)).mean()
    assert agree > 0.9


def test_a_uniform_log_has_no_modal_action_by_chance() -> None:
    for logged in ("probabilities", "propensity"):
        dataset, report = built(episodes=800, explore=1.0, logged=logged)
        assert (modal_actions(dataset) > 0.0).sum(axis=1).mean() > 2.5
        assert build_card(dataset, report).grade == "A"


def test_the_effective_sample_size_is_kishs_over_units() -> None:
    dataset, _ = built(episodes=40, explore=0.5)
    ratios = np.random.default_rng(0).uniform(0.5, 2.0, len(dataset))
    weights = np.array([ratios[4 * e : 4 * e + 4].prod() for e in range(40)])
    overlap = measure_overlap(dataset, ratios)
    assert overlap.effective == pytest.approx(weights.sum() ** 2 / (weights**2).sum())
    assert overlap.largest_share == pytest.approx(weights.max() / weights.sum())
    pairs = replace(dataset, units=np.repeat([f"u{index}" for index in range(20)], 2))
    weights = weights.reshape(20, 2).sum(axis=1)
    overlap = measure_overlap(pairs, ratios)
    assert overlap.units == 20 and overlap.effective == pytest.approx(weights.sum() ** 2 / (weights**2).sum())


def test_only_the_horizons_first_decisions_are_weighed() -> None:
    dataset, _ = built(episodes=40, explore=0.5)
    ratios = np.random.default_rng(0).uniform(0.5, 2.0, len(dataset))
    short = replace(dataset, specification=replace(dataset.specification, horizon=1))
    weights = ratios[::4]
    overlap = measure_overlap(short, ratios)
    assert overlap.effective == pytest.approx(weights.sum() ** 2 / (weights**2).sum())
    assert overlap.mean_return == pytest.approx(dataset.rewards[::4].mean())


def test_the_detectable_effect_shrinks_with_the_root_of_the_log() -> None:
    few, many = (gather_evidence(built(episodes=count, explore=0.4)[0]).overlap for count in (300, 2700))
    assert few is not None and many is not None
    assert few.detectable / many.detectable == pytest.approx(3.0, rel=0.25)


def test_episodes_under_embargo_are_not_counted() -> None:
    declared, records = simulated(episodes=300, declared=specification(unit="day", embargo=7200.0))
    dataset, report = dataset_from_records(declared, numbered(records), KEY)
    evidence = gather_evidence(dataset)
    assert report.embargoed_episodes > 0 and evidence.overlap is not None
    assert len(evidence.overlap.weights) == report.episodes - report.embargoed_episodes
    assert evidence.units == 7


# Steps and advice.


def test_provable_steps_are_what_a_simulated_candidate_attains() -> None:
    dataset, _ = built(episodes=2500, explore=0.3)
    modal = modal_actions(dataset)
    steps = dict(provable_steps(dataset, modal, dataset.propensities))
    random = np.random.default_rng(1)
    usual = modal.argmax(axis=1)
    departs = random.random(len(dataset)) < 0.2
    candidate = np.where(departs, (usual + random.integers(1, 3, len(dataset))) % 3, usual)
    for step in (0.05, 0.1, 0.25):
        ratios = 1.0 - step + step * (candidate == dataset.actions) / dataset.propensities
        assert steps[step] == pytest.approx(measure_overlap(dataset, ratios).fraction, rel=0.1)
    shares = list(steps.values())
    assert shares == sorted(shares, reverse=True)


def test_provable_steps_without_all_probabilities_are_about_the_same() -> None:
    known, unknown = (build_card(*built(episodes=800, logged=logged)) for logged in ("probabilities", "propensity"))
    for (step, one), (other, two) in zip(known.provable_steps, unknown.provable_steps, strict=True):
        assert step == other and two == pytest.approx(one, abs=0.06)


def test_the_advised_exploration_makes_the_same_rule_grade_a() -> None:
    plan = plan_exploration(3.0, 4.0)
    assert plan is not None and plan.step and plan.cost == pytest.approx(plan.explore * 2 / 3)
    card = build_card(*built(episodes=plan.units, explore=plan.explore))
    assert card.grade == "A"
    assert dict(card.provable_steps)[0.1] >= 0.1


def test_advice_gives_cost_decisions_and_days() -> None:
    advice = build_card(*built(episodes=400, explore=0.0)).exploration_advice
    assert "% of the decisions" in advice and "decisions are needed" in advice and "days at the present 19" in advice
    without = build_card(*built(episodes=400, explore=0.0, start=None)).exploration_advice
    assert "days" not in without and "decisions are needed" in without


def test_the_floor_of_many_actions_needs_more_exploration() -> None:
    few, many = plan_exploration(2.0, 1.0), plan_exploration(80.0, 1.0)
    assert few is not None and many is not None
    assert many.explore / 80.0 >= 0.003 > 0.01 / 80.0 and many.explore > few.explore
    assert plan_exploration(80.0, 500.0) is None


def test_the_sensitivity_factor_is_where_the_sign_may_turn() -> None:
    weights = np.ones(4)
    assert tipping_factor(weights, np.array([0.0, 1.0, 2.0, 3.0])) == 1.0
    # Two returns, weights 1 and w: the mean falls to one half when the worst factors undo w.
    for ratio in (1.5, 3.0):
        weights, returns = np.array([1.0, ratio]), np.array([0.0, 1.0])
        assert tipping_factor(weights, returns) == pytest.approx(math.sqrt(ratio), rel=1e-6)
        assert tipping_factor(weights, -returns) == pytest.approx(math.sqrt(ratio), rel=1e-6)


# Detectors.


def test_repeated_observations_are_found() -> None:
    rows = []
    for number in range(60):
        for step in range(4):
            observation = {"load": float(number), "queue": {"size": 1.0}}
            rows.append(record(f"e{number}", step, observation=observation))
    assert "static_observations" in codes(card_of(rows))
    assert "static_observations" not in codes(build_card(*built(episodes=60)))


def test_unknown_ends_are_found_only_where_they_cost_something() -> None:
    def cut(**end: Any) -> list[str]:
        return codes(card_of([record(f"e{n}", s, **(end if s == 1 else {})) for n in range(30) for s in range(2)]))

    assert "unknown_ends" in cut(truncated=True)
    assert "unknown_ends" not in cut(truncated=True, next_observation={"load": 1.0, "queue": {"size": 1.0}})
    assert "unknown_ends" not in cut(terminated=True)


def test_untried_actions_are_named() -> None:
    wider = specification(actions=(*ACTIONS, "restart"))
    declared, records = simulated(episodes=400, declared=wider)
    dataset, report = dataset_from_records(declared, numbered(records), KEY)
    finding = next(finding for finding in build_card(dataset, report).findings if finding.code == "untried_actions")
    assert finding.sentence.endswith("never taken: restart")


@pytest.mark.parametrize(
    ("count", "code"),
    [
        ("duplicated_episodes", "duplicated_steps"),
        ("unscored_episodes", "unscored_episodes"),
        ("open_episodes", "open_episodes"),
        ("embargoed_episodes", "embargoed_episodes"),
        ("shadow", "shadow_decisions"),
        ("conflicting_observations", "conflicting_observations"),
        ("recorded_rewards", "recorded_rewards"),
        ("overridden", "overridden_decisions"),
    ],
)
def test_what_was_left_out_is_told(count: str, code: str) -> None:
    dataset, report = built(episodes=60)
    card = build_card(dataset, replace(report, **{count: 3}))
    finding = next(finding for finding in card.findings if finding.code == code)
    assert finding.sentence.startswith("3 ")


def test_an_inferred_declaration_is_to_be_confirmed() -> None:
    dataset, report = built(episodes=400)
    inferred = replace(dataset.specification, inferred=("horizon", "reward_range"))
    card = build_card(replace(dataset, specification=inferred), report)
    assert codes(card) == ["inferred_declaration"] and card.grade == "A"
    assert "horizon, reward_range (horizon 4)" in card.findings[0].sentence


# The card itself.

LOGS: dict[str, Callable[[], tuple[Dataset, BuildReport]]] = {
    "A": lambda: built(episodes=400),
    "B": lambda: built(episodes=400, logged="nothing"),
    "C": lambda: built(episodes=400, explore=0.0),
    "D": lambda: built(episodes=10),
}


@pytest.mark.parametrize("grade", LOGS)
def test_the_card_is_plain_json_and_plain_text(grade: str) -> None:
    card = build_card(*LOGS[grade]())
    written = json.loads(json.dumps(card.to_json(), allow_nan=False))
    assert written["grade"] == card.grade == grade and written["horizon"] == 4
    assert all(finding["consequence"] and finding["remedy"] for finding in written["findings"])
    text = card.to_text()
    assert text.startswith(f"scaling: grade {grade} at horizon 4")
    assert all(len(line) <= 100 and line == line.rstrip() for line in text.splitlines())
    for finding in card.findings:
        assert finding.sentence.split()[0] in text


def test_the_card_is_reproducible() -> None:
    one, two = (build_card(*built(episodes=300, logged="nothing")).to_json() for _ in range(2))
    assert one == two


def test_a_basic_evidence_has_no_weights() -> None:
    basic = Evidence(10, 5, 5, 5, 1, False)
    assert basic.overlap is None and not basic.deterministic
