"""Vowpal Wabbit's dsjson: contextual bandit decisions with their actions, probabilities and cost, one a line.

=============================  =========================================================================
dsjson                         here
=============================  =========================================================================
``EventId``, ``Timestamp``     ``event_id``, ``timestamp`` (VW writes UTC)
``c`` without ``_multi``       ``observation``; entries of arrays get their number as a name
``c._multi``                   one entry an action: their number says what was allowed, their features go
                               to ``metadata.action_features``
``_labelIndex``                ``action``: the action's place in ``_multi`` from 0, or its ``_tag`` where
                               each has one. Without it, ``_label_Action`` - 1, else the first of ``a``
``_label_probability``         ``propensity``
``a``, ``p``                   ``action_probabilities``; of an action that is there twice, the sum
``_label_cost``                ``reward`` = -cost
``pdrop``                      ``metadata.pdrop``. The file must have one rate: see the option ``pdrop``
``o``                          ``metadata.observations``: what the cost was made of
``_skipLearn``                 where it is true, ``mode`` is ``shadow``: the decision was never carried out, and
                               its cost is not what it led to
=============================  =========================================================================

A line without ``c`` is an outcome that came later (``EventId`` with ``_label_cost``, ``RewardValue`` or ``v``) and
is joined to its decision. Slates and multi-slot decisions (``_outcomes``) and continuous ones (``_label_ca``) are
rejected by name.

Options: ``pdrop = "any"`` takes lines of differing drop rates. VW dropped a share ``pdrop`` of the events before
they were written, and weights the rest by ``1 / (1 - pdrop)``; a log has no such weights. One rate for all lines
leaves every average as it is, differing ones do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from envs.errors import DataError
from envs.importing.json_events import JsonEventsReader, named_entries, no_options
from envs.values import UnfitValueError, number, shown

FORMAT = "vowpal_wabbit"
MULTI, SLOTS = "_multi", "_slots"
ZONE = re.compile(r"(?:[Zz]|[+-]\d\d:\d\d)$")
FRACTION = re.compile(r"(\.\d{6})\d+")
OTHER_KINDS = {"_outcomes": "a decision of several slots", "_label_ca": "a decision of a continuous action"}


def open_reader(source: str, options: Mapping[str, Any]) -> JsonEventsReader:
    """The reader of a file.

    Raises:
        DataError: the file is not there, or an option is not known.
    """
    no_options(options, ("pdrop",), source, "Vowpal Wabbit's dsjson")
    if options.get("pdrop", "one") not in ("one", "any"):
        raise DataError(f"pdrop = {options['pdrop']!r} is not known", where=source, remedy='write "one" or "any"')
    rate = None if options.get("pdrop") == "any" else _first_rate(source)
    return JsonEventsReader(source, FORMAT, lambda line: translated(line, rate))


def translated(line: dict[str, Any], rate: float | None = None) -> Iterator[dict[str, Any]]:
    """The decision of a line, or the outcome.

    Args:
        line: the line's object.
        rate: the drop rate that it must have, or ``None`` for any.
    """
    for name, what in OTHER_KINDS.items():
        if name in line:
            raise UnfitValueError(f"is {what}", "only decisions for one of several actions are read", name)
    if "c" not in line:
        yield _outcome(line)
        return
    context = line["c"]
    if not isinstance(context, Mapping):
        raise UnfitValueError("is no object", "write the context's features by name", "c")
    if SLOTS in context:
        raise UnfitValueError(
            f"is {OTHER_KINDS['_outcomes']}", "only decisions for one of several actions are read", "c"
        )
    choices = context.get(MULTI)
    if not isinstance(choices, list) or not choices:
        raise UnfitValueError("is no array of actions", "write one entry an action", f"c.{MULTI}")
    names = _names(choices)
    chosen = _chosen(line, len(names))
    row: dict[str, Any] = {
        "observation": named_entries({name: value for name, value in context.items() if name != MULTI}),
        "action": names[chosen],
        "allowed_actions": list(dict.fromkeys(names)),
    }
    if line.get("EventId") is not None:
        row["event_id"] = line["EventId"]
    if line.get("Timestamp") is not None:
        row["timestamp"] = _moment(line["Timestamp"])
    if line.get("_label_cost") is not None:
        row["reward"] = 0.0 - number_at("_label_cost", line["_label_cost"])
    skipped = line.get("_skipLearn")
    if skipped not in (None, False, True):
        raise UnfitValueError(f"{shown(skipped)} is not a boolean", "give true or false", "_skipLearn")
    if skipped:
        row["mode"] = "shadow"
    row.update(_distribution(line, names))
    if names.count(names[chosen]) == 1:
        if line.get("_label_probability") is not None:
            row["propensity"] = line["_label_probability"]
    elif "action_probabilities" not in row:
        raise UnfitValueError(
            f"{shown(names[chosen])} is there twice", "write p, for its whole probability", f"c.{MULTI}"
        )
    row["metadata"] = _metadata(line, choices, rate)
    yield row


def number_at(name: str, value: Any) -> float:
    """A number, or an error that names its field."""
    try:
        return number(value)
    except UnfitValueError as error:
        raise error.under(name) from None


def _names(choices: list[Any]) -> list[Any]:
    """The tags of the actions where all have one, else their places."""
    tags = [choice.get("_tag") if isinstance(choice, Mapping) else None for choice in choices]
    if all(isinstance(tag, str) and tag for tag in tags):
        return tags
    return list(range(len(choices)))


def _chosen(line: Mapping[str, Any], count: int) -> int:
    listed = line.get("a")
    told = [
        _place(line[name], first, count, name)
        for name, first in (("_labelIndex", 0), ("_label_Action", 1))
        if line.get(name) is not None
    ]
    if len(set(told)) > 1:
        raise UnfitValueError(f"is another action than _label_Action {told[1] + 1}", "correct one", "_labelIndex")
    if told:
        return told[0]
    if isinstance(listed, list) and listed:
        return _place(listed[0], 1, count, "a")
    raise UnfitValueError("is missing", "write which action was taken", "_labelIndex")


def _place(value: Any, first: int, count: int, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not first <= value < count + first:
        problem = f"{shown(value)} is none of {count} actions, counted from {first}"
        raise UnfitValueError(problem, "correct it", name)
    return value - first


def _distribution(line: Mapping[str, Any], names: list[Any]) -> dict[str, Any]:
    listed, chances = line.get("a"), line.get("p")
    if chances is None:
        return {}
    if not isinstance(chances, list) or not isinstance(listed, list) or len(chances) != len(listed):
        raise UnfitValueError("are not one for each action of a", "write a and p of one length", "p")
    places = [_place(item, 1, len(names), "a") for item in listed]
    if len(set(places)) != len(places):
        raise UnfitValueError("names an action twice", "name each once", "a")
    found: dict[str, float] = {}
    for place, chance in zip(places, chances, strict=True):
        name = str(names[place])
        found[name] = found.get(name, 0.0) + number_at("p", chance)
    return {"action_probabilities": found}


def _metadata(line: Mapping[str, Any], choices: list[Any], rate: float | None) -> dict[str, Any]:
    kept: dict[str, Any] = {"action_features": choices}
    dropped = number_at("pdrop", line.get("pdrop") or 0.0)
    if not 0.0 <= dropped < 1.0:
        raise UnfitValueError(f"{dropped:g} is no share of dropped events", "give a number in [0, 1)", "pdrop")
    if rate is not None and dropped != rate:
        problem = f"{dropped:g} differs from the first line's {rate:g}, so that averages would be biased"
        raise UnfitValueError(problem, 'import each rate as its own log, or set the option pdrop = "any"', "pdrop")
    if dropped:
        kept["pdrop"] = dropped
    if line.get("o"):
        kept["observations"] = line["o"]
    state = line.get("VWState")
    if isinstance(state, Mapping) and isinstance(state.get("m"), str):
        kept["model"] = state["m"]
    return kept


def _outcome(line: Mapping[str, Any]) -> dict[str, Any]:
    if line.get("EventId") is None:
        raise UnfitValueError("is missing", "a decision has c, an outcome the EventId of its decision", "c")
    row: dict[str, Any] = {"decision_id": line["EventId"]}
    for name, sign in (("_label_cost", -1.0), ("RewardValue", 1.0), ("v", 1.0)):
        if line.get(name) is not None:
            row["reward"] = 0.0 + sign * number_at(name, line[name])
            break
    for name in ("EnqueuedTimeUtc", "Timestamp"):
        if line.get(name) is not None:
            row["timestamp"] = _moment(line[name])
            break
    if "reward" not in row:
        raise UnfitValueError("is missing", "give the reward, or the decision's context as c", "RewardValue")
    return row


def _moment(value: Any) -> Any:
    """VW's moments are UTC, with or without saying so, and to 100 ns."""
    if not isinstance(value, str):
        return value
    text = FRACTION.sub(r"\1", value)
    return text if ZONE.search(text) else text + "Z"


def _first_rate(source: str) -> float | None:
    """The drop rate of the first decision that says one or says none."""
    for batch in JsonEventsReader(source, FORMAT, lambda line: [line]).batches():
        for row in batch.rows:
            if row.rejected is None and "c" in row.content:
                found = row.content.get("pdrop") or 0.0
                if isinstance(found, (int, float)) and not isinstance(found, bool):
                    return float(found)
    return None
