"""Expressions over outcomes, for many decisions at once.

The numbers of most expressions are arithmetic over columns. Where one compares texts, or a column holds
something else than numbers, each row is evaluated by itself: the result is the same.
"""

from __future__ import annotations

import ast
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from envs.errors import RecordError
from envs.expression import Expression
from envs.expression_grammar import CONSTANTS, TEXT_FUNCTIONS
from envs.log.forms import FormColumns, by_form

Columns = dict[str, np.ndarray]
Evaluated = tuple[np.ndarray, np.ndarray]
"""Values, float64 (n,), and where there is one, bool (n,)."""

ARITHMETIC: dict[type[ast.operator], Callable[..., Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.mod,
    ast.Pow: np.power,
}
COMPARISONS: dict[type[ast.cmpop], Callable[..., Any]] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "min": lambda *values: np.minimum.reduce(values),
    "max": lambda *values: np.maximum.reduce(values),
    "log": np.log,
    "exp": np.exp,
    "sqrt": np.sqrt,
}


@dataclass(frozen=True, slots=True)
class ColumnExpression:
    """An expression, evaluated on the outcomes of a batch.

    Attributes:
        expression: the expression.
        tree: its syntax tree.
        numeric: whether it names no text, and no function of one.
    """

    expression: Expression
    tree: ast.expr
    numeric: bool

    @classmethod
    def of(cls, text: str) -> ColumnExpression:
        """The expression that a declaration writes."""
        tree = ast.parse(text.strip(), mode="eval").body
        nodes = list(ast.walk(tree))
        texts = any(isinstance(node, ast.Constant) and isinstance(node.value, str) for node in nodes)
        texts |= any(isinstance(node, ast.Name) and node.id in TEXT_FUNCTIONS for node in nodes)
        return cls(Expression(text), tree, not texts)

    def evaluate(self, batch: pa.RecordBatch) -> Evaluated:
        """Its value for each row of a batch of the table; there is none where the row lacks what it reads."""
        values, valid = np.full(batch.num_rows, np.nan), np.zeros(batch.num_rows, dtype=bool)
        groups = by_form(batch, "outcome")
        bare = np.ones(batch.num_rows, dtype=bool)
        for group in groups:
            bare[group.rows] = False
            values[group.rows], valid[group.rows] = self._of_group(group)
        if bare.any():  # no outcome at all: what reads nothing has a value all the same
            with contextlib.suppress(RecordError):
                values[bare], valid[bare] = self.expression.evaluate({}), True
        return values, valid

    def _of_group(self, group: FormColumns) -> Evaluated:
        kinds = {name: group.kinds.get(name, "z") for name in self.expression.names}
        if group.form == "json" or not self.numeric or any(kind in "sj" for kind in kinds.values()):
            return self._by_hand(group)
        count = len(group.rows)
        columns = {name: group.number(name) for name, kind in kinds.items() if kind in "ifb"}
        with np.errstate(all="ignore"):
            values, valid = _value(self.tree, columns, count)
        valid = valid & np.isfinite(values)
        return np.where(valid, values, np.nan), valid

    def _by_hand(self, group: FormColumns) -> Evaluated:
        values, valid = np.full(len(group.rows), np.nan), np.zeros(len(group.rows), dtype=bool)
        for index, outcome in enumerate(outcomes_of(group)):
            try:
                values[index], valid[index] = self.expression.evaluate(outcome), True
            except RecordError:
                continue
        return values, valid


def outcomes_of(group: FormColumns) -> list[dict[str, Any]]:
    """The outcomes of rows of one form, flattened."""
    if group.form == "json":
        return [json.loads(text) for text in group.texts.to_pylist()]
    columns: dict[str, list[Any]] = {}
    cast = {"i": int, "f": float, "b": bool}
    for name, kind in group.kinds.items():
        if kind in "ifb":
            columns[name] = [cast[kind](value) for value in group.number(name).tolist()]
        elif kind == "s":
            columns[name] = group.text(name).to_pylist()
        elif kind == "j":
            columns[name] = [json.loads(text) for text in group.text(name).to_pylist()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)] or [
        {} for _ in group.rows
    ]


def _value(node: ast.expr, columns: Columns, count: int) -> Evaluated:
    match node:
        case ast.Constant(value=bool() | int() | float() as number):
            return np.full(count, float(number)), np.ones(count, dtype=bool)
        case ast.Name() | ast.Attribute():
            name = ast.unparse(node)
            if name in CONSTANTS:
                return np.full(count, CONSTANTS[name]), np.ones(count, dtype=bool)
            if name not in columns:
                return np.full(count, np.nan), np.zeros(count, dtype=bool)
            return columns[name], np.isfinite(columns[name])
        case ast.UnaryOp(op=sign, operand=operand):
            inner, valid = _value(operand, columns, count)
            if isinstance(sign, ast.Not):
                return (inner == 0.0).astype(np.float64), valid
            return (-inner if isinstance(sign, ast.USub) else inner), valid
        case ast.BinOp(op=sign, left=left, right=right):
            (first, one), (second, two) = _value(left, columns, count), _value(right, columns, count)
            valid = one & two
            if isinstance(sign, (ast.Div, ast.FloorDiv, ast.Mod)):
                valid = valid & (second != 0.0)
            values = ARITHMETIC[type(sign)](first, second)
            return values, valid & np.isfinite(values) if isinstance(sign, ast.Pow) else valid
        case ast.BoolOp(op=sign, values=parts):
            return _junction(parts, isinstance(sign, ast.And), columns, count)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            condition, known = _value(test, columns, count)
            (yes, first), (no, second) = _value(body, columns, count), _value(orelse, columns, count)
            chosen = condition != 0.0
            return np.where(chosen, yes, no), known & np.where(chosen, first, second)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            operands = [left, *comparators]
            links = zip(ops, operands[:-1], operands[1:], strict=True)
            return _chain([(COMPARISONS[type(op)], one, two) for op, one, two in links], columns, count)
        case ast.Call(func=function, args=arguments):
            evaluated = [_value(argument, columns, count) for argument in arguments]
            name = ast.unparse(function)
            values = FUNCTIONS[name](*(value for value, _ in evaluated))
            valid = np.logical_and.reduce([known for _, known in evaluated])
            return values, valid & np.isfinite(values)
    raise AssertionError(ast.dump(node))  # Expression has accepted nothing else


def _junction(parts: list[ast.expr], every: bool, columns: Columns, count: int) -> Evaluated:
    """``and`` and ``or``: what comes after the part that decides is not looked at."""
    open_, valid = np.ones(count, dtype=bool), np.ones(count, dtype=bool)
    for part in parts:
        values, known = _value(part, columns, count)
        valid &= ~open_ | known
        open_ &= known & ((values != 0.0) if every else (values == 0.0))
    result = open_ if every else ~open_
    return result.astype(np.float64), valid


def _chain(links: list[tuple[Callable[..., Any], ast.expr, ast.expr]], columns: Columns, count: int) -> Evaluated:
    """``a < b < c``: what comes after the first that does not hold is not looked at."""
    open_, valid = np.ones(count, dtype=bool), np.ones(count, dtype=bool)
    for compare, left, right in links:
        (first, one), (second, two) = _value(left, columns, count), _value(right, columns, count)
        valid &= ~open_ | (one & two)
        open_ &= one & two & compare(first, second)
    return open_.astype(np.float64), valid
