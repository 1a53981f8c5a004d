"""What may be written for a value on the command line."""

from __future__ import annotations

from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_engine.cli.values import Duration, Moment, Names, Setting, hyperparameter


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("4m", 240), ("2h", 7200), ("1h30m", 5400), ("0.5m", 30), (" 4M ", 240)]
)
def test_durations(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@given(st.text(max_size=8))
def test_a_duration_is_positive_and_finite_or_refused_with_an_example(text: str) -> None:
    try:
        seconds = Duration().convert(text, None, None)
    except click.BadParameter as error:
        assert "4m" in str(error)
    else:
        assert 0 < seconds < float("inf")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8", 8),
        ("-1", -1),
        ("1e-3", 1e-3),
        (".5", 0.5),
        ("0.5", 0.5),
        ("true", True),
        ("False", False),
        ("null", None),
        ("None", None),
        ("grid", "grid"),
        ('"8"', "8"),
        ("64,64", (64, 64)),
        ("[64, 64]", (64, 64)),
        ("[]", ()),
        ("cpu, queue", ("cpu", "queue")),
    ],
)
def test_hyperparameters(text: str, value: Any) -> None:
    read = hyperparameter(text)
    assert read == value and type(read) is type(value)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "[1, NaN]", "{}", '{"a": 1}', "1,NaN"])
def test_hyperparameters_that_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        hyperparameter(text)


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans())
def test_what_python_prints_is_read_back(value: int | float | bool) -> None:
    read = hyperparameter(repr(value))
    assert read == value and type(read) is type(value)


def test_a_setting_keeps_what_follows_its_first_equals_sign() -> None:
    assert Setting().convert("rule=a=b", None, None) == ("rule", "a=b")


@pytest.mark.parametrize("text", ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.5+01:00"])
def test_moments(text: str) -> None:
    assert Moment().convert(text, None, None) == text


def test_names() -> None:
    assert Names().convert("cpu, queue", None, None) == ("cpu", "queue")
