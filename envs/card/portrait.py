"""What a log looks like: the figures behind the data card's drawings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np

from envs.card.blocks import time_order
from envs.card.doubts import SMALLEST_PROPENSITY
from envs.card.findings import Finding
from envs.card.horizons import grades_by_horizon
from envs.card.overlap import episode_returns
from envs.dataset import Dataset

PERIODS = 24
PARTS = ("first third", "second third", "last third")
MOST_FIELDS = 9
RETURN_BINS = 12
LARGEST_DRAWN = 1e300
"""Where there are larger values nothing is drawn: the difference of two may be no number."""
PROPENSITY_BOUNDS = (0.0, SMALLEST_PROPENSITY, 0.01, 0.03, 0.1, 0.3, 0.9, 0.999, math.inf)
MOST_GRADED = 100_000
"""Decisions of a log beyond which it is not graded at shorter horizons too: that takes as long as the card, each."""


@dataclass(frozen=True, slots=True)
class Course:
    """How one quantity went over the periods of the log; ``None`` where a period has no value.

    Attributes:
        name: of the quantity.
        unit: of it, or empty.
        low: a quarter of a period's decisions are below.
        middle: its median; a share, where the quantity is one.
        high: a quarter are above.
    """

    name: str
    unit: str
    low: tuple[float | None, ...]
    middle: tuple[float | None, ...]
    high: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Portrait:
    """A log in figures.

    Attributes:
        periods: when each period begins, as text; numbers of the first episode where no clock was read.
        courses: reward and fields over the periods of equally many decisions, where they can be drawn.
        actions: the declared actions.
        chosen: for each third of the log the share of each action.
        propensities: text of a range and the share of decisions with such a propensity; empty where none is logged.
        returns: lower and upper bound of a range and the share of episodes with such a return.
        grades: grade at each horizon, shortest first; empty where that would take long.
    """

    periods: tuple[str, ...]
    courses: tuple[Course, ...]
    actions: tuple[str, ...]
    chosen: tuple[tuple[str, tuple[float, ...]], ...]
    propensities: tuple[tuple[str, float], ...]
    returns: tuple[tuple[float, float, float], ...]
    grades: tuple[tuple[int, str], ...]


def portray(dataset: Dataset, findings: Sequence[Finding] = ()) -> Portrait:
    """The figures of a log that has decisions; of one without, nothing.

    Args:
        dataset: the log.
        findings: of its card, on which the grades depend.
    """
    if not len(dataset):
        return Portrait((), (), tuple(map(str, dataset.specification.actions)), (), (), (), ())
    order, starts = time_order(dataset)
    place = np.empty(len(order), dtype=np.int64)
    ahead = np.cumsum(dataset.lengths[order]) - dataset.lengths[order]
    place[order] = ahead * PERIODS // len(dataset)
    period = np.minimum(place, PERIODS - 1)[dataset.episode_index]
    grades: dict[int, str] = {}
    if len(dataset) <= MOST_GRADED:
        grades = grades_by_horizon(dataset, findings)
    return Portrait(
        periods=_labels(order, place[order], starts),
        courses=_courses(dataset, period),
        actions=tuple(map(str, dataset.specification.actions)),
        chosen=_chosen(dataset, period),
        propensities=_propensities(dataset.propensities),
        returns=_returns(episode_returns(dataset)),
        grades=tuple(grades.items()),
    )


def _labels(order: np.ndarray, period: np.ndarray, starts: np.ndarray) -> tuple[str, ...]:
    firsts = np.minimum(np.searchsorted(period, np.arange(PERIODS)), len(order) - 1)
    if not np.isfinite(starts).all():
        return tuple(f"episode {first + 1:,}" for first in firsts)
    return tuple(
        datetime.fromtimestamp(float(starts[order[first]]), UTC).strftime("%Y-%m-%d %H:%M") for first in firsts
    )


def _courses(dataset: Dataset, period: np.ndarray) -> tuple[Course, ...]:
    courses = [_course("reward", "", dataset.rewards, period)]
    rows = dataset.observations[dataset.rows]
    for declared, values in zip(dataset.specification.observation.fields, rows.T, strict=True):
        if len(courses) > MOST_FIELDS or np.isnan(values).all() or declared.type == "time":
            continue
        if declared.type in ("boolean", "category"):
            codes, counts = np.unique(values[~np.isnan(values)], return_counts=True)
            usual = float(codes[counts.argmax()])
            name = f"{declared.name} = {declared.decode(usual)}"
            courses.append(_course(name, "share", (values == usual).astype(np.float64), period, share=True))
        else:
            courses.append(_course(declared.name, declared.unit, values, period))
    return tuple(course for course in courses if _drawable([*course.low, *course.middle, *course.high]))


def _drawable(values: Iterable[float | None]) -> bool:
    return all(value is None or abs(value) <= LARGEST_DRAWN for value in values)


def _course(name: str, unit: str, values: np.ndarray, period: np.ndarray, *, share: bool = False) -> Course:
    lines: tuple[list[float | None], list[float | None], list[float | None]] = ([], [], [])
    for number in range(PERIODS):
        own = values[(period == number) & np.isfinite(values)]
        middle = [own.mean()] * 3 if share and len(own) else np.quantile(own, [0.25, 0.5, 0.75]) if len(own) else None
        for place, line in enumerate(lines):
            line.append(None if middle is None else float(middle[place]))
    return Course(name, unit, *map(tuple, lines))


def _chosen(dataset: Dataset, period: np.ndarray) -> tuple[tuple[str, tuple[float, ...]], ...]:
    out = []
    for number, name in enumerate(PARTS):
        own = dataset.actions[period * len(PARTS) // PERIODS == number]
        if len(own):
            shares = np.bincount(own, minlength=len(dataset.specification.actions)) / len(own)
            out.append((name, tuple(float(share) for share in shares)))
    return tuple(out)


def _propensities(values: np.ndarray) -> tuple[tuple[str, float], ...]:
    known = values[np.isfinite(values)]
    if not len(known):
        return ()
    counts = np.histogram(known, bins=np.array(PROPENSITY_BOUNDS))[0] / len(values)
    pairs = list(pairwise(PROPENSITY_BOUNDS))
    names = [f"below {high:g}" if low == 0.0 else f"{low:g} to {high:g}" for low, high in pairs]
    names[-1] = "1 (no chance)"
    return tuple((name, float(share)) for name, share in zip(names, counts, strict=True))


def _returns(values: np.ndarray) -> tuple[tuple[float, float, float], ...]:
    if not _drawable(values.tolist()):
        return ()
    counts, edges = np.histogram(values, bins=RETURN_BINS if np.ptp(values) > 0.0 else 1)
    shares = counts / len(values)
    return tuple(
        (float(low), float(high), float(share)) for low, high, share in zip(edges[:-1], edges[1:], shares, strict=True)
    )
