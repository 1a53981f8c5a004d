"""Did what the agent meets, or the rule that decides, change in the course of the log?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from envs.behavior import default_states
from envs.card.blocks import LEVEL, Change, find_change, time_order
from envs.card.findings import Finding
from envs.dataset import Dataset

LEAST_RANK = 0.15
"""A mean rank that moved so far: half a standard deviation of a normal quantity."""
LEAST_SHARE = 0.15
LEAST_CHOICE = 0.1
"""Share of the decisions of a kind in which another action was taken than before."""
MOST_DECISIONS = 60_000
MOST_FIELDS = 12
MOST_VALUES = 6
REGIONS = 4
LEAST_REGION = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """Named columns of decisions and the least change of each that matters."""

    names: list[str]
    values: np.ndarray
    least: np.ndarray


def drift(dataset: Dataset) -> list[Finding]:
    """What changed in the course of the log: traffic, and the rule given the traffic.

    Args:
        dataset: the log. Of a large one every k-th episode is looked at.
    """
    if len(dataset) < 200:
        return []
    looked = _thinned(dataset)
    found = [_traffic(looked), _rule(looked)]
    return [finding for finding in found if finding is not None]


def _traffic(dataset: Dataset) -> Finding | None:
    columns = _observed(dataset)
    change = find_change(dataset, columns.values, least=columns.least)
    if not change.p_value < LEVEL:
        return None
    return Finding(
        "traffic_drift",
        "warning",
        f"{columns.names[change.column]} changed for good {_when(dataset, change)} ({_size(change)})",
        "what is proven is proven of the mixture of before and after, not of what comes",
        "exclude the older part (retrainer log exclude) once the newer one is large enough",
    )


def _rule(dataset: Dataset) -> Finding | None:
    values, regions = _choices(dataset)
    changes = [
        find_change(dataset, values, least=LEAST_CHOICE, within=region, family=len(regions)) for region in regions
    ]
    change = min(changes, key=lambda found: found.p_value)
    if not change.p_value < LEVEL:
        return None
    actions = dataset.specification.actions
    action, known = actions[change.column % len(actions)], np.isfinite(dataset.propensities).all()
    more = "more" if change.difference > 0.0 else "less"
    consequence = "every decision's own propensity is used, so that estimates stay true"
    remedy = "nothing need be done, as long as each rule has its own policy_version"
    if not known:
        consequence = "the estimated propensities are those of a mixture of two rules that nobody followed"
        remedy = "log the propensity, or exclude what the older rule decided (retrainer log exclude)"
    return Finding(
        "rule_drift",
        "information" if known else "warning",
        f"{action} was chosen {more} often than before in some situations {_when(dataset, change)} ({_size(change)})",
        consequence,
        remedy,
    )


def _observed(dataset: Dataset) -> _Columns:
    """Ranks and their distance from the middle; the shares of values that are few; what is missing."""
    observation, rows = dataset.specification.observation, dataset.observations[dataset.rows]
    names: list[str] = []
    columns: list[np.ndarray] = []
    least: list[float] = []

    def put(name: str, values: np.ndarray, matters: float) -> None:
        names.append(name)
        columns.append(values.astype(np.float64))
        least.append(matters)

    for declared, values in zip(observation.fields[:MOST_FIELDS], rows.T[:MOST_FIELDS], strict=True):
        missing = np.isnan(values)
        if missing.all() or declared.type == "time":  # a clock goes on
            continue
        if missing.any():
            put(f"the share of decisions without {declared.name}", missing, LEAST_SHARE)
        known = np.where(missing, np.median(values[~missing]), values)
        distinct, counts = np.unique(known, return_counts=True)
        if declared.type in ("boolean", "category") or len(distinct) <= MOST_VALUES:
            for value in distinct[np.argsort(-counts, kind="stable")[:MOST_VALUES]]:
                put(f"the share of {declared.name} = {declared.decode(float(value))}", known == value, LEAST_SHARE)
            continue
        ordered = np.sort(known)
        rank = (np.searchsorted(ordered, known) + np.searchsorted(ordered, known, side="right")) / (2.0 * len(known))
        put(f"the level of {declared.name}", rank, LEAST_RANK)
        put(f"the spread of {declared.name}", np.abs(2.0 * rank - 1.0), LEAST_RANK)
    values = np.stack(columns, axis=1) if columns else np.zeros((len(dataset), 0))
    return _Columns(names, values, np.array(least))


def _choices(dataset: Dataset) -> tuple[np.ndarray, list[np.ndarray]]:
    """What the rule did less what it does in such states on average, (N, A), and regions of states, bool (N,) each."""
    observation, rows = dataset.specification.observation, dataset.observations[dataset.rows]
    known = np.isfinite(dataset.action_probabilities).all()
    chosen = dataset.action_probabilities if known else np.eye(len(dataset.specification.actions))[dataset.actions]
    fine = default_states(rows, observation, decisions=len(dataset)).states(rows)
    coarse = default_states(rows, observation, decisions=50 * REGIONS).states(rows)
    largest = np.argsort(-np.bincount(coarse[coarse >= 0], minlength=1), kind="stable")[:REGIONS]
    regions = [coarse == region for region in largest]
    everywhere = np.ones(len(rows), dtype=bool)
    return chosen - _means(fine, chosen)[fine], [everywhere, *(here for here in regions if here.mean() > LEAST_REGION)]


def _means(codes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Mean of each code's rows; the last row is that of code -1."""
    size = int(codes.max(initial=0)) + 2
    counts = np.maximum(np.bincount(codes % size, minlength=size), 1.0)
    return np.stack([np.bincount(codes % size, weights=column, minlength=size) / counts for column in values.T], axis=1)


def _thinned(dataset: Dataset) -> Dataset:
    every = -(-len(dataset) // MOST_DECISIONS)
    order, _ = time_order(dataset)
    return dataset if every == 1 else dataset.select_episodes(np.sort(order[::every]))


def _when(dataset: Dataset, change: Change) -> str:
    order, starts = time_order(dataset)
    lengths = dataset.lengths[order]
    at = order[min(int(np.searchsorted(np.cumsum(lengths), change.share * lengths.sum())), len(order) - 1)]
    if np.isfinite(starts[at]):
        return f"around {datetime.fromtimestamp(float(starts[at]), UTC):%Y-%m-%d %H:%M} UTC"
    return f"after {100 * change.share:.0f} % of the log"


def _size(change: Change) -> str:
    return f"by {100 * abs(change.difference):.0f} points of 100, p < {LEVEL:g}"
