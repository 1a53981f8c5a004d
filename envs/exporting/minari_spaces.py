"""An agent's declaration as Gymnasium spaces, and its decisions as entries of them."""

from __future__ import annotations

import json
import math
import string
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from envs.observation import ObservationField, ObservationSpecification, flatten, unflatten
from envs.specification import Action, AgentSpecification

LARGEST = np.iinfo(np.int64)
LONGEST_TEXT = 65_536


def observation_space(specification: ObservationSpecification) -> spaces.Space[Any]:
    """``Discrete`` (or one integer), ``Box`` of D numbers, or a ``Dict`` with one entry a field.

    In a ``Dict`` a number is a ``Box`` without dimensions, NaN where an optional field is absent; a category is a
    ``Text``, empty where it is absent; tags are a ``Text`` that holds a JSON list.
    """
    if specification.kind == "int":
        return _integer(specification.fields[0])
    if specification.kind == "vector":
        low = [-math.inf if field.low is None else field.low for field in specification.fields]
        high = [math.inf if field.high is None else field.high for field in specification.fields]
        return spaces.Box(np.array(low), np.array(high), dtype=np.float64)
    return _space(unflatten({field.name: _field(field) for field in specification.fields}))


def action_space(actions: Sequence[Action]) -> spaces.Discrete:
    """``Discrete``: the place of an action among the declared ones."""
    return spaces.Discrete(len(actions))


def columns(specification: ObservationSpecification, observations: Sequence[Any]) -> Any:
    """Observations as Minari keeps an episode's: an array, or arrays by name.

    Raises:
        RecordError: an observation does not fit the declaration; names the field.
    """
    rows = specification.rows(observations)
    if specification.kind == "int":
        return rows[:, 0].astype(np.int64)
    if specification.kind == "vector":
        return rows
    given = [specification.listed(flatten(observation)) for observation in observations]
    named = {
        field.name: _column(field, rows[:, place], [each.get(field.name) for each in given])
        for place, field in enumerate(specification.fields)
    }
    return unflatten(named)


def rewritten(specification: AgentSpecification) -> dict[str, list[str]]:
    """Names of the fields that an import has to turn back: truth values of 0, 1 and NaN, and tags of one text."""
    fields = specification.observation.fields if specification.observation.kind == "object" else ()
    return {
        "booleans": [field.name for field in fields if field.type == "boolean" and field.optional],
        "tags": [field.name for field in fields if field.type == "tags"],
    }


def _column(field: ObservationField, raw: np.ndarray, given: Sequence[Any]) -> Any:
    # Their own texts: a value that is not among the declared ones has no place in the raw row.
    if field.type == "category":
        return ["" if value is None else field.category(value) for value in given]
    if field.type == "tags":
        return ["" if value is None else json.dumps(list(value)) for value in given]
    if field.type == "boolean" and not field.optional:
        return raw.astype(bool)
    if field.type == "integer" and not field.optional:
        return raw.astype(np.int64)
    return raw


def _space(tree: Mapping[str, Any]) -> spaces.Dict:
    return spaces.Dict({name: _space(part) if isinstance(part, Mapping) else part for name, part in tree.items()})


def _field(field: ObservationField) -> spaces.Space[Any]:
    if field.type in ("category", "tags"):
        letters = "".join(sorted({*string.printable, *"".join(field.categories)}))
        return spaces.Text(LONGEST_TEXT, min_length=0, charset=letters)
    if field.type == "boolean" and not field.optional:
        return spaces.Discrete(2)
    if field.type == "integer" and not field.optional:
        return _integer(field)
    low = -math.inf if field.low is None else field.low
    high = math.inf if field.high is None else field.high
    return spaces.Box(low, high, (), np.float64)


def _integer(field: ObservationField) -> spaces.Space[Any]:
    if field.low is not None and field.high is not None and field.high - field.low < 2**31:
        return spaces.Discrete(int(field.high - field.low) + 1, start=int(field.low))
    low = LARGEST.min if field.low is None else int(field.low)
    high = LARGEST.max if field.high is None else int(field.high)
    return spaces.Box(low, high, (), np.int64)
