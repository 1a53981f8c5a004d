"""Arithmetic over outcome fields: the reward of an agent, and its class of catastrophes.

The text is parsed into a syntax tree of which only the kinds listed here are accepted; each is
turned into a small function. Nothing is ever handed to the interpreter, so an expression can read
numbers and do arithmetic, and nothing else.
"""

from __future__ import annotations

import ast
import hashlib
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NoReturn

from envs.errors import RecordError, SpecificationError
from envs.expression_grammar import (
    ARITHMETIC,
    CONSTANTS,
    EQUALITY,
    FUNCTIONS,
    ORDER,
    TEXT_FUNCTIONS,
    WORDS,
    Value,
)

EXPRESSION_VERSION = 1
MAXIMUM_LENGTH = 2000
SHOWN_FIELDS = 12

Node = Callable[[Mapping[str, Any]], Value]


class Expression:
    """A versioned expression over named fields.

    Numbers, field names (nested ones joined by dots), ``true`` and ``false`` (1 and 0), texts in
    quotes (for ``==`` and ``!=`` only), ``+ - * / // % **``, comparisons, ``and or not``,
    ``a if condition else b`` and the functions abs, min, max, log, exp and sqrt; of a text ``lower``,
    ``seconds`` (since 1970, of an RFC 3339 moment) and ``utc`` (the same, also of one without a zone);
    ``field("any name")`` for a name that is no word.
    Comparisons and boolean operators give 1 or 0.

    Args:
        text: the expression as written.
        declared: where it is declared, such as ``reward``, for messages.

    Attributes:
        text: the expression as written.
        names: the fields it reads, sorted.
        version: the version of this language.
        identifier: SHA-256 (hex) of version and syntax tree; equal but for blanks, equal here.

    Raises:
        SpecificationError: the text is not such an expression; says what and where in it.
    """

    PREFIX = "outcome."  # of fields in messages
    SUBJECT = "outcome"
    EXAMPLE = "-cost - 5 * dropped"

    def __init__(self, text: str, declared: str = "") -> None:
        self.text = text
        self._of = f" in {declared}" if declared else ""
        self.version = EXPRESSION_VERSION
        self._names: set[str] = set()
        try:
            if len(text) > MAXIMUM_LENGTH:
                self._refuse(f"is longer than {MAXIMUM_LENGTH} characters")
            tree = ast.parse(text.strip(), mode="eval").body
            self._function = self._compile(tree)
            canonical = ast.unparse(tree)
        except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError) as error:
            raise SpecificationError(
                f"{text[:80]!r} is not an expression ({_reason(error)})",
                remedy=f'write arithmetic over {self.SUBJECT} fields, such as "{self.EXAMPLE}"',
            ) from None
        self.names = tuple(sorted(self._names))
        self.identifier = hashlib.sha256(f"{self.version}:{canonical}".encode()).hexdigest()

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def finds_all(self, mapping: Mapping[str, Any]) -> bool:
        """Whether every field that it reads is there."""
        return all(value_at(mapping, name, name.split(".")) is not None for name in self.names)

    def evaluate(self, mapping: Mapping[str, Any]) -> float:
        """The expression's value for one outcome, a finite float.

        Raises:
            RecordError: a field is missing or is no number, or the result is not finite; names the field.
        """
        try:
            value = self._function(mapping)
        except (ArithmeticError, ValueError) as error:
            raise self._failed(str(error)) from None
        if isinstance(value, str) or not math.isfinite(value):
            raise self._failed(f"the result is {value!r}")
        return float(value)

    def _failed(self, reason: str) -> RecordError:
        return RecordError(
            f"{self.text!r} has no value here ({reason})",
            field=self.SUBJECT,
            remedy="correct the row or the expression",
        )

    def _refuse(self, problem: str) -> NoReturn:
        raise ValueError(problem)

    def _compile(self, node: ast.expr) -> Node:
        match node:
            case ast.Constant(value=bool() | int() | float() as number):
                constant = float(number)
                return lambda _: constant
            case ast.Constant(value=str() as text):
                return lambda _: text
            case ast.Name() | ast.Attribute():
                return self._field(_dotted(node) or self._refuse("a field name is expected before the dot"))
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Not() as sign, operand=operand):
                inner = self._number(operand)
                if isinstance(sign, ast.Not):
                    return lambda row: float(not inner(row))
                return (lambda row: -inner(row)) if isinstance(sign, ast.USub) else inner
            case ast.BinOp(op=sign, left=left, right=right) if type(sign) in ARITHMETIC:
                function, first, second = ARITHMETIC[type(sign)], self._number(left), self._number(right)
                return lambda row: function(first(row), second(row))
            case ast.BoolOp(op=sign, values=values):
                parts, every = [self._number(value) for value in values], isinstance(sign, ast.And)
                return lambda row: float((all if every else any)(part(row) for part in parts))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                condition, yes, no = self._number(test), self._compile(body), self._compile(orelse)
                return lambda row: yes(row) if condition(row) else no(row)
            case ast.Compare():
                return self._comparison(node)
            case ast.Call():
                return self._call(node)
        self._refuse(f"{WORDS.get(type(node), ast.unparse(node)[:40])} is not allowed")

    def _number(self, node: ast.expr) -> Callable[[Mapping[str, Any]], float]:
        inner, source = self._compile(node), ast.unparse(node)

        def number(row: Mapping[str, Any]) -> float:
            value = inner(row)
            if isinstance(value, str):
                raise RecordError(
                    f"{value!r} is not a number",
                    field=f"{self.PREFIX}{source}",
                    remedy="give a number, or compare with ==",
                )
            return value

        return number

    def _field(self, name: str) -> Node:
        if name in CONSTANTS:
            constant = CONSTANTS[name]
            return lambda _: constant
        self._names.add(name)
        path = name.split(".")

        def read(row: Mapping[str, Any]) -> Value:
            value = value_at(row, name, path)
            if isinstance(value, (str, datetime)):  # a frame has moments as such
                return str(value)
            if value is None:
                raise RecordError(
                    "is missing",
                    field=f"{self.PREFIX}{name}",
                    remedy=f"record it, the expression {self.text!r}{self._of} reads it; there are {_names(row)}",
                )
            try:
                number = float(value)
            except (TypeError, ValueError):
                number = math.nan
            if not math.isfinite(number):
                raise RecordError(
                    f"{value!r} is not a finite number", field=f"{self.PREFIX}{name}", remedy="give a number"
                )
            return number

        return read

    def _comparison(self, node: ast.Compare) -> Node:
        operands = [node.left, *node.comparators]
        links: list[tuple[Callable[[Any, Any], bool], Node, Node]] = []
        for sign, left, right in zip(node.ops, operands[:-1], operands[1:], strict=True):
            if type(sign) in EQUALITY:
                links.append((EQUALITY[type(sign)], self._compile(left), self._compile(right)))
            elif type(sign) in ORDER:
                links.append((ORDER[type(sign)], self._number(left), self._number(right)))
            else:
                self._refuse(f"{WORDS[type(sign)]!r} is not allowed")
        return lambda row: float(all(function(left(row), right(row)) for function, left, right in links))

    def _call(self, node: ast.Call) -> Node:
        name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
        if name == "field":
            match node.args:
                case [ast.Constant(value=str() as constant)] if not node.keywords:
                    return self._field(constant)
            self._refuse("field takes a name in quotes")
        if name in TEXT_FUNCTIONS:
            return self._text_call(name, node)
        if name not in FUNCTIONS:
            self._refuse(f"{name} is not a function; there are {', '.join((*FUNCTIONS, *TEXT_FUNCTIONS, 'field'))}")
        function, fewest, most = FUNCTIONS[name]
        if node.keywords or not fewest <= len(node.args) <= most:
            self._refuse(f"{name} takes {fewest} {'argument' if most == 1 else 'or more arguments'}")
        arguments = [self._number(argument) for argument in node.args]
        return lambda row: function(*(argument(row) for argument in arguments))

    def _text_call(self, name: str, node: ast.Call) -> Node:
        if node.keywords or len(node.args) != 1:
            self._refuse(f"{name} takes 1 argument")
        function, inner, source = TEXT_FUNCTIONS[name], self._compile(node.args[0]), ast.unparse(node.args[0])

        def call(row: Mapping[str, Any]) -> Value:
            value = inner(row)
            if not isinstance(value, str):
                raise RecordError(f"{value:g} is not a text", field=f"{self.PREFIX}{source}", remedy="give a text")
            return function(value)

        return call


def value_at(row: Mapping[str, Any], name: str, path: list[str]) -> Any:
    """A field by its own name, or by the path to it; ``None`` where it is not there."""
    if name in row:
        return row[name]
    value: Any = row
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _reason(error: Exception) -> str:
    """Why a text is no expression; of the interpreter's own words only those about syntax."""
    if isinstance(error, (MemoryError, RecursionError)):
        return "nested too deeply"
    if isinstance(error, OverflowError):
        return "a number is too large"
    return error.msg if isinstance(error, SyntaxError) else str(error)


def _names(row: Mapping[str, Any]) -> str:
    """The fields that are there, the first ones where there are many."""
    names = sorted(map(str, row))
    more = ["…"] if len(names) > SHOWN_FIELDS else []
    return ", ".join([*names[:SHOWN_FIELDS], *more]) or "none"


def _dotted(node: ast.expr) -> str:
    """``a.b.c`` as one name, or an empty string where the chain does not begin with a name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (parent := _dotted(node.value)):
        return f"{parent}.{node.attr}"
    return ""
