"""Outcomes that come after their decision was recorded: events of their own, joined by ``event_id``.

The join is a fixed rule, so that everybody who reads a log reads the same records: what was recorded
first stands, an outcome adds what its decision (and the outcomes before it) left open. Where the agent
declares a maturation window, an outcome that became known after it closed is not joined: arms whose
outcomes take longer would otherwise look different from what they are.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from envs import values
from envs.canonical import canonical, canonical_text
from envs.errors import RecordError
from envs.record import AGENT_NAME, DecisionRecord
from envs.values import UnfitValueError

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class OutcomeEvent:
    """What became known of one decision. Build it with :meth:`from_mapping`, which checks every field.

    Attributes:
        event_id: its own, unique over the whole journal; by default made of decision and content, so that
            the same outcome sent twice is one.
        decision_id: ``event_id`` of the decision, which may be recorded before or after.
        agent: the decision's agent.
        timestamp: when it became known, RFC 3339 in UTC.
        outcome: named values, such as ``execution_time`` (s); added to those of the decision.
        reward: where it is not computed from ``outcome``.
        next_observation: the observation after the action.
        executed_action: what was done instead of the request.
        terminated: the episode came to its end with the decision.
        truncated: the episode was cut there.
    """

    event_id: str
    decision_id: str
    agent: str
    timestamp: str
    outcome: dict[str, Any] = field(default_factory=dict)
    reward: float | None = None
    next_observation: Any = None
    executed_action: Any = None
    terminated: bool = False
    truncated: bool = False

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], *, agent: str | None = None, where: str = "") -> OutcomeEvent:
        """A checked outcome from named fields; ``null`` means absent, an absent timestamp means now.

        Raises:
            RecordError: a field is wrong, not of an outcome, or nothing became known; names it.
        """
        try:
            return cls(**_checked(mapping, agent))
        except UnfitValueError as problem:
            raise RecordError(problem.problem, field=problem.path, where=where, remedy=problem.remedy) from None

    def to_mapping(self) -> dict[str, Any]:
        """The fields that say something, by name; :meth:`from_mapping` gives the same outcome back."""
        pairs = zip(FIELD_NAMES, _VALUES(self), strict=True)
        return {name: value for name, value in pairs if value is not None and value is not False and value != {}}

    @property
    def content_hash(self) -> str:
        """SHA-256 of what it says, in hexadecimal; when it was said is no part of it."""
        said = {name: value for name, value in self.to_mapping().items() if name != "timestamp"}
        return hashlib.sha256(canonical_text(said).encode()).hexdigest()

    @property
    def seconds(self) -> float:
        """When it became known, in seconds since the epoch."""
        return datetime.fromisoformat(self.timestamp).timestamp()


FIELD_NAMES = tuple(column.name for column in fields(OutcomeEvent))
_VALUES = attrgetter(*FIELD_NAMES)
SAYING = ("outcome", "reward", "next_observation", "executed_action", "terminated", "truncated")


@dataclass(frozen=True, slots=True)
class JoinedRecord:
    """A decision with what became known of it.

    Attributes:
        sequence: the decision's own journal position.
        record: the decision, completed.
        position: journal position from which on it can be scored: that of its first outcome where it had
            neither reward nor outcome of its own, else its own. Outcomes that come later do not move it,
            so that a decision which a gate has read never looks new.
        delay: seconds from the decision to the latest outcome joined; NaN where none was, or times are unknown.
        late: outcomes left out because the maturation window had closed.
        contradictory: values left out because the same was recorded before with another value.
    """

    sequence: int
    record: DecisionRecord
    position: int
    delay: float = math.nan
    late: int = 0
    contradictory: int = 0


def join(
    sequence: int, record: DecisionRecord, events: Sequence[tuple[int, OutcomeEvent]], maturation: float = 0.0
) -> JoinedRecord:
    """A decision completed by its outcomes.

    Args:
        sequence: the decision's journal position.
        record: the decision.
        events: (position, outcome) of it, in any order.
        maturation: the declared window in seconds; 0 where none is declared, then every outcome is joined.
    """
    decided, late = record.seconds, 0
    bare = record.reward is None and record.outcome is None
    joined: list[tuple[int, OutcomeEvent]] = []
    for place, event in sorted(events, key=lambda pair: pair[0]):
        if maturation > 0.0 and event.seconds - decided > maturation:
            late += 1
        else:
            joined.append((place, event))
    if not joined:
        return JoinedRecord(sequence, record, sequence, late=late)
    changes: dict[str, Any] = {}
    outcome = dict(record.outcome or {})
    contradictory = 0
    for _, event in joined:
        for name in ("reward", "next_observation", "executed_action"):
            value, known = getattr(event, name), changes.get(name, getattr(record, name))
            if value is not None and known is None:
                changes[name] = value
            elif value is not None:
                contradictory += canonical(value) != canonical(known)
        for name, value in event.outcome.items():
            known = outcome.setdefault(name, value)
            contradictory += known is not value and canonical(known) != canonical(value)
        for name in ("terminated", "truncated"):
            if getattr(event, name):
                changes[name] = True
    changes["outcome"] = outcome or None
    first = max(sequence, joined[0][0]) if bare else sequence
    delay = max(event.seconds for _, event in joined) - decided
    return JoinedRecord(sequence, replace(record, **changes), first, delay, late, contradictory)


def contradiction(
    record: DecisionRecord | None, before: Sequence[OutcomeEvent], event: OutcomeEvent
) -> tuple[str, Any, Any] | None:
    """The first field in which an outcome says something else than was recorded before: name, old and new value."""
    for name in ("reward", "next_observation", "executed_action"):
        value = getattr(event, name)
        sources = (record, *before) if record is not None else before
        known = next((found for source in sources if (found := getattr(source, name)) is not None), None)
        if value is not None and known is not None and canonical(value) != canonical(known):
            return name, known, value
    tables = [(record.outcome or {}) if record is not None else {}, *(earlier.outcome for earlier in before)]
    for name, value in event.outcome.items():
        known = next((table[name] for table in tables if name in table), _ABSENT)
        if known is not _ABSENT and canonical(known) != canonical(value):
            return f"outcome.{name}", known, value
    return None


def _checked(mapping: Mapping[str, Any], agent: str | None) -> dict[str, Any]:
    for name in mapping:
        if name not in FIELD_NAMES:
            raise UnfitValueError("is not a field of an outcome", "put it under outcome", str(name))
    out: dict[str, Any] = {}
    for name, check in _CHECKS.items():
        value = mapping.get(name)
        if name == "agent" and value is None:
            value = agent
        if name == "timestamp" and value is None:
            value = datetime.now(UTC)
        if value is not None or name in ("decision_id", "agent"):
            try:
                out[name] = check(value)
            except UnfitValueError as problem:
                raise problem.under(name) from None
    said = [out.get(name) for name in SAYING]
    if all(value is None or value is False or value == {} for value in said):  # 0 says something
        raise UnfitValueError("is missing", "say what became known", "outcome")
    if "event_id" not in out:
        # The moment does not name it: whoever sends again what was not acknowledged sends it later.
        text = canonical_text({name: value for name, value in out.items() if name != "timestamp"})
        out["event_id"] = f"outcome-{hashlib.sha256(text.encode()).hexdigest()[:32]}"
    return out


def _agent(value: Any) -> str:
    if not isinstance(value, str) or not AGENT_NAME.fullmatch(value):
        raise UnfitValueError(f"{values.shown(value)} is not an agent's name", "name the decision's agent")
    return value


def _outcome(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise UnfitValueError(f"{values.shown(value)} is not an object", "give named values")
    return dict(values.plain(dict(value)))


_CHECKS: dict[str, Any] = {
    "event_id": values.name,
    "decision_id": values.name,
    "agent": _agent,
    "timestamp": values.timestamp,
    "outcome": _outcome,
    "reward": values.number,
    "next_observation": values.observation,
    "executed_action": values.action,
    "terminated": values.boolean,
    "truncated": values.boolean,
}
