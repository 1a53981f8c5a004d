"""Events as rows of the sealed table: what a person queries, the event itself, and what a dataset is made of.

A dataset of ten million decisions cannot be made by parsing ten million texts, so a row also holds its
numbers: an observation, a next observation and an outcome are a *form* (which fields, of which kinds, a
text that nearly all rows share), the numbers in the form's order, and the texts in the form's order.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from hashlib import blake2b
from typing import Any

import pyarrow as pa

from envs.canonical import EXACT_INTEGER
from envs.journal.rows import JournalRow, outcome_in
from envs.observation import flatten
from envs.outcome import JoinedRecord, OutcomeEvent, join
from envs.record import trusted
from envs.splits import message, split_of

TEXT, NUMBER, NUMBERS, TEXTS = pa.string(), pa.float64(), pa.list_(pa.float64()), pa.list_(pa.string())
SCHEMA = pa.schema(
    {
        # What a person queries.
        "agent": TEXT,
        "date": pa.date32(),  # of the decision, or of the sealing where it has no time; UTC
        "sequence": pa.int64(),
        "event_id": TEXT,
        "decision_id": TEXT,  # of an outcome that was sealed later than its decision; null for a decision
        "tenant": TEXT,
        "episode_id": TEXT,
        "step": pa.int64(),
        "timestamp": pa.timestamp("us", "UTC"),
        "mode": TEXT,
        "action": TEXT,
        "propensity": NUMBER,
        "reward": NUMBER,
        "terminated": pa.bool_(),
        "truncated": pa.bool_(),
        "policy_version": TEXT,
        # The event, and the outcomes that were sealed with it.
        "content": TEXT,
        "outcomes": TEXTS,
        "outcome_places": pa.list_(pa.int64()),
        # What a dataset is made of, outcomes joined.
        "position": pa.int64(),
        "outcome_delay": NUMBER,
        "contradictory": pa.int64(),
        "content_hash": pa.binary(),
        "episode_key": pa.int64(),
        "side": pa.int8(),
        "single": pa.bool_(),
        "overridden": pa.bool_(),
        "allowed": TEXT,
        "probability_names": TEXT,
        "probabilities": NUMBERS,
        "root_names": TEXT,
        "root_probabilities": NUMBERS,
        **{
            f"{part}_{kind}": column
            for part in ("observation", "next", "outcome")
            for kind, column in (("form", TEXT), ("numbers", NUMBERS), ("texts", TEXTS))
        },
    }
)
PARTITIONS = ("agent", "date")
NOTHING = (None, None, None)
KEY_BYTES = 8  # that stand for an episode
NO_DISTRIBUTION = "?"  # metadata may hold anything under the name


@dataclass(slots=True)
class SealingRows:
    """Rows of the table, collected column by column.

    Args:
        split_key: the home's; an episode's side is settled by it for good.
        today: the date of decisions without a time.
    """

    split_key: bytes
    today: date
    columns: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in SCHEMA.names})
    _sides: dict[tuple[str, str], int] = field(default_factory=dict)

    def add_decision(
        self, sequence: int, joined: JoinedRecord, content: str, outcomes: Sequence[tuple[int, str]] = ()
    ) -> None:
        """Add a decision, completed by its outcomes, and the texts of those (position, text)."""
        record = joined.record
        moment = None if record.timestamp is None else datetime.fromisoformat(record.timestamp)
        self._append(
            {
                "date": self.today if moment is None else moment.astimezone(UTC).date(),
                "sequence": sequence,
                "timestamp": moment,
                "content": content,
                "outcomes": [text for _, text in outcomes],
                "outcome_places": [place for place, _ in outcomes],
                **self._values(joined),
            }
        )

    def add_outcome(self, sequence: int, event: OutcomeEvent, content: str) -> None:
        """Add an outcome whose decision was sealed before it, or is not there."""
        moment = datetime.fromisoformat(event.timestamp)
        self._append(
            {
                "agent": event.agent,
                "date": moment.astimezone(UTC).date(),
                "sequence": sequence,
                "event_id": event.event_id,
                "decision_id": event.decision_id,
                "timestamp": moment,
                "content": content,
            }
        )

    def table(self) -> pa.Table:
        """The rows so far."""
        return pa.table({name: pa.array(values, SCHEMA.field(name).type) for name, values in self.columns.items()})

    def _append(self, row: Mapping[str, Any]) -> None:
        for name, values in self.columns.items():
            values.append(row.get(name))

    def _values(self, joined: JoinedRecord) -> dict[str, Any]:
        record = joined.record
        row: dict[str, Any] = {
            name: getattr(record, name)
            for name in (
                "agent", "event_id", "tenant", "episode_id", "step", "mode", "propensity", "reward",
                "terminated", "truncated", "policy_version",
            )
        }  # fmt: skip
        row["action"] = action_text(record.action)
        row["position"], row["contradictory"] = joined.position, joined.contradictory
        row["outcome_delay"] = None if math.isnan(joined.delay) else joined.delay
        row["content_hash"] = bytes.fromhex(record.content_hash)
        row["episode_key"] = episode_key(record.tenant, record.episode_id)
        row["side"] = self._side(record.tenant, record.episode_id)
        row["single"] = record.is_single
        row["overridden"] = record.executed_action not in (None, record.action)
        row["allowed"] = None if record.allowed_actions is None else json.dumps(record.allowed_actions)
        row["probability_names"], row["probabilities"] = distribution(record.action_probabilities)
        row["root_names"], row["root_probabilities"] = distribution(record.metadata.get("root_probabilities"))
        for part, value in (
            ("observation", record.observation), ("next", record.next_observation), ("outcome", record.outcome)
        ):  # fmt: skip
            row[f"{part}_form"], row[f"{part}_numbers"], row[f"{part}_texts"] = formed(value)
        return row

    def _side(self, tenant: str, episode: str) -> int:
        side = self._sides.get((tenant, episode))
        if side is None:
            side = self._sides[tenant, episode] = int(split_of(self.split_key, tenant, episode))
        return side


def seal_rows(
    rows: Iterable[tuple[int, JournalRow]], split_key: bytes, today: date
) -> tuple[pa.Table, list[tuple[JournalRow, str]]]:
    """The table of some journal rows, (position, row) in order, and the content hash of each row.

    An outcome stands beside its decision where that is among the rows, else it is a row of its own.
    """
    told: dict[str, list[tuple[int, OutcomeEvent, str]]] = {}
    decisions: list[tuple[int, JournalRow]] = []
    hashes: list[tuple[JournalRow, str]] = []
    listed = list(rows)
    known = {row.event_id for _, row in listed if row.decision_id is None}
    collected = SealingRows(split_key, today)
    for sequence, row in listed:
        if row.decision_id is None:
            decisions.append((sequence, row))
            continue
        event = outcome_in(row.content)
        hashes.append((row, event.content_hash))
        if row.decision_id in known:
            told.setdefault(row.decision_id, []).append((sequence, event, row.content))
        else:
            collected.add_outcome(sequence, event, row.content)
    for sequence, row in decisions:
        record, beside = trusted(row.content), told.get(row.event_id, [])
        joined = join(sequence, record, [(place, event) for place, event, _ in beside])
        collected.add_decision(sequence, joined, row.content, [(place, text) for place, _, text in beside])
        hashes.append((row, record.content_hash if beside else collected.columns["content_hash"][-1].hex()))
    return collected.table(), hashes


def formed(value: Any) -> tuple[str | None, list[float] | None, list[str] | None]:
    """Form, numbers and texts of an observation or an outcome; nothing of ``None``.

    The form is ``int``, ``vector`` (numbers only), ``json`` (the text is the value), or the JSON object of
    the flattened fields with their kinds: ``i`` integer, ``f`` float, ``b`` boolean among the numbers; ``s``
    text and ``j`` JSON among the texts; ``z`` null.
    """
    if value is None:
        return NOTHING
    if isinstance(value, int):
        return ("int", [float(value)], []) if abs(value) <= EXACT_INTEGER else ("json", [], [json.dumps(value)])
    if isinstance(value, list):
        whole = all(isinstance(item, float) or abs(item) <= EXACT_INTEGER for item in value)
        return ("vector", [float(item) for item in value], []) if whole else ("json", [], [json.dumps(value)])
    flat = flatten(value)
    if len(flat) != leaves(value):  # two ways to write one name
        return "json", [], [json.dumps(value)]
    kinds: dict[str, str] = {}
    numbers: list[float] = []
    texts: list[str] = []
    for name, item in flat.items():
        if isinstance(item, bool):
            kinds[name] = "b"
            numbers.append(float(item))
        elif isinstance(item, float):
            kinds[name] = "f"
            numbers.append(item)
        elif isinstance(item, int) and abs(item) <= EXACT_INTEGER:
            kinds[name] = "i"
            numbers.append(float(item))
        elif isinstance(item, str):
            kinds[name] = "s"
            texts.append(item)
        elif item is None:
            kinds[name] = "z"
        else:
            kinds[name] = "j"
            texts.append(json.dumps(item))
    return json.dumps(kinds), numbers, texts


def action_text(action: Any) -> str:
    """An action as text: a name as it is, a number in digits; whatever could be taken for another is JSON."""
    if isinstance(action, str) and not action.startswith(('"', "{", "-", *"0123456789")):
        return action
    return json.dumps(action)


def episode_key(tenant: str, episode: str) -> int:
    """A number that stands for an episode: grouping numbers is faster than grouping texts."""
    digest = blake2b(message(tenant, episode), digest_size=KEY_BYTES).digest()
    return int.from_bytes(digest, "little", signed=True)


def distribution(probabilities: Any) -> tuple[str | None, list[float] | None]:
    """Names (empty for the declared order, :data:`NO_DISTRIBUTION` for something else) and probabilities."""
    if probabilities is None:
        return None, None
    listed = probabilities.values() if isinstance(probabilities, Mapping) else probabilities
    try:
        numbers = [float(value) for value in listed]
    except (TypeError, ValueError):
        return NO_DISTRIBUTION, None
    return json.dumps(list(probabilities)) if isinstance(probabilities, Mapping) else "", numbers


def leaves(value: Mapping[str, Any]) -> int:
    """Number of values in nested objects."""
    return sum(leaves(item) if isinstance(item, Mapping) else 1 for item in value.values())
