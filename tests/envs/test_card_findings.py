"""What else the card finds in a log, and how it says it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from envs.build import dataset_from_records
from envs.build_report import BuildReport
from envs.card import DataCard, build_card
from envs.card.evidence import Evidence
from envs.dataset import Dataset
from envs.observation import ObservationField, ObservationSpecification
from envs.record import DecisionRecord
from tests.envs.samples import ACTIONS, KEY, built, numbered, record, simulated, specification


def card_of(records: list[DecisionRecord], **changes: Any) -> DataCard:
    return build_card(*dataset_from_records(specification(**changes), numbered(records), KEY))


def codes(card: DataCard) -> list[str]:
    return [finding.code for finding in card.findings]


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
    assert "cut_episodes" in cut(truncated=True, next_observation={"load": 1.0, "queue": {"size": 1.0}})
    assert "cut_episodes" not in cut(terminated=True)


def test_a_field_of_undeclared_values_is_named() -> None:
    fields = (
        ObservationField("zone", "category", categories=("a", "b")),
        ObservationField("tags", "tags", categories=("x",)),
    )
    observation = ObservationSpecification("object", fields)

    def sentences(zone: str, tags: list[str], often: int) -> list[str]:
        rows = [
            record(f"e{index}", terminated=True, observation={"zone": "a" if index % often else zone, "tags": tags})
            for index in range(60)
        ]
        findings = card_of(rows, observation=observation).findings
        return [finding.sentence for finding in findings if finding.code == "unknown_values"]

    assert sentences("a", ["x"], 1) == sentences("a", [], 1) == sentences("new", ["x"], 20) == []
    assert sentences("new", ["x"], 5) == ["zone has an undeclared value in 20 % of the decisions"]
    assert sentences("b", ["x", "new"], 1) == ["tags has an undeclared value in 100 % of the decisions"]


def test_untried_actions_are_named() -> None:
    wider = specification(actions=(*ACTIONS, "restart"))
    declared, records = simulated(episodes=400, declared=wider)
    dataset, report = dataset_from_records(declared, numbered(records), KEY)
    finding = next(finding for finding in build_card(dataset, report).findings if finding.code == "untried_actions")
    assert finding.sentence.endswith("never taken: restart")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("reward", "found"), [(1.0, False), (-999_999.0, True), (1e9, True), (1e300, True)])
def test_an_episode_that_outweighs_all_others_is_named_with_its_place(reward: float, found: bool) -> None:
    _, records = simulated(episodes=100)
    marked = [replace(each, reward=reward) if index == 7 else each for index, each in enumerate(records)]
    dataset, report = dataset_from_records(specification(), numbered(marked), KEY)
    card = build_card(dataset, report)
    lone = [finding for finding in card.findings if finding.code == "lone_return"]
    assert bool(lone) == found
    if found:
        episode = int(np.abs(dataset.rewards).argmax())
        position = dataset.sequences[dataset.episode_index[episode]]
        assert f"--from {position} --to {position + 1};" in lone[0].remedy
    assert (card.grade == "D" and "boundless_rewards" in codes(card)) == (reward == 1e300)


@pytest.mark.parametrize(
    ("count", "code"),
    [
        ("duplicated_episodes", "duplicated_steps"),
        ("unscored_episodes", "unscored_episodes"),
        ("broken_episodes", "broken_episodes"),
        ("open_episodes", "open_episodes"),
        ("immature_episodes", "immature_episodes"),
        ("late_outcomes", "late_outcomes"),
        ("orphaned_outcomes", "orphaned_outcomes"),
        ("abandoned_episodes", "abandoned_episodes"),
        ("embargoed_episodes", "embargoed_episodes"),
        ("shadow", "shadow_decisions"),
        ("excluded_episodes", "excluded_episodes"),
        ("other_versions", "other_versions"),
        ("contradictory_outcomes", "contradictory_outcomes"),
        ("conflicting_observations", "conflicting_observations"),
        ("recorded_rewards", "mixed_rewards"),
        ("overridden", "overridden_decisions"),
        ("mistimed", "mistimed_decisions"),
    ],
)
def test_what_was_left_out_is_told(count: str, code: str) -> None:
    dataset, report = built(episodes=60)
    card = build_card(dataset, replace(report, **{count: 3}))
    finding = next(finding for finding in card.findings if finding.code == code)
    assert finding.sentence.startswith("3 ")


@pytest.mark.parametrize("cause", ["unscored_episodes", "broken_episodes"])
def test_what_left_out_the_units_that_lack_comes_before_their_number(cause: str) -> None:
    dataset, report = built(episodes=10)
    lacking = dataset.specification.minimum_units - 10
    card = build_card(dataset, replace(report, **{cause: lacking}))
    assert codes(card)[:2] == [cause, "too_few_units"] and card.findings[0].severity == "error"
    few = build_card(dataset, replace(report, **{cause: lacking - 1}))
    assert codes(few)[0] == "too_few_units", "with these it would still be too few"


def test_what_waits_says_until_when_and_what_came_late_what_it_cost() -> None:
    dataset, report = built(episodes=60)
    odd = replace(report, immature_episodes=2, matures=1_795_838_282.9, late_outcomes=5, late_episodes=4)
    sentences = {finding.code: finding.sentence for finding in build_card(dataset, odd).findings}
    assert sentences["immature_episodes"].endswith("the first until 2026-11-28T03:58:02Z")
    assert sentences["late_outcomes"].endswith("closed; 4 episodes lack a reward for it")


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


def test_two_versions_of_the_reward_are_never_pooled() -> None:
    """Some scored by the declared expression and some as recorded: nothing is learned from it. All of one kind may."""
    dataset, report = built(episodes=400)
    grades = [
        build_card(dataset, replace(report, recorded_rewards=count)).grade for count in (0, 1, len(dataset))
    ]  # fmt: skip
    assert grades[0] == grades[2] != "D" == grades[1]
