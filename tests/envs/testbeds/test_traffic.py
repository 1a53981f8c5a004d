"""Episodes of real traffic: drawn from the days that may be logged, and from no other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.testbeds.traffic import (
    HISTORY,
    MINUTES_PER_DAY,
    TENANTS,
    TrafficEpisodes,
    days,
    draw_episodes,
    requests_per_minute,
)

MINUTES = 60


def drawn(seed: int, *, logged: bool, count: int = 4000, minutes: int = MINUTES) -> TrafficEpisodes:
    return draw_episodes(count, minutes, logged=logged, rng=np.random.default_rng(seed))


def test_every_other_day_is_never_logged() -> None:
    logged, unseen = days(logged=True), days(logged=False)
    assert set(logged).isdisjoint(unseen)
    everything = np.sort(np.concatenate([logged, unseen]))
    assert (np.diff(everything) == 1).all()
    assert abs(len(logged) - len(unseen)) <= 1
    assert len(everything) >= 60
    first, requests = requests_per_minute()
    assert everything[0] * MINUTES_PER_DAY >= first
    assert (everything[-1] + 1) * MINUTES_PER_DAY <= first + len(requests)


@pytest.mark.parametrize("logged", [True, False])
@pytest.mark.parametrize("minutes", [60, 600])
def test_every_minute_of_an_episode_and_of_its_history_is_of_its_kind_of_day(logged: bool, minutes: int) -> None:
    episodes = drawn(0, logged=logged, minutes=minutes)
    allowed = days(logged=logged)
    first = (episodes.starts - HISTORY) // MINUTES_PER_DAY
    last = (episodes.starts + minutes - 1) // MINUTES_PER_DAY
    assert np.isin(first, allowed).all()
    assert np.isin(last, allowed).all()
    # All of those days are used, and early and late hours alike.
    assert set(first) == set(allowed)
    hours = episodes.starts % MINUTES_PER_DAY / 60
    assert hours.min() < 1
    assert hours.max() > 24 - minutes / 60 - 1


def test_the_seed_decides() -> None:
    first, again, other = drawn(7, logged=True), drawn(7, logged=True), drawn(8, logged=True)
    for name in ("arrivals", "nominal", "tenants", "starts"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        assert not np.array_equal(getattr(first, name), getattr(other, name))


def test_traffic_has_the_shape_of_its_source_at_the_scale_that_was_drawn() -> None:
    episodes = drawn(1, logged=True, count=300)
    first, requests = requests_per_minute()
    assert episodes.arrivals.shape == (300, HISTORY + MINUTES)
    assert (episodes.arrivals >= 0).all()
    assert (episodes.arrivals == np.round(episodes.arrivals)).all()
    assert ((episodes.nominal >= 6_000) & (episodes.nominal <= 60_000)).all()
    assert set(episodes.tenants) == set(TENANTS)
    for index in range(0, 300, 7):
        start = int(episodes.starts[index] - first)
        source = requests[start - HISTORY : start + MINUTES].astype(float)
        level = max(source[:HISTORY].mean(), 1.0)
        expected = episodes.nominal[index] * np.minimum(source / level, 6.0)
        np.testing.assert_allclose(episodes.arrivals[index], expected, atol=6 * np.sqrt(expected.max()) + 6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from([12, 60, 240]))
def test_no_draw_leaves_the_data(seed: int, logged: bool, minutes: int) -> None:
    episodes = drawn(seed, logged=logged, count=50, minutes=minutes)
    first, requests = requests_per_minute()
    assert (episodes.starts - HISTORY >= first).all()
    assert (episodes.starts + minutes <= first + len(requests)).all()
    assert np.isfinite(episodes.arrivals).all()
