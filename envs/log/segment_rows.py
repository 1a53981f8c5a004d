"""Segments as rows of the sealed table: by columns what :mod:`envs.log.rows` makes of their decisions one by one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from hashlib import blake2b, sha256
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from envs.journal.columns import Column, Objects, Same, listed
from envs.journal.decision_columns import DecisionColumns
from envs.journal.row_texts import RowTexts
from envs.log.column_forms import (
    distribution_columns,
    form_columns,
    lists_of,
    number_column,
    text_column,
    written_column,
)
from envs.log.rows import KEY_BYTES, SCHEMA, action_text
from envs.splits import message, messages, splits_of

EPOCH = date(1970, 1, 1)
MICROSECONDS_OF_DAY = 86_400_000_000
SHARED = ("agent", "event_id", "tenant", "episode_id", "mode", "policy_version")


@dataclass(frozen=True, slots=True)
class SegmentRows:
    """Decisions as rows of the table.

    Attributes:
        table: the rows.
        hashes: the SHA-256 of each one's content.
    """

    table: pa.Table
    hashes: list[bytes]


def segment_rows(decisions: DecisionColumns, first: int, split_key: bytes, today: date) -> SegmentRows:
    """The rows of decisions without outcomes, which stand at positions without a gap.

    Args:
        decisions: the decisions.
        first: position of the first.
        split_key: the home's.
        today: the date of decisions without a time.
    """
    count, columns = decisions.count, decisions.columns
    texts = RowTexts(columns, count)
    hashes = [sha256(text).digest() for text in texts.canonical()]
    moments = _moments(columns.get("timestamp"), count)
    places = pa.array(np.arange(first, first + count))
    nobody = lists_of(pa.array([], pa.int64()), count)
    action = columns["action"]
    metadata = columns.get("metadata")
    made: dict[str, pa.Array] = {
        **{name: text_column(columns.get(name), count) for name in SHARED},
        "date": _dates(moments, today),
        "sequence": places,
        "decision_id": pa.nulls(count, pa.string()),
        "step": number_column(columns["step"], count, pa.int64()),
        "timestamp": moments,
        "action": written_column(action, count, action_text),
        "propensity": number_column(columns.get("propensity"), count),
        "reward": number_column(columns.get("reward"), count),
        "terminated": number_column(columns.get("terminated", Same(False)), count, pa.bool_()),
        "truncated": number_column(columns.get("truncated", Same(False)), count, pa.bool_()),
        "content": pa.array(texts.stored(), pa.binary()).cast(pa.string()),
        "outcomes": lists_of(pa.array([], pa.string()), count),
        "outcome_places": nobody,
        "position": places,
        "outcome_delay": pa.nulls(count, pa.float64()),
        "contradictory": pa.repeat(pa.scalar(0, pa.int64()), count),
        "content_hash": pa.array(hashes, pa.binary()),
        "overridden": _overridden(columns.get("executed_action"), action, count),
        "allowed": written_column(columns.get("allowed_actions"), count, json.dumps),
    }
    single = decisions.single
    made["single"] = pa.repeat(True, count) if single else pc.equal(made["event_id"], made["episode_id"])
    made["episode_key"], made["side"] = _episodes(columns["tenant"], columns["episode_id"], count, split_key)
    found = distribution_columns(columns.get("action_probabilities"), count)
    made["probability_names"], made["probabilities"] = found
    roots = distribution_columns(None if metadata is None else _member(metadata, "root_probabilities", count), count)
    made["root_names"], made["root_probabilities"] = roots
    for part, name in (("observation", "observation"), ("next", "next_observation"), ("outcome", "outcome")):
        made[f"{part}_form"], made[f"{part}_numbers"], made[f"{part}_texts"] = form_columns(columns.get(name), count)
    return SegmentRows(pa.table([made[name] for name in SCHEMA.names], schema=SCHEMA), hashes)


def _moments(column: Column | None, count: int) -> pa.Array:
    """Moments, which are stored in UTC."""
    kind = pa.timestamp("us", "UTC")
    return pa.nulls(count, kind) if column is None else text_column(column, count).cast(kind)


def _dates(moments: pa.Array, today: date) -> pa.Array:
    days = np.asarray(moments.view(pa.int64()).fill_null(0).to_numpy()) // MICROSECONDS_OF_DAY
    days[np.asarray(moments.is_null())] = (today - EPOCH).days
    return pa.array(days.astype(np.int32)).view(pa.date32())


def _overridden(executed: Column | None, action: Column, count: int) -> pa.Array:
    if executed is None:
        return pa.repeat(False, count)
    pairs = zip(listed(executed, count), listed(action, count), strict=True)
    return pa.array([done not in (None, wanted) for done, wanted in pairs], pa.bool_())


def _member(column: Column, name: str, count: int) -> Column | None:
    """What objects have under a name."""
    if isinstance(column, Objects):
        return column.parts[column.names.index(name)] if name in column.names else None
    found = [value.get(name) for value in listed(column, count)]
    return None if all(value is None for value in found) else found


def _episodes(tenants: Column, episodes: Column, count: int, split_key: bytes) -> tuple[pa.Array, pa.Array]:
    """Keys and sides of the episodes, each of which is looked at once."""
    names = listed(episodes, count)
    whole = names if isinstance(tenants, Same) else list(zip(listed(tenants, count), names, strict=True))
    different: list[Any] = list(dict.fromkeys(whole))
    if isinstance(tenants, Same):
        hashed = messages(tenants.value, different)
    else:
        hashed = [message(tenant, name) for tenant, name in different]
    digests = b"".join([blake2b(one, digest_size=KEY_BYTES).digest() for one in hashed])
    keys, sides = np.frombuffer(digests, dtype="<i8").astype(np.int64), splits_of(split_key, hashed)
    if len(different) < count:
        place = {name: number for number, name in enumerate(different)}
        rows = np.array([place[name] for name in whole])
        keys, sides = keys[rows], sides[rows]
    return pa.array(keys), pa.array(sides)
