"""A dataset on disk is the dataset that was saved, or an error."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.build import dataset_from_records
from envs.columns import COLUMNS, load_columns, save_columns
from envs.dataset import Dataset
from envs.errors import DataError
from tests.envs.samples import KEY, episode, numbered, specification


def ragged(lengths: list[int], horizon: int = 4) -> Dataset:
    records = []
    for number, length in enumerate(lengths):
        end = {"next_observation": {"load": 0.5, "queue": {"size": 2}}} if number % 2 else {}
        records += episode(f"épisode {number}", length, terminated=True, policy_version=f"v{number}", **end)
    return dataset_from_records(specification(horizon=horizon), numbered(records), KEY)[0]


def assert_same(first: Dataset, second: Dataset) -> None:
    assert first.specification == second.specification and first.identifier == second.identifier
    for column in COLUMNS:
        one, two = getattr(first, column), getattr(second, column)
        assert one.dtype == two.dtype
        np.testing.assert_array_equal(one, two)


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 6), max_size=6), mmap=st.booleans())
def test_what_was_saved_is_what_is_loaded(
    lengths: list[int], mmap: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    dataset = ragged(lengths)
    directory = tmp_path_factory.mktemp("columns") / "dataset"
    assert save_columns(dataset, directory) == directory
    loaded = load_columns(directory, mmap=mmap)
    assert_same(dataset, loaded)
    assert_same(dataset.split("train"), loaded.split("train"))


def test_every_column_is_a_file_of_its_own(tmp_path: Path) -> None:
    save_columns(ragged([1, 3]), tmp_path / "d")
    assert {path.stem for path in (tmp_path / "d").glob("*.npy")} == {item.name for item in fields(Dataset)} - {
        "specification",
        "identifier",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["d"], "no temporary directory is left"


def test_a_mapped_column_cannot_be_written_to(tmp_path: Path) -> None:
    loaded = load_columns(save_columns(ragged([2, 2]), tmp_path / "d"))
    assert not loaded.rewards.flags.writeable


def test_saving_again_replaces(tmp_path: Path) -> None:
    save_columns(ragged([1, 3]), tmp_path / "d")
    other = ragged([2, 2, 2])
    save_columns(other, tmp_path / "d")
    assert_same(load_columns(tmp_path / "d"), other)
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_a_failed_save_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ragged([1, 3])
    save_columns(before, tmp_path / "d")

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match="no space"):
        save_columns(ragged([2]), tmp_path / "d")
    monkeypatch.undo()
    assert_same(load_columns(tmp_path / "d"), before)
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


@pytest.mark.parametrize("damage", ["absent", "column", "truncated", "shape", "pickle", "json", "hash", "format"])
def test_damage_is_an_error_that_names_the_file(tmp_path: Path, damage: str) -> None:
    directory = save_columns(ragged([1, 3]), tmp_path / "d")
    description = directory / "specification.json"
    named = "rewards.npy"
    if damage == "absent":
        directory, named = tmp_path / "other", "other"
    elif damage == "column":
        (directory / "rewards.npy").unlink()
    elif damage == "truncated":
        content = (directory / "rewards.npy").read_bytes()
        (directory / "rewards.npy").write_bytes(content[:-9])
    elif damage == "shape":
        np.save(directory / "rewards.npy", np.zeros(3))
    elif damage == "pickle":
        np.save(directory / "rewards.npy", np.array([{}, {}, {}, {}]), allow_pickle=True)
    else:
        content = json.loads(description.read_text())
        named = "specification.json" if damage != "format" else "d: has format 99"
        if damage == "hash":
            content["specification"]["horizon"] = 9
        if damage == "format":
            content["format_version"] = 99
        description.write_text("{" if damage == "json" else json.dumps(content))
    with pytest.raises(DataError, match=named) as caught:
        load_columns(directory)
    assert caught.value.remedy and "\n" not in str(caught.value)
