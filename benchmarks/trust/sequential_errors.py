"""Errors of the value that we print, and of fitted Q evaluation, beside the peers' on the same sequential logs."""

from __future__ import annotations

import numpy as np

from benchmarks.rows import Row
from benchmarks.trust.request import Request
from benchmarks.trust.sequential_logs import Answers, answers

GOAL = "mean error at most that of the peer's fitted Q evaluation on the same logs and policies"
RIVALS = {"d3rlpy, fitted Q evaluation": "d3rlpy", "SCOPE-RL, fitted Q evaluation": "SCOPE-RL dm"}


def measure(request: Request) -> list[Row]:
    """Two rows for each world and peer."""
    return [row for found in answers(request) for row in rows_of(found)]


def rows_of(found: Answers) -> list[Row]:
    """The value that ``tune`` prints and our fitted Q evaluation, on the policies that the peer was asked about."""
    rows = []
    for rival, theirs in RIVALS.items():
        beside = mean_error(found, theirs, theirs)
        for metric, name in (("value of a policy", "value"), ("fitted Q evaluation", "fqe")):
            error = mean_error(found, name, theirs)
            rows.append(
                Row(found.candidates.name, f"{metric}: error", "of spread", error, rival, beside, GOAL, error <= beside)
            )
    return rows


def mean_error(found: Answers, who: str, asked: str) -> float:
    """Mean absolute error as a share of the spread of values, where ``asked`` has answers."""
    truths = found.candidates.truths
    known = np.isfinite(found.said[asked])
    return float(np.abs(found.said[who] - truths)[known].mean() / (truths[-1] - truths[0]))
