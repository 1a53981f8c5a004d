"""One row after another: mapped, checked, and named where it has no name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from envs.errors import RecordError
from envs.importing.field_names import may_be_moment
from envs.importing.identity import PLACEHOLDER, Identifier
from envs.importing.mapped_names import MappedNames
from envs.importing.mapping import apply_mapping
from envs.importing.moments import form_of
from envs.importing.other_formats import IN_PARQUET, format_of
from envs.importing.plain_rows import PlainChecker
from envs.journal.rows import Event, JournalRow, row_of
from envs.outcome import OutcomeEvent
from envs.record import FIELD_NAMES, KNOWN_NAMES, DecisionRecord, unknown_fields
from envs.specification import AgentSpecification
from envs.validation import Validator

MAXIMUM_NAMES = 10_000
"""Fields of one row, nested ones counted."""
MOMENTS = ', or map it: timestamp = "= utc(NAME)" where the zone is UTC, or "= NAME / 1000" of milliseconds'

_FIELDS = frozenset(FIELD_NAMES)
_FIELDS_OF_OUTCOMES = frozenset(OutcomeEvent.__dataclass_fields__)
_SHAPES = 1000  # sets of names that are remembered


class Checker:
    """Turns raw rows of one agent into events.

    Args:
        name: the agent.
        mapping: as :func:`~envs.importing.mapping.checked_mapping` gives it.
        unknown: ``error`` refuses foreign fields, ``metadata`` keeps them there.
        declared: the agent's declaration; ``None`` checks the rows by themselves.
        lines: whether the rows are those of JSON Lines, which another format may be taken for.
        names: is shown every row; ``None`` where the mapping is not the user's.

    Attributes:
        foreign: how often each foreign field was met.
        present: fields of the record that were met.
        moments: of foreign fields whose names say a moment, how often their values had each form of one.
        decisions: whether a decision was met.
        names: as given.
        plain: checks rows many at a time; ``None`` where that cannot be done.
    """

    def __init__(
        self,
        name: str,
        mapping: Mapping[str, Any],
        unknown: str,
        declared: AgentSpecification | None,
        *,
        lines: bool = False,
        names: MappedNames | None = None,
    ) -> None:
        self._name = name
        self._lines = lines
        self.names = names
        self._mapping = mapping
        self._unknown = unknown
        self._validator = Validator(declared) if declared is not None else None
        self._shapes: dict[tuple[str, ...], list[str]] = {}
        self.foreign: Counter[str] = Counter()
        self.present: set[str] = set()
        self.moments: dict[str, Counter[str]] = {}
        self.decisions = False
        self.plain = None if mapping or declared is None else PlainChecker(declared, self.present)

    def checked(self, raw: Mapping[str, Any], row: int, identifier: Identifier) -> tuple[Event, JournalRow, str]:
        """The event of a row, as it will be written, and the digest that names it where one does.

        Raises:
            RecordError, UnfitValueError: the row cannot be imported.
        """
        if self.names is not None:
            self.names.add(raw)
        content = apply_mapping(raw, self._mapping)
        event, naming = self._outcome(content) if "decision_id" in content else self._decision(content, row, identifier)
        written = row_of(event)
        # Only a long text can hold that many names.
        if len(written.content) > 4 * MAXIMUM_NAMES and sum(1 for _ in _names(raw)) > MAXIMUM_NAMES:
            remedy = "record what a decision can depend on, and keep the rest elsewhere"
            raise RecordError(f"has more than {MAXIMUM_NAMES} fields", field="row", remedy=remedy)
        return event, written, naming

    def _decision(self, content: dict[str, Any], row: int, identifier: Identifier) -> tuple[DecisionRecord, str]:
        foreign = self._foreign(content)
        self.decisions = True
        if foreign:
            self._note_moments(foreign, content)
            other = "" if "action" in content else format_of(content)
            if other and self._lines != (other in IN_PARQUET):
                raise _format_error(foreign, other)
            self.foreign.update(name for name in foreign if name in self.foreign or len(self.foreign) < MAXIMUM_NAMES)
            if self._unknown == "error":
                raise _foreign_error(foreign)
        anonymous, naming = content.get("event_id") is None, ""
        if anonymous:
            content["event_id"] = PLACEHOLDER
        try:
            record = DecisionRecord.from_mapping(content, unknown=self._unknown, agent=self._name)
        except RecordError as error:
            if error.field != "timestamp":
                raise
            raise error.at(error.where, remedy=f"{error.remedy}{MOMENTS}") from None
        if anonymous:
            record, naming = identifier.identified(record, content, row)
        return record if self._validator is None else self._validator.conform(record), naming

    def _outcome(self, content: dict[str, Any]) -> tuple[OutcomeEvent, str]:
        foreign = [name for name in content if name not in _FIELDS_OF_OUTCOMES]
        self.present.update(content.keys() & _FIELDS)
        if foreign:
            # Our own names are only in the wrong kind of row: mapped, they would be lost to all decisions.
            self.foreign.update(unknown_fields(foreign))
            # Nothing of an outcome is kept beside what is known afterwards.
            remedy = "map it into the outcome, or remove it"
            if foreign[0] in KNOWN_NAMES:
                remedy = "remove decision_id where the row is a decision, else this field"
            raise RecordError("is not a field of an outcome", field=foreign[0], remedy=remedy)
        event = OutcomeEvent.from_mapping(content, agent=self._name)
        if self._validator is not None:
            if self._validator.specification.maturation and content.get("timestamp") is None:
                # The moment of the import would make it late for good: what is recorded is never changed.
                problem = "is missing, but the agent declares a maturation window"
                raise RecordError(problem, field="timestamp", remedy="say when the outcome became known")
            self._validator.conform_outcome(event)
        return event, ""

    def _note_moments(self, foreign: Sequence[str], content: Mapping[str, Any]) -> None:
        for name in foreign:
            if content[name] is not None and may_be_moment(name):
                self.moments.setdefault(name, Counter())[form_of(content[name])] += 1

    def _foreign(self, content: Mapping[str, Any]) -> list[str]:
        shape = tuple(content)
        foreign = self._shapes.get(shape)
        if foreign is None:
            foreign = unknown_fields(content)
            if len(self._shapes) < _SHAPES:
                self._shapes[shape] = foreign
            self.present.update(content.keys() & _FIELDS)
        return foreign


def _format_error(names: Sequence[str], other: str) -> RecordError:
    problem = f"{'is' if len(names) == 1 else 'are'} of the format {other}, not of a decision record"
    return RecordError(problem, field=_listed(names), remedy=f"import the file with --format {other}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (", …" if len(names) > 6 else "")


def _foreign_error(names: Sequence[str]) -> RecordError:
    problem = "is not a field of a decision record" if len(names) == 1 else "are not fields of a decision record"
    remedy = "map it in retrainer.toml (--dry-run prints a mapping), or keep it with --unknown metadata"
    remedy = remedy if len(names) == 1 else remedy.replace(" it ", " them ")
    return RecordError(problem, field=_listed(names), remedy=remedy)


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from value
    for item in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        if isinstance(item, (Mapping, list)):
            yield from _names(item)
