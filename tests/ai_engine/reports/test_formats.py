"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest

from ai_engine.reports.formats import duration, figure, fixed, number, percent, plus_minus, sentence


@pytest.mark.parametrize(
    ("text", "expected"),
    [(number(0.051234), "0.0512"), (number(20004), "20,004"), (number(1234.56), "1,235"), (number(-0.5), "−0.5"),
     (number(None), "–"), (number(math.nan), "–"), (number(3.2e-9), "3.20e−9"), (number(0.0), "0"),
     (fixed(-0.0004, 2), "0.00"), (fixed(0.0512, 2, signed=True), "+0.05"), (percent(0.05), "5\u00a0%"),
     (percent(None), "–"), (percent(2e-10), "<\u00a00.01\u00a0%"),
     (sentence("the log is short"), "The log is short"), (sentence("reward_range is open"), "reward_range is open"),
     (duration(45.0), "45\u00a0seconds"), (duration(86_400.0), "1\u00a0day"),
     (duration(276_480), "3.2\u00a0days"), (plus_minus(-14.7741, 0.0212), "−14.774\u00a0±\u00a00.021"),
     (plus_minus(None, 0.1), "–"), (figure(1.0, "propensities_logged"), "100\u00a0%"),
     (figure("logged", "propensities"), "logged"), (figure("0123456789abcdef" * 4, "dataset"), "0123456789ab…")],
)  # fmt: skip
def test_numbers_are_written_for_people(text: str, expected: str) -> None:
    assert text == expected
