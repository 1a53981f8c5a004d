"""The worked decision quotes a real transcript, and computes with its figures rightly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "worked_decision.md").read_text(encoding="utf-8")
TRANSCRIPT = (ROOT / "benchmarks" / "results" / "worked_decision.txt").read_text(encoding="utf-8")


def test_every_quoted_line_is_in_the_transcript() -> None:
    kept = {line.strip() for line in TRANSCRIPT.splitlines()}
    quoted = [line.strip() for block in re.findall(r"```\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    assert len(quoted) > 15
    assert [line for line in quoted if line not in kept] == []


def test_its_differences_are_those_of_the_quoted_truths() -> None:
    truth = {int(n): float(v) for n, v in re.findall(r"self-healing@(\d).* (-\d\.\d+) ± ", PAGE)}
    assert truth[2] - truth[0] == pytest.approx(0.235)
    assert truth[4] - truth[0] == pytest.approx(1.85, abs=0.005)
    lower, upper = map(float, re.findall(r"promote: gain \S+ \[(\S+), (\S+)\]", PAGE)[0])
    assert lower < truth[2] - truth[0] < upper
