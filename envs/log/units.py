"""Units and sides of episodes, over columns: as :func:`envs.splits.assign_splits` gives them one by one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from envs.dataset import EMBARGO
from envs.log.grouping import GroupedLog
from envs.specification import AgentSpecification
from envs.splits import assign_splits, in_embargo, split_of


def units_and_splits(
    log: GroupedLog, specification: AgentSpecification, split_key: bytes
) -> tuple[np.ndarray, np.ndarray]:
    """Names of the units, str (E,), and splits, int8 (E,).

    The side of an episode was settled when it was sealed, by the same key; the first and the last are
    settled again, and where they differ (the key is another) all are.
    """
    count = len(log.lengths)
    if specification.unit == "episode" and count and _sides_hold(log, split_key):
        named = pc.replace_substring(pc.replace_substring(log.tenants, "%", "%25"), "/", "%2F")  # as tenant_name
        names = pc.binary_join_element_wise(named, log.names, "/")
        return np.array(names.to_pylist(), dtype=np.str_), log.sides
    tenants, names = log.tenants.to_pylist(), log.names.to_pylist()
    if specification.unit == "episode" or not count:
        return assign_splits(split_key, specification.unit, 0.0, tenants, names, log.starts, log.ends)
    # Blocks are few: one episode of each is enough to know its side.
    if specification.unit == "tenant":
        block, first = _first_of(pa.array(tenants, pa.string()))
    else:
        day = np.where(np.isfinite(log.starts), np.floor(log.starts / 86_400.0), np.nan)
        known = np.isfinite(day)
        labels = np.array(names, dtype=object)
        labels[known] = ["\0" + str(number) for number in day[known].astype(np.int64)]  # no episode has such a name
        block, first = _first_of(pc.binary_join_element_wise(log.tenants, pa.array(labels, pa.string()), "\0"))
    chosen = first.tolist()
    units, splits = assign_splits(
        split_key, specification.unit, 0.0, [tenants[i] for i in chosen], [names[i] for i in chosen],
        log.starts[first], log.ends[first],
    )  # fmt: skip
    sides = splits[block]
    if specification.embargo:
        for index in range(count):
            if in_embargo(specification.unit, specification.embargo, log.starts[index], log.ends[index]):
                sides[index] = EMBARGO
    return units[block], sides


def _sides_hold(log: GroupedLog, split_key: bytes) -> bool:
    ends = (0, len(log.lengths) - 1)
    return all(split_of(split_key, log.tenants[i].as_py(), log.names[i].as_py()) == log.sides[i] for i in ends)


def _first_of(labels: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The block of each episode, and an episode of each block."""
    if isinstance(labels, pa.ChunkedArray):
        labels = labels.combine_chunks()
    coded = labels.dictionary_encode()
    block = coded.indices.to_numpy()
    first = np.full(len(coded.dictionary), -1, dtype=np.int64)
    first[block[::-1]] = np.arange(len(block))[::-1]
    return block, first
