"""Minari: its own library loads what was exported, and importing that gives the same transitions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import minari
import numpy as np
import pytest

from envs.build import dataset_from_records
from envs.errors import DataError
from envs.exporting.minari import export_minari
from envs.home import Home
from envs.importing.importer import import_files
from envs.observation import ObservationField, ObservationSpecification
from envs.record import DecisionRecord
from envs.specification import AgentSpecification
from tests.envs.importing.import_reading import good, read, records
from tests.envs.importing.import_samples import stored
from tests.envs.samples import KEY, episode, numbered, record, simulated
from tests.envs.samples import specification as declared_as

OBJECT = ObservationSpecification(
    "object",
    (
        ObservationField("load"),
        ObservationField("queue.size", "integer", low=0, high=9),
        ObservationField("queue.kind", "category", categories=("fast", "slow"), optional=True),
        ObservationField("warm", "boolean"),
        ObservationField("night", "boolean", optional=True),
        ObservationField("age", optional=True),
        ObservationField("queue.labels", "tags", categories=("eu", "wärm")),
        ObservationField("marks", "tags", categories=("a",), optional=True),
        ObservationField("zone", "category", categories=("a", "b")),
        ObservationField("since", "time"),
    ),
)


def observed(step: int) -> dict[str, Any]:
    made: dict[str, Any] = {"load": step / 4, "queue": {"size": step % 10}, "warm": step % 2 == 0}
    made["queue"]["labels"] = [["eu", "wärm"], [], ["eu"], ["new"]][step % 4]
    made["zone"] = ("a", "b", "not declared")[step % 3]
    made["since"] = 1_700_000_000.0 + step
    if step % 3:
        made["queue"]["kind"] = ("fast", "slow")[step % 2]
        made["night"] = step % 2 == 1
    if step % 4:
        made["age"] = float(step)
        made["marks"] = ["a"]
    return made


def log() -> tuple[AgentSpecification, list[DecisionRecord]]:
    """Episodes that ended, were cut with and without a last observation; single decisions; an open one."""
    specification = declared_as(observation=OBJECT)
    made = []
    ends: list[dict[str, Any]] = [
        {"terminated": True},
        {"truncated": True, "next_observation": observed(9)},
        {"truncated": True},
        {"truncated": True, "terminated": True, "next_observation": observed(8)},
        {},
    ]
    for number, last in enumerate(ends):
        rows = episode(f"episode {number}", 4 if last else 3, **last)
        made += [
            replace(
                row, observation=observed(row.step + number), reward=row.step + 0.5, propensity=0.25 * (1 + number % 3)
            )
            for row in rows
        ]
    made += [
        record(
            None,
            None,
            event_id=f"single-{place}",
            observation=observed(place),
            timestamp=f"2026-01-0{place + 1}T00:00:00Z",
        )
        for place in range(3)
    ]
    return specification, made[::2] + made[1::2]  # episodes stand mixed in a log


def test_the_library_loads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    specification, made = log()
    monkeypatch.chdir(tmp_path)
    result = export_minari(iter(made), "scaling-v0", specification)
    assert (result.decisions, result.episodes, result.open_episodes, result.broken_episodes) == (19, 7, 1, 0)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    data = minari.load_dataset("scaling-v0")
    assert data.total_episodes == 7 and data.total_steps == 19
    by_name = {str(found.infos["episode_id"][0], "utf-8"): found for found in data.iterate_episodes()}
    for name, steps in (("episode 0", 4), ("single-1", 1)):
        found = by_name[name]
        own = sorted((row for row in made if row.episode_id == name), key=lambda row: row.step)
        assert len(found) == steps and found.terminations[-1] and not found.truncations[-1]
        assert found.observations["load"][:-1].tolist() == [row.observation["load"] for row in own]
        assert found.observations["queue"]["size"].dtype == np.int64
        assert [specification.actions[place] for place in found.actions] == [row.action for row in own]
        assert found.rewards.tolist() == [row.reward for row in own]
        space = data.observation_space
        for step in range(steps):
            entry = {
                "load": found.observations["load"][step],
                "queue": {
                    "size": found.observations["queue"]["size"][step],
                    "kind": found.observations["queue"]["kind"][step],
                },
            }
            assert space["load"].contains(np.asarray(entry["load"]))
            assert space["queue"]["size"].contains(entry["queue"]["size"])
            assert space["queue"]["kind"].contains(entry["queue"]["kind"])


def test_importing_it_gives_the_same_transitions(tmp_path: Path) -> None:
    specification, made = log()
    export_minari(iter(made), tmp_path / "scaling-v0", specification)
    again = {row.event_id: row for row in records(good(read(tmp_path / "scaling-v0", "minari")), "scaling")}
    ended = [row for row in made if row.episode_id != "episode 4"]
    assert len(again) == len(ended)
    for row in ended:
        assert again[row.event_id] == row
    before, after = (
        dataset_from_records(specification, numbered(rows), KEY)[0]
        for rows in (ended, [again[row.event_id] for row in ended])
    )
    assert before.identifier == after.identifier


def test_masks_chances_and_overrides_come_back(tmp_path: Path) -> None:
    """Without its masks a log allows what was forbidden, and the same decisions are another dataset."""
    specification = declared_as()
    down, hold = specification.actions[:2]
    made = [
        replace(row, allowed_actions=[down, hold], action_probabilities={down: 0.5, hold: 0.5}, propensity=0.5,
                action=down, executed_action=hold if row.step == 1 else None)
        for row in episode("e", 3, terminated=True)
    ]  # fmt: skip
    export_minari(iter(made), tmp_path / "x-v0", specification)
    assert records(good(read(tmp_path / "x-v0", "minari")), "scaling") == made


@pytest.mark.parametrize("kind", ["int", "vector"])
def test_other_kinds_of_observations(tmp_path: Path, kind: str) -> None:
    fields = (
        (ObservationField("state", "integer", low=2, high=7),)
        if kind == "int"
        else tuple(ObservationField(f"x{place}") for place in range(2))
    )
    specification = declared_as(observation=ObservationSpecification(kind, fields), actions=(3, 5, 8))
    made = [
        replace(
            row, observation=row.step + 2 if kind == "int" else [row.step / 8, -1.5], action=(3, 5, 8)[row.step % 3]
        )
        for row in episode("e", 4, terminated=True)
    ]
    export_minari(iter(made), tmp_path / "x-v0", specification)
    assert records(good(read(tmp_path / "x-v0", "minari")), "scaling") == made
    space = minari.MinariDataset(tmp_path / "x-v0" / "data").observation_space
    found = next(minari.MinariDataset(tmp_path / "x-v0" / "data").iterate_episodes())
    assert all(space.contains(entry) for entry in found.observations)


def test_what_is_no_whole_episode_is_left_out_and_told(tmp_path: Path) -> None:
    specification = declared_as()
    whole, holes, bare = (episode(name, 3, terminated=True) for name in ("whole", "holes", "bare"))
    made = [
        *whole,
        *holes[::2],
        *(replace(row, reward=None) for row in bare),
        *(replace(row, mode="shadow", episode_id="s") for row in whole),
    ]
    result = export_minari(iter(made), tmp_path / "scaling-v0", specification)
    assert (result.episodes, result.broken_episodes) == (1, 2) and "holes has not every step once" in result.reason
    with pytest.raises(DataError, match="agent scaling: has no whole episode"):
        export_minari(iter(holes[::2]), tmp_path / "other-v0", specification)
    with pytest.raises(DataError, match="scaling-v0: is there already"):
        export_minari(iter(made), tmp_path / "scaling-v0", specification)
    assert [path.name for path in tmp_path.iterdir()] == ["scaling-v0"]


def test_an_episode_that_reached_the_horizon_is_whole(tmp_path: Path) -> None:
    """As in a dataset: whoever declares a horizon need not say at each episode that it is over."""
    specification = declared_as(horizon=3)
    made = [*episode("e", 3), *episode("open", 2)]
    result = export_minari(iter(made), tmp_path / "x-v0", specification)
    assert (result.episodes, result.open_episodes) == (1, 1)
    (found,) = minari.MinariDataset(tmp_path / "x-v0" / "data").iterate_episodes()
    assert found.truncations.tolist() == [False, False, True] and not found.terminations.any()
    assert records(good(read(tmp_path / "x-v0", "minari")), "scaling") == made[:3]


def test_a_single_decision_that_was_cut_is_cut(tmp_path: Path) -> None:
    """As in a dataset: who learns from the data set goes on from what came after it."""
    after = {"load": 2.0, "queue": {"size": 1}}
    made = [
        record(None, None, event_id="cut", truncated=True, next_observation=after),
        record(None, None, event_id="e"),
    ]
    export_minari(iter(made), tmp_path / "x-v0", declared_as())
    cut, ended = minari.MinariDataset(tmp_path / "x-v0" / "data").iterate_episodes()
    assert (cut.terminations.tolist(), cut.truncations.tolist()) == ([False], [True])
    assert (ended.terminations.tolist(), ended.truncations.tolist()) == ([True], [False])
    assert records(good(read(tmp_path / "x-v0", "minari")), "scaling") == made


def test_rewards_are_by_the_declared_expression(tmp_path: Path) -> None:
    specification = declared_as(reward="-cost")
    made = [replace(row, reward=None, outcome={"cost": row.step + 1}) for row in episode("e", 3, terminated=True)]
    export_minari(iter(made), tmp_path / "scaling-v0", specification)
    found = next(minari.MinariDataset(tmp_path / "scaling-v0" / "data").iterate_episodes())
    assert found.rewards.tolist() == [-1.0, -2.0, -3.0]


def test_a_whole_log_through_the_importer(tmp_path: Path) -> None:
    specification, made = simulated(episodes=60)
    export_minari(iter(made), tmp_path / "scaling-v0", specification)
    home = Home.create(tmp_path / "home", split_key=KEY)
    home.declare(specification)
    assert import_files(home, "scaling", [tmp_path / "scaling-v0"], format_name="minari").added == len(made)
    kept = {row.event_id: row for row in stored(home)}
    for row in made:
        assert kept[row.event_id].observation == row.observation and kept[row.event_id].action == row.action
        assert (kept[row.event_id].reward, kept[row.event_id].next_observation) == (row.reward, row.next_observation)
