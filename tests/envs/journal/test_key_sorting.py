"""Keys come back in order, each with its value, however few are held in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.journal import key_sorting
from envs.journal.key_sorting import KeySorter

KEYS = st.binary(min_size=16, max_size=16) | st.sampled_from([bytes(16), b"\xff" * 16, bytes(15) + b"\1"])
VALUES = st.binary(min_size=16, max_size=16) | st.binary(min_size=31, max_size=31).map(lambda value: value + b"\1")


@given(rounds=st.lists(st.lists(st.tuples(KEYS, VALUES), max_size=30), min_size=1, max_size=3), most=st.integers(1, 9))
@pytest.mark.parametrize("held", [3, 1000])
def test_all_keys_come_in_order(
    tmp_path_factory: pytest.TempPathFactory, held: int, rounds: list[list[tuple[bytes, bytes]]], most: int
) -> None:
    folder: Path = tmp_path_factory.mktemp("keys")
    with pytest.MonkeyPatch.context() as patch, KeySorter(folder) as keys:
        patch.setattr(key_sorting, "HELD", held)
        for pairs in rounds:  # what was drained does not come again
            for start in range(0, len(pairs), 4):
                keys.add(iter(pairs[start : start + 4]))
            assert keys.count == len(pairs)
            parts = list(keys.drained(most))
            assert [pair for part in parts for pair in part] == sorted(pairs, key=lambda pair: pair[0])
            assert all(len(part) <= most for part in parts) and keys.count == 0
        assert not [*folder.iterdir()], "the files have no name"
