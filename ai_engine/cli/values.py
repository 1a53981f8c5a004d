"""Values on the command line, each checked where it is read, with its remedy in the error."""

from __future__ import annotations

import json
import math
import re
from datetime import datetime
from typing import Any

import click

Value = str | int | float | bool | None | tuple[Any, ...]

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd])", re.ASCII)
SHORT_NUMBER = re.compile(r"[+-]?(\.\d+|\d+\.)([eE][+-]?\d+)?", re.ASCII)  # .5 and 5., not known to JSON
WORDS: dict[str, Value] = {"true": True, "false": False, "null": None, "none": None}


class Whole(click.ParamType):
    """An integer of at least ``least``."""

    name = "integer"

    def __init__(self, least: int, example: int) -> None:
        self.least = least
        self.example = example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The integer."""
        try:
            number = int(str(value))
        except ValueError:
            self.fail(f"{str(value)!r} is not a whole number; write for instance {self.example}", param, ctx)
        if not self.least <= number < 2**31:
            limit = f"below {self.least}" if number < self.least else "too large"
            self.fail(f"{number} is {limit}; write for instance {self.example}", param, ctx)
        return number


class Share(click.ParamType):
    """A number in (0, 1], or in (0, 1)."""

    name = "share"

    def __init__(self, example: float, *, one: bool) -> None:
        self.example = example
        self.one = one

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not (0 < number < 1 or (self.one and number == 1)):
            limits = "above 0 and at most 1" if self.one else "between 0 and 1"
            self.fail(f"{str(value)!r} is not a number {limits}; write for instance {self.example}", param, ctx)
        return number


class Duration(click.ParamType):
    """A length of time with its unit: ``90s``, ``4m``, ``1h30m``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        if isinstance(value, float):
            return value
        text = str(value).strip().lower()
        parts = DURATION.findall(text)
        if not parts or "".join(number + unit for number, unit in parts) != text:
            self.fail(f"{str(value)!r} is not a length of time; write for instance 90s, 4m or 2h", param, ctx)
        seconds = sum(float(number) * SECONDS[unit] for number, unit in parts)
        if not 0 < seconds < 366 * SECONDS["d"]:
            self.fail(f"{str(value)!r} is not above zero and below a year; write for instance 4m", param, ctx)
        return seconds


class Moment(click.ParamType):
    """A time with its zone, as RFC 3339 writes it."""

    name = "timestamp"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text, once it is known to be a time."""
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            self.fail(f"{str(value)!r} is no time with a zone; write for instance 2026-01-31T12:00:00Z", param, ctx)
        return str(value)


class Names(click.ParamType):
    """Names with commas between them."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The names."""
        if isinstance(value, tuple):
            return value
        names = tuple(part.strip() for part in str(value).split(","))
        if not all(names) or len(set(names)) < len(names):
            self.fail(f"{str(value)!r} has an empty or a repeated name; write for instance cpu,queue", param, ctx)
        return names


class Folder(click.ParamType):
    """A folder's path."""

    name = "directory"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The path; an empty one is an unset shell variable, not the current folder."""
        if not str(value).strip():
            self.fail("the path is empty; name a folder, or leave the option out", param, ctx)
        return str(value)


class Setting(click.ParamType):
    """A hyperparameter: ``name=value``."""

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Value]:
        """Its name and its value."""
        if isinstance(value, tuple):
            return value
        name, separator, text = str(value).partition("=")
        if not separator or not name.strip().isidentifier() or not text.strip():
            self.fail(f"{str(value)!r} is not name=value; write for instance resolution=8", param, ctx)
        try:
            return name.strip(), hyperparameter(text)
        except ValueError as error:
            self.fail(
                f"{name.strip()}: {error}; write a number, a word, true, false or a list such as 64,64", param, ctx
            )


def hyperparameter(text: str) -> Value:
    """A number, a truth value, ``null``, a list (``64,64`` or ``[64, 64]``), else the text itself.

    Raises:
        ValueError: a number that is not finite, or an object.
    """
    text = text.strip()
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    try:
        value = float(text) if SHORT_NUMBER.fullmatch(text) else json.loads(text)
    except ValueError:
        parts = [part.strip() for part in text.split(",")]
        value = [hyperparameter(part) for part in parts] if len(parts) > 1 and all(parts) else text
    return _plain(value)


def _plain(value: Any) -> Value:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is not finite")
    if isinstance(value, dict):
        raise ValueError("an object is no value of a hyperparameter")
    return tuple(_plain(item) for item in value) if isinstance(value, list) else value
