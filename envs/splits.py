"""Which episodes train, select and judge: a permanent keyed hash of (tenant, block).

A block's side depends on the key and on its own name, on nothing else. New data extend every
split, no block ever changes side, and without the key nobody can steer an episode to a side.
"""

from __future__ import annotations

import hmac
import json
import math
import re
from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from envs.dataset import EMBARGO, FINAL, SELECT, TRAIN

# Shares of train, select and final.
SHARES = (0.5, 0.15, 0.35)
SECONDS_OF_DAY = 86_400.0
CUTS = (SHARES[0], SHARES[0] + SHARES[1])
SIDES = (TRAIN, SELECT, FINAL)
_AS_IT_IS = re.compile(r"[ !#-\[\]-~]*")  # texts that JSON writes without escaping anything


def split_of(key: bytes, tenant: str, block: str) -> np.int8:
    """The side of one block: TRAIN, SELECT or FINAL.

    HMAC-SHA256 (RFC 2104) of the pair, read as a number in [0, 1) and cut at the shares.

    Args:
        key: the home's split key.
        tenant: the tenant.
        block: the name of the independent block within the tenant.
    """
    digest = hmac.digest(key, message(tenant, block), "sha256")
    return np.int8(SIDES[bisect_right(CUTS, int.from_bytes(digest[:8], "big") / 2.0**64)])


def splits_of(key: bytes, messages: Sequence[bytes]) -> np.ndarray:
    """The same of many blocks, int8 (n,), by their :func:`messages`."""
    digests = b"".join([hmac.digest(key, message, "sha256")[:8] for message in messages])
    positions = np.frombuffer(digests, dtype=">u8").astype(np.uint64) / 2.0**64
    return np.array(SIDES, dtype=np.int8)[np.searchsorted(CUTS, positions, side="right")]


def message(tenant: str, block: str) -> bytes:
    """What is hashed of a block, and of an episode: JSON, so that ("a", "b/c") and ("a/b", "c") are two messages."""
    return json.dumps([tenant, block]).encode()


def messages(tenant: str, blocks: Sequence[str]) -> list[bytes]:
    """The messages of many blocks of a tenant."""
    if _AS_IT_IS.fullmatch("".join(blocks)):
        head = f"[{json.dumps(tenant)}, "
        return [f'{head}"{block}"]'.encode() for block in blocks]
    return [message(tenant, block) for block in blocks]


def block_of(unit: str, tenant: str, episode: str, start: float) -> str:
    """The block that an episode belongs to.

    Args:
        unit: ``episode``, ``day`` or ``tenant``.
        tenant: the episode's tenant.
        episode: the episode's id.
        start: its first timestamp in seconds since the epoch; NaN where absent.

    Returns:
        The episode id, the UTC date of the start (the episode id without timestamps), or the tenant.
    """
    if unit == "tenant":
        return tenant
    if unit == "day" and math.isfinite(start):
        return datetime.fromtimestamp(start, UTC).date().isoformat()
    return episode


def tenant_name(tenant: str) -> str:
    """A tenant as units are named by it, without a slash: ("a", "b/c") and ("a/b", "c") are two units."""
    return tenant.replace("%", "%25").replace("/", "%2F")


def in_embargo(unit: str, embargo: float, start: float, end: float) -> bool:
    """Whether an episode touches the embargo around a day's edge.

    Args:
        unit: only ``day`` blocks have edges.
        embargo: width in seconds on either side of midnight UTC; 0 for none.
        start: first timestamp, seconds since the epoch; NaN where absent.
        end: last timestamp.
    """
    if unit != "day" or embargo <= 0.0 or not math.isfinite(start):
        return False
    into_day = start % SECONDS_OF_DAY
    left_of_day = SECONDS_OF_DAY - into_day - max(end - start, 0.0)
    return into_day < embargo or left_of_day < embargo


def assign_splits(
    key: bytes,
    unit: str,
    embargo: float,
    tenants: Sequence[str],
    episodes: Sequence[str],
    starts: np.ndarray,
    ends: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Units and splits of E episodes.

    Args:
        key: the home's split key.
        unit: the agent's independent unit.
        embargo: the agent's embargo, seconds.
        tenants: tenant of each episode.
        episodes: id of each episode.
        starts: float64 (E,), first timestamps, NaN where absent.
        ends: float64 (E,), last timestamps.

    Returns:
        Names of the units, str (E,), and splits, int8 (E,).
    """
    units, splits = [], np.empty(len(episodes), dtype=np.int8)
    for index, (tenant, episode) in enumerate(zip(tenants, episodes, strict=True)):
        start, end = float(starts[index]), float(ends[index])
        block = block_of(unit, tenant, episode, start)
        units.append(tenant_name(tenant) if unit == "tenant" else f"{tenant_name(tenant)}/{block}")
        splits[index] = EMBARGO if in_embargo(unit, embargo, start, end) else split_of(key, tenant, block)
    return np.array(units, dtype=np.str_), splits
