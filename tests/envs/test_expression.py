"""An expression computes what arithmetic computes, and can do nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.errors import RecordError, SpecificationError
from envs.expression import Expression

numbers = st.floats(-100, 100).filter(lambda value: abs(value) > 1e-3)
FIELDS = ("cost", "dropped", "queue.depth")


Row = dict[str, float]
Pair = tuple[str, Callable[[Row], float]]
FORMS: list[tuple[str, Callable[[float, float], float]]] = [
    ("({} + {})", lambda a, b: a + b),
    ("({} - {})", lambda a, b: a - b),
    ("({} * {})", lambda a, b: a * b),
    ("min({}, {})", min),
    ("max({}, {})", max),
    ("({} < {})", lambda a, b: float(a < b)),
    ("abs({} - {})", lambda a, b: abs(a - b)),
    ("(-{} if {} else 2)", lambda a, b: -a if b else 2.0),
    ("({} >= 0 and not {})", lambda a, b: float(a >= 0 and not b)),
]


@st.composite
def arithmetic(draw: st.DrawFn, depth: int = 3) -> Pair:
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        name = draw(st.sampled_from(FIELDS))
        number = draw(st.integers(0, 9))
        if draw(st.booleans()):
            return str(number), lambda row: float(number)
        return name, lambda row: row[name]
    (left, first), (right, second) = draw(arithmetic(depth - 1)), draw(arithmetic(depth - 1))
    form, function = draw(st.sampled_from(FORMS))
    return form.format(left, right), lambda row: function(first(row), second(row))


@given(arithmetic(), numbers, numbers, numbers)
def test_it_computes_what_it_says(pair: Pair, cost: float, dropped: float, depth: float) -> None:
    text, function = pair
    expected = function({"cost": cost, "dropped": dropped, "queue.depth": depth})
    assert Expression(text).evaluate({"cost": cost, "dropped": dropped, "queue": {"depth": depth}}) == expected
    assert Expression(text).evaluate({"cost": cost, "dropped": dropped, "queue.depth": depth}) == expected
    assert set(Expression(text).names) == {name for name in FIELDS if name in text}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-cost - 5 * dropped", -12.0),
        ("dropped > 0", 1.0),
        ("success and not failed", 1.0),
        ("1 < cost < 3", 1.0),
        ("2 < cost < 3", 0.0),
        ("true + true - false", 2.0),
        ("status == 'ok'", 1.0),
        ("status != 'ok'", 0.0),
        ("log(sqrt(cost * cost))", math.log(2.0)),
        ("cost if success else missing", 2.0),
        ("success or missing", 1.0),
        ("nested.deep.value", 7.0),
        ("2 ** 3 % 5 // 2", 1.0),
    ],
)
def test_examples(text: str, expected: float) -> None:
    outcome = {
        "cost": 2,
        "dropped": 2.0,
        "success": True,
        "failed": False,
        "status": "ok",
        "nested": {"deep": {"value": 7}},
    }
    assert Expression(text).evaluate(outcome) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cost +",
        "__import__('os')",
        "open('x')",
        "cost.__class__()",
        "[cost]",
        "{'a': 1}",
        "lambda: 1",
        "cost[0]",
        "f'{cost}'",
        "(cost := 3)",
        "cost if dropped",
        "exec('1')",
        "min(cost)",
        "log(cost, 2)",
        "max(*cost)",
        "abs(x=1)",
        "cost & 1",
        "cost is dropped",
        "cost in dropped",
        "cost; dropped",
        "a = 1",
        "1j",
        "None",
        "(" * 300 + "1" + ")" * 300,
        "-" * 1900 + "1",
        "1 + " * 1000 + "1",
        "9" * 500,
        "(1).real",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(SpecificationError) as caught:
        Expression(text)
    assert "\n" not in str(caught.value) and caught.value.remedy


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("f'{cost}'", "an f-string is not allowed"),
        ("cost[0]", "a place in brackets is not allowed"),
        ("[c for c in cost]", "a loop is not allowed"),
        ("cost in dropped", "'in' is not allowed"),
        ("cost & 1", "cost & 1 is not allowed"),
        ("1 + " * 490 + "1", "nested too deeply"),
        ("-" * 1900 + "1", "nested too deeply"),
        ("9" * 500, "a number is too large"),
    ],
)
def test_a_refusal_is_in_words_of_ours(text: str, reason: str) -> None:
    with pytest.raises(SpecificationError) as caught:
        Expression(text)
    assert f" is not an expression ({reason}); write arithmetic" in str(caught.value)


@pytest.mark.parametrize("value", [None, "three", math.nan, math.inf, [1], {"a": 1}])
def test_a_field_that_is_no_number_is_named(value: Any) -> None:
    with pytest.raises(RecordError) as caught:
        Expression("1 + queue.depth").evaluate({"queue": {"depth": value}})
    assert caught.value.field == "outcome.queue.depth"
    with pytest.raises(RecordError, match=r"outcome.queue.depth"):
        Expression("1 + queue.depth").evaluate({})


def test_a_field_that_is_not_there_is_said_with_those_that_are() -> None:
    with pytest.raises(RecordError, match=r"'-cost' in reward reads it; there are latency, success$"):
        Expression("-cost", "reward").evaluate({"success": True, "latency": 2})
    with pytest.raises(RecordError, match=r"the expression '-cost' reads it; there are none$"):
        Expression("-cost").evaluate({})
    with pytest.raises(RecordError, match=r"f11, …$"):
        Expression("-cost").evaluate({f"f{number:02}": 0 for number in range(99)})


@pytest.mark.parametrize(
    "text", ["1 / zero", "log(zero)", "sqrt(-one)", "(-one) ** 0.5", "9.0 ** 9 ** 9", "one % zero", "'a'"]
)
def test_a_result_that_is_no_number_is_an_error(text: str) -> None:
    with pytest.raises(RecordError, match="outcome"):
        Expression(text).evaluate({"zero": 0, "one": 1})


def test_the_identifier_follows_the_meaning_not_the_blanks() -> None:
    assert Expression("a+b").identifier == Expression(" a  + b").identifier != Expression("a-b").identifier
