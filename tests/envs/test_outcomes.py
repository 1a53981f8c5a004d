"""Late outcomes: joined by event, whatever the order; what was recorded first stands."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.build import build_dataset
from envs.errors import DuplicateRecordError, RecordError
from envs.journal.journal import AppendResult, Journal
from envs.journal.reading import LogReader
from envs.outcome import OutcomeEvent, join
from envs.record import DecisionRecord
from tests.envs.log.logs import AGENT, NOON, home_at, moment, outcome, record


def read(path: Path, **how: Any) -> list[tuple[int, DecisionRecord]]:
    return list(LogReader(Journal(path), AGENT, **how))


@pytest.mark.parametrize("late_first", [False, True])
def test_an_outcome_completes_its_decision_in_either_order(tmp_path: Path, late_first: bool) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    decided = record("e", outcome={"gain": 1.0}, reward=None)
    told = outcome("e", outcome={"lost": 2}, reward=3.0, terminated=True, next_observation={"load": 4.0})
    for event in (told, decided) if late_first else (decided, told):
        journal.append([event])
    ((_, found),) = read(journal.path)
    assert found.outcome == {"gain": 1.0, "lost": 2} and found.reward == 3.0 and found.terminated
    assert found.next_observation == {"load": 4.0} and found.action == decided.action
    assert journal.counts() == {AGENT: 1} and journal.outcome_counts() == {AGENT: 1}


@pytest.mark.parametrize("said", [{"reward": 0.0}, {"executed_action": 0}, {"next_observation": 0}])
def test_a_zero_alone_became_known(said: dict[str, Any]) -> None:
    """Refused, the decisions that earned nothing would be the ones without a reward."""
    event = OutcomeEvent.from_mapping({"decision_id": "e", **said}, agent=AGENT)
    assert event.to_mapping().items() >= said.items()
    with pytest.raises(RecordError, match="outcome: is missing"):
        OutcomeEvent.from_mapping({"decision_id": "e", "terminated": False, "outcome": {}}, agent=AGENT)


def test_the_same_outcome_sent_again_is_one(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    journal.append([record("e"), outcome("e", minutes=1)])
    assert journal.append([outcome("e", minutes=9)]) == AppendResult(0, 1), "sent again later, for want of an answer"
    assert journal.append([outcome("e", outcome={"lost": 0, "gain": 1})]) == AppendResult(0, 1), "1 and 1.0 are one"
    assert journal.outcome_counts() == {AGENT: 1}


def test_an_outcome_never_corrects(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    journal.append([record("e", outcome={"gain": 1.0}), outcome("e", outcome={"lost": 0})])
    for said, field in (
        ({"outcome": {"gain": 2.0}}, "outcome.gain: 2.0, but 1.0 was recorded before"),
        ({"outcome": {"new": 1, "lost": 3}}, "outcome.lost: 3, but 0 was recorded before"),
    ):
        with pytest.raises(DuplicateRecordError, match=field):
            journal.append([outcome("e", **said)])
        with pytest.raises(DuplicateRecordError, match=field):
            journal.append([record("f"), outcome("e", **said)])
    journal.append([outcome("e", reward=1.0)])
    with pytest.raises(DuplicateRecordError, match=r"reward: 2.0, but 1.0"):
        journal.append([outcome("e", reward=2.0)])
    assert [found.event_id for _, found in read(journal.path)] == ["e"], "what was refused took its batch with it"


def test_contradictions_within_one_batch_and_between_agents_are_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    with pytest.raises(DuplicateRecordError, match="reward"):
        journal.append([record("e"), outcome("e", reward=1.0), outcome("e", reward=2.0)])
    journal.append([record("e")])
    with pytest.raises(RecordError, match="'e' is a decision of agent scaling"):
        journal.append([OutcomeEvent.from_mapping({"decision_id": "e", "agent": "other", "reward": 1.0})])


def test_an_outcome_that_came_first_does_not_bind_its_decision(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    journal.append([outcome("e", outcome={"gain": 1.0})])
    journal.append([record("e", outcome={"gain": 5.0})])
    reader = LogReader(journal, AGENT)
    ((_, found),) = list(reader)
    assert found.outcome == {"gain": 5.0} and reader.contradictory == 1


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({}, "outcome: is missing"),
        ({"terminated": False}, "outcome: is missing"),
        ({"reward": math.nan}, "reward: nan is not finite"),
        ({"reward": 1, "cost": 2}, "cost: is not a field of an outcome; put it under outcome"),
        ({"outcome": [1]}, r"outcome: \[1\] is not an object"),
        ({"reward": 1, "timestamp": "now"}, "timestamp: 'now' is not an RFC 3339"),
        ({"reward": 1, "agent": "No Name"}, "agent: 'No Name' is not"),
        ({"reward": 1, "decision_id": ""}, "decision_id"),
    ],
)
def test_what_is_wrong_with_an_outcome_is_named(mapping: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError, match=message):
        OutcomeEvent.from_mapping({"decision_id": "e", "agent": AGENT, **mapping})


def test_the_position_is_where_a_decision_can_first_be_scored() -> None:
    bare, told = record("e"), [(7, outcome("e", outcome={"gain": 1.0})), (9, outcome("e", reward=2.0))]
    assert join(3, bare, told[::-1]).position == 7, "a gate that read up to 6 has not read it"
    assert join(3, bare, told[:1]).position == join(3, bare, told).position, "later outcomes do not make it new"
    assert join(3, record("e", reward=1.0), told).position == 3
    assert join(3, bare, []).position == 3
    assert join(3, bare, [(2, outcome("e"))]).position == 3


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["gain", "lost", "x"]), st.integers(0, 2)), max_size=5),
    st.permutations(range(5)),
)
def test_the_join_does_not_depend_on_the_order_of_the_events(said: list[tuple[str, int]], order: list[int]) -> None:
    events = [(10 + place, outcome("e", outcome={name: value})) for place, (name, value) in enumerate(said)]
    shuffled = [events[index] for index in order if index < len(events)]
    decided = record("e", timestamp=moment(0))
    joined = join(1, decided, events)
    assert (joined.delay > 0) == bool(events)
    if events:
        assert join(1, decided, shuffled) == joined
    assert (joined.record.outcome or {}) == dict(reversed(said))


def test_maturation_immature_late_and_open(tmp_path: Path) -> None:
    home = home_at(tmp_path, maturation=600.0, worst_class="", guardrails=(), reward="gain")
    journal = Journal(home.journal_path)
    ended = {"terminated": True, "timestamp": moment(0)}
    journal.append(
        [
            record("in-time", "a", 0, **ended),
            outcome("in-time", 9, outcome={"gain": 1.0}),
            record("too-late", "b", 0, **ended),
            outcome("too-late", 11, outcome={"gain": 2.0}),
            record("young", "c", 0, terminated=True, timestamp=moment(6), reward=3.0),
            record("open", "d", 0, timestamp=moment(0), reward=4.0),
        ]
    )
    dataset, report = build_dataset(home, AGENT, now=NOON.timestamp() + 15 * 60)
    assert dataset.rewards.tolist() == [1.0]
    assert (report.immature_episodes, report.late_outcomes, report.open_episodes) == (1, 1, 1)
    assert (report.late_episodes, report.unscored_episodes) == (1, 0), "it was recorded, and is as good as none"
    assert report.matures == NOON.timestamp() + 16 * 60
    later, report = build_dataset(home, AGENT, now=report.matures + 1)
    assert sorted(later.rewards.tolist()) == [1.0, 3.0] and report.immature_episodes == 0
    home.declare(replace(home.specification(AGENT), maturation=0.0))
    everything, report = build_dataset(home, AGENT)
    assert sorted(everything.rewards.tolist()) == [1.0, 2.0, 3.0] and report.late_outcomes == 0
