"""Rows of an undeclared agent against each other: what most rows are is what a draft can declare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from envs.errors import RecordError
from envs.observation import flatten
from envs.record import DecisionRecord
from envs.values import shown

REMEDY = "correct the row, or declare the agent in retrainer.toml first"


def odd_rows(records: Sequence[DecisionRecord]) -> list[tuple[int, RecordError]]:
    """Position and error of the records that differ in kind from most of the others."""
    actions = Counter(_kind(record.action) for record in records)
    forms = Counter(_form(record.observation) for record in records)
    if not records:
        return []
    action, form = actions.most_common(1)[0][0], forms.most_common(1)[0][0]
    flat = [flatten(record.observation) if isinstance(record.observation, dict) else {} for record in records]
    types = _field_types(flat) if form == "an object" else {}
    odd: list[tuple[int, RecordError]] = []
    for position, record in enumerate(records):
        error = _odd_action(record, action) or _odd_form(record.observation, "observation", form)
        error = error or _odd_field(flat[position], "observation", types)
        following = record.next_observation
        if error is None and following is not None:
            error = _odd_form(following, "next_observation", form)
            if error is None and isinstance(following, dict):
                error = _odd_field(flatten(following), "next_observation", types)
        if error is not None:
            odd.append((position, error))
    return odd


def _odd_action(record: DecisionRecord, usual: str) -> RecordError | None:
    if isinstance(record.action, dict):
        return RecordError("is an object of numbers", field="action", remedy="name the actions, or number them")
    if _kind(record.action) != usual:
        problem = f"{shown(record.action)} is {_kind(record.action)}, most rows have {usual}"
        return RecordError(problem, field="action", remedy=REMEDY)
    if isinstance(record.action_probabilities, list):
        problem = "is an array, but the order of the actions is not declared"
        return RecordError(problem, field="action_probabilities", remedy="give an object {action: probability}")
    return None


def _odd_form(observation: Any, field: str, usual: str) -> RecordError | None:
    form = _form(observation)
    return None if form == usual else RecordError(f"is {form}, most rows have {usual}", field=field, remedy=REMEDY)


def _odd_field(flat: Mapping[str, Any], field: str, types: Mapping[str, str]) -> RecordError | None:
    for name, value in flat.items():
        kind = _kind(value)
        if kind == "an array":
            return RecordError("is an array", field=f"{field}.{name}", remedy="write its entries as named fields")
        if value is not None and kind != types.get(name, kind):
            problem = f"{shown(value)} is {kind}, most rows have {types[name]}"
            return RecordError(problem, field=f"{field}.{name}", remedy=REMEDY)
    return None


def _field_types(flat: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    counted: dict[str, Counter[str]] = {}
    for observation in flat:
        for name, value in observation.items():
            if value is not None:
                counted.setdefault(name, Counter())[_kind(value)] += 1
    return {name: kinds.most_common(1)[0][0] for name, kinds in counted.items()}


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "an array" if isinstance(value, list) else "an object"


def _form(observation: Any) -> str:
    if isinstance(observation, list):
        return f"an array of {len(observation)} numbers"
    return "an integer" if isinstance(observation, int) else "an object"
