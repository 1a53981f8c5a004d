"""Flat columns as rows: dotted names become objects and arrays, the texts of a CSV become values.

``observation.load`` is the field ``load`` of ``observation``; ``observation.0``, ``observation.1``, … are the
entries of an array. A text is a number, a boolean, an array or an object where it is written exactly as
JSON writes one, and absent where it is empty; every other text is itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from envs.values import UnfitValueError

NESTED = frozenset(
    {"observation", "next_observation", "outcome", "metadata", "action", "executed_action", "action_probabilities"}
)
TEXTS = frozenset(
    {
        "event_id",
        "decision_id",
        "agent",
        "tenant",
        "episode_id",
        "timestamp",
        "policy_version",
        "experiment_arm",
        "mode",
    }
)
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
COMMA = re.compile(r"-?(0|[1-9]\d*),\d+([eE][+-]?\d+)?", re.ASCII)
LONGEST_INTEGER = 20
TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
NOT_FINITE = {text: float(text) for text in ("NaN", "nan", "inf", "-inf", "Infinity", "-Infinity")}


class Columns:
    """How the flat columns of a source become the fields of its rows.

    Args:
        names: of the columns, in their order.

    Raises:
        UnfitValueError: a name is there twice, or is both a field and the head of dotted ones; names it.
    """

    def __init__(self, names: Sequence[str]) -> None:
        twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
        if twice is not None:
            raise UnfitValueError(f"column {twice!r} is there twice", "name each column once")
        self.names = tuple(names)
        self._paths: list[tuple[str, ...]] = []
        for name in names:
            head, dot, rest = name.partition(".")
            nested = bool(dot) and head in NESTED and all(rest.split("."))
            if nested and head in names:
                raise UnfitValueError(f"columns {head!r} and {name!r} are both there", "keep one of them")
            self._paths.append((head, *rest.split(".")) if nested else (name,))
        self.flat = all(len(path) == 1 for path in self._paths)
        self._arrays = _arrays(self._paths)

    def row(self, values: Sequence[Any]) -> dict[str, Any]:
        """The fields of one row; ``None`` is absent.

        Raises:
            UnfitValueError: a column is a value of one object and an object of another.
        """
        if self.flat:
            return {name: value for name, value in zip(self.names, values, strict=True) if value is not None}
        out: dict[str, Any] = {}
        for path, value in zip(self._paths, values, strict=True):
            if value is None and path[0] not in self._arrays:
                continue
            level = out
            for part in path[:-1]:
                level = level.setdefault(part, {})
                if not isinstance(level, dict):
                    raise UnfitValueError("is both a value and an object", "rename a column", ".".join(path))
            if isinstance(level.get(path[-1]), dict):
                raise UnfitValueError("is both a value and an object", "rename a column", ".".join(path))
            level[path[-1]] = value
        for head, size in self._arrays.items():
            entries = [out[head][str(index)] for index in range(size)]
            if all(entry is None for entry in entries):  # of an optional field, such as next_observation
                del out[head]
            else:
                out[head] = entries
        return out


def _arrays(paths: Sequence[tuple[str, ...]]) -> dict[str, int]:
    """Heads whose columns are numbered 0, 1, 2, … without a gap, and how many there are."""
    found: dict[str, int] = {}
    for head in {path[0] for path in paths if len(path) > 1} - {"action", "action_probabilities"}:
        rests = [path[1:] for path in paths if path[0] == head]
        if set(rests) == {(str(index),) for index in range(len(rests))}:
            found[head] = len(rests)
    return found


def reading_of(name: str, decimal: str = "", names: frozenset[str] = frozenset()) -> Callable[[str], Any]:
    """How the texts of a column are read: those of names as they are, all others as :func:`value_of`.

    Args:
        name: of the column.
        decimal: what stands before the decimals of a number; a number with a comma is refused where it is not said.
        names: those that its category is declared to have: of the versions 1.1 and 1.10, one number would be made.
    """
    read = _text if name in TEXTS else {"": _undecided, ",": _with_comma}.get(decimal, value_of)
    kept = {text for text in names if text and not _comes_back(text)}
    return (lambda text: text if text in kept else read(text)) if kept else read


def value_of(text: str) -> Any:
    """What a text of a CSV stands for.

    Raises:
        UnfitValueError: it begins like an array or an object and is none.
    """
    if not text:
        return None
    if text in TRUTH:
        return TRUTH[text]
    if NUMBER.fullmatch(text):
        if text.lstrip("-").isdigit():
            # More digits than a number may have stay a text, which the record's checks refuse.
            return (int(text) if text != "-0" else -0.0) if len(text) <= LONGEST_INTEGER else text
        return float(text)
    if text[0] in "[{":
        return _structure(text)
    return NOT_FINITE.get(text, text)


def _comes_back(text: str) -> bool:
    try:
        return str(value_of(text)) == text
    except UnfitValueError:
        return False


def _undecided(text: str) -> Any:
    if "," in text and COMMA.fullmatch(text):
        remedy = 'set the option decimal to "," where it is a number, to "." where it is a text'
        raise UnfitValueError(f"{text!r} is a number with a decimal comma, or a text", remedy)
    return value_of(text)


def _with_comma(text: str) -> Any:
    # What has a point could be a number that groups its thousands by points.
    if NUMBER.fullmatch(text) and "." in text:
        return text
    return float(text.replace(",", ".")) if COMMA.fullmatch(text) else value_of(text)


def _structure(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        return text


def _unique(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise UnfitValueError("names a field twice", "name each field once")
    return content


def _text(text: str) -> str | None:
    return text or None
