"""What an expression may be made of, and the names of what it may not."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

from envs.values import timestamp

Value = float | str


def _seconds(text: str) -> float:
    """Seconds since 1970 of an RFC 3339 moment; a ValueError says what is wrong with it."""
    return datetime.fromisoformat(timestamp(text)).timestamp()


def _utc(text: str) -> float:
    try:
        return _seconds(text)
    except ValueError as error:
        with suppress(ValueError):
            return _seconds(f"{text}Z")
        raise error


ARITHMETIC: dict[type[ast.operator], Callable[[float, float], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: math.pow,
}
ORDER: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
EQUALITY: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {ast.Eq: operator.eq, ast.NotEq: operator.ne}
FUNCTIONS: dict[str, tuple[Callable[..., float], int, int]] = {  # function, fewest and most arguments
    "abs": (abs, 1, 1),
    "min": (min, 2, 16),
    "max": (max, 2, 16),
    "log": (math.log, 1, 1),
    "exp": (math.exp, 1, 1),
    "sqrt": (math.sqrt, 1, 1),
}
TEXT_FUNCTIONS: dict[str, Callable[[str], Value]] = {
    "lower": str.lower,
    "seconds": _seconds,
    "utc": _utc,
}
WORDS: dict[type[ast.AST], str] = {
    ast.JoinedStr: "an f-string",
    ast.Subscript: "a place in brackets",
    ast.List: "a list",
    ast.Tuple: "a list",
    ast.Set: "a set",
    ast.Dict: "a dictionary",
    ast.ListComp: "a loop",
    ast.SetComp: "a loop",
    ast.DictComp: "a loop",
    ast.GeneratorExp: "a loop",
    ast.Lambda: "a function of its own",
    ast.NamedExpr: "an assignment",
    ast.Starred: "a star before a field",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.Is: "is",
    ast.IsNot: "is not",
}
"""What is refused, as it is called."""
CONSTANTS = {"true": 1.0, "false": 0.0}
