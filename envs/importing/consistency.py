"""Rows of an undeclared agent against each other: what most rows are is what a draft can declare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from envs.errors import RecordError
from envs.infer import MAXIMUM_FIELDS
from envs.observation import flatten
from envs.record import DecisionRecord
from envs.values import shown

NUMBER = "a number"
MIXED = "an array that is neither of numbers nor of names"
REMEDY = "correct the row, or declare the agent in retrainer.toml first"


class UsualKinds:
    """What kind of action, of observation and of each observed field most rows have.

    Counted row by row; the verdict on each row comes when all are counted.
    """

    def __init__(self) -> None:
        self._actions: Counter[str] = Counter()
        self._forms: Counter[str] = Counter()
        self._fields: dict[str, Counter[str]] = {}
        self._odd = False

    def add(self, record: DecisionRecord) -> None:
        """Count a record in."""
        self._actions[_kind(record.action)] += 1
        self._forms[_form(record.observation)] += 1
        self._odd = self._odd or isinstance(record.action, dict) or isinstance(record.action_probabilities, list)
        if isinstance(record.observation, dict):
            self._add_fields(flatten(record.observation), own=True)
        if record.next_observation is not None:
            self._odd = self._odd or _form(record.next_observation) not in self._forms
            if isinstance(record.next_observation, dict):
                self._add_fields(flatten(record.next_observation), own=False)

    @property
    def unanimous(self) -> bool:
        """Whether no row can be odd: all are of one kind, field by field."""
        same = len(self._actions) <= 1 and len(self._forms) <= 1
        return same and not self._odd and all(len(kinds) == 1 for kinds in self._fields.values())

    def error_of(self, record: DecisionRecord) -> RecordError | None:
        """What is odd about a record that was counted, or ``None``."""
        form = self._forms.most_common(1)[0][0]
        error = _odd_action(record, self._actions.most_common(1)[0][0])
        for name, observation in (("observation", record.observation), ("next_observation", record.next_observation)):
            if error is None and observation is not None:
                error = _odd_form(observation, name, form) or self._odd_field(observation, name)
        return error

    def _add_fields(self, flat: Mapping[str, Any], own: bool) -> None:
        for name, value in flat.items():
            if value is None:
                continue
            kind = NUMBER if type(value) is float else _kind(value)  # what most are, without a call
            self._odd = self._odd or kind == MIXED
            if not value and type(value) is list:
                continue  # of numbers or of names alike
            kinds = self._fields.get(name)
            if kinds is None:
                if len(self._fields) >= MAXIMUM_FIELDS:
                    continue  # the draft will refuse so many
                kinds = self._fields[name] = Counter()
            kinds[kind] += own  # a next observation shows another kind, and does not vote for it

    def _odd_field(self, observation: Any, field: str) -> RecordError | None:
        if not isinstance(observation, dict):
            return None
        for name, value in flatten(observation).items():
            kind = _kind(value)
            if kind == MIXED:
                return RecordError(f"is {kind}", field=f"{field}.{name}", remedy="give numbers only, or names only")
            if not value and type(value) is list:
                continue
            usual = self._fields[name].most_common(1)[0][0] if name in self._fields else kind
            if value is not None and kind != usual:
                problem = f"{shown(value)} is {kind}, most rows have {usual}"
                return RecordError(problem, field=f"{field}.{name}", remedy=REMEDY)
        return None


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


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return NUMBER
    if isinstance(value, str):
        return "a text"
    if not isinstance(value, list):
        return "an object"
    kinds = {_kind(item) for item in value}
    return "an array of numbers" if kinds == {NUMBER} else "a list of names" if kinds <= {"a text"} else MIXED


def _form(observation: Any) -> str:
    if isinstance(observation, list):
        return f"an array of {len(observation)} numbers"
    return "an integer" if isinstance(observation, int) else "an object"
