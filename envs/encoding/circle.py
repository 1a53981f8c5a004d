"""Places on a circle: hours of a day, days of a week, angles. By sums and products alone, whose bits are the same
on every machine and for one row as for thousands; ``numpy.sin`` promises neither."""

from __future__ import annotations

import math

import numpy as np

DAY, WEEK = 86_400.0, 7 * 86_400.0
TERMS = 9
_COEFFICIENTS = tuple((-1.0) ** term / math.factorial(2 * term + 1) for term in range(TERMS))


def phase(values: np.ndarray, period: float) -> np.ndarray:
    """The share of a period that has passed, in [0, 1); NaN where a value is missing."""
    turns = values / period
    return np.asarray(turns - np.floor(turns))


def sine(turns: np.ndarray) -> np.ndarray:
    """sin(2π t) of shares of a turn, to 1e-12: the Taylor series on the quarter turn nearest to 0."""
    near = turns - np.round(turns)
    folded = np.where(np.abs(near) > 0.25, np.copysign(0.5, near) - near, near)
    angle = 2.0 * math.pi * folded
    square, total = angle * angle, np.zeros_like(angle)
    for coefficient in reversed(_COEFFICIENTS):
        total = total * square + coefficient
    return np.asarray(total * angle)
