"""How a declaration may change while its log goes on.

A field may be added (old records lack it: declare it optional) and retired (old records still have it:
it is left out). A field that keeps its name and gets another type or unit would make one column of two
things: that is refused until the declaration's ``version`` rises, and then only what was recorded since
is used. What was recorded under a later version has that one's meaning: an earlier one cannot be taken up again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path

from envs.declaration import from_table
from envs.errors import SpecificationError
from envs.journal.journal import Journal
from envs.journal.notes import add_note, notes_of
from envs.observation import ObservationField
from envs.specification import AgentSpecification

KIND = "specification"
WIDENED = (("integer", "number"), ("boolean", "integer"), ("boolean", "number"))


def check_meaning(data: Path, specification: AgentSpecification, where: str) -> None:
    """Refuse a declaration under which an old field would mean something else.

    Args:
        data: the home's ``data`` folder, with the declarations that were in force.
        specification: the declaration in force now.
        where: the place that an error names.

    Raises:
        SpecificationError: a field or the whole observation changed its meaning, and ``version`` did not rise.
    """
    fields = {field.name: field for field in specification.observation.fields}
    for earlier in kept(data, specification.name):
        if earlier.version != specification.version or "observation" in earlier.inferred:
            continue
        before, now = earlier.observation.kind, specification.observation.kind
        if before != now:
            raise _changed("observation", f"was of kind {before}, is of kind {now}", specification, where)
        for field in earlier.observation.fields:
            if field.name in fields and (change := _change(field, fields[field.name])):
                raise _changed(f"observation.{field.name}", change, specification, where)


def retired_fields(data: Path, specification: AgentSpecification) -> frozenset[str]:
    """Observation fields that an earlier declaration of this version had and this one has not."""
    present = set(specification.observation.names)
    earlier = (item for item in kept(data, specification.name) if item.version == specification.version)
    return frozenset(name for item in earlier for name in item.observation.names if name not in present)


def begin_version(data: Path, journal: Journal, specification: AgentSpecification) -> None:
    """Note where in the log a raised version of a declaration begins, once.

    Raises:
        SpecificationError: a later version has begun, and something was recorded under it.
    """
    _check_newest(data, journal, specification)
    if _is_first(data, specification) or version_start(journal, specification) is not None:
        return
    content = {"version": specification.version}
    journal.file.run(partial(add_note, kind=KIND, agent=specification.name, content=content), write=True)


def first_position(data: Path, journal: Journal, specification: AgentSpecification) -> int | None:
    """The position above which records are of this version; ``None`` where nothing was recorded under it yet.

    Raises:
        SpecificationError: a later version has begun, and something was recorded under it.
    """
    _check_newest(data, journal, specification)
    return 0 if _is_first(data, specification) else version_start(journal, specification)


def version_start(journal: Journal, specification: AgentSpecification) -> int | None:
    """The noted beginning of a version."""
    notes = journal.file.run(partial(notes_of, kind=KIND, agent=specification.name))
    return next((note.sequence for note in notes if note.content["version"] == specification.version), None)


def kept(data: Path, agent: str) -> tuple[AgentSpecification, ...]:
    """The declarations of an agent that are stored with the data; what cannot be read any more is left out."""
    folder = data / "specifications" / agent
    try:
        # A file's name is the hash of what is in it.
        return _kept(folder, tuple(sorted(name for name in os.listdir(folder) if name.endswith(".json"))))
    except FileNotFoundError:
        return ()


@lru_cache(maxsize=64)
def _kept(folder: Path, names: tuple[str, ...]) -> tuple[AgentSpecification, ...]:
    return tuple(_read(folder, names))


def _read(folder: Path, names: tuple[str, ...]) -> Iterator[AgentSpecification]:
    for name in names:
        try:
            yield from_table(folder.name, json.loads((folder / name).read_text(encoding="utf-8")))
        except (OSError, ValueError, SpecificationError):
            continue


def _check_newest(data: Path, journal: Journal, specification: AgentSpecification) -> None:
    version, name = specification.version, specification.name
    later = {item.version: item for item in kept(data, name) if item.version > version}
    begun = {number: start for number, item in later.items() if (start := version_start(journal, item)) is not None}
    if begun and journal.has_events_above(min(begun.values()), name):
        newest = max(begun)
        problem = f"version: is {version}, but version {newest} has been recorded under"
        remedy = f"declare version {newest} again, or version = {newest + 1}, which begins anew"
        raise SpecificationError(problem, where=f"agent {name}", remedy=remedy)


def _is_first(data: Path, specification: AgentSpecification) -> bool:
    return all(item.version >= specification.version for item in kept(data, specification.name))


def _change(before: ObservationField, now: ObservationField) -> str:
    if before.type != now.type and (before.type, now.type) not in WIDENED:
        return f"was {_kind(before)}, is {_kind(now)}"
    if before.unit and now.unit and before.unit != now.unit:
        return f"was in {before.unit}, is in {now.unit}"
    return ""


def _kind(field: ObservationField) -> str:
    return f"an {field.type}" if field.type == "integer" else f"a {field.type}"


def _changed(field: str, change: str, specification: AgentSpecification, where: str) -> SpecificationError:
    remedy = f"declare version = {specification.version + 1} if it means something else now, or rename the field"
    return SpecificationError(f"{field}: {change}", where=where, remedy=remedy)
