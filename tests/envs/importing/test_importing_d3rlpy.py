"""d3rlpy: files that d3rlpy dumped (tests/data/importing), step by step, and files that are not as they should be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from envs.errors import DataError
from envs.importing import hdf5
from tests.envs.importing.import_reading import DATA, assert_goes_on, good, problems, read, records


@pytest.mark.parametrize("name", ["d3rlpy_discrete", "d3rlpy_continuous", "d3rlpy_tuple"])
def test_every_step_of_a_real_file(name: str) -> None:
    known = json.loads((DATA / f"{name}.json").read_text())
    contents = good(read(DATA / f"{name}.h5", "d3rlpy"))
    decisions = records(contents)
    assert len(decisions) == len(known["rewards"]) == 12
    for place, decision in enumerate(decisions):
        parts = known["observations"]
        if len(parts) == 1:
            assert decision.observation == parts[0][place]
        else:
            for number, part in enumerate(parts):
                assert decision.observation[str(number)] == {str(at): item for at, item in enumerate(part[place])}
        action = known["actions"][place]
        assert decision.action == (
            {str(at): item for at, item in enumerate(action)} if "continuous" in name else action[0]
        )
        assert decision.reward == known["rewards"][place] and decision.next_observation is None
        end = known["ends"].get(str(place))
        assert (decision.terminated, decision.truncated) == (end == "terminated", end == "truncated")
    assert [decision.step for decision in decisions] == [0, 1, 2, 3, 4, 0, 1, 2, 3, 0, 1, 2]
    assert len({decision.episode_id for decision in decisions}) == 3


def test_names_are_the_contents(tmp_path: Path) -> None:
    """A copy has the same episodes, another file others."""
    copy = tmp_path / "renamed.h5"
    shutil.copy(DATA / "d3rlpy_discrete.h5", copy)
    original = good(read(DATA / "d3rlpy_discrete.h5", "d3rlpy"))
    assert good(read(copy, "d3rlpy")) == original
    others = good(read(DATA / "d3rlpy_tuple.h5", "d3rlpy"))
    assert not {row["episode_id"] for row in original} & {row["episode_id"] for row in others}


def test_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert_goes_on(DATA / "d3rlpy_discrete.h5", "d3rlpy", monkeypatch)


def test_a_bad_episode_is_named_and_the_others_kept(tmp_path: Path) -> None:
    path = tmp_path / "log.h5"
    shutil.copy(DATA / "d3rlpy_discrete.h5", path)
    with h5py.File(path, "a") as file:
        del file["rewards_1"]
        file["rewards_1"] = np.zeros((2, 1))
    rows = read(path, "d3rlpy")
    assert problems(rows) == ["6 row episode 1 cannot be read (has 2 rewards and [4] observations)"]
    assert len([row for row in rows if row.rejected is None]) == 8
    with h5py.File(path, "a") as file:
        del file["rewards_1"]
    assert problems(read(path, "d3rlpy")) == ["6 row episode 1 cannot be read (has no rewards)"]


def test_missing_episodes_are_told(tmp_path: Path) -> None:
    path = tmp_path / "log.h5"
    shutil.copy(DATA / "d3rlpy_discrete.h5", path)
    with h5py.File(path, "a") as file:
        del file["num_episodes"]
        file["num_episodes"] = 5
    assert problems(read(path, "d3rlpy")) == ["13 row names 5 episodes, but has 3"]


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.h5"
    with pytest.raises(DataError, match=r"log\.h5: does not exist"):
        read(path, "d3rlpy")
    path.write_bytes(b"not hdf5")
    with pytest.raises(DataError, match="is not HDF5"):
        read(path, "d3rlpy")
    with h5py.File(path, "w") as file:
        file["terminals"] = np.zeros(3)
    with pytest.raises(DataError, match=r"is of d3rlpy 1; load it in d3rlpy 2 with load_v1"):
        read(path, "d3rlpy")
    with h5py.File(path, "w") as file:
        file["version"], file["num_episodes"] = "3.0", 1
    with pytest.raises(DataError, match=r"is of layout '3.0', not 2.1"):
        read(path, "d3rlpy")


def test_no_file_reaches_another_or_fills_the_memory(tmp_path: Path) -> None:
    """Links, external storage, virtual data sets and bombs are named, and the other episodes are read."""
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["rewards_1"] = np.full((4, 1), 42.0)
    (tmp_path / "raw").write_bytes(np.full(4, 42.0).tobytes())
    path = tmp_path / "log.h5"

    def without(name: str) -> h5py.File:
        shutil.copy(DATA / "d3rlpy_discrete.h5", path)
        file = h5py.File(path, "a")
        del file[name]
        return file

    def told() -> str:
        rows = read(path, "d3rlpy")
        assert len([row for row in rows if row.rejected is None]) == 8
        assert all(row.content["reward"] != 42.0 for row in rows if row.rejected is None)
        return problems(rows)[0]

    with without("rewards_1") as file:
        file["rewards_1"] = h5py.ExternalLink(str(secret), "rewards_1")
    assert "rewards_1 is a link to elsewhere, which is not followed" in told()
    with without("rewards_1") as file:
        file["rewards_1"] = h5py.SoftLink("/rewards_0")
    assert "is a link to elsewhere" in told()
    with without("rewards_1") as file:
        file.create_dataset("rewards_1", (4, 1), "f8", external=[(str(tmp_path / "raw"), 0, 32)])
    assert "is kept in other files" in told()
    with without("rewards_1") as file:
        layout = h5py.VirtualLayout((4, 1), "f8")
        layout[:] = h5py.VirtualSource(str(secret), "rewards_1", (4, 1))
        file.create_virtual_dataset("rewards_1", layout)
    assert "is kept in other files" in told()
    with without("observations_1") as file:  # 1 GB of zeros in a few bytes
        file.create_dataset("observations_1", (4, 2**25), "f8", chunks=(4, 2**23), compression="gzip")
    assert path.stat().st_size < 10**6 and "bytes a step, more than" in told()
    with without("rewards_1") as file:
        file.create_dataset("rewards_1", (2**24, 1), "f8", chunks=(2**24, 1), compression="gzip")
    assert f"unpacks to {2**27:,} bytes at once, more than {hdf5.MAXIMUM_CHUNK:,}" in told()
    with without("rewards_1") as file:
        file.create_dataset("rewards_1", (4,), h5py.vlen_dtype(np.float64))
    assert "references or lists of differing length" in told()
