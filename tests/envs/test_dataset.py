"""Chosen episodes of a dataset: the same columns whether they are copied or shared."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.columns import load_columns, save_columns
from envs.dataset import Dataset
from tests.worlds import random_world

BEHAVIOUR = np.full((6, 3), 1 / 3)
LOG = random_world(terminal=2, noise=1.0).log(BEHAVIOUR, 30, root=BEHAVIOUR)


def assert_episodes(chosen: Dataset, indices: list[int]) -> None:
    """Every column holds what the episodes' own rows hold, one episode after the other."""
    for column in fields(Dataset):
        if column.name in ("specification", "identifier", "offsets"):
            continue
        whole = getattr(LOG, column.name)
        parts = []
        for e in indices:
            decisions = slice(LOG.offsets[e], LOG.offsets[e + 1])
            if len(whole) == len(LOG.observations):
                decisions = slice(LOG.offsets[e] + e, LOG.offsets[e + 1] + e + 1)
            parts.append(whole[[e]] if len(whole) == LOG.episode_count else whole[decisions])
        np.testing.assert_array_equal(getattr(chosen, column.name), np.concatenate(parts), err_msg=column.name)
    np.testing.assert_array_equal(np.diff(chosen.offsets), LOG.lengths[indices])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 29), min_size=1, max_size=12))
def test_any_episodes_in_any_order_are_those_that_were_asked_for(indices: list[int]) -> None:
    assert_episodes(LOG.select_episodes(np.array(indices)), indices)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 29), st.integers(1, 30))
def test_neighbours_share_the_columns(first: int, count: int) -> None:
    indices = list(range(first, min(first + count, 30)))
    mask = np.isin(np.arange(30), indices)
    for chosen in (LOG.select_episodes(np.array(indices)), LOG.select_episodes(mask)):
        assert_episodes(chosen, indices)
        assert np.shares_memory(chosen.observations, LOG.observations)
        assert np.shares_memory(chosen.rewards, LOG.rewards)


def test_neighbours_of_a_mapped_log_stay_on_disk_and_others_do_not(tmp_path) -> None:
    mapped = load_columns(save_columns(LOG, tmp_path / "log"))
    neighbours, others = mapped.select_episodes(np.arange(3, 9)), mapped.select_episodes(np.array([3, 9]))
    assert np.shares_memory(neighbours.rewards, mapped.rewards)
    assert not np.shares_memory(others.rewards, mapped.rewards)
    assert_episodes(neighbours, list(range(3, 9)))
    assert_episodes(others, [3, 9])
