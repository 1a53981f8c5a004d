"""RLlib: recordings that RLlib 2.60 made (tests/data/importing), both layouts, and episodes that would do harm."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from envs.errors import DataError
from envs.home import Home
from envs.importing import episode_state, reader_rllib
from envs.importing.importer import import_files
from envs.importing.readers import MAXIMUM_ROW
from tests.envs.importing.import_reading import DATA, assert_goes_on, good, problems, read, records

COLUMNS, EPISODES = DATA / "rllib_columns", DATA / "rllib_episodes"


def encode(value: Any) -> Any:
    """As msgpack-numpy encodes arrays."""
    if isinstance(value, np.ndarray):
        hidden = value.dtype == object
        data = value.dumps() if hidden else value.tobytes()
        kind = b"O" if hidden else b""
        return {b"nd": True, b"type": value.dtype.str, b"kind": kind, b"shape": value.shape, b"data": data}
    if isinstance(value, np.generic):
        return {b"nd": False, b"type": value.dtype.str, b"data": value.tobytes()}
    raise TypeError(value)


def state(steps: int = 3, **changes: Any) -> dict[str, Any]:
    def kept(data: Any) -> dict[str, Any]:
        return {"data": data, "lookback": 0, "finalized": False, "space": None}

    made = {
        "id_": "abc",
        "agent_id": None,
        "observations": kept([np.array([step, 0.5], np.float32) for step in range(steps + 1)]),
        "actions": kept([np.int64(step % 2) for step in range(steps)]),
        "rewards": kept([float(step) for step in range(steps)]),
        "infos": kept([{} for _ in range(steps + 1)]),
        "extra_model_outputs": {"action_logp": kept([np.float32(math.log(0.25))] * steps)},
        "is_terminated": True,
        "is_truncated": False,
        "t_started": 0,
        "t": steps,
    }
    return {
        **made,
        **{name: kept(value) if name in ("observations", "actions") else value for name, value in changes.items()},
    }


def packed(path: Path, *states: Any) -> Path:
    items = [item if isinstance(item, bytes) else msgpack.packb(item, default=encode) for item in states]
    pq.write_table(pa.table({"item": items}), path)
    return path


def test_columns_are_put_back_into_their_episodes() -> None:
    """Against the files as pyarrow reads them: the second round holds the first once more, and is known as such."""
    raw = [row for path in sorted(COLUMNS.rglob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    for row in raw:  # arrays where Ray Data is loaded, whose types pyarrow knows then
        row |= {name: np.asarray(row[name]).tolist() for name in ("obs", "new_obs")}
    contents = good(read(COLUMNS, "rllib"))
    assert len(contents) == len(raw) == 180
    decisions = records(contents)
    distinct = {decision.event_id: decision for decision in decisions}
    assert len(distinct) == 120 and all(distinct[decision.event_id] == decision for decision in decisions)
    for decision, row in zip(decisions, raw, strict=True):
        assert decision.episode_id == row["eps_id"] and decision.observation == row["obs"]
        assert decision.action == row["actions"] and decision.reward == row["rewards"]
        assert decision.propensity == pytest.approx(math.exp(row["action_logp"]), rel=1e-12)
        assert (decision.terminated, decision.truncated) == (row["terminateds"], row["truncateds"])
        following = distinct.get(f"{decision.episode_id}-{decision.step + 1}")
        if following is not None:
            assert following.observation == row["new_obs"]
        else:
            assert decision.next_observation == row["new_obs"]
    probabilities = [np.exp(row["action_dist_inputs"]) / np.exp(row["action_dist_inputs"]).sum() for row in raw]
    for decision, chances in zip(decisions, probabilities, strict=True):
        assert decision.propensity == pytest.approx(chances[decision.action], rel=1e-5)


def test_whole_episodes() -> None:
    contents = good(read(EPISODES, "rllib"))
    decisions = {decision.event_id: decision for decision in records(contents)}
    assert len(contents) > len(decisions)  # written twice
    ends: dict[str, Any] = {}
    for decision in decisions.values():
        ends[decision.episode_id] = max(ends.get(decision.episode_id, decision), decision, key=lambda item: item.step)
    for name, end in ends.items():
        assert end.terminated and end.next_observation is not None and len(end.next_observation) == 4
        steps = [decision for decision in decisions.values() if decision.episode_id == name]
        assert sorted(step.step for step in steps) == list(range(end.step + 1))
        assert all(0.0 < step.propensity < 1.0 and step.reward == 1.0 for step in steps if step.propensity)
        assert sum(step.next_observation is not None for step in steps) == 1


def test_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert_goes_on(EPISODES, "rllib", monkeypatch)
    assert_goes_on(COLUMNS, "rllib", monkeypatch)


def test_through_the_importer(tmp_path: Path) -> None:
    home = Home.create(tmp_path / "home")
    report = import_files(home, "cartpole", [COLUMNS], format_name="rllib")
    assert (report.rows, report.added) == (180, 120)
    assert home.specification("cartpole").actions == (0, 1)
    assert import_files(home, "cartpole", [COLUMNS], format_name="rllib").added == 0


def test_packed_episodes_of_all_kinds(tmp_path: Path) -> None:
    nested = [{"position": np.array([step, 1.0]), "mode": np.int64(step)} for step in range(4)]
    pushes = [np.array([0.5, -step], np.float32) for step in range(3)]
    cut = state(observations=nested, actions=pushes, is_terminated=False, is_truncated=True, t_started=40)
    look = state()
    for name in ("observations", "actions", "rewards"):
        look[name] = {**look[name], "lookback": 1}
    look["extra_model_outputs"]["action_logp"]["lookback"] = 1
    contents = good(read(packed(tmp_path / "e.parquet", cut, {**look, "id_": "look"}), "rllib"))
    first, last = contents[0], contents[2]
    assert first["observation"] == {"position": {"0": 0.0, "1": 1.0}, "mode": 0} and first["step"] == 40
    assert first["action"] == {"0": 0.5, "1": 0.0} and first["propensity"] == pytest.approx(0.25)
    assert last["truncated"] and "terminated" not in last and last["next_observation"]["mode"] == 3
    assert [content["observation"][0] for content in contents[3:]] == [1.0, 2.0]


class Touch:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    hidden = np.array([Touch(trap)], dtype=object)
    compressed = pa.table(
        {
            "eps_id": ["a"],
            "obs": [pickle.dumps(Touch(trap))],
            "actions": [0],
            "rewards": [1.0],
            "new_obs": [pickle.dumps(Touch(trap))],
            "terminateds": [True],
            "truncateds": [False],
        }
    )
    pq.write_table(compressed, tmp_path / "columns.parquet")
    rows = read(packed(tmp_path / "e.parquet", state(observations=[hidden] * 4), state()), "rllib")
    assert problems(rows) == ["1 item holds pickled objects, which are never unpickled"]
    assert len([row for row in rows if row.rejected is None]) == 3
    assert problems(read(tmp_path / "columns.parquet", "rllib")) == [
        "1 obs is compressed with pickle, which is never unpickled"
    ]
    assert not trap.exists()
    pickle.loads(hidden.dumps())
    assert trap.exists()  # it was a trap


def test_what_does_not_fit_is_named_and_the_others_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(episode_state, "MAXIMUM_VALUES", 1000)
    short = state()
    short["rewards"]["data"].pop()
    array = {b"nd": True, b"type": "<f8", b"kind": b"", b"shape": [2**40], b"data": b"\0" * 8}
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    bad = {
        "is not msgpack": b"\xc1",
        "is no episode's state": msgpack.packb([1, 2]),
        "has 4 observations, 3 actions and 2 rewards": short,
        "is of several agents": {**state(), "agent_ids": ["a"]},
        "holds an array whose bytes do not fill its shape": state(observations=[array] * 4),
        "holds an array of the type 'zebra'": state(observations=[{**array, b"type": "zebra"}] * 4),
        "has more than 1,000 values": {**state(), "custom_data": [[0] * 600, [0] * 600]},
        "entries of differing shapes": state(observations=[np.zeros(2), np.zeros(3), np.zeros(2), np.zeros(2)]),
        "is nested deeper": state(observations=[deep] * 4),
    }
    rows = read(packed(tmp_path / "e.parquet", *bad.values(), state()), "rllib")
    told = problems(rows)
    assert [text.split()[0] for text in told] == [str(place) for place in range(1, len(bad) + 1)]
    for text, expected in zip(told, bad, strict=True):
        assert expected in text
    assert [row.row for row in rows if row.rejected is None] == [len(bad) + 1] * 3


def test_nothing_is_unpacked_beyond_its_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = msgpack.packb({"id_": "a", "custom_data": b"\0" * (MAXIMUM_ROW + 1)})
    path = packed(tmp_path / "e.parquet", long, state())
    rows = read(path, "rllib")
    assert "bytes, more than 16,777,216" in problems(rows)[0] and len(rows) == 4
    monkeypatch.setattr(reader_rllib, "MAXIMUM_GROUP", 2**20)
    assert problems(read(path, "rllib")) == ["1 row unpacks to more than 1 MB at once"]


def test_columns_that_do_not_follow_are_named(tmp_path: Path) -> None:
    table = pq.read_table(next(iter(sorted(COLUMNS.rglob("*.parquet")))))
    pq.write_table(table.take([0, 1, 3, 4, 20]), tmp_path / "holes.parquet")
    rows = read(tmp_path / "holes.parquet", "rllib")
    assert problems(rows)[0] == "3 obs does not follow step 1 of its episode"
    pq.write_table(table.drop_columns("new_obs"), tmp_path / "less.parquet")
    assert problems(read(tmp_path / "less.parquet", "rllib"))[0] == "1 new_obs is missing"


def test_an_open_episode_that_is_back_where_it_began_is_known_when_it_is_written_once_more(tmp_path: Path) -> None:
    steps = [(0, 0, False), (0, 4, False), (4, 0, False), (0, 5, True)]
    rows = [
        {"eps_id": "e", "obs": before, "actions": place, "rewards": 1.0, "new_obs": after, "terminateds": ended,
         "truncateds": False}
        for place, (before, after, ended) in enumerate(steps)
    ]  # fmt: skip
    for name, written in (("once more", ([1, 3, 4])), ("in parts", ([1, 2, 1]))):
        end = 0
        for number, count in enumerate(written):
            folder = tmp_path / name / f"run-000000-0000{number}"
            folder.mkdir(parents=True)
            end, start = (count, 0) if name == "once more" else (end + count, end)
            pq.write_table(pa.Table.from_pylist(rows[start:end]), folder / "part-0.parquet")
        told = {record.event_id: record for record in records(good(read(tmp_path / name, "rllib")))}
        assert [(record.step, record.action) for record in told.values()] == [(place, place) for place in range(4)]


def test_files_that_are_named_one_by_one_are_one_recording(tmp_path: Path) -> None:
    """As a shell writes out a pattern; without ``output_max_rows_per_file`` RLlib writes a file for each row."""
    table = pq.read_table(next((COLUMNS / "run-000000-00002").glob("*.parquet")))
    for place in range(12):
        pq.write_table(table.slice(10 * place, 10), tmp_path / f"part-{place}.parquet")
    whole = import_files(Home.create(tmp_path / "home"), "cartpole", [COLUMNS], format_name="rllib")
    for sources in ([tmp_path / f"part-{place}.parquet" for place in reversed(range(12))], [tmp_path / "*.parquet"]):
        home = Home.create(tmp_path / f"home-{len(sources)}")
        parts = import_files(home, "cartpole", sources, format_name="rllib")
        assert (parts.added, parts.rejected_count, parts.rows) == (whole.added, 0, table.num_rows)
    told = read(tmp_path, "rllib")
    assert [row.row for row in told] == list(range(1, table.num_rows + 1)), "a number is of one row"


def test_other_sources_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no Parquet files; name what RLlib was told"):
        read(tmp_path, "rllib")
    (tmp_path / "a.parquet").write_bytes(b"PAR0")
    with pytest.raises(DataError, match="is not Parquet"):
        read(tmp_path, "rllib")
