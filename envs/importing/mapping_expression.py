"""Expressions of a mapping: a field of the record computed from the fields of a foreign row."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from typing import Any

from envs.expression import Expression, Node, value_at


class MappingExpression(Expression):
    """The language of rewards (:class:`~envs.expression.Expression`) over a row; its value may be a text.

    ``[a, b, c]`` is an array of numbers. Where none of the fields it reads is there, it has no value, and
    the field it computes is absent; where some are missing, the row is refused.
    """

    PREFIX = ""
    SUBJECT = "row"
    EXAMPLE = "clicks - 0.1 * cost"
    _inside = False

    def value(self, row: Mapping[str, Any]) -> Any:
        """A finite float, a text, a list of floats, or ``None``.

        Raises:
            RecordError: a field is missing or is no number where one is needed; names the field.
        """
        if self.names and not any(is_present(row, name) for name in self.names):
            return None
        try:
            value: Any = self._function(row)
        except (ArithmeticError, ValueError) as error:
            raise self._failed(str(error)) from None
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, float) and not math.isfinite(number):
                raise self._failed(f"the result is {value!r}")
        return value

    def _compile(self, node: ast.expr) -> Node:
        whole, self._inside = not self._inside, True
        if whole and isinstance(node, ast.List) and node.elts:
            parts = [self._number(entry) for entry in node.elts]
            return lambda row: [part(row) for part in parts]  # type: ignore[return-value]
        return super()._compile(node)


def is_present(row: Mapping[str, Any], name: str) -> bool:
    """Whether a row has a value under a name, which may be of a nested field."""
    return value_at(row, name, name.split(".")) is not None
