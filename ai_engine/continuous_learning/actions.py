"""The specification's ``record_action`` arguments as fields of a decision record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envs.clock import present
from envs.errors import RecordError
from envs.event_ids import new_event_id

_POSITIONAL = ("agent", "action", "observation")


def action_fields(
    agent_name: str,
    action_type: Any,
    input_data: Any,
    outcome: dict[str, Any],
    confidence: float | None,
    explanation: str | None,
    fields: dict[str, Any],
    where: str,
) -> dict[str, Any]:
    """The fields of a decision; what is not named gets a new ``event_id`` and the present time.

    Args:
        agent_name: the agent.
        action_type: the action.
        input_data: the observation.
        outcome: of :func:`outcome_of`.
        confidence: for metadata; it is not a propensity.
        explanation: for metadata.
        fields: of the record by their own names.
        where: the place that an error names.

    Raises:
        RecordError: a field is given under two names, or metadata is no object.
    """
    if not fields.keys().isdisjoint(_POSITIONAL):
        twice = next(name for name in _POSITIONAL if name in fields)
        raise RecordError("is given twice", field=twice, where=where, remedy="give it once")
    metadata: dict[str, Any] = {}
    if confidence is not None:
        metadata["confidence"] = confidence
    if explanation is not None:
        metadata["explanation"] = explanation
    if "metadata" in fields:
        metadata.update(_named(fields.pop("metadata"), "metadata", where))
    mapping = {
        "agent": agent_name,
        "action": action_type,
        "observation": input_data,
        "outcome": outcome or None,
        "metadata": metadata or None,
        "mode": "live",
        **fields,
    }
    if mapping.get("event_id") is None:
        mapping["event_id"] = new_event_id()
        if mapping.get("timestamp") is None:
            mapping["timestamp"] = present()
    return mapping


def outcome_of(
    output_data: Any, success: bool | None, execution_time: float | None, outcome: Any, where: str
) -> dict[str, Any]:
    """The outcome of the arguments that are given, ``outcome``'s own fields over them.

    Raises:
        RecordError: ``outcome`` is no object.
    """
    found: dict[str, Any] = {}
    if success is not None:
        found["success"] = success
    if execution_time is not None:
        found["execution_time"] = execution_time
    if output_data is not None:
        found["output"] = output_data
    if outcome is not None:
        found.update(_named(outcome, "outcome", where))
    return found


def _named(value: Any, field: str, where: str) -> Mapping[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise RecordError(f"{value!r} is not an object", field=field, where=where, remedy="give named values")
    return value or {}
