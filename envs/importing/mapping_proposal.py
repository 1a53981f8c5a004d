"""A proposal for a mapping: a place for every foreign field, by its name alone."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from envs.importing.field_names import SIMILAR, following_of, place_of, similarity
from envs.importing.mapping import GATHERING
from envs.importing.moments import moment_source
from envs.record import FIELD_NAMES


def propose_mapping(
    name: str,
    foreign: Iterable[str],
    present: Iterable[str],
    declared: Mapping[str, Any],
    moments: Mapping[str, Counter[str]] | None = None,
    *,
    decisions: bool = True,
) -> str:
    """A ``[agents.NAME.mapping]`` block that gives every foreign field a place.

    Args:
        name: the agent.
        foreign: field names of the files that are not of the record.
        present: record fields that the files have, under our names or by the declared mapping.
        declared: the mapping so far, which the block repeats.
        moments: how often the values of a foreign field had each :func:`~envs.importing.moments.form_of` a moment.
        decisions: whether there are decisions among the rows, which must have an action and an observation.

    Returns:
        The block as TOML, to be confirmed by a person, with a comment for each line that is to be filled in; empty
        where there is nothing to map.
    """
    names = list(dict.fromkeys(foreign))
    if not names:
        return ""
    taken = set(present) | set(declared)
    proposed: dict[str, Any] = dict(declared)
    scores = [
        (score, ours, theirs)
        for theirs in names
        for ours in FIELD_NAMES
        if ours not in taken and (score := similarity(ours, theirs)) >= SIMILAR
    ]
    sources = {theirs: moment_source(theirs, forms) for theirs, forms in (moments or {}).items()}
    steps = "step" in taken or any(ours == "step" for _, ours, _ in scores)
    unfit = {(ours, theirs) for _, ours, theirs in scores if ours == "episode_id" and not steps}
    unfit |= {("timestamp", theirs) for theirs, source in sources.items() if not source and "timestamp" not in taken}
    scores = [score for score in scores if score[1:] not in unfit]
    placed: set[str] = set()
    for _, ours, theirs in sorted(scores, key=lambda item: -item[0]):
        if ours not in taken and theirs not in placed:
            proposed[ours] = sources.get(theirs, theirs) if ours == "timestamp" else theirs
            taken.add(ours)
            placed.add(theirs)
    kept = {theirs for _, theirs in unfit}
    rest: dict[str, list[str]] = {ours: [] for ours in GATHERING}
    for theirs in names:
        if theirs not in placed:
            rest["metadata" if theirs in kept else place_of(theirs)].append(theirs)
    if "observation" in taken:  # where it is whole already, the others can only be kept beside it
        rest["metadata"] += rest.pop("observation")
    following: dict[str, str] = {}
    for theirs in rest.pop("next_observation"):
        before = following_of(theirs)
        if before in rest.get("observation", []) and before not in following and "next_observation" not in taken:
            following[before] = theirs
        else:
            rest["metadata"].append(theirs)
    if following:
        proposed["next_observation"] = following
    if rest["outcome"] and "outcome" not in declared and isinstance(proposed.get("outcome"), str):
        proposed["outcome"] = [proposed["outcome"]]  # one of several things that were known afterwards
    for ours, gathered in rest.items():
        _gather(proposed, ours, gathered)
    lines = ["# Proposed: confirm every line, then paste it into retrainer.toml.", f"[agents.{name}.mapping]"]
    lines += _open(taken | set(proposed), [pair for pair in sorted(unfit) if pair[1] not in placed], decisions)
    notes = {"observation": "  # only what was known before acting", "metadata": "  # kept, never learned from"}
    for ours, theirs in proposed.items():
        note = notes.get(ours, "") if isinstance(theirs, list) else ""
        lines.append(f"{ours} = {_toml(theirs)}{note}")
    return "\n".join(lines) + "\n"


def _open(known: Collection[str], unfit: Sequence[tuple[str, str]], decisions: bool) -> Iterator[str]:
    """A comment for each line that somebody has to fill in.

    Args:
        known: our fields that the rows or the block have.
        unfit: our fields, each with a foreign name that stands for it and does not fit as it is.
        decisions: as of :func:`propose_mapping`.
    """
    if decisions and "action" not in known:
        yield '# action = "..."  # which column is the action? name it here, and nowhere below'
    if decisions and "observation" not in known:
        yield '# observation = ["..."]  # which columns were known before acting?'
    for ours, theirs in unfit:
        if ours == "timestamp" and ours not in known:
            yield f'# timestamp = "= ..."  # seconds since 1970: how are they computed of {_key(theirs)}?'
        elif ours == "episode_id" and ours not in known:
            yield f'# episode_id = {_toml(theirs)}  # with step = "...", which numbers its decisions from 0'


def _gather(proposed: dict[str, Any], ours: str, names: list[str]) -> None:
    if not names:
        return
    if isinstance(proposed.get(ours), str):  # a whole object is mapped already; the rest can only be kept beside it
        ours = "metadata"
    earlier = proposed.get(ours, [])
    earlier = [earlier] if isinstance(earlier, str) else earlier
    if isinstance(earlier, list):
        proposed[ours] = [*earlier, *names]
    elif isinstance(earlier, Mapping):
        proposed[ours] = {**earlier, **{name: name for name in names}}


def _toml(theirs: Any) -> str:
    if isinstance(theirs, Mapping):
        return "{ " + ", ".join(f"{_key(name)} = {_toml(value)}" for name, value in theirs.items()) + " }"
    return json.dumps(theirs, ensure_ascii=False)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)
