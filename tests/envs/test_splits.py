"""Splits are permanent, keyed, of the declared shares, and know nothing of what else is in the log."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.dataset import EMBARGO, FINAL, SELECT, TRAIN
from envs.log.units import units_and_splits
from envs.splits import SHARES, assign_splits, block_of, in_embargo, message, messages, split_of, splits_of
from tests.envs.samples import specification as declared_as

KEY = bytes(range(32))
DAY = 86_400.0
names = st.text(min_size=1, max_size=8)
stamps = st.floats(0, 2e9)
PINNED = [0, 2, 0, 2, 2, 0, 0, 0, 0, 2, 2, 2, 1, 0, 2, 0]


def test_the_splits_of_this_version_are_those_of_every_version() -> None:
    # Pinned: a change of the hash would move yesterday's judges into tomorrow's training.
    found = [int(split_of(KEY, "default", f"episode-{index}")) for index in range(16)]
    assert found == PINNED


def test_shares_are_within_binomial_bounds() -> None:
    count = 20_000
    splits = np.array([split_of(KEY, "t", str(index)) for index in range(count)])
    for side, share in zip((TRAIN, SELECT, FINAL), SHARES, strict=True):
        assert abs((splits == side).mean() - share) < 4 * math.sqrt(share * (1 - share) / count)


def test_another_key_is_an_independent_split() -> None:
    one = np.array([split_of(KEY, "t", str(index)) for index in range(8000)])
    two = np.array([split_of(bytes(32), "t", str(index)) for index in range(8000)])
    expected = sum(share**2 for share in SHARES)
    assert abs((one == two).mean() - expected) < 4 * math.sqrt(expected * (1 - expected) / 8000)


def test_another_tenant_is_an_independent_split() -> None:
    one = np.array([split_of(KEY, "a", str(index)) for index in range(4000)])
    two = np.array([split_of(KEY, "b", str(index)) for index in range(4000)])
    assert 0.3 < (one == two).mean() < 0.5


def test_tenant_and_block_cannot_be_confused() -> None:
    pairs = [(f"a{'/x' * index}", f"{'x/' * (20 - index)}b") for index in range(20)]
    assert len({int(split_of(KEY, tenant, block)) for tenant, block in pairs}) > 1


@given(st.lists(st.tuples(names, names, stamps), min_size=1, max_size=20, unique=True), st.data())
def test_more_data_and_another_order_move_nothing(episodes: list[tuple[str, str, float]], data: st.DataObject) -> None:
    unit = data.draw(st.sampled_from(["episode", "day", "tenant"]))
    some = data.draw(st.permutations(episodes))[: data.draw(st.integers(1, len(episodes)))]

    def sides(chosen: list[tuple[str, str, float]]) -> dict[tuple[str, str, float], tuple[str, int]]:
        tenants, ids, starts = zip(*chosen, strict=True)
        units, splits = assign_splits(KEY, unit, 600.0, tenants, ids, np.array(starts), np.array(starts) + 60)
        return {item: (str(name), int(side)) for item, name, side in zip(chosen, units, splits, strict=True)}

    everything = sides(episodes)
    assert sides(some) == {item: everything[item] for item in some}


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "a/b", "a%2Fb"]), names, stamps), min_size=2, unique=True))
def test_one_unit_is_on_one_side(episodes: list[tuple[str, str, float]]) -> None:
    tenants, ids, starts = zip(*episodes, strict=True)
    for unit in ("episode", "day", "tenant"):
        units, splits = assign_splits(KEY, unit, 0.0, tenants, ids, np.array(starts), np.array(starts))
        for name in set(units):
            assert len(set(splits[units == name])) == 1
        assert EMBARGO not in splits


@given(st.lists(st.tuples(*[st.text("ab/%", min_size=1, max_size=4)] * 2), max_size=8, unique=True))
def test_units_of_different_episodes_have_different_names(pairs: list[tuple[str, str]]) -> None:
    tenants, ids = zip(*pairs, strict=True) if pairs else ((), ())
    none = np.full(len(pairs), math.nan)
    units, _ = assign_splits(KEY, "episode", 0.0, tenants, ids, none, none)
    assert len(set(units)) == len(pairs)
    assert [unit.partition("/")[2] for unit in units] == list(ids), "what is before the first slash is the tenant"


@pytest.mark.parametrize("unit", ["episode", "day", "tenant"])
def test_columns_have_the_units_and_sides_of_single_episodes(unit: str) -> None:
    """Whatever they are called: episodes without times may be named as a day is numbered."""
    tenants = ["t", "t", "a", "a/b", "a%2Fb", "t"] * 2
    ids = ["19000", "e", "b/c", "c", "c", "19000"] + [str(number) for number in range(18_998, 19_004)]
    starts = np.array([math.nan, 19_000.5 * DAY, *[math.nan] * 4, *np.arange(18_998, 19_004) * DAY])
    starts[8] = math.nan
    each, sides = assign_splits(KEY, unit, 600.0, tenants, ids, starts, starts)
    log = SimpleNamespace(
        lengths=np.ones(len(ids)),
        tenants=pa.array(tenants),
        names=pa.array(ids),
        sides=sides,
        starts=starts,
        ends=starts,
    )
    units, found = units_and_splits(log, declared_as(unit=unit, embargo=600.0), KEY)  # type: ignore[arg-type]
    assert units.tolist() == each.tolist() and found.tolist() == sides.tolist()


def test_the_block_is_the_declared_unit() -> None:
    noon = datetime(2024, 2, 29, 12, tzinfo=UTC).timestamp()
    assert block_of("episode", "t", "e", noon) == "e"
    assert block_of("tenant", "t", "e", noon) == "t"
    assert block_of("day", "t", "e", noon) == "2024-02-29"
    assert block_of("day", "t", "e", noon + DAY) == "2024-03-01"
    assert block_of("day", "t", "e", math.nan) == "e"


@given(st.floats(0, 2 * DAY), st.floats(0, DAY), st.floats(1, 4000))
def test_the_embargo_keeps_episodes_of_two_days_apart(start: float, length: float, embargo: float) -> None:
    touched = in_embargo("day", embargo, start, start + length)
    day = start // DAY
    inside = start >= day * DAY + embargo and start + length <= (day + 1) * DAY - embargo
    assert touched is not inside or abs(start + length - (day + 1) * DAY + embargo) < 1e-6
    assert not in_embargo("day", 0.0, start, start + length)
    assert not in_embargo("episode", embargo, start, start + length)
    assert not in_embargo("day", embargo, math.nan, math.nan)


def test_episodes_of_different_blocks_are_two_embargoes_apart() -> None:
    random = np.random.default_rng(0)
    starts = np.sort(random.uniform(0, 40 * DAY, 3000))
    ends = starts + random.uniform(0, 3600, 3000)
    ids = [str(index) for index in range(3000)]
    units, splits = assign_splits(KEY, "day", 900.0, ["t"] * 3000, ids, starts, ends)
    kept = splits != EMBARGO
    assert 0 < (~kept).mean() < 0.1
    change = units[kept][1:] != units[kept][:-1]
    assert (starts[kept][1:] - ends[kept][:-1])[change].min() >= 1800.0


@given(key=st.binary(max_size=100), pairs=st.lists(st.tuples(names, names), max_size=8))
def test_many_blocks_are_on_the_sides_of_each(key: bytes, pairs: list[tuple[str, str]]) -> None:
    found = splits_of(key, [json.dumps(pair).encode() for pair in pairs])
    assert found.dtype == np.int8
    assert found.tolist() == [int(split_of(key, *pair)) for pair in pairs]


@given(names, st.lists(st.one_of(st.from_regex(r"[ -~]{0,6}", fullmatch=True), names), max_size=5))
def test_the_messages_of_many_blocks_are_those_of_each(tenant: str, blocks: list[str]) -> None:
    assert messages(tenant, blocks) == [message(tenant, block) for block in blocks]
    assert [json.loads(one) for one in messages(tenant, blocks)] == [[tenant, block] for block in blocks]
