"""What was before as part of the row: in the dataset, from a sealed log, and in a running episode alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from envs.build import build_dataset, dataset_from_records
from envs.card import build_card
from envs.declaration import from_table, to_table
from envs.encoding.stacking import RunningHistory
from envs.errors import RecordError, SpecificationError
from envs.home import Home
from envs.journal.journal import Journal
from envs.log.sealing import seal
from envs.observation import ObservationField, ObservationSpecification, with_history
from envs.specification import AgentSpecification
from tests.envs.samples import ACTIONS, KEY, numbered, record, simulated, specification

OWN = specification().observation


def remembering(history: int, **changes: Any) -> AgentSpecification:
    return specification(observation=with_history(OWN, ACTIONS, history), **changes)


def test_rows_hold_the_observations_and_actions_before_and_nothing_of_other_episodes() -> None:
    declared, records = simulated(episodes=30, horizon=4, declared=remembering(2))
    dataset, _ = dataset_from_records(declared, numbered(records), KEY)
    plain, _ = dataset_from_records(specification(), numbered(records), KEY)
    assert declared.observation.names[2:] == (
        "load@1",
        "queue.size@1",
        "action@1",
        "load@2",
        "queue.size@2",
        "action@2",
    )
    np.testing.assert_array_equal(dataset.observations[:, :2], plain.observations)
    for episode in range(30):
        rows = dataset.observations[episode * 5 : episode * 5 + 5]
        actions = dataset.actions[episode * 4 : episode * 4 + 4]
        for step, row in enumerate(rows):
            for lag, start in ((1, 2), (2, 5)):
                wanted = [*rows[step - lag, :2], actions[step - lag]] if step >= lag else [np.nan] * 3
                np.testing.assert_array_equal(row[start : start + 3], wanted)


def test_an_unknown_end_stays_unknown() -> None:
    rows = [record("e", step, **({"truncated": True} if step == 1 else {})) for step in range(2)]
    dataset, _ = dataset_from_records(remembering(1), numbered(rows), KEY)
    assert np.isnan(dataset.observations[-1]).all() and not np.isnan(dataset.observations[1]).any()


def test_a_running_episode_has_the_rows_of_the_dataset() -> None:
    declared, records = simulated(episodes=5, horizon=4, declared=remembering(3))
    dataset, _ = dataset_from_records(declared, numbered(records), KEY)
    running: dict[str, RunningHistory] = {}
    for number, item in enumerate(sorted(records, key=lambda item: (item.step, item.episode_id))):
        history = running.setdefault(item.episode_id, RunningHistory(declared.observation))
        row = declared.observation.row(item.observation)
        history.fill(row)
        history.add(row, declared.action_index(item.action))
        place = int(item.episode_id[1:]) * 5 + item.step
        np.testing.assert_array_equal(row, dataset.observations[place], err_msg=str(number))


def test_the_sealed_log_and_the_declaration_keep_it(tmp_path: Path) -> None:
    declared, records = simulated(episodes=12, horizon=4, declared=remembering(2))
    home = Home.create(tmp_path, split_key=KEY)
    home.declare(declared)
    assert home.specification(declared.name) == declared == from_table(declared.name, to_table(declared))
    Journal(home.journal_path).append(records)
    plain, _ = build_dataset(home, declared.name)
    seal(home)
    sealed, _ = build_dataset(home, declared.name)
    np.testing.assert_array_equal(sealed.observations, plain.observations)
    assert np.isfinite(plain.observations).any(axis=0).all()


def test_a_vector_has_a_history_and_an_integer_has_none() -> None:
    vector = ObservationSpecification("vector", (ObservationField("a"), ObservationField("b")))
    stacked = with_history(vector, ("go", "stay"), 1)
    np.testing.assert_array_equal(stacked.row([1.0, 2.0]), [1.0, 2.0, np.nan, np.nan, np.nan])
    assert stacked.value(stacked.row([1.0, 2.0])) == [1.0, 2.0]
    with pytest.raises(RecordError, match="vector of 2 numbers"):
        stacked.row([1.0, 2.0, 3.0, 4.0, 0.0])
    with pytest.raises(SpecificationError, match="history"):
        from_table("a", {"actions": [0, 1], "observation": {"kind": "int", "history": 1}})


def test_what_was_before_is_not_recorded_and_not_asked_of_a_rule() -> None:
    observation = remembering(1).observation
    assert observation.value(observation.row({"load": 1.0, "queue": {"size": 2.0}})) == {
        "load": 1.0,
        "queue": {"size": 2.0},
    }
    with pytest.raises(RecordError, match="not a declared field"):
        observation.row({"load": 1.0, "queue": {"size": 2.0}, "load@1": 3.0})


def test_states_that_look_alike_are_told_apart_by_what_was_before() -> None:
    # What comes next is what was seen two decisions ago: the present tells nothing of it.
    random = np.random.default_rng(0)
    records = []
    for number in range(800):
        loads = list(random.normal(size=2))
        while len(loads) < 7:
            loads.append(loads[-2] + 0.1 * random.normal())
        for step in range(6):
            action = ACTIONS[int(random.integers(3))]
            end = (
                {"truncated": True, "next_observation": {"load": loads[6], "queue": {"size": 0.0}}} if step == 5 else {}
            )
            seen = {"load": loads[step], "queue": {"size": 0.0}}
            reward = float(random.normal())
            records.append(
                record(f"e{number}", step, observation=seen, action=action, propensity=1 / 3, reward=reward, **end)
            )
    cards = [
        build_card(*dataset_from_records(remembering(history, horizon=6), numbered(records), KEY)) for history in (0, 1)
    ]
    assert ["aliased_states" in [finding.code for finding in card.findings] for card in cards] == [True, False]
