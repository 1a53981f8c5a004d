"""How fast, and in how much memory: many networks in one fit, many policies by all estimators, a large log.

python -m benchmarks.trust --only speed [--quick] [--json]
"""

from __future__ import annotations

import time

import numpy as np

from algorithms.ope.cross_fitting import cross_fit
from algorithms.ope.model_classes import neural_evaluation_model
from algorithms.ope.neural_model import NetworkSettings
from benchmarks.rows import Row
from benchmarks.trust import large_log
from benchmarks.trust.all_estimators import evaluate_all
from benchmarks.trust.linear_process import log, policies
from benchmarks.trust.request import Request
from envs.dataset import Dataset

POLICIES, FOLDS = 20, 3
SLOPES = np.linspace(0.5, 2.5, POLICIES)
HORIZON = 10
DRAWN = 25_600
"""Rows that a fit reads for each h, in whatever batches."""
FASTER = {256: 2.0, 32: 5.0}
"""How much faster all networks must be together than one by one, by the batch."""
SAME = 1e-5
SECONDS = 90.0
GIGABYTE = 1e9
COLUMNS, CONSTANT = 2.0, 0.6e9
"""Peak memory may be so many times the columns on disk and so many bytes."""


def measure(request: Request) -> list[Row]:
    """All rows; a quick request takes smaller logs and horizons."""
    quick = request.quick
    rows = []
    for batch in FASTER:
        rows += networks(batch, quick)
    for horizon in (1, HORIZON):
        rows.append(all_estimators(2_000 if quick else 20_000, horizon))
    return rows + memory(300_000 if quick else 10_000_000)


def networks(batch: int, quick: bool) -> list[Row]:
    """The fits of all policies in one and one by one, in turns; processor time."""
    dataset = log(4_000 if quick else 20_000, 2 if quick else HORIZON)
    settings = NetworkSettings(batch=batch, updates=DRAWN // batch // (8 if quick else 1))
    of = policies(dataset, SLOPES)
    _values(dataset, of[:1], NetworkSettings(updates=1))  # what is loaded at first
    together, alone, parts = [], [], np.array_split(np.arange(POLICIES), 2)
    values, others = None, []
    for part in parts:
        seconds, values = _values(dataset, of, settings)
        together.append(seconds)
        for index in part:
            seconds, found = _values(dataset, of[[index]], settings)
            alone.append(seconds)
            others.append(found[0])
    assert values is not None
    case, factor = f"{POLICIES} networks, batch {batch}", FASTER[batch]
    ours, theirs = POLICIES / float(np.mean(together)), POLICIES / float(np.sum(alone))
    goal = f"fitted Q evaluation of all in one fit at least {factor:g} times as fast as one by one"
    apart = float(np.abs(values - np.stack(others)).max())
    return [
        Row(case, "policies a second", "1/s", ours, "one by one", theirs, goal, ours >= factor * theirs),
        Row(case, "largest difference of values", "return", apart, "limit", SAME, "the same numbers", apart <= SAME),
    ]


def all_estimators(decisions: int, horizon: int) -> Row:
    """All policies by all estimators with all classes of models; processor time."""
    dataset = log(decisions, horizon)
    started = time.process_time()
    answers = evaluate_all(dataset, policies(dataset, SLOPES), folds=FOLDS, networks=True)
    seconds = time.process_time() - started
    case = f"{POLICIES} policies, {len(dataset):,} rows, horizon {horizon}"
    goal = f"{answers.asked:,} estimates in at most {SECONDS:g} s on one core"
    return Row(case, "linear, cells and networks", "s", seconds, "limit", SECONDS, goal, seconds <= SECONDS)


def memory(decisions: int) -> list[Row]:
    """Peak resident memory of the evaluation of a log on disk."""
    found = large_log.measure(decisions)
    bound = COLUMNS * found.columns + CONSTANT
    case = f"{found.decisions:,} rows, 2 policies"
    goal = f"at most {COLUMNS:g} times the columns on disk ({found.columns / GIGABYTE:.2f} GB) and "
    goal += f"{CONSTANT / GIGABYTE:g} GB"
    return [
        Row(case, "peak memory", "GB", found.peak / GIGABYTE, "bound", bound / GIGABYTE, goal, found.peak <= bound),
        Row(
            case,
            "estimates answered",
            "",
            float(found.answered),
            "asked",
            float(found.asked),
            "every estimator answers, linear and in cells",
            found.answered == found.asked,
        ),
    ]


def _values(dataset: Dataset, of: np.ndarray, settings: NetworkSettings) -> tuple[float, np.ndarray]:
    """Seconds, and V̂ (P, E', H + 1) on the last episodes of networks fitted on the others."""
    held = np.arange(dataset.episode_count) >= dataset.episode_count - 100
    started = time.process_time()
    model = neural_evaluation_model(dataset, ~held, settings=settings)
    _, values = cross_fit(model, dataset, of, evaluated=held, always=~held, folds=0)
    return time.process_time() - started, values
