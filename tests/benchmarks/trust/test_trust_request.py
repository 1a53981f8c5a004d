"""Finished pieces are kept, and an interrupted measurement goes on from them."""

from __future__ import annotations

import pytest

from benchmarks.trust.request import Request, sizes_of
from envs.errors import DataError


def test_an_interrupted_measurement_makes_only_what_is_missing(tmp_path) -> None:
    made: list[int] = []

    def piece(index: int, size: int):
        if index == 2 and len(made) == 2:
            raise KeyboardInterrupt
        made.append(index)
        return {"index": index, "size": size, "values": [float("nan"), 1.5]}

    request = Request(kept=tmp_path / "pieces")
    with pytest.raises(KeyboardInterrupt):
        request.pieces("part", [5, 5, 5], piece)
    made.append(-1)
    found = request.pieces("part", [5, 5, 5], piece)
    assert made == [0, 1, -1, 2]
    assert found == [{"index": index, "size": 5, "values": [None, 1.5]} for index in range(3)]
    assert request.pieces("part", [5, 5, 5], piece) == Request().pieces("part", [5, 5, 5], piece)


def test_a_piece_of_another_size_or_name_is_made_again(tmp_path) -> None:
    request = Request(kept=tmp_path)
    assert request.pieces("a", [3], lambda index, size: {"is": "a3"}) == [{"is": "a3"}]
    assert request.pieces("a", [4], lambda index, size: {"is": "a4"}) == [{"is": "a4"}]
    assert request.pieces("b", [3], lambda index, size: {"is": "b3"}) == [{"is": "b3"}]
    assert request.pieces("a", [3], lambda index, size: {"is": "other"}) == [{"is": "a3"}]


def test_a_spoilt_piece_is_an_error_and_not_a_row(tmp_path) -> None:
    request = Request(kept=tmp_path)
    request.pieces("a", [3], lambda index, size: {})
    (path,) = tmp_path.glob("*.json")
    path.write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        request.pieces("a", [3], lambda index, size: {})


def test_sizes_and_counts() -> None:
    assert sizes_of(120, 50) == [50, 50, 20] and sizes_of(3, 50) == [3]
    assert Request(quick=True).count(quick=2, full=9) == 2
    assert Request().count(quick=2, full=9) == 9
    assert Request(quick=True, logs=5).count(quick=2, full=9) == 5
