"""What can never be had is refused before the launch, by name; what is only busy is not."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from tune_configs.resources import SMALLEST_DISK, ResourceError, check_disk, check_resources

NODES = [{"CPU": 2.0, "memory": 8e9}, {"CPU": 8.0, "GPU": 1.0, "memory": 4e9}]


@pytest.mark.parametrize("request_", [{"CPU": 1.0}, {"CPU": 8.0, "GPU": 1.0}, {"CPU": 2.0, "memory": 8e9}])
def test_what_a_node_has_is_granted(request_: dict[str, float]) -> None:
    check_resources(request_, NODES)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"CPU": 9.0}, "each trial asks for 9 CPU, and no node has more than 8"),
        ({"CPU": 1.0, "GPU": 2.0}, "2 GPU, and no node has more than 1"),
        ({"CPU": 1.0, "tpu": 1.0}, "1 tpu, and no node has more than 0"),
        ({"CPU": 4.0, "memory": 8e9}, "asks for 4 CPU, 8e.09 memory together, and no node has all of it"),
    ],
)
def test_the_impossible_is_refused_by_name(request_: dict[str, float], words: str) -> None:
    with pytest.raises(ResourceError, match=words) as raised:
        check_resources(request_, NODES)
    assert "\n" not in str(raised.value)


def test_a_cluster_without_nodes_grants_nothing() -> None:
    with pytest.raises(ResourceError, match="1 CPU"):
        check_resources({"CPU": 1.0}, [])


def test_a_full_disk_is_refused_with_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "column.npy").write_bytes(bytes(2**20))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, SMALLEST_DISK + 2**20))
    check_disk(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, SMALLEST_DISK + 2**20 - 1))
    with pytest.raises(ResourceError, match="needs about 257 MB"):
        check_disk(tmp_path)
