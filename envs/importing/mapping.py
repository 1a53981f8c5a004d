"""Foreign field names: the mapping that a home declares.

``[agents.NAME.mapping]`` says where a field of the decision record is found in the agent's files:
``reward = "click"`` renames, ``observation = ["load", "queue"]`` gathers columns into an object,
``observation = { load = "cpu.mean" }`` does so under our names, ``reward = "= click - 0.1 * cost"`` computes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from envs.canonical import EXACT_INTEGER
from envs.errors import SpecificationError
from envs.importing.mapping_expression import MappingExpression
from envs.observation import ObservationSpecification, flatten
from envs.record import FIELD_NAMES
from envs.values import UnfitValueError

Source = str | MappingExpression
MAPPED = (*FIELD_NAMES, "decision_id")
NAMES = ("event_id", "decision_id", "tenant", "episode_id", "policy_version", "experiment_arm")
TRUTHS = ("terminated", "truncated")
WHOLE = ("action", "executed_action", "step")
STRUCTURED = ("observation", "next_observation", "outcome", "metadata", "action_probabilities", "action")
GATHERING = ("observation", "next_observation", "outcome", "metadata")


def checked_mapping(mapping: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A declared mapping, ready for :func:`apply_mapping`, or an error that names the wrong line.

    Raises:
        SpecificationError: a key that is not of the decision record, or a value of the wrong kind.
    """
    return {ours: _checked(ours, theirs, where) for ours, theirs in mapping.items()}


def _checked(ours: str, theirs: Any, where: str) -> Any:
    if ours not in MAPPED:
        remedy = f"the record's fields are {', '.join(FIELD_NAMES)}"
        raise SpecificationError(f"mapping.{ours}: is not a field of a decision record", where=where, remedy=remedy)
    if isinstance(theirs, str):
        return _source(ours, theirs, where)
    names = list(theirs) if isinstance(theirs, (list, Mapping)) else []
    good = bool(names) and all(isinstance(name, str) for name in names)
    if good and isinstance(theirs, list) and ours in GATHERING:
        return {name: _source(ours, name, where) for name in names}
    if good and isinstance(theirs, Mapping) and ours in STRUCTURED:
        return {name: _source(ours, value, where) for name, value in theirs.items()}
    remedy = f'write {ours} = "their_name"' + (" or a list of names" if ours in GATHERING else "")
    remedy += f' or {{ ours = "theirs" }}, or an expression, {ours} = "= 2 * theirs"'
    raise SpecificationError(f"mapping.{ours}: {theirs!r} names no field", where=where, remedy=remedy)


def _source(ours: str, theirs: Any, where: str) -> Source:
    if not isinstance(theirs, str) or not theirs.strip():
        raise SpecificationError(
            f"mapping.{ours}: {theirs!r} names no field", where=where, remedy="write a name or an expression in quotes"
        )
    if not theirs.startswith("="):
        return theirs
    try:
        return MappingExpression(theirs[1:])
    except SpecificationError as error:
        raise SpecificationError(f"mapping.{ours}: {error.problem}", where=where, remedy=error.remedy) from None


def apply_mapping(content: Mapping[str, Any], mapping: Mapping[str, Any]) -> dict[str, Any]:
    """A row under our names. Fields that the mapping does not name stay as they are.

    Args:
        content: the row.
        mapping: as :func:`checked_mapping` gives it.

    Raises:
        UnfitValueError: the row has a field under our name and under the mapped one.
        RecordError: an expression has no value for the row.
    """
    if not mapping:
        return dict(content)
    used = {name for theirs in mapping.values() for name in names_read(theirs)}
    out = {name: value for name, value in content.items() if name not in used}
    for name in used:
        if "." in name and name not in content:
            _leave_rest(out, name.partition(".")[0], used)
    for ours, theirs in mapping.items():
        value = _value(ours, content, theirs)
        if value is None:
            continue
        if ours in out and ours in GATHERING and isinstance(out[ours], Mapping) and isinstance(value, Mapping):
            value = {**out[ours], **value}
        elif ours in out:
            raise UnfitValueError("is in the row and in the mapping", "remove one of them", ours)
        out[ours] = value
    return out


def category_columns(observation: ObservationSpecification, mapping: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """The columns that hold a declared category, and the names that it is declared to have."""
    found: dict[str, frozenset[str]] = {}
    for field in observation.own:
        for part in ("observation", "next_observation") if field.type == "category" else ():
            theirs = mapping.get(part)
            source = theirs.get(field.name) if isinstance(theirs, Mapping) else None
            found[source if isinstance(source, str) else f"{part}.{field.name}"] = frozenset(field.categories)
    return found


def names_read(theirs: Any) -> Iterator[str]:
    """Names of the row that a checked source reads."""
    if isinstance(theirs, Mapping):
        for source in theirs.values():
            yield from names_read(source)
    else:
        yield from theirs.names if isinstance(theirs, MappingExpression) else (theirs,)


def _leave_rest(out: dict[str, Any], head: str, used: set[str]) -> None:
    """Of an object that the mapping reads fields of, leave the others: they are foreign, and not to be lost."""
    if isinstance(out.get(head), Mapping):
        flat = flatten(out.pop(head), f"{head}.")
        read = tuple(f"{name}." for name in used)
        out.update((name, value) for name, value in flat.items() if name not in used and not name.startswith(read))


def _value(ours: str, content: Mapping[str, Any], theirs: Any) -> Any:
    if isinstance(theirs, Mapping):
        found = {name: _read("", content, source) for name, source in theirs.items()}
        return {name: value for name, value in found.items() if value is not None} or None
    return _read(ours, content, theirs)


def _read(ours: str, content: Mapping[str, Any], source: Source) -> Any:
    if not isinstance(source, MappingExpression):
        value: Any = content.get(source)
        if value is None and "." in source:
            value = content
            for part in source.split("."):
                value = value.get(part) if isinstance(value, Mapping) else None
        # A name is a text; sources without types write one of digits like a number.
        return str(value) if ours in NAMES and type(value) is int else value
    value = source.value(content)
    if isinstance(value, float):
        if ours in (*NAMES, *WHOLE) and abs(value) >= EXACT_INTEGER:  # two ids would become one
            remedy = f'name the column itself, {ours} = "their_name"'
            raise UnfitValueError(f"{value:.0f} is beyond the integers that an expression keeps apart", remedy, ours)
        if ours in TRUTHS and value in (0.0, 1.0):
            return bool(value)
        if ours in WHOLE and value.is_integer():
            return int(value)
        if ours in NAMES and value.is_integer():
            return str(int(value))
        if ours == "timestamp":
            with suppress(ValueError, OverflowError, OSError):  # a moment that cannot be written stays a number
                return datetime.fromtimestamp(value, UTC).isoformat()
    return value
