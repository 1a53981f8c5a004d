"""From records to a dataset: every decision in its place, both ends kept, nothing dropped in silence."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.build import build_dataset, dataset_from_records
from envs.dataset import EMBARGO, Dataset
from envs.errors import DataError, RecordError
from envs.home import Home
from envs.journal.arrivals import Arrivals
from envs.record import DecisionRecord
from envs.splits import split_of
from tests.envs.samples import KEY, episode, numbered, record, simulated, specification


def same(first: Dataset, second: Dataset) -> None:
    for column in fields(Dataset):
        one, two = getattr(first, column.name), getattr(second, column.name)
        if isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, two)
        else:
            assert one == two


def build(records: list[DecisionRecord], **changes: Any) -> Any:
    rule = changes.pop("rule", None)
    return dataset_from_records(specification(**changes), numbered(records), KEY, rule=rule)


def test_each_episode_has_one_observation_more_than_decisions() -> None:
    end = {"load": 9.0, "queue": {"size": 8.0}}
    dataset, report = build(episode("a", 3, terminated=True, next_observation=end) + episode("b", 2, truncated=True))
    assert dataset.offsets.tolist() == [0, 3, 5]
    assert dataset.observations.shape == (7, 2)
    assert dataset.observations[:4].tolist() == [[0, 1], [1, 1], [2, 1], [9, 8]]
    assert dataset.observations[4:6].tolist() == [[0, 1], [1, 1]] and np.isnan(dataset.observations[6]).all()
    assert dataset.end_known.tolist() == [True, False]
    assert dataset.terminated.tolist() == [False, False, True, False, False]
    assert dataset.truncated.tolist() == [False, False, False, False, True]
    assert dataset.next_known.tolist() == [True, True, True, True, False]
    assert report.unknown_ends == 1 and report.decisions == 5 and report.episodes == 2
    assert build(episode("a", 3, terminated=True))[1].unknown_ends == 0, "nothing follows an end"


def test_terminated_and_truncated_counts_as_terminated() -> None:
    dataset, _ = build(episode("a", 1, terminated=True, truncated=True))
    assert dataset.terminated.tolist() == [True] and dataset.truncated.tolist() == [False]


def test_open_episodes_wait_and_are_counted() -> None:
    dataset, report = build(episode("open", 3) + episode("closed", 2, terminated=True) + episode("full", 4))
    assert report.open_episodes == 1 and report.open_decisions == 3 and report.records == 9
    assert sorted(dataset.lengths.tolist()) == [2, 4]
    # The horizon ended it: that is a truncation, which bootstraps.
    assert dataset.truncated.sum() == 1 and dataset.terminated.sum() == 1


def test_an_open_episode_may_lack_a_step_that_is_still_on_its_way() -> None:
    _, report = build([record("a", 0), record("a", 2)])
    assert report.open_episodes == 1


def _lasting(name: str, begin: int, seconds: int, **last: Any) -> list[DecisionRecord]:
    """An episode of two steps."""
    moments = [f"2026-01-01T00:{second // 60:02}:{second % 60:02}Z" for second in (begin, begin + seconds)]
    return [record(name, 0, timestamp=moments[0]), record(name, 1, timestamp=moments[1], **last)]


def _ended(count: int = 20) -> list[DecisionRecord]:
    """Episodes of up to 30 seconds, the last ended at 01:00."""
    return [one for index in range(count) for one in _lasting(f"{index}", 30, 30 if index == 1 else 9, terminated=True)]


@pytest.mark.parametrize(
    ("others", "changes", "abandoned"),
    [
        (_ended() + _lasting("silent", 20, 9), {}, 1),  # 31 seconds before the last
        (_ended() + _lasting("waits", 20, 10), {}, 0),  # as long as the longest took
        (_ended(19) + _lasting("silent", 20, 9), {}, 0),  # nobody knows how long one takes
        (_ended(2) + _lasting("silent", 20, 9), {"abandoned_after": 30.0}, 1),
        (_ended() + _lasting("waits", 20, 9), {"abandoned_after": 31.0}, 0),
        (_ended() + _lasting("waits", 20, 9), {"now": 1767225600.0 + 59.0}, 0),  # a clock was a second ahead
        ([*_ended(), record("timeless", 0), record("timeless", 1)], {}, 0),
    ],
)
def test_an_episode_that_is_silent_for_long_is_cut(
    others: list[DecisionRecord], changes: dict[str, float], abandoned: int
) -> None:
    now = {"now": changes["now"]} if "now" in changes else {}
    declared = specification(abandoned_after=changes.get("abandoned_after", 0.0))
    dataset, report = dataset_from_records(declared, numbered(others), KEY, **now)
    assert (report.abandoned_episodes, report.open_episodes) == (abandoned, 1 - abandoned)
    assert dataset.truncated.sum() == abandoned and dataset.episode_count == len(others) // 2 - 1 + abandoned
    marked = [*others[:-1], replace(others[-1], truncated=True)]
    if abandoned:
        expected, _ = dataset_from_records(declared, numbered(marked), KEY)
        same(replace(dataset, identifier=""), replace(expected, identifier=""))


@pytest.mark.parametrize(
    ("timed", "arrived", "patience", "abandoned"),
    [
        (False, {2: 1e9, 42: 1e9 + 100.0}, 99.0, 1),
        (False, {2: 1e9, 42: 1e9 + 100.0}, 101.0, 0),
        (False, {2: 1e9, 42: 1e9 + 100.0}, 0.0, 0),  # how long one takes is not known of what came all at once
        (False, {2: 1e9, 21: 1e9 + 60.0, 42: 1e9 + 100.0}, 0.0, 1),  # the longest arrived within 40 seconds
        (False, {1: 1e9, 2: 1e9 + 50.0, 42: 1e9 + 100.0}, 99.0, 0),  # its last step counts
        (False, {42: 1e9}, 1.0, 0),  # nothing was recorded since
        (False, {1: 1e9}, 1.0, 0),  # when its last step arrived is not known
        (False, {}, 1.0, 0),
        (True, {2: 1767225660.0 - 31.0}, 30.0, 1),  # the timestamps of the others go on, to 01:00
        (True, {2: 1767225660.0 - 30.0}, 30.0, 0),
        (True, {2: 1767225660.0 - 30.0, 42: 1767225660.0 + 9.0}, 30.0, 0),  # theirs count, not their arrival
        (True, {2: 1767225660.0 - 31.0}, 0.0, 0),  # how long they took does not say how late an import may be
    ],
)
def test_an_episode_without_timestamps_is_silent_from_its_arrival_on(
    timed: bool, arrived: dict[int, float], patience: float, abandoned: int
) -> None:
    others = _ended() if timed else [replace(one, timestamp=None) for one in _ended()]
    rows = numbered([record("silent", 0), record("silent", 1), *others])
    moments = Arrivals(np.array(list(arrived), dtype=np.int64), np.array(list(arrived.values())))
    _, report = dataset_from_records(specification(abandoned_after=patience), rows, KEY, arrivals=moments)
    assert (report.abandoned_episodes, report.open_episodes, report.episodes) == (
        abandoned,
        1 - abandoned,
        20 + abandoned,
    )


def test_a_wrong_date_moves_no_clock_and_is_named() -> None:
    """Else what waits would have stopped long ago: the last moment of the log would be the present."""
    wrong = [record(f"{year}", 0, timestamp=f"{year}-06-01T00:00:00Z", terminated=True) for year in (2099, 1969)]
    rows = [*_ended(), *_lasting("waits", 20, 10), *wrong]
    _, report = dataset_from_records(specification(), numbered(rows), KEY)
    assert (report.abandoned_episodes, report.open_episodes, report.mistimed) == (0, 1, 2)
    assert report.mistimed_first == f"event 2099-0 at position {len(rows) - 1}, 2099-06-01T00:00:00Z"
    _, report = dataset_from_records(specification(), numbered(rows[:-2]), KEY)
    assert (report.open_episodes, report.mistimed, report.mistimed_first) == (1, 0, "")


def test_a_decision_without_an_episode_is_an_episode() -> None:
    dataset, report = build([record(None, None)])
    assert report.open_episodes == 0 and dataset.lengths.tolist() == [1]
    assert dataset.terminated.tolist() == [True]


def test_shadow_decisions_are_left_out_and_counted() -> None:
    _, report = build([record("a", 0, terminated=True), record("b", 0, terminated=True, mode="shadow")])
    assert report.shadow == 1 and report.episodes == 1


@pytest.mark.parametrize("steps", [(0, 2), (1, 2), (0, 1, 3)])
def test_an_episode_that_lacks_a_step_is_left_out_and_named(steps: tuple[int, ...]) -> None:
    rows = [record("broken", step, **({"terminated": True} if step == steps[-1] else {})) for step in steps]
    dataset, report = build([*rows, *episode("b", 2, terminated=True)])
    assert report.broken_episodes == 1 and dataset.episode_count == 1
    assert re.search(r"broken.*step . is missing", report.broken_reason)


@pytest.mark.parametrize("ended", [True, False])
def test_an_episode_that_goes_on_after_its_end_is_left_out_and_named(ended: bool) -> None:
    """Also where what follows has no end: it is not open."""
    rows = [record("broken", 0, terminated=True), record("broken", 1, terminated=ended)]
    dataset, report = build([*rows, *episode("b", 2, terminated=True)])
    assert report.broken_episodes == 1 and dataset.episode_count == 1
    assert re.search(r"broken.*after its end at step 0", report.broken_reason)


def test_an_episode_with_two_records_for_a_step_is_left_out_and_counted() -> None:
    twice = record("a", 0, event_id="again", reward=2.0)
    _, report = build([*episode("a", 2, terminated=True), twice, *episode("b", 2, terminated=True)])
    assert report.duplicated_episodes == 1 and report.episodes == 1


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_the_records_does_not_matter(random: Any) -> None:
    declared, records = simulated(episodes=8)
    plain, _ = dataset_from_records(declared, numbered(records), KEY)
    pairs = numbered(records)
    random.shuffle(pairs)
    shuffled, _ = dataset_from_records(declared, pairs, KEY)
    same(plain, shuffled)


def test_without_timestamps_the_order_does_not_matter_either() -> None:
    declared, records = simulated(episodes=8, start=None)
    pairs = numbered(records)
    same(dataset_from_records(declared, pairs, KEY)[0], dataset_from_records(declared, pairs[::-1], KEY)[0])


def test_episodes_are_in_the_order_of_their_time() -> None:
    declared, records = simulated(episodes=12)
    dataset, _ = dataset_from_records(declared, numbered(records[::-1]), KEY)
    assert (np.diff(dataset.timestamps) > 0).all()


def test_the_identifier_is_that_of_the_content() -> None:
    records = episode("a", 2, terminated=True)
    identifiers = {
        build(records)[0].identifier,
        build(records, explore=0.1)[0].identifier,
        build([*records, *episode("b", 1, terminated=True)])[0].identifier,
        build([records[0], record("a", 1, terminated=True, reward=2.0)])[0].identifier,
    }
    assert len(identifiers) == 4
    # What is still open is not in the dataset, and does not change its name.
    assert build([*records, *episode("open", 1)])[0].identifier in identifiers


def test_rewards_are_computed_by_the_declared_expression() -> None:
    outcome = {"cost": 2.0, "dropped": 1}
    dataset, report = build(
        [record("a", 0, reward=99.0, outcome=outcome), record("a", 1, reward=7.0, terminated=True)],
        reward="-cost - 5 * dropped",
    )
    assert dataset.rewards.tolist() == [-7.0, 7.0] and report.recorded_rewards == 1


def test_the_worst_class_is_marked() -> None:
    rows = [record("a", step, outcome={"dropped": step}, terminated=step == 1) for step in range(2)]
    dataset, _ = build(rows, worst_class="dropped > 0")
    assert dataset.worst.tolist() == [False, True]


def test_an_episode_without_its_reward_is_left_out_and_counted() -> None:
    lacking = [record("a", 0), record("a", 1, reward=None, terminated=True)]
    dataset, report = build(lacking + episode("b", 1, terminated=True))
    assert report.unscored_episodes == 1 and "reward" in report.unscored_reason and "a-1" in report.unscored_reason
    assert len(dataset) == 1
    rows = [record("a", 0, outcome={"cost": 1.0}, terminated=True)]
    _, report = build(rows, reward="-cost - dropped")
    assert report.unscored_episodes == 1 and "outcome.dropped" in report.unscored_reason


def test_a_reward_outside_the_declared_range_is_refused() -> None:
    rows = episode("a", 2, terminated=True, reward=3.0)
    with pytest.raises(DataError, match=r"a-1.*reward 3.*range"):
        build(rows, reward_range=(0.0, 2.0))
    build(rows, reward_range=(0.0, 2.0), inferred=("reward_range",))


def test_an_observation_that_does_not_fit_is_named() -> None:
    with pytest.raises(RecordError, match=r"event a-0.*observation.load") as caught:
        build([record("a", 0, observation={"load": "x", "queue": {"size": 1}}, terminated=True)])
    assert caught.value.field == "observation.load" and str(caught.value).count("observation.load") == 1


def test_an_action_that_is_not_declared_is_named() -> None:
    with pytest.raises(RecordError, match="sideways"):
        build([record("a", 0, action="sideways", terminated=True)])


def test_splits_are_the_keyed_ones_and_the_embargo_is_counted() -> None:
    declared, records = simulated(episodes=60)
    dataset, _ = dataset_from_records(declared, numbered(records), KEY)
    for unit, split in zip(dataset.units, dataset.splits, strict=True):
        assert split == split_of(KEY, "default", str(unit).removeprefix("default/"))
    declared = specification(unit="day", embargo=3600.0)
    dataset, report = dataset_from_records(declared, numbered(records), KEY)
    assert report.embargoed_episodes == (dataset.splits == EMBARGO).sum() > 0
    assert set(dataset.units) == {"default/2024-01-01", "default/2024-01-02"}


def test_more_records_move_no_episode_to_another_side() -> None:
    declared, records = simulated(episodes=60)
    few, _ = dataset_from_records(declared, numbered(records[:80]), KEY)
    many, _ = dataset_from_records(declared, numbered(records), KEY)
    sides = dict(zip(many.units, many.splits, strict=True))
    assert all(sides[unit] == split for unit, split in zip(few.units, few.splits, strict=True))


def test_conflicting_observations_and_overrides_are_counted() -> None:
    rows = [
        record("a", 0, next_observation={"load": 5.0, "queue": {"size": 1.0}}, executed_action="up"),
        record("a", 1, next_observation={"load": 2, "queue": {"size": 1}}, executed_action="hold"),
        record("a", 2, terminated=True),
    ]
    _, report = build(rows)
    assert report.conflicting_observations == 1 and report.overridden == 1


def test_nothing_closed_gives_an_empty_dataset() -> None:
    dataset, report = build(episode("open", 2))
    assert len(dataset) == 0 and dataset.episode_count == 0 and report.open_decisions == 2
    assert dataset.split("train").episode_count == 0


def test_an_agent_without_records_is_an_error(tmp_path: Path) -> None:
    home = Home.create(tmp_path)
    home.declare(specification())
    with pytest.raises(DataError, match=r"scaling: has no records.*retrainer import"):
        build_dataset(home, "scaling")
