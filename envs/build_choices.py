"""What the decisions of a dataset chose, with which chance, and among what; what does not fit names its decision."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.episodes import LoggedEpisode
from envs.errors import RecordError
from envs.probabilities import distribution
from envs.record import DecisionRecord
from envs.specification import AgentSpecification


def chosen_actions(specification: AgentSpecification, rows: list[DecisionRecord]) -> np.ndarray:
    """Indices of the requested actions, int64 (N,)."""
    indices = []
    for record in rows:
        try:
            indices.append(specification.action_index(record.action))
        except RecordError as error:
            raise error.of(record.agent, record.event_id) from None
    return np.array(indices, dtype=np.int64)


def choices(
    specification: AgentSpecification, rows: list[DecisionRecord], actions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Propensities (N,) and the logging policy's probabilities (N, A), NaN where not logged; ``actions`` as chosen."""
    names = {str(action): index for index, action in enumerate(specification.actions)}
    propensities = np.full(len(rows), np.nan)
    probabilities = np.full((len(rows), len(names)), np.nan)
    for index, record in enumerate(rows):
        if record.action_probabilities is not None:
            try:
                probabilities[index] = distribution(record.action_probabilities, names, "")
            except RecordError as error:
                raise error.of(record.agent, record.event_id) from None
            propensities[index] = probabilities[index, actions[index]]
        if record.propensity is not None:
            propensities[index] = record.propensity
    return propensities, probabilities


def allowed_rows(
    specification: AgentSpecification, episodes: list[LoggedEpisode], offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Allowed actions (N + E, A), all at an end, and the row of each decision (N,)."""
    rows = np.arange(offsets[-1]) + np.repeat(np.arange(len(episodes)), np.diff(offsets))
    allowed = np.ones((int(offsets[-1]) + len(episodes), len(specification.actions)), dtype=bool)
    known: dict[tuple[Any, ...], np.ndarray] = {}
    records = (record for episode in episodes for record in episode.records)
    for row, record in zip(rows, records, strict=True):
        if record.allowed_actions is not None:
            listed = tuple(record.allowed_actions)
            if listed not in known:
                mask = np.zeros(len(specification.actions), dtype=bool)
                try:
                    mask[specification.action_indices(listed)] = True
                except RecordError as error:
                    raise error.of(record.agent, record.event_id) from None
                known[listed] = mask
            allowed[row] = known[listed]
    return allowed, rows
