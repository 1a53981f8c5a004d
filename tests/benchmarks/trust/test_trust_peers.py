"""A peer that is missing or fails is an error, never a row that is not there."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from benchmarks.trust import peers
from envs.errors import DataError

SCRIPT = """
import sys
import numpy as np
with np.load(sys.argv[1]) as given:
    if int(given["fail"]):
        raise ValueError("the peer gave up")
    np.savez(sys.argv[2], doubled=given["values"] * 2)
"""


@pytest.fixture
def environment(tmp_path, monkeypatch):
    folder = tmp_path / "benchmarks" / "peers"
    folder.mkdir(parents=True)
    (folder / "double.py").write_text(SCRIPT)
    monkeypatch.setattr(peers, "ROOT", tmp_path)
    monkeypatch.setattr(peers, "PYTHON", type(tmp_path)(sys.executable))


def test_arrays_go_there_and_come_back(environment) -> None:
    values = np.arange(6.0).reshape(2, 3)
    found = peers.run("double", {"values": values, "fail": np.array(0)})
    assert list(found) == ["doubled"] and np.array_equal(found["doubled"], 2 * values)


def test_a_peer_that_fails_says_why(environment) -> None:
    with pytest.raises(DataError, match="the peer gave up"):
        peers.run("double", {"values": np.zeros(1), "fail": np.array(1)})


def test_a_missing_environment_names_the_command_that_makes_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(peers, "PYTHON", tmp_path / "no" / "python")
    with pytest.raises(DataError, match="make peers"):
        peers.run("intervals", {})
