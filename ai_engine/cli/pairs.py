"""Pairs on the command line: ``name=value``, each checked where it is read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import click

from ai_engine.cli.options import refuse

Read = TypeVar("Read")


class Tag(click.ParamType):
    """A name and a text: ``team=payments``."""

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Both."""
        if isinstance(value, tuple):
            return value
        name, separator, text = (part.strip() for part in str(value).partition("="))
        if not separator or not name or not text:
            self.fail(f"{str(value)!r} is not name=value; write for instance team=payments", param, ctx)
        return name, text


class Amount(click.ParamType):
    """A name and a number above 0: ``CPU=2``."""

    name = "name=amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        """Both."""
        if isinstance(value, tuple):
            return value
        name, _, text = (part.strip() for part in str(value).partition("="))
        try:
            amount = float(text)
        except ValueError:
            amount = math.nan
        if not name or not 0 < amount < math.inf:
            self.fail(f"{str(value)!r} is no name=amount above 0; write for instance CPU=2", param, ctx)
        return name, amount


def collected(pairs: Sequence[tuple[str, Read]]) -> dict[str, Read] | None:
    """All pairs by name, ``None`` where there are none; a name that comes twice ends the command."""
    found: dict[str, Read] = {}
    for name, value in pairs:
        if name in found:
            refuse(f"{name} is given twice; leave one of them out")
        found[name] = value
    return found or None
