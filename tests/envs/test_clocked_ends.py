"""Ends by the clock are read as cuts, all or none, by both readers of a log, and it is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from envs.build import build_dataset, dataset_from_records
from envs.card import build_card
from envs.clocked_ends import FEWEST, read_as_cut
from envs.journal.journal import Journal
from envs.log.sealing import seal
from tests.envs.log.logs import AGENT, home_at, record

HORIZON = 3


def episodes(lengths: list[int], **odd: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Ends, cuts, known ends and offsets of terminated episodes, but for the first one's flags where given."""
    offsets = np.cumsum([0, *lengths])
    terminated = np.zeros(offsets[-1], dtype=bool)
    terminated[offsets[1:] - 1] = True
    terminated[lengths[0] - 1] = odd.get("terminated", True)
    known = np.ones(len(lengths), dtype=bool)
    known[: odd.get("unknown", 0)] = False
    return terminated, np.zeros_like(terminated), known, offsets


def test_ends_at_the_horizon_become_cuts_and_those_before_stay() -> None:
    lengths = [HORIZON] * FEWEST + [1, 2]
    terminated, truncated, known, offsets = episodes(lengths)
    assert read_as_cut(terminated, truncated, known, offsets, HORIZON) == (FEWEST, 0)
    last = offsets[1:] - 1
    assert truncated[last].tolist() == [True] * FEWEST + [False, False]
    assert (terminated[last] == ~truncated[last]).all() and not (terminated | truncated)[
        np.delete(np.arange(3), 2)
    ].any()


@pytest.mark.parametrize(
    ("lengths", "horizon", "odd", "blind"),
    [
        ([HORIZON] * (FEWEST - 1) + [1] * 40, HORIZON, {}, 0),  # chance
        ([HORIZON] * FEWEST + [HORIZON + 1], HORIZON, {}, 0),  # one went on
        ([HORIZON] * FEWEST, HORIZON, {"terminated": False}, 0),  # one was cut there: the others were not by the clock
        ([1] * 40, 1, {}, 0),
        ([HORIZON] * FEWEST, HORIZON, {"unknown": 3}, FEWEST),
    ],
)
def test_other_ends_stay_as_they_were_recorded(
    lengths: list[int], horizon: int, odd: dict[str, Any], blind: int
) -> None:
    terminated, truncated, known, offsets = episodes(lengths, **odd)
    before = terminated.copy()
    assert read_as_cut(terminated, truncated, known, offsets, horizon) == (0, blind)
    assert (terminated == before).all() and not truncated.any()


@pytest.mark.parametrize("known", [True, False])
def test_both_readers_do_it_and_the_card_says_it(tmp_path: Path, known: bool) -> None:
    home = home_at(tmp_path, horizon=2)
    records = [
        record(
            f"e{number}-{step}",
            f"e{number}",
            step,
            reward=float(number % 3),
            outcome={"gain": float(number % 3), "lost": 0, "late": "no", "errors": 0, "seconds": 1.0},
            terminated=step == 1,
            next_observation={"load": 0.25} if step == 1 and known else None,
        )
        for number in range(FEWEST)
        for step in range(2)
    ]
    with Journal(home.journal_path) as journal:
        journal.append(records)
    specification = home.specification(AGENT)
    by_records, reported = dataset_from_records(specification, enumerate(records, 1), home.split_key)
    seal(home)
    by_columns, report = build_dataset(home, AGENT)
    for dataset, each in ((by_records, reported), (by_columns, report)):
        assert int(dataset.truncated.sum()) == (FEWEST if known else 0)
        assert int(dataset.terminated.sum()) == (0 if known else FEWEST)
        assert (each.clocked_episodes, each.blindly_clocked_episodes) == ((FEWEST, 0) if known else (0, FEWEST))
        codes = {finding.code for finding in build_card(dataset, each).findings}
        assert ("clocked_ends" if known else "blindly_clocked_ends") in codes
